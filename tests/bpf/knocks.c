/* SPDX-License-Identifier: MIT */
#include "rows.h"

/* Sender, enc, ciphertext: the packet path looks at their places only. */
#define TIMES16(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
#define SENDER	   TIMES16(0x51), TIMES16(0x52)
#define REST	   TIMES16(0x61), TIMES16(0x62), TIMES16(0x71), TIMES16(0x72), 0x73

const uint8_t knock_payload[97] = {SENDER, REST};
const uint8_t knock_stranger[97] = {TIMES16(0x51), [16 ... 30] = 0x52, [31] = 0x53,
				    [32 ... 96] = 0x61};
const uint8_t knock_long[1200] = {SENDER, REST};
