/* What the supervisor is told: answers, sent as fast as it takes them. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "printed.h"

struct answers {
	int channel;
	struct bytes to_send;
	size_t frame; /* where the answer begins that is being written */
};

static void send_answers(struct answers *answers)
{
	struct piece rest = all(&answers->to_send);
	while (rest.length) {
		long sent = CALL(SYS_sendto, answers->channel, rest.at, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == -AGAIN)
			break;
		if (sent == -INTERRUPTED)
			continue;
		if (sent < 0)
			leave(0); /* the supervisor has gone */
		rest.at += sent;
		rest.length -= (size_t)sent;
	}
	drop_front(&answers->to_send, answers->to_send.length - rest.length);
	if (!rest.length)
		empty(&answers->to_send);
}

/* `id` is a JSON string with its quotes. Where the text begins: what follows until the end is escaped. */
static size_t begin_answer(struct answers *answers, struct piece id)
{
	struct bytes *to = &answers->to_send;
	answers->frame = begin_frame(to);
	add(to, WORD("{\"id\":"));
	add(to, is_string(id) ? id : WORD("\"\""));
	add(to, WORD(",\"content\":[{\"type\":\"text\",\"text\":\""));
	return to->length;
}

static void end_answer(struct answers *answers, int failed)
{
	add(&answers->to_send, WORD("\"}],\"is_error\":"));
	add(&answers->to_send, failed ? WORD("true}") : WORD("false}"));
	end_frame(&answers->to_send, answers->frame);
	send_answers(answers);
}

/* An answer of two words: what (escaped), and why. */
static void answer(struct answers *answers, struct piece id, struct piece what, struct piece why, int failed)
{
	begin_answer(answers, id);
	add(&answers->to_send, what);
	if (what.length && why.length)
		add(&answers->to_send, WORD(": "));
	add(&answers->to_send, why);
	end_answer(answers, failed);
}

#endif
