/* SPDX-License-Identifier: MIT */
/*
 * What the daemon and its tools agree on: names on the system bus. The interfaces themselves are
 * the XML in dbus/, which is the contract.
 */
#ifndef SPALE_BUS_NAMES_H
#define SPALE_BUS_NAMES_H

#define SPALE_BUS_NAME "org.spale1"

/* Objects. Behind the prefixes: a grant's number; names as sd_bus_path_encode(3) escapes them. */
#define SPALE_BUS_PATH		   "/org/spale1"
#define SPALE_BUS_GRANT_PREFIX	   "/org/spale1/grant"
#define SPALE_BUS_CLIENT_PREFIX	   "/org/spale1/client"
#define SPALE_BUS_INTERFACE_PREFIX "/org/spale1/interface"

/* Interfaces. */
#define SPALE_BUS_MANAGER   "org.spale1.Manager"
#define SPALE_BUS_GRANT	    "org.spale1.Grant"
#define SPALE_BUS_CLIENT    "org.spale1.Client"
#define SPALE_BUS_INTERFACE "org.spale1.Interface"

/* Polkit actions. */
#define SPALE_ACTION_INSPECT	    "org.spale1.inspect"
#define SPALE_ACTION_GRANT	    "org.spale1.grant"
#define SPALE_ACTION_REVOKE	    "org.spale1.revoke"
#define SPALE_ACTION_MANAGE_CLIENTS "org.spale1.manage-clients"
#define SPALE_ACTION_MANAGE_POLICY  "org.spale1.manage-policy"

/* Grants that are objects in GetManagedObjects; all are in ListGrants. */
#define SPALE_BUS_GRANT_OBJECTS_MAX 5000

/* Rows that one ListGrants answers with at most. */
#define SPALE_BUS_ROWS_MAX 1000

/* Longest trial, in seconds: seven days. */
#define SPALE_TRIAL_SECONDS_MAX 604800

/* No grant is for a wider prefix. */
#define SPALE_PREFIX4_MIN 16
#define SPALE_PREFIX6_MIN 32

/* "Never", where seconds or a time (microseconds of CLOCK_REALTIME) are told. */
#define SPALE_BUS_INFINITY UINT64_MAX

/*
 * Errors: X(NAME, "its name on the bus", errno), which is what the daemon's functions return. What
 * is not in here is SPALE_BUS_ERROR_FAILED.
 */
#define SPALE_BUS_ERRORS(X)                                                                        \
	X(NO_SUCH_GRANT, "org.spale1.Error.NoSuchGrant", ENOENT)                                   \
	X(NO_SUCH_CLIENT, "org.spale1.Error.NoSuchClient", ENOKEY)                                 \
	X(NO_SUCH_INTERFACE, "org.spale1.Error.NoSuchInterface", ENODEV)                           \
	X(BAD_ARGUMENT, "org.spale1.Error.BadArgument", EINVAL)                                    \
	X(BAD_ADDRESS, "org.spale1.Error.BadAddress", EADDRNOTAVAIL)                               \
	X(BAD_PORT, "org.spale1.Error.BadPort", ERANGE)                                            \
	X(BAD_KEY, "org.spale1.Error.BadKey", EKEYREJECTED)                                        \
	X(NOT_PROTECTED, "org.spale1.Error.NotProtected", EDOM)                                    \
	X(CLIENT_EXISTS, "org.spale1.Error.ClientExists", EEXIST)                                  \
	X(KEY_EXISTS, "org.spale1.Error.KeyExists", ENOTUNIQ)                                      \
	X(LIMIT_REACHED, "org.spale1.Error.LimitReached", E2BIG)                                   \
	X(NOT_PERMITTED, "org.spale1.Error.NotPermitted", EACCES)                                  \
	X(NOT_KEPT, "org.spale1.Error.NotKept", EROFS) /* the state directory takes nothing */     \
	X(NO_TRIAL, "org.spale1.Error.NoTrial", ENOTCONN)                                          \
	X(UNSUPPORTED, "org.spale1.Error.Unsupported", EOPNOTSUPP)

#define SPALE_BUS_ERROR_FAILED "org.spale1.Error.Failed"

#endif
