/* Bytes that grow, and pieces of them. Who can have no more memory ends: the supervisor sees that. */
#ifndef BYTES_H
#define BYTES_H

#include "kernel.h"

enum { OUT_OF_MEMORY = 70, NONSENSE = 71 }; /* how the runner ends then */

struct piece {
	const char *at;
	size_t length;
};

struct bytes {
	char *data;
	size_t length, room;
};

#define WORD(text) ((struct piece){text, sizeof text - 1})

static size_t length_of(const char *text)
{
	size_t length = 0;
	while (text[length])
		length++;
	return length;
}

static int same(struct piece one, struct piece other)
{
	return one.length == other.length && !memcmp(one.at, other.at, one.length);
}

static int begins(struct piece one, struct piece start)
{
	return one.length >= start.length && !memcmp(one.at, start.at, start.length);
}

static struct piece all(const struct bytes *bytes)
{
	return (struct piece){bytes->data ? bytes->data : "", bytes->length};
}

#ifdef HOSTED
#include <stdlib.h>
static char *sized(char *old, size_t before, size_t room)
{
	(void)before;
	char *data = realloc(old, room);
	if (!data)
		leave(OUT_OF_MEMORY);
	return data;
}

static void forget(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0, 0, 0};
}
#else
static char *sized(char *old, size_t before, size_t room)
{
	long data = old ? CALL(SYS_mremap, old, before, room, MREMAP_MAYMOVE)
			: CALL(SYS_mmap, 0, room, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data < 0 && data > -4096)
		leave(OUT_OF_MEMORY);
	return (char *)data;
}

static void forget(struct bytes *bytes)
{
	if (bytes->data)
		CALL(SYS_munmap, bytes->data, bytes->room);
	*bytes = (struct bytes){0, 0, 0};
}
#endif

static void reserve(struct bytes *bytes, size_t more)
{
	if (more > SIZE_MAX / 4 - bytes->length)
		leave(OUT_OF_MEMORY);
	size_t wanted = bytes->length + more, room = bytes->room ? bytes->room : 4096;
	while (room < wanted)
		room *= 2;
	if (room != bytes->room) {
		bytes->data = sized(bytes->data, bytes->room, room);
		bytes->room = room;
	}
}

static void add(struct bytes *bytes, struct piece more)
{
	if (!more.length)
		return;
	reserve(bytes, more.length);
	memcpy(bytes->data + bytes->length, more.at, more.length);
	bytes->length += more.length;
}

static void add_byte(struct bytes *bytes, char byte)
{
	reserve(bytes, 1);
	bytes->data[bytes->length++] = byte;
}

static void add_number(struct bytes *bytes, int64_t number)
{
	char digits[24];
	size_t at = sizeof digits;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	do
		digits[--at] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		digits[--at] = '-';
	add(bytes, (struct piece){digits + at, sizeof digits - at});
}

static void drop_front(struct bytes *bytes, size_t count)
{
	bytes->length -= count;
	if (bytes->length)
		memmove(bytes->data, bytes->data + count, bytes->length);
}

/* Nothing in it; what is large is given back. */
static void empty(struct bytes *bytes)
{
	bytes->length = 0;
	if (bytes->room > 1 << 20)
		forget(bytes);
}

static void set(struct bytes *bytes, struct piece content)
{
	bytes->length = 0;
	add(bytes, content);
}

#endif
