/* On the host, between the supervisor and bubblewrap: joins the control groups, makes the stage, drops the user
 * and becomes bubblewrap, as `launch.py` and `staging.py` do, without the cost of another Python.
 *
 * Words begin with a letter that says what they are; behind `--` come bubblewrap's own. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "processes.h"

enum { CANNOT_LAUNCH = 126, STAGED_MAX = 1024 };
enum { NEW_MOUNTS = 0x20000, NO_SUID_NO_DEV = 0x2 | 0x4, BIND = 0x1000, RECURSIVE = 0x4000, PRIVATE = 0x40000 };

static int launch_log = 2;

static _Noreturn void cannot_launch(const char *what, long error)
{
	struct bytes text = {0, 0, 0};
	add(&text, WORD("cannot start the sandbox: [Errno "));
	add_number(&text, -error);
	add(&text, WORD("] "));
	add(&text, (struct piece){what, length_of(what)});
	add(&text, WORD(" is refused\n"));
	write_to(launch_log, text.data, text.length);
	leave(CANNOT_LAUNCH);
}

static long must(long result, const char *what)
{
	if (result < 0)
		cannot_launch(what, result);
	return result;
}

static int64_t number_word(const char *word)
{
	int64_t number = 0;
	if (!*word)
		cannot_launch("a word without its number", 0);
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || number > INT64_MAX / 16)
			cannot_launch("a word that is no number", 0);
		number = number * 10 + (*word - '0');
	}
	return number;
}

static char **next_word(char **words, char kind)
{
	while (*words && (*words)[0] != '-' && (*words)[0] != kind)
		words++;
	return *words && (*words)[0] == kind ? words : 0;
}

static int64_t only(char **words, char kind)
{
	char **found = next_word(words, kind);
	if (!found)
		cannot_launch("a start without all that it needs", 0);
	return number_word(*found + 1);
}

static void joined(struct bytes *path, const char *folder, const char *rest)
{
	set(path, (struct piece){folder, length_of(folder)});
	add(path, (struct piece){rest, length_of(rest) + 1});
}

static void join_groups(char **words)
{
	struct bytes path = {0, 0, 0};
	for (char **word = words; (word = next_word(word, 'g')); word++) {
		joined(&path, *word + 1, "/cgroup.procs");
		int file = (int)must(opened(path.data, O_WRONLY), path.data);
		must(write_to(file, "0", 1), path.data); /* whoever writes */
		close_it(&file);
	}
	forget(&path);
}

static void numbered(struct bytes *path, const char *start, int64_t number)
{
	set(path, (struct piece){start, length_of(start)});
	add_number(path, number);
	add_byte(path, 0);
}

/* Bind each file or folder to its place, where nobody else sees it. */
static void make_stage(char **words)
{
	static int sources[STAGED_MAX], plain[STAGED_MAX];
	struct bytes from = {0, 0, 0}, to = {0, 0, 0};
	int count = 0;
	must(CALL(SYS_unshare, NEW_MOUNTS), "a mount namespace");
	must(CALL(SYS_mount, "none", "/", 0, RECURSIVE | PRIVATE, 0), "a mount at /");
	/* opened before the stage covers some of them, and in the namespace in which they are bound */
	for (char **word = words; (word = next_word(word, 's')); word++, count++) {
		if (count == STAGED_MAX)
			cannot_launch("one more mount", 0);
		long source = opened(*word + 1, O_PATH | O_DIRECTORY);
		plain[count] = source == -20; /* no folder */
		sources[count] = (int)must(plain[count] ? opened(*word + 1, O_PATH) : source, *word + 1);
	}
	must(CALL(SYS_mount, "tmpfs", "/tmp", "tmpfs", NO_SUID_NO_DEV, "mode=0755,size=1m"), "a mount at /tmp");
	for (int number = 0; number < count; number++) {
		numbered(&from, "/proc/self/fd/", sources[number]);
		numbered(&to, "/tmp/", number);
		if (plain[number]) {
			int file = (int)must(CALL(SYS_openat, AT_FDCWD, to.data, O_CREAT | O_WRONLY | O_CLOEXEC, 0644), to.data);
			close_it(&file);
		} else {
			must(CALL(SYS_mkdir, to.data, 0777), to.data);
		}
		must(CALL(SYS_mount, from.data, to.data, 0, BIND | RECURSIVE, 0), to.data);
		close_it(&sources[number]);
	}
	forget(&from);
	forget(&to);
}

static void bound(int which, int64_t soft, int64_t hard, const char *what)
{
	uint64_t both[2] = {(uint64_t)soft, (uint64_t)hard};
	must(CALL(SYS_prlimit64, 0, which, both), what);
}

/* Drop the user, keep only the descriptors that are needed. */
static void prepare(char **words)
{
	int null = (int)must(opened("/dev/null", O_RDONLY), "/dev/null");
	must(CALL(SYS_dup3, null, 0, 0), "an input");
	must(CALL(SYS_dup3, launch_log, 1, 0), "an output");
	must(CALL(SYS_dup3, launch_log, 2, 0), "an output");
	must(CALL(SYS_close_range, 3, ~0U, 4 /* on exec */), "to keep descriptors apart");
	for (char **word = words; (word = next_word(word, 'k')); word++)
		must(CALL(SYS_fcntl, number_word(*word + 1), F_SETFD, 0), "a descriptor");
	bound(RLIMIT_CORE, 0, 0, "a limit of cores");
	bound(RLIMIT_FSIZE, only(words, 'f'), only(words, 'f'), "a limit of file sizes");
	bound(RLIMIT_NOFILE, only(words, 'n'), only(words, 'm'), "a limit of open files");
	CALL(SYS_umask, 022);
	must(CALL(SYS_chdir, "/"), "the folder /");
	if (!CALL(SYS_geteuid, 0)) {
		int64_t uid = only(words, 'u');
		must(CALL(SYS_setgroups, 0, 0), "to leave every group");
		must(CALL(SYS_setresgid, uid, uid, uid), "the group");
		must(CALL(SYS_setresuid, uid, uid, uid), "the user");
	}
	if (!CALL(SYS_geteuid, 0) || !CALL(SYS_getuid, 0))
		cannot_launch("a sandbox must never run as the host's root, which", 0);
	must(CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "to forgo privileges");
}

static _Noreturn void launch(char **words)
{
	struct bytes list = {0, 0, 0};
	char *none = 0, **arguments = words;
	int64_t program = only(words, 'p');
	launch_log = (int)only(words, 'l');
	CALL(SYS_setsid, 0);
	join_groups(words);
	if (next_word(words, 'S'))
		make_stage(words);
	prepare(words);
	for (char **word = words; (word = next_word(word, 'e')); word++) {
		char *variable = *word + 1;
		add(&list, (struct piece){(char *)&variable, sizeof variable});
	}
	add(&list, (struct piece){(char *)&none, sizeof none});
	while (*arguments && (*arguments)[0] != '-')
		arguments++;
	if (*arguments)
		arguments++;
	cannot_launch("to become bubblewrap",
		      CALL(SYS_execveat, program, "", arguments, list.data, AT_EMPTY_PATH));
}

#endif
