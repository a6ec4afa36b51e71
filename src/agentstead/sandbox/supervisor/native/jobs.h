/* File and search tools: a Python beside us does them, started by the first of them. It has our rights and no
 * more; what it says counts only as the answer to a call that it was given. */
#ifndef JOBS_H
#define JOBS_H

#include "answers.h"
#include "processes.h"

enum { JOBS_MAX = 256, WORDS_MAX = 16 };

struct job {
	int used, again; /* again: it was begun anew once */
	struct bytes id, tool, message;
};

struct jobs {
	char *words[WORDS_MAX + 2]; /* the Python and its arguments; the channel's number follows */
	int words_count;
	int pid; /* 0: none runs */
	int channel;
	struct bytes to_send, received;
	struct job all[JOBS_MAX];
};

static void forget_job(struct job *job)
{
	job->used = 0;
	forget(&job->id);
	forget(&job->tool);
	forget(&job->message);
}

static struct job *job_of(struct jobs *jobs, struct piece id)
{
	for (int at = 0; at < JOBS_MAX; at++)
		if (jobs->all[at].used && same(all(&jobs->all[at].id), id))
			return &jobs->all[at];
	return 0;
}

static _Noreturn void become_python(struct jobs *jobs, int channel)
{
	static char *const none[] = {0};
	struct bytes number = {0, 0, 0};
	add_number(&number, channel);
	add_byte(&number, 0);
	jobs->words[jobs->words_count] = number.data;
	jobs->words[jobs->words_count + 1] = 0;
	CALL(SYS_setsid, 0);
	CALL(SYS_fcntl, channel, F_SETFD, 0);
	CALL(SYS_execve, jobs->words[0], jobs->words, none);
	leave(CANNOT_RUN);
}

/* Whether it runs. */
static int start_python(struct jobs *jobs)
{
	int ends[2];
	if (jobs->pid)
		return 1;
	if (!jobs->words_count || CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return 0;
	int pid = fork_now();
	if (!pid)
		become_python(jobs, ends[1]);
	close_it(&ends[1]);
	if (pid < 0) {
		close_it(&ends[0]);
		return 0;
	}
	never_wait(ends[0]);
	jobs->pid = pid;
	jobs->channel = ends[0];
	return 1;
}

static void send_to_python(struct jobs *jobs)
{
	struct piece rest = all(&jobs->to_send);
	while (rest.length) {
		long sent = CALL(SYS_sendto, jobs->channel, rest.at, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == -AGAIN)
			break;
		if (sent <= 0) {
			rest.length = 0; /* it has gone; reading says so */
			break;
		}
		rest.at += sent;
		rest.length -= (size_t)sent;
	}
	drop_front(&jobs->to_send, jobs->to_send.length - rest.length);
	if (!rest.length)
		empty(&jobs->to_send);
}

static void tell_python(struct jobs *jobs, struct piece message)
{
	if (jobs->pid) {
		add_frame(&jobs->to_send, message);
		send_to_python(jobs);
	}
}

/* Begin a call; whether that could be done. */
static int begin_job(struct jobs *jobs, struct piece message, int again)
{
	for (int at = 0; at < JOBS_MAX; at++) {
		struct job *job = &jobs->all[at];
		if (job->used)
			continue;
		if (!start_python(jobs))
			return 0;
		job->used = 1;
		job->again = again;
		set(&job->id, member(message, "id"));
		set(&job->tool, unquoted(member(message, "tool")));
		set(&job->message, message);
		tell_python(jobs, message);
		return 1;
	}
	return 0;
}

/* It has ended, or is to: every call it had is answered. `why` is empty when nobody knows. */
static void end_python(struct jobs *jobs, struct answers *answers, struct piece why)
{
	int status = 0, pid = jobs->pid;
	if (!pid)
		return;
	jobs->pid = 0;
	close_it(&jobs->channel);
	forget(&jobs->to_send);
	forget(&jobs->received);
	kill_session(pid);
	while (CALL(SYS_wait4, pid, &status, 0, 0) == -INTERRUPTED)
		;
	struct bytes text = {0, 0, 0};
	add(&text, why);
	if (!why.length) {
		add(&text, WORD("its process ended unexpectedly (status "));
		add_number(&text, status);
		add_byte(&text, ')');
	}
	for (int at = 0; at < JOBS_MAX; at++)
		if (jobs->all[at].used) {
			answer(answers, all(&jobs->all[at].id), all(&jobs->all[at].tool), all(&text), 1);
			forget_job(&jobs->all[at]);
		}
	forget(&text);
}

enum heard { NOTHING, ENDED, NO_PROCESS_LEFT };

/* What Python says. NO_PROCESS_LEFT: it could not begin the call whose message is now in `job`. */
static enum heard hear_python(struct jobs *jobs, struct answers *answers, struct job *failed)
{
	reserve(&jobs->received, 65536);
	long count = read_from(jobs->channel, jobs->received.data + jobs->received.length, 65536);
	if (count == -AGAIN)
		return NOTHING;
	if (count <= 0)
		return ENDED;
	jobs->received.length += (size_t)count;
	struct piece message;
	size_t size;
	while ((size = first_frame(&jobs->received, &message))) {
		struct job *job = job_of(jobs, member(message, "id"));
		int full = job && holds(member(message, "full"));
		if (job && !full) {
			add_frame(&answers->to_send, message);
			send_answers(answers);
			forget_job(job);
		}
		drop_front(&jobs->received, size);
		if (full) {
			*failed = *job;
			*job = (struct job){0, 0, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
			return NO_PROCESS_LEFT;
		}
	}
	if (!jobs->received.length)
		empty(&jobs->received);
	return NOTHING;
}

#endif
