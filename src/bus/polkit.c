/* SPDX-License-Identifier: MIT */
#include "bus/polkit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/actions.h"
#include "util/parse.h"

#define POLKIT_NAME	 "org.freedesktop.PolicyKit1"
#define POLKIT_PATH	 "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

/* polkitd itself, and a person with a dialogue, answer within. */
#define ANSWER_USEC		(25 * USEC_PER_SEC)
#define ANSWER_INTERACTIVE_USEC (120 * USEC_PER_SEC)

/* CheckAuthorizationFlags. */
#define ALLOW_USER_INTERACTION 1u

struct Polkit {
	sd_bus *bus;
	sd_bus_slot *slot; /* NULL: answered */
	char cancellation[32];
	PolkitAnswered answered;
	void *userdata;
};

static PolkitAnswer read_answer(sd_bus_message *reply)
{
	int authorized, challenge;

	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
	    sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
		return POLKIT_NO;
	if (authorized)
		return POLKIT_YES;
	return challenge ? POLKIT_CHALLENGE : POLKIT_NO;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	Polkit *polkit = userdata;

	(void)ret_error;
	/* One that was given up for being late may still show its dialogue. */
	if (!sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY))
		polkit->slot = sd_bus_slot_unref(polkit->slot);
	polkit->answered(read_answer(reply), polkit->userdata);
	return 1;
}

static int append_detail(sd_bus_message *call, const char *key, const char *value)
{
	return value && value[0] ? sd_bus_message_append(call, "{ss}", key, value) : 0;
}

/*
 * What the person is asked instead of the sentence of the action (polkit/org.spale1.policy), where
 * the call says more. polkit puts in the details, once: what is in them is never read as a key.
 */
static const char *find_message(const Question *question)
{
	switch (question->action) {
	case ACTION_FREE:
	case ACTION_INSPECT:
		return NULL;
	case ACTION_GRANT:
		if (!question->address[0])
			return NULL;
		return question->ports
			       ? "Authentication is required to open $(ports) for $(address)."
			       : "Authentication is required to open protected ports for "
				 "$(address).";
	case ACTION_REVOKE:
		if (question->client[0])
			return "Authentication is required to close protected ports to $(client).";
		return question->address[0] ? "Authentication is required to close protected ports "
					      "to $(address)."
					    : NULL;
	case ACTION_MANAGE_CLIENTS:
		return question->client[0] ? "Authentication is required to manage the client "
					     "$(client)."
					   : NULL;
	case ACTION_MANAGE_POLICY:
		return question->address[0] ? "Authentication is required to change what is "
					      "protected, and from whom: $(member) $(address)."
					    : NULL;
	}
	return NULL;
}

static int append_question(sd_bus_message *call, const PolkitSubject *subject,
			   const Question *question)
{
	int r;

	r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s",
				  subject->sender, actions_name(question->action));
	if (r >= 0)
		r = sd_bus_message_open_container(call, 'a', "{ss}");
	if (r >= 0)
		r = append_detail(call, "member", subject->member);
	if (r >= 0)
		r = append_detail(call, "address", question->address);
	if (r >= 0)
		r = append_detail(call, "ports", question->ports);
	if (r >= 0)
		r = append_detail(call, "client", question->client);
	if (r >= 0)
		r = append_detail(call, "polkit.message", find_message(question));
	return r < 0 ? r : sd_bus_message_close_container(call);
}

int polkit_ask(const PolkitSubject *subject, const Question *question, PolkitAnswered answered,
	       void *userdata, Polkit **ret_polkit)
{
	static uint64_t number;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	_cleanup_polkit_ Polkit *polkit = calloc(1, sizeof(*polkit));
	int r;

	if (!polkit)
		return -ENOMEM;
	polkit->answered = answered;
	polkit->userdata = userdata;
	snprintf(polkit->cancellation, sizeof(polkit->cancellation), "spale-%" PRIu64, ++number);
	r = sd_bus_message_new_method_call(subject->bus, &call, POLKIT_NAME, POLKIT_PATH,
					   POLKIT_INTERFACE, "CheckAuthorization");
	if (r >= 0)
		r = append_question(call, subject, question);
	if (r >= 0)
		r = sd_bus_message_append(call, "us",
					  subject->interactive ? ALLOW_USER_INTERACTION : 0u,
					  polkit->cancellation);
	if (r >= 0)
		r = sd_bus_call_async(subject->bus, &polkit->slot, call, on_answer, polkit,
				      subject->interactive ? ANSWER_INTERACTIVE_USEC : ANSWER_USEC);
	if (r < 0)
		return r;
	polkit->bus = sd_bus_ref(subject->bus);
	*ret_polkit = TAKE_PTR(polkit);
	return 0;
}

/* Nobody waits for what polkit says to this. */
static void cancel(Polkit *polkit)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;

	if (sd_bus_is_open(polkit->bus) <= 0 ||
	    sd_bus_message_new_method_call(polkit->bus, &call, POLKIT_NAME, POLKIT_PATH,
					   POLKIT_INTERFACE, "CancelCheckAuthorization") < 0 ||
	    sd_bus_message_append(call, "s", polkit->cancellation) < 0 ||
	    sd_bus_message_set_auto_start(call, false) < 0 ||
	    sd_bus_message_set_expect_reply(call, false) < 0)
		return;
	(void)sd_bus_send(polkit->bus, call, NULL);
}

void polkit_free(Polkit *polkit)
{
	if (!polkit)
		return;
	if (polkit->slot && polkit->bus) {
		cancel(polkit);
		sd_bus_slot_unref(polkit->slot);
	}
	sd_bus_unref(polkit->bus);
	free(polkit);
}
