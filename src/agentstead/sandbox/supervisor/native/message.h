/* Messages: four bytes of length, then a JSON object. Read in place, by walking; nothing is recursive, and
 * what is not as it should be is "not there". Written piece by piece. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "bytes.h"

enum { LENGTH_BYTES = 4, FRAME_BYTES_MAX = 64 << 20 };

static int is_space(char sign)
{
	return sign == ' ' || sign == '\t' || sign == '\n' || sign == '\r';
}

static size_t after_spaces(struct piece text, size_t at)
{
	while (at < text.length && is_space(text.at[at]))
		at++;
	return at;
}

/* Behind the string that begins at `at`; 0 when it does not end. */
static size_t after_string(struct piece text, size_t at)
{
	for (at++; at < text.length; at++) {
		if (text.at[at] == '"')
			return at + 1;
		if (text.at[at] == '\\')
			at++;
	}
	return 0;
}

/* Behind the value that begins at `at`; 0 when it does not end. */
static size_t after_value(struct piece text, size_t at)
{
	size_t depth = 0, start = at;
	while (at < text.length) {
		char sign = text.at[at];
		if (sign == '"') {
			at = after_string(text, at);
			if (!at || !depth)
				return at;
			continue;
		}
		if (sign == '{' || sign == '[') {
			depth++;
		} else if (sign == '}' || sign == ']') {
			if (!depth)
				return at > start ? at : 0;
			if (!--depth)
				return at + 1;
		} else if (!depth && (sign == ',' || is_space(sign))) {
			return at > start ? at : 0;
		}
		at++;
	}
	return !depth && at > start ? at : 0;
}

/* The members of an object, or of a list (which has no keys), one after the other. */
struct members {
	struct piece text;
	size_t at;
	struct piece key, value;
};

static struct members members_of(struct piece text)
{
	size_t at = after_spaces(text, 0);
	int opens = at < text.length && (text.at[at] == '{' || text.at[at] == '[');
	return (struct members){text, opens ? at : text.length, {"", 0}, {"", 0}};
}

static int next_member(struct members *members)
{
	struct piece text = members->text;
	if (members->at >= text.length)
		return 0;
	size_t at = after_spaces(text, members->at + 1); /* behind the bracket or comma */
	size_t end = at < text.length ? after_value(text, at) : 0;
	if (!end)
		return members->at = text.length, 0;
	members->key = (struct piece){"", 0};
	members->value = (struct piece){text.at + at, end - at};
	at = after_spaces(text, end);
	if (at < text.length && text.at[at] == ':') {
		members->key = members->value;
		at = after_spaces(text, at + 1);
		end = at < text.length ? after_value(text, at) : 0;
		if (!end)
			return members->at = text.length, 0;
		members->value = (struct piece){text.at + at, end - at};
		at = after_spaces(text, end);
	}
	members->at = at < text.length && text.at[at] == ',' ? at : text.length;
	return 1;
}

/* The value of a key, which has no need of escapes; of length 0 when it is not there. */
static struct piece member(struct piece object, const char *name)
{
	struct members members = members_of(object);
	struct piece found = {"", 0}, key = {name, length_of(name)};
	while (next_member(&members)) {
		struct piece given = members.key;
		if (given.length == key.length + 2 && given.at[0] == '"' &&
		    same((struct piece){given.at + 1, key.length}, key))
			found = members.value;
	}
	return found;
}

static int is_string(struct piece value)
{
	return value.length >= 2 && value.at[0] == '"' && value.at[value.length - 1] == '"';
}

/* What lies between the quotes, escapes and all. */
static struct piece unquoted(struct piece value)
{
	if (!is_string(value))
		return (struct piece){"", 0};
	return (struct piece){value.at + 1, value.length - 2};
}

static int holds(struct piece value) /* what counts as yes */
{
	static const struct piece none[] = {WORD(""),	WORD("false"), WORD("null"), WORD("0"),
					    WORD("\"\""), WORD("[]"),    WORD("{}"),   WORD("0.0")};
	for (size_t at = 0; at < sizeof none / sizeof *none; at++)
		if (same(value, none[at]))
			return 0;
	return 1;
}

/* A number times `factor` (a power of ten), without what is smaller than one; 0 when it is none. */
static int64_t number_of(struct piece value, int64_t factor)
{
	int64_t number = 0;
	int fraction = 0;
	for (size_t at = 0; at < value.length; at++) {
		char sign = value.at[at];
		if (sign == '.' && !fraction) {
			fraction = 1;
		} else if (sign >= '0' && sign <= '9') {
			if (fraction && factor == 1)
				continue;
			if (number > INT64_MAX / 10000)
				return INT64_MAX / 10000;
			number = number * 10 + (sign - '0');
			factor = fraction ? factor / 10 : factor;
		} else {
			break;
		}
	}
	return number > INT64_MAX / 10000 / factor ? INT64_MAX / 10000 : number * factor;
}

static int hex(const char *at, unsigned *unit)
{
	*unit = 0;
	for (int place = 0; place < 4; place++) {
		char sign = at[place];
		int digit = sign >= '0' && sign <= '9'	 ? sign - '0'
			    : sign >= 'a' && sign <= 'f' ? sign - 'a' + 10
			    : sign >= 'A' && sign <= 'F' ? sign - 'A' + 10
							 : -1;
		if (digit < 0)
			return 0;
		*unit = *unit << 4 | (unsigned)digit;
	}
	return 1;
}

static void add_code(struct bytes *to, unsigned code)
{
	if (code < 0x80) {
		add_byte(to, (char)code);
	} else if (code < 0x800) {
		add_byte(to, (char)(0xc0 | code >> 6));
		add_byte(to, (char)(0x80 | (code & 0x3f)));
	} else if (code < 0x10000) {
		add_byte(to, (char)(0xe0 | code >> 12));
		add_byte(to, (char)(0x80 | (code >> 6 & 0x3f)));
		add_byte(to, (char)(0x80 | (code & 0x3f)));
	} else {
		add_byte(to, (char)(0xf0 | code >> 18));
		add_byte(to, (char)(0x80 | (code >> 12 & 0x3f)));
		add_byte(to, (char)(0x80 | (code >> 6 & 0x3f)));
		add_byte(to, (char)(0x80 | (code & 0x3f)));
	}
}

/* The escape whose backslash is at `at`, written out; how many bytes it took. Half a pair is a question mark. */
static size_t add_escape(struct bytes *to, struct piece text, size_t at)
{
	static const char signs[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	unsigned code, low;
	if (at + 1 >= text.length)
		return 1;
	for (size_t place = 0; signs[place]; place++)
		if (text.at[at + 1] == signs[place])
			return add_byte(to, meant[place]), 2;
	if (text.at[at + 1] != 'u' || at + 6 > text.length || !hex(text.at + at + 2, &code))
		return 2;
	if (code < 0xd800 || code > 0xdfff)
		return add_code(to, code), 6;
	if (code < 0xdc00 && at + 12 <= text.length && text.at[at + 6] == '\\' &&
	    text.at[at + 7] == 'u' && hex(text.at + at + 8, &low) && low >= 0xdc00 && low <= 0xdfff)
		return add_code(to, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)), 12;
	return add_byte(to, '?'), 6;
}

/* The text of a string, as UTF-8. */
static void add_text(struct bytes *to, struct piece value)
{
	struct piece text = unquoted(value);
	for (size_t at = 0; at < text.length;) {
		if (text.at[at] == '\\')
			at += add_escape(to, text, at);
		else
			add_byte(to, text.at[at++]);
	}
}

/* --- frames */

/* The first whole frame of what was received, if there is one; how many bytes it takes with its length. */
static size_t first_frame(const struct bytes *received, struct piece *message)
{
	if (received->length < LENGTH_BYTES)
		return 0;
	const unsigned char *head = (const unsigned char *)received->data;
	size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (length > FRAME_BYTES_MAX)
		leave(NONSENSE);
	if (received->length - LENGTH_BYTES < length)
		return 0;
	*message = (struct piece){received->data + LENGTH_BYTES, length};
	return LENGTH_BYTES + length;
}

static size_t begin_frame(struct bytes *to)
{
	size_t start = to->length;
	add(to, (struct piece){"\0\0\0\0", LENGTH_BYTES});
	return start;
}

static void end_frame(struct bytes *to, size_t start)
{
	size_t length = to->length - start - LENGTH_BYTES;
	for (int place = 0; place < LENGTH_BYTES; place++)
		to->data[start + (size_t)place] = (char)(length >> (24 - 8 * place));
}

static void add_frame(struct bytes *to, struct piece message)
{
	size_t start = begin_frame(to);
	add(to, message);
	end_frame(to, start);
}

#endif
