/* What programs print, as text of a message: without a terminal's control codes, never invalid. */
#ifndef PRINTED_H
#define PRINTED_H

#include "message.h"

static int between(char sign, char first, char last)
{
	return sign >= first && sign <= last;
}

/* Behind a string that a code holds: it ends with the string terminator or, where `bell`, with a bell. */
static size_t after_held(struct piece text, size_t at, int bell)
{
	while (at < text.length && text.at[at] != 0x1b && !(bell && text.at[at] == 0x07))
		at++;
	if (at < text.length && text.at[at] == 0x07)
		return at + 1;
	return at + 1 < text.length && text.at[at + 1] == '\\' ? at + 2 : 0;
}

/* Behind the control code whose escape is at `at`; 0 when it is none that we know. */
static size_t after_code(struct piece text, size_t at)
{
	if (++at >= text.length)
		return 0;
	char kind = text.at[at++];
	switch (kind) {
	case '[':
		while (at < text.length && (between(text.at[at], '0', '9') || between(text.at[at], ';', '?')))
			at++;
		while (at < text.length && between(text.at[at], ' ', '/'))
			at++;
		return at < text.length && between(text.at[at], '@', '~') ? at + 1 : 0;
	case ']':
		return after_held(text, at, 1);
	case 'P': case 'X': case '^': case '_':
		return after_held(text, at, 0);
	case '(': case ')':
		return at < text.length && (between(text.at[at], '0', '9') || between(text.at[at], 'A', 'Z') ||
					    between(text.at[at], 'a', 'z'))
			       ? at + 1 : 0;
	case '=': case '>': case '7': case '8': case 'c': case 'D': case 'E': case 'H': case 'M':
		return at;
	}
	return 0;
}

static void without_codes(struct bytes *text)
{
	struct piece old = all(text);
	size_t kept = 0;
	for (size_t at = 0; at < old.length;) {
		size_t end = old.at[at] == 0x1b ? after_code(old, at) : 0;
		if (end)
			at = end;
		else
			text->data[kept++] = old.at[at++];
	}
	text->length = kept;
}

/* The length of the character at `at`; 0 and how many bytes to `pass` when it is none. */
static size_t character(struct piece text, size_t at, size_t *pass)
{
	unsigned char lead = (unsigned char)text.at[at], low = 0x80, high = 0xbf;
	size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
	*pass = 1;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	for (; *pass < length; ++*pass, low = 0x80, high = 0xbf) {
		if (at + *pass >= text.length)
			return 0;
		unsigned char next = (unsigned char)text.at[at + *pass];
		if (next < low || next > high)
			return 0;
	}
	return length;
}

static void add_sign(struct bytes *to, char sign)
{
	static const char digits[] = "0123456789abcdef";
	if (sign == '"' || sign == '\\') {
		add_byte(to, '\\');
		add_byte(to, sign);
	} else if (sign == '\n') {
		add(to, WORD("\\n"));
	} else if (sign == 0) {
		add(to, WORD("\xef\xbf\xbd"));
	} else if ((unsigned char)sign < 0x20) {
		add(to, WORD("\\u00"));
		add_byte(to, digits[sign >> 4]);
		add_byte(to, digits[sign & 15]);
	} else {
		add_byte(to, sign);
	}
}

/* Printed bytes (which are changed) as what lies between a string's quotes, without the last line ends. */
static void add_printed(struct bytes *to, struct bytes *printed)
{
	without_codes(printed);
	struct piece text = all(printed);
	while (text.length && text.at[text.length - 1] == '\n') {
		text.length--;
		if (text.length && text.at[text.length - 1] == '\r')
			text.length--;
	}
	for (size_t at = 0, pass; at < text.length;) {
		size_t length = character(text, at, &pass);
		if (!length) {
			add(to, WORD("\xef\xbf\xbd"));
			at += pass;
		} else if (length > 1) {
			add(to, (struct piece){text.at + at, length});
			at += length;
		} else {
			char sign = text.at[at++];
			if (sign != '\r' || at >= text.length || text.at[at] != '\n')
				add_sign(to, sign);
		}
	}
}

#endif
