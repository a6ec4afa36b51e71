/* The persistent shell: one bash whose directory and variables survive from call to call.
 *
 * A command is handed over on the shell's standard input as `eval '...'`; its exit status comes back on a
 * descriptor of its own, so nothing that the command prints can be mistaken for it. */
#ifndef SHELL_H
#define SHELL_H

#include "printed.h"
#include "processes.h"
#include "variables.h"

enum { OUT = 198, STATUS = 199, READ_BYTES = 65536, SHELL_ENDED = -1, LINGER_MILLISECONDS = 500 };

struct shell {
	int pid; /* 0: there is none */
	int input, output, status;
	int output_open;
	int busy; /* a command runs */
	size_t output_bytes; /* so much of what is printed is kept */
	int64_t cut;
	struct bytes to_send, printed, line;
	struct variables variables;
};

static void shell_done(int status); /* what the runner does when a command has ended */

static _Noreturn void become_bash(struct shell *shell, int input, int output, int status)
{
	static const char *const words[] = {"bash", "--noprofile", "--norc", 0};
	char **variables = pointers(&shell->variables);
	CALL(SYS_setsid, 0);
	if (CALL(SYS_dup3, output, OUT, 0) < 0 || CALL(SYS_dup3, status, STATUS, 0) < 0 ||
	    CALL(SYS_dup3, input, 0, 0) < 0 || CALL(SYS_dup3, OUT, 1, 0) < 0 || CALL(SYS_dup3, OUT, 2, 0) < 0)
		leave(CANNOT_RUN);
	become_tool();
	if (CALL(SYS_chdir, variable(&shell->variables, "HOME")) >= 0)
		CALL(SYS_execve, "/bin/bash", words, variables);
	leave(CANNOT_RUN);
}

/* Start the shell; whether a process could be started. */
static int start_shell(struct shell *shell)
{
	int input[2] = {-1, -1}, output[2] = {-1, -1}, status[2] = {-1, -1};
	int made = !pair_of_pipes(input) && !pair_of_pipes(output) && !pair_of_pipes(status);
	int pid = made ? fork_now() : -1;
	if (!pid)
		become_bash(shell, input[0], output[1], status[1]);
	close_it(&input[0]);
	close_it(&output[1]);
	close_it(&status[1]);
	if (pid < 0) {
		close_it(&input[1]);
		close_it(&output[0]);
		close_it(&status[0]);
		return 0;
	}
	shell->pid = pid;
	shell->input = input[1];
	shell->output = output[0];
	shell->status = status[0];
	shell->output_open = 1;
	never_wait(shell->input);
	never_wait(shell->output);
	never_wait(shell->status);
	return 1;
}

static void send_to_shell(struct shell *shell)
{
	struct piece rest = all(&shell->to_send);
	while (rest.length) {
		long written = write_to(shell->input, rest.at, rest.length);
		if (written == -AGAIN)
			break;
		if (written <= 0) {
			rest.length = 0; /* the shell is gone; its status pipe says so */
			break;
		}
		rest.at += written;
		rest.length -= (size_t)written;
	}
	drop_front(&shell->to_send, shell->to_send.length - rest.length);
	if (!rest.length)
		empty(&shell->to_send);
}

/* Run one command (a JSON string); the shell must be there and have none. */
static void run_command(struct shell *shell, struct piece command)
{
	struct bytes text = {0, 0, 0};
	add_text(&text, command);
	shell->busy = 1;
	set(&shell->to_send, WORD("eval '"));
	for (size_t at = 0; at < text.length; at++) {
		if (text.data[at] == '\'')
			add(&shell->to_send, WORD("'\\''"));
		else
			add_byte(&shell->to_send, text.data[at]);
	}
	add(&shell->to_send, WORD("' </dev/null >&198 2>&198 198>&- 199>&-; printf '%d\\n' $? >&199\n"));
	forget(&text);
	send_to_shell(shell);
}

static void cut_front(struct shell *shell)
{
	if (shell->printed.length <= shell->output_bytes)
		return;
	size_t surplus = shell->printed.length - shell->output_bytes;
	drop_front(&shell->printed, surplus);
	shell->cut += (int64_t)surplus;
}

/* Whether something was read. */
static int read_output(struct shell *shell)
{
	reserve(&shell->printed, READ_BYTES);
	char *end = shell->printed.data + shell->printed.length;
	long count = read_from(shell->output, end, READ_BYTES);
	if (count <= 0) {
		if (count != -AGAIN)
			shell->output_open = 0;
		return 0;
	}
	shell->printed.length += (size_t)count;
	/* twice the limit may pile up before the front is cut off, which keeps the cutting cheap */
	if (shell->printed.length > 2 * shell->output_bytes)
		cut_front(shell);
	return 1;
}

static void finish_command(struct shell *shell, int status)
{
	/* everything that was printed before the status is in the pipe by now; a background process that
	 * keeps printing must not hold us here */
	int64_t until = now() + LINGER_MILLISECONDS;
	while (now() < until && shell->output_open && read_output(shell))
		;
	cut_front(shell);
	shell->busy = 0;
	shell_done(status);
	empty(&shell->printed);
	shell->cut = 0;
}

static void shell_ended(struct shell *shell)
{
	int pid = shell->pid;
	shell->pid = 0;
	empty(&shell->to_send);
	kill_session(pid);
	wait_for(pid);
	if (shell->busy)
		finish_command(shell, SHELL_ENDED);
	close_it(&shell->input);
	close_it(&shell->output);
	close_it(&shell->status);
	shell->output_open = 0;
	empty(&shell->line);
}

/* End the shell and everything it started; a command that runs is done with what it printed. */
static void kill_shell(struct shell *shell)
{
	if (shell->pid) {
		kill_session(shell->pid);
		shell_ended(shell);
	}
}

static void read_status(struct shell *shell)
{
	char said[64];
	long count = read_from(shell->status, said, sizeof said);
	if (count == -AGAIN)
		return;
	if (count <= 0) {
		shell_ended(shell);
		return;
	}
	add(&shell->line, (struct piece){said, (size_t)count});
	for (size_t at = 0; shell->busy && at < shell->line.length; at++)
		if (shell->line.data[at] == '\n') {
			int64_t status = at ? number_of((struct piece){shell->line.data, at}, 1) : 1;
			empty(&shell->line);
			finish_command(shell, (int)(status < 256 ? status : 1));
			return;
		}
}

#endif
