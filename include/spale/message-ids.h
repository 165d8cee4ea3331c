/* SPDX-License-Identifier: MIT */
/*
 * What the daemon and the journal agree on: the MESSAGE_ID of each event, under which the catalog
 * (src/catalog) explains it, and the names of the fields that events carry besides the journal's
 * own (systemd.journal-fields(7)). Who looks for either may rely on them: neither changes its
 * meaning.
 */
#ifndef SPALE_MESSAGE_IDS_H
#define SPALE_MESSAGE_IDS_H

/* 128 bits in hexadecimal, for each of JOURNAL_EVENTS. New ones: systemd-id128 new. */
#define SPALE_MESSAGE_STARTED		 "1396a81aca1942d09c52320596a2874d"
#define SPALE_MESSAGE_STOPPED		 "5c2d81ca49974ef6a024b3ca4218ac93"
#define SPALE_MESSAGE_RELOADED		 "09a47b57d1864ce283f9b63c425c2e75"
#define SPALE_MESSAGE_RELOAD_FAILED	 "1a9abf8a68d7448b83b6085dfcc1dad8"
#define SPALE_MESSAGE_KNOCK_ACCEPTED	 "8a2ec8466e3d4577bd36f9ce8a574104"
#define SPALE_MESSAGE_KNOCK_REFUSED	 "e17d3c7a87d74085bdb3f7967e39e723"
#define SPALE_MESSAGE_GRANT_ADDED	 "e3ecf3354bf2484c9ee0cc7cd8dc0d76"
#define SPALE_MESSAGE_GRANT_EXTENDED	 "98f73050e6d94b06a1c0936a2713e82e"
#define SPALE_MESSAGE_GRANT_REVOKED	 "e3941eb10fdc422ab54c891653cbddfc"
#define SPALE_MESSAGE_GRANT_EXPIRED	 "0e58880adc9e42d69c5a23b83363e8a8"
#define SPALE_MESSAGE_ACCESS_DENIED	 "b327271475da4301971c0e6a4dcde31e"
#define SPALE_MESSAGE_CLIENT_ENROLLED	 "9c2343ba43304d4187cb3e02453338c0"
#define SPALE_MESSAGE_CLIENT_CHANGED	 "d32de039b80145c6abfe4d8bbd42d523"
#define SPALE_MESSAGE_CLIENT_REMOVED	 "130bf977e21e479f9d52b56a334d7255"
#define SPALE_MESSAGE_CLIENT_REFUSED	 "f63c2c14cb5e4f4eacf099da4fbbfd53"
#define SPALE_MESSAGE_POLICY_CHANGED	 "304cee629851441c84b64c76d13e5443"
#define SPALE_MESSAGE_LAST_GOOD		 "18333f71c0804d14ade8ec6e9cd6091e"
#define SPALE_MESSAGE_INTERFACE_ATTACHED "3a2855706b31443c862988cc738764c4"
#define SPALE_MESSAGE_INTERFACE_LOST	 "b09c0f06da614ab4af564270f0696371"
#define SPALE_MESSAGE_NFTABLES_LOST	 "0a357ac1acbc4566ac8e4d65a50fa600"
#define SPALE_MESSAGE_NFTABLES_RESTORED	 "8e509e89843a487da1f57c283ab13fdc"

/* Fields, in text as in the readable line: whatever does not apply is left out. */
#define SPALE_FIELD_CLIENT    "SPALE_CLIENT"	/* name of a client */
#define SPALE_FIELD_SOURCE    "SPALE_SOURCE"	/* address or prefix that it is about */
#define SPALE_FIELD_PORTS     "SPALE_PORTS"	/* "22/tcp 80/tcp" */
#define SPALE_FIELD_REASON    "SPALE_REASON"	/* a word: why */
#define SPALE_FIELD_GRANT     "SPALE_GRANT"	/* number of a grant; none comes again */
#define SPALE_FIELD_UNTIL     "SPALE_UNTIL"	/* a time (ISO 8601), or "infinity" */
#define SPALE_FIELD_INTERFACE "SPALE_INTERFACE" /* name of an interface */
#define SPALE_FIELD_CALLER    "SPALE_CALLER"	/* who asked for it over D-Bus */
#define SPALE_FIELD_DETAIL    "SPALE_DETAIL"	/* what else there is to say, a sentence */

#endif
