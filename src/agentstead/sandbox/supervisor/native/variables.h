/* The variables of tools' processes, as the supervisor gives them: some depend on what is there. */
#ifndef VARIABLES_H
#define VARIABLES_H

#include "message.h"

struct variables {
	struct bytes text; /* NAME=value, each with a zero behind it */
	size_t count;
};

static void take_variable(struct variables *all_of_them, struct piece name, struct piece value)
{
	struct bytes *text = &all_of_them->text;
	struct bytes fresh = {0, 0, 0};
	add_text(&fresh, name);
	add_byte(&fresh, '=');
	struct piece start = all(&fresh);
	for (size_t at = 0; at < text->length;) {
		struct piece rest = {text->data + at, text->length - at};
		size_t length = length_of(rest.at) + 1;
		if (begins((struct piece){rest.at, length}, start)) {
			memmove(text->data + at, rest.at + length, rest.length - length);
			text->length -= length;
			all_of_them->count--;
			break;
		}
		at += length;
	}
	add_text(&fresh, value);
	size_t kept = 0;
	for (size_t at = 0; at < fresh.length; at++)
		if (fresh.data[at])
			fresh.data[kept++] = fresh.data[at];
	fresh.length = kept;
	add_byte(&fresh, 0);
	add(text, all(&fresh));
	all_of_them->count++;
	forget(&fresh);
}

static void take_variables(struct variables *all_of_them, struct piece object)
{
	struct members members = members_of(object);
	while (next_member(&members))
		take_variable(all_of_them, members.key, members.value);
}

/* Of some [path, variables], those whose path is the first to exist. */
static void take_choice(struct variables *all_of_them, struct piece list)
{
	struct members choices = members_of(list);
	while (next_member(&choices)) {
		struct members parts = members_of(choices.value);
		struct bytes path = {0, 0, 0};
		if (!next_member(&parts))
			continue;
		add_text(&path, parts.value);
		add_byte(&path, 0);
		int there = is_there(path.data) && next_member(&parts);
		if (there)
			take_variables(all_of_them, parts.value);
		forget(&path);
		if (there)
			return;
	}
}

static void take_all_variables(struct variables *all_of_them, struct piece first)
{
	take_variables(all_of_them, member(first, "always"));
	struct members choices = members_of(member(first, "first_there"));
	while (next_member(&choices))
		take_choice(all_of_them, choices.value);
	take_variables(all_of_them, member(first, "env"));
}

static const char *variable(const struct variables *all_of_them, const char *name)
{
	struct piece wanted = {name, length_of(name)};
	for (size_t at = 0; at < all_of_them->text.length;) {
		const char *here = all_of_them->text.data + at;
		size_t length = length_of(here);
		if (begins((struct piece){here, length}, wanted) && here[wanted.length] == '=')
			return here + wanted.length + 1;
		at += length + 1;
	}
	return "/";
}

/* As execve wants them. */
static char **pointers(const struct variables *all_of_them)
{
	struct bytes list = {0, 0, 0};
	char *none = 0;
	for (size_t at = 0; at < all_of_them->text.length;) {
		char *here = all_of_them->text.data + at;
		add(&list, (struct piece){(char *)&here, sizeof here});
		at += length_of(here) + 1;
	}
	add(&list, (struct piece){(char *)&none, sizeof none});
	return (char **)(void *)list.data;
}

#endif
