/* Processes inside: how a tool's process is set up, and how all of it is ended. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "bytes.h"

enum { ROUNDS_MAX = 5, CANNOT_RUN = 127 };

/* Make this process's memory, descriptors and environment unreadable to the tools. */
static void hide(void)
{
	CALL(SYS_prctl, PR_SET_DUMPABLE, 0);
}

/* Older kernels would count everything that this user runs on the host. */
static int counts_per_namespace(void)
{
	struct utsname name;
	int number[2] = {0, 0}, place = 0;
	if (CALL(SYS_uname, &name) < 0)
		return 0;
	for (size_t at = 0; at < sizeof name.release && name.release[at] && place < 2; at++) {
		if (name.release[at] >= '0' && name.release[at] <= '9' && number[place] < 10000)
			number[place] = number[place] * 10 + (name.release[at] - '0');
		else
			place++;
	}
	return number[0] > 5 || (number[0] == 5 && number[1] >= 14);
}

static void set_limit(int which, int64_t value)
{
	uint64_t both[2] = {(uint64_t)value, (uint64_t)value};
	if (CALL(SYS_prlimit64, 0, which, both) < 0)
		leave(NONSENSE);
}

/* Where no control group does it (0: one does): limit this process and its children. */
static void limit(int64_t processes_max, int64_t memory_bytes)
{
	if (processes_max && counts_per_namespace())
		set_limit(RLIMIT_NPROC, processes_max);
	/* of data, not of address space: some programs reserve much more than they use */
	if (memory_bytes)
		set_limit(RLIMIT_DATA, memory_bytes);
}

/* In a fresh child: be the first to go when memory is short, die of what others die of. */
static void become_tool(void)
{
	/* the score may be written only while the process is dumpable */
	CALL(SYS_prctl, PR_SET_DUMPABLE, 1);
	int score = opened("/proc/self/oom_score_adj", O_WRONLY);
	if (score < 0 || write_to(score, "500", 3) != 3)
		leave(CANNOT_RUN);
	close_it(&score);
	hide();
	handle(SIGPIPE, SIG_DFL);
	handle(SIGXFSZ, SIG_DFL);
}

/* End every process of the sandbox but this one. */
static void kill_everything(void)
{
#ifndef HOSTED /* outside of a sandbox that would be everything else */
	CALL(SYS_kill, -1, SIGKILL);
#endif
}

/* --- a process and all that descends from it */

struct process {
	int pid, parent, session, wanted;
};

static struct process *processes_in(struct bytes *found, size_t *count)
{
	*count = found->length / sizeof(struct process);
	return (struct process *)(void *)found->data;
}

static int number_in(const char *text, size_t length, size_t *at)
{
	int number = 0;
	while (*at < length && text[*at] == ' ')
		++*at;
	for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; ++*at)
		number = number < 100000000 ? number * 10 + (text[*at] - '0') : number;
	return number;
}

static void look_at(struct bytes *found, const char *name)
{
	char path[40] = "/proc/", text[1024];
	size_t length = length_of(name), at = 0, end = 0;
	struct process one = {0, 0, 0, 0};
	if (length > 12)
		return;
	memcpy(path + 6, name, length);
	memcpy(path + 6 + length, "/stat", 6);
	one.pid = number_in(name, length, &at);
	int file = at == length ? opened(path, O_RDONLY) : -1;
	if (file < 0)
		return;
	long count = read_from(file, text, sizeof text);
	close_it(&file);
	for (at = 0; count > 0 && at < (size_t)count; at++)
		if (text[at] == ')')
			end = at + 2; /* what follows the name: state, parent, group, session */
	if (count <= 0 || !end || end >= (size_t)count || text[end] == 'Z')
		return;
	at = end + 1;
	one.parent = number_in(text, (size_t)count, &at);
	number_in(text, (size_t)count, &at);
	one.session = number_in(text, (size_t)count, &at);
	add(found, (struct piece){(char *)&one, sizeof one});
}

static void look_around(struct bytes *found)
{
	char entries[8192] __attribute__((aligned(8)));
	long count;
	int folder = opened("/proc", O_RDONLY | O_DIRECTORY);
	while (folder >= 0 && (count = CALL(SYS_getdents64, folder, entries, sizeof entries)) > 0)
		for (long at = 0; at < count;) {
			uint16_t length;
			memcpy(&length, entries + at + 16, sizeof length);
			look_at(found, entries + at + 19);
			at += length;
		}
	close_it(&folder);
}

static int is_wanted(const struct process *all_of_them, size_t count, int pid)
{
	/* the kernel lists them in the order of their numbers */
	size_t first = 0, end = count;
	while (first < end) {
		size_t middle = first + (end - first) / 2;
		if (all_of_them[middle].pid == pid)
			return all_of_them[middle].wanted;
		if (all_of_them[middle].pid < pid)
			first = middle + 1;
		else
			end = middle;
	}
	return 0;
}

/* Kill whoever belongs to the leader; whether there was anybody but it. */
static int kill_family(int leader)
{
	struct bytes found = {0, 0, 0};
	size_t count;
	int others = 0, more = 1;
	look_around(&found);
	struct process *here = processes_in(&found, &count);
	for (size_t at = 0; at < count; at++)
		here[at].wanted = here[at].pid == leader || here[at].session == leader;
	while (more) {
		more = 0;
		for (size_t at = 0; at < count; at++)
			if (!here[at].wanted && (here[at].parent == leader || is_wanted(here, count, here[at].parent)))
				here[at].wanted = more = 1;
	}
	for (size_t at = 0; at < count; at++)
		if (here[at].wanted && here[at].pid != leader) {
			others = 1;
			CALL(SYS_kill, here[at].pid, SIGKILL);
		}
	CALL(SYS_kill, leader, SIGKILL);
	forget(&found);
	return others;
}

/* End a process, its session and everything that descends from it. */
static void kill_session(int leader)
{
	for (int round = 0; round < ROUNDS_MAX; round++)
		if (!kill_family(leader))
			return;
}

#endif
