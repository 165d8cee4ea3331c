/* SPDX-License-Identifier: MIT */
/*
 * All points of small order of Curve25519 and of its twist, in hexadecimal, in every encoding below
 * 2^255: 0, 1, the two of order 8, p - 1, p and p + 1. Since X25519 leaves the top bit out, each
 * has a second encoding with that bit set.
 */
#pragma once

static const char *const small_order_points[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};
