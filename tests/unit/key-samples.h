/* SPDX-License-Identifier: MIT */
/*
 * Keys in PEM for the tests: made for them, and of use nowhere else. The raw bytes are what
 * openssl pkey -text says of them.
 */
#pragma once

#define OPENSSL_PRIVATE_HEX "a07cb220819119933be08b9bbb494d250eb843c57009740e958f9006ee9b6765"
#define OPENSSL_PUBLIC_HEX  "dedf0e0d011ab577d4ea728a5cd1811ca79af65a1d7d6a34313954670858db4e"
#define PYTHON_PRIVATE_HEX  "485bb1cb461b52a854a748ecfaecafc7b7017a09e0335e135698716d0a954e6e"
#define PYTHON_PUBLIC_HEX   "685ab8399a2291622ed9f447b6037452d55ded3a72482a025cdd5def12645159"

/* From openssl genpkey -algorithm x25519, and openssl pkey -pubout. */
#define OPENSSL_PRIVATE                                                                            \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC4CAQAwBQYDK2VuBCIEIKB8siCBkRmTO+CLm7tJTSUOuEPFcAl0DpWPkAbum2dl\n"                       \
	"-----END PRIVATE KEY-----\n"
#define OPENSSL_PUBLIC                                                                             \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VuAyEA3t8ODQEatXfU6nKKXNGBHKea9lodfWo0MTlUZwhY204=\n"                           \
	"-----END PUBLIC KEY-----\n"

/* From python-cryptography: PKCS8 without encryption, and SubjectPublicKeyInfo. */
#define PYTHON_PRIVATE                                                                             \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC4CAQAwBQYDK2VuBCIEIEhbsctGG1KoVKdI7Prsr8e3AXoJ4DNeE1aYcW0KlU5u\n"                       \
	"-----END PRIVATE KEY-----\n"
#define PYTHON_PUBLIC                                                                              \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VuAyEAaFq4OZoikWIu2fRHtgN0UtVd7TpySCoCXN1d7xJkUVk=\n"                           \
	"-----END PUBLIC KEY-----\n"

/* The key of openssl, encrypted with a passphrase. */
#define ENCRYPTED_PRIVATE                                                                          \
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"                                                  \
	"MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgRpb2rDH4VeQICCAAw\n"                       \
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEH0MHpjYux1CzdJjuJxL9Z8EQAjZ\n"                       \
	"aA2PFFNA48CvpHRsr6sueg324erWoHds/MO/6MW+In9DOtIy+KZpzm4SLzdRJp/n\n"                       \
	"ZT/aZMrfdjzBF5QME8g=\n"                                                                   \
	"-----END ENCRYPTED PRIVATE KEY-----\n"

/* Ed25519, X448, RSA and EC keys of openssl. */
#define ED25519_PRIVATE                                                                            \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC4CAQAwBQYDK2VwBCIEIGHqjZofq2b3xLVcGo9JJh6aCQLSLIjrMDGzIw803YE3\n"                       \
	"-----END PRIVATE KEY-----\n"
#define ED25519_PUBLIC                                                                             \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VwAyEAwX6UPcxK2keiDOHMaLoi4HQWDDF6LwUCU98ZHI337go=\n"                           \
	"-----END PUBLIC KEY-----\n"
#define X448_PRIVATE                                                                               \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MEYCAQAwBQYDK2VvBDoEOEB7SbzVs6FPrzEydRYYBYzx6R/iRVi67FV8KiUSlrgr\n"                       \
	"NNOJjWcaqdJ/DHhZHgVAL62Bc+oFPgnP\n"                                                       \
	"-----END PRIVATE KEY-----\n"
#define RSA_PRIVATE                                                                                \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAq2oig6zWbPTgvKFH\n"                       \
	"+FG6gs9YlVhR7gh811G+CCgaLJFecmFnaF+26cDjuFfaDx4MJCETTnKlVw/UNTkS\n"                       \
	"rEcxDwIDAQABAkEAoHqhDX3G0gMAVBj6dDSv1L+iQ0+IhL1Vg5B3xNMmjgmSKxh/\n"                       \
	"Wo5VuN2kjQ+I1QGf8o11ZMGqM9qw6rTL34FlAQIhANsnh+x1ZK5gpCwxbSCl4cwC\n"                       \
	"KlOn+ktbh5XbNfsJshgvAiEAyDveMXPdzxO4kvc8nJYJT2tkSC198mJz2IXyxqPH\n"                       \
	"XSECIQC/l+TF/a+in4yHskJUa5FmuHHmpxEz9nYntfiQWt6fMwIgXJWKDLW1hw1o\n"                       \
	"V9Qn24NodKeEa/dU+CFbzW9KLV0HTuECIFTW0IdhUnA6SDMGGPGVQ7bwfh7JiAez\n"                       \
	"kmCwxddSxuyn\n"                                                                           \
	"-----END PRIVATE KEY-----\n"
#define RSA_PUBLIC                                                                                 \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKtqIoOs1mz04LyhR/hRuoLPWJVYUe4I\n"                       \
	"fNdRvggoGiyRXnJhZ2hftunA47hX2g8eDCQhE05ypVcP1DU5EqxHMQ8CAwEAAQ==\n"                       \
	"-----END PUBLIC KEY-----\n"
#define EC_PRIVATE                                                                                 \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEh1KN4xUsngPurNm\n"                       \
	"BszzuyqK4rcJYaddTzAZofR89DWhRANCAATS04h5tyDC0dLHpuHL+lTlX43EHqtu\n"                       \
	"SHvCL385RWfDzK5CZ1OumLfHa3EwU3LBrVdOemkGF+4yZWkL6lfoIL15\n"                               \
	"-----END PRIVATE KEY-----\n"
#define EC_SEC1_PRIVATE                                                                            \
	"-----BEGIN EC PRIVATE KEY-----\n"                                                         \
	"MHcCAQEEIBIdSjeMVLJ4D7qzZgbM87sqiuK3CWGnXU8wGaH0fPQ1oAoGCCqGSM49\n"                       \
	"AwEHoUQDQgAE0tOIebcgwtHSx6bhy/pU5V+NxB6rbkh7wi9/OUVnw8yuQmdTrpi3\n"                       \
	"x2txMFNywa1XTnppBhfuMmVpC+pX6CC9eQ==\n"                                                   \
	"-----END EC PRIVATE KEY-----\n"

/* Well-formed DER with 31 and 33 bytes of key. */
#define SHORT_PRIVATE                                                                              \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC0CAQAwBQYDK2VuBCEEH0hbsctGG1KoVKdI7Prsr8e3AXoJ4DNeE1aYcW0KlU4=\n"                       \
	"-----END PRIVATE KEY-----\n"
#define LONG_PRIVATE                                                                               \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC8CAQAwBQYDK2VuBCMEIUhbsctGG1KoVKdI7Prsr8e3AXoJ4DNeE1aYcW0KlU5u\n"                       \
	"eA==\n"                                                                                   \
	"-----END PRIVATE KEY-----\n"
#define SHORT_PUBLIC                                                                               \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCkwBQYDK2VuAyAAaFq4OZoikWIu2fRHtgN0UtVd7TpySCoCXN1d7xJkUQ==\n"                           \
	"-----END PUBLIC KEY-----\n"
#define LONG_PUBLIC                                                                                \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCswBQYDK2VuAyIAaFq4OZoikWIu2fRHtgN0UtVd7TpySCoCXN1d7xJkUVl4\n"                           \
	"-----END PUBLIC KEY-----\n"

/* Valid base64 of the first 40 bytes of a key's DER. */
#define TRUNCATED_PRIVATE                                                                          \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC4CAQAwBQYDK2VuBCIEIEhbsctGG1KoVKdI7Prsr8e3AXoJ4DNeEw==\n"                               \
	"-----END PRIVATE KEY-----\n"
#define TRUNCATED_PUBLIC                                                                           \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VuAyEAaFq4OZoikWIu2fRHtgN0UtVd7TpySCoCXN1d7w==\n"                               \
	"-----END PUBLIC KEY-----\n"

/* Four bytes behind the DER. */
#define TRAILING_PRIVATE                                                                           \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MC4CAQAwBQYDK2VuBCIEIEhbsctGG1KoVKdI7Prsr8e3AXoJ4DNeE1aYcW0KlU5u\n"                       \
	"YWJjZA==\n"                                                                               \
	"-----END PRIVATE KEY-----\n"
#define TRAILING_PUBLIC                                                                            \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VuAyEAaFq4OZoikWIu2fRHtgN0UtVd7TpySCoCXN1d7xJkUVlhYmNk\n"                       \
	"-----END PUBLIC KEY-----\n"

/* Boundaries with nothing between them. */
#define EMPTY_PRIVATE                                                                              \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"\n"                                                                                       \
	"-----END PRIVATE KEY-----\n"
