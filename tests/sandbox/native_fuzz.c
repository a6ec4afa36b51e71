/* What the runner in C reads, behind a pipe: a kind, a length and bytes in; a length and bytes out. */
#include "runner.c"

static int whole(int descriptor, char *to, size_t count)
{
	for (size_t at = 0; at < count;) {
		long got = read_from(descriptor, to + at, count - at);
		if (got <= 0)
			return 0;
		at += (size_t)got;
	}
	return 1;
}

static void answer_to(char kind, struct bytes *given, struct bytes *said)
{
	struct piece message = all(given);
	struct variables told = {{0, 0, 0}, 0};
	switch (kind) {
	case 'p': /* what was printed */
		add_printed(said, given);
		return;
	case 'c': /* the command of a call */
		add_text(said, member(member(message, "input"), "command"));
		return;
	case 'n': /* a number, in thousandths */
		add_number(said, number_of(member(message, "seconds"), 1000));
		return;
	case 'v': /* variables */
		take_all_variables(&told, message);
		add(said, all(&told.text));
		forget(&told.text);
		return;
	case 'h': /* whether something counts as yes */
		add_number(said, holds(member(message, "restart")));
		return;
	}
}

int harness(void)
{
	char kind, head[4];
	while (whole(0, &kind, 1) && whole(0, head, sizeof head)) {
		struct bytes given = {0, 0, 0}, said = {0, 0, 0}, framed = {0, 0, 0};
		add(&given, (struct piece){head, sizeof head});
		size_t length = (size_t)(unsigned char)head[0] << 24 | (size_t)(unsigned char)head[1] << 16 |
				(size_t)(unsigned char)head[2] << 8 | (unsigned char)head[3];
		struct bytes body = {0, 0, 0};
		/* exactly as long as what is in it, so that one byte too far is seen */
		body.data = length ? malloc(length) : 0;
		body.length = body.room = length;
		if (!whole(0, body.data, length))
			return 1;
		answer_to(kind, &body, &said);
		add_frame(&framed, all(&said));
		write_to(1, framed.data, framed.length);
		forget(&given);
		forget(&body);
		forget(&said);
		forget(&framed);
	}
	return 0;
}
