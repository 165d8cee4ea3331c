/* SPDX-License-Identifier: MIT */
/*
 * Who asks for passwords on a terminal where no desktop does: pkttyagent(1), as a child of this
 * process and for it alone.
 */
#pragma once

/*
 * Starts it, and waits until polkit knows it. Does nothing without a terminal, for root, who is not
 * asked, and where there is no pkttyagent.
 */
void agent_start(void);

/* Ends it. */
void agent_stop(void);
