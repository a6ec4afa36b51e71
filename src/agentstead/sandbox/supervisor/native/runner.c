/* The runner: one loop that takes calls from the supervisor and runs the tools, as `runner/__main__.py` does,
 * whose contract it keeps to the letter. bash runs in one persistent shell, one call at a time (the supervisor
 * sees to the order). When no process can be started any more, all others are ended and the model is told.
 *
 * `runner CHANNEL PYTHON ARGUMENT...`: the descriptor of the channel, and what does file and search tools. By the
 * name `launch` it starts bubblewrap, on the host. */
#include "answers.h"
#include "jobs.h"
#include "launch.h"
#include "refusal.h"
#include "shell.h"

#define FULL "the limit of processes was reached, so all of them were ended"
#define SHELL_LOST \
	"the next bash call gets a new shell: its directory, variables and background processes are gone"

static struct answers answers;
static struct bytes received;
static struct shell shell = {0, -1, -1, -1, 0, 0, 0, 0, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {{0, 0, 0}, 0}};
static struct jobs jobs;
static struct refusal refusal;
static struct bytes note;   /* what the next bash call has to be told first */
static struct bytes killed; /* why everything was ended a moment ago; told with each call that this hit */
static struct bytes ending; /* why this one call is ended */
static struct bytes bash_id;
static int64_t bash_milliseconds, bash_deadline;

/* --- bash */

static void add_gap(size_t start)
{
	if (answers.to_send.length > start)
		add(&answers.to_send, WORD("\\n"));
}

static void add_output(size_t start)
{
	struct bytes *to = &answers.to_send;
	size_t before = to->length;
	add_gap(start);
	if (shell.cut) {
		add(to, WORD("[output truncated: "));
		add_number(to, shell.cut);
		add(to, WORD(" earlier bytes left out]\\n"));
	}
	size_t text = to->length;
	add_printed(to, &shell.printed);
	if (to->length == text)
		to->length = shell.cut ? text - 2 : before; /* nothing to say needs no line of its own */
}

static const char *signal_name(int number)
{
	static const char *const names[] = {
		"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
		"PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
		"XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"};
	if (number == 34 || number == 64)
		return number == 34 ? "RTMIN" : "RTMAX";
	return number > 0 && number < (int)(sizeof names / sizeof *names) ? names[number] : "";
}

static void add_ending(size_t start, int status)
{
	struct bytes *to = &answers.to_send;
	struct piece why = ending.length ? all(&ending) : all(&killed);
	if (!status)
		return;
	add_gap(start);
	add_byte(to, '[');
	if (status == SHELL_ENDED) {
		add(to, why.length ? why : WORD("the shell ended"));
		add(to, WORD("; " SHELL_LOST));
	} else {
		const char *name = signal_name(status - 128);
		add(to, WORD("exit code "));
		add_number(to, status);
		if (*name) {
			add(to, WORD(", SIG"));
			add(to, (struct piece){name, length_of(name)});
		}
	}
	add_byte(to, ']');
}

static void shell_done(int status)
{
	size_t start = begin_answer(&answers, all(&bash_id));
	add(&answers.to_send, all(&note));
	empty(&note);
	add_output(start);
	add_ending(start, status);
	if (answers.to_send.length == start)
		add(&answers.to_send, WORD("(no output)"));
	empty(&bash_id);
	end_answer(&answers, status != 0);
}

/* Whether the shell could be started. */
static int begin_bash(struct piece message)
{
	struct piece given = member(message, "input"), command = member(given, "command");
	struct piece id = member(message, "id");
	if (holds(member(given, "restart"))) {
		kill_shell(&shell);
		if (!start_shell(&shell))
			return 0;
		empty(&note);
		answer(&answers, id, WORD("bash session restarted"), WORD(""), 0);
		return 1;
	}
	if (!is_string(command)) {
		answer(&answers, id, WORD("bash"), WORD("the input is not valid: command must be a string"), 1);
		return 1;
	}
	if (!shell.pid && !start_shell(&shell))
		return 0;
	set(&bash_id, id);
	bash_milliseconds = number_of(member(message, "seconds"), 1000);
	bash_deadline = now() + bash_milliseconds;
	run_command(&shell, command);
	return 1;
}

static void bash_is_late(void)
{
	int64_t rest = bash_milliseconds % 1000;
	set(&ending, WORD("the command timed out after "));
	add_number(&ending, bash_milliseconds / 1000);
	for (int64_t digit = 100, first = 1; rest; rest %= digit, digit /= 10, first = 0) {
		if (first)
			add_byte(&ending, '.');
		add_byte(&ending, (char)('0' + rest / digit));
	}
	add(&ending, WORD(" s and was ended"));
	kill_shell(&shell);
	empty(&ending);
}

/* --- calls */

static void end_everything(struct piece why)
{
	struct bytes text = {0, 0, 0}; /* it may lie in what is about to change */
	set(&text, why);
	set(&killed, all(&text));
	kill_everything();
	if (shell.pid) {
		if (!shell.busy) {
			set(&note, WORD("["));
			add(&note, all(&text));
			add(&note, WORD("; this is a new shell]"));
		}
		kill_shell(&shell);
	}
	end_python(&jobs, &answers, all(&text));
	forget(&text);
}

static int begin_call(struct piece message, int again)
{
	return same(member(message, "tool"), WORD("\"bash\"")) ? begin_bash(message)
							       : begin_job(&jobs, message, again);
}

static void cannot_begin(struct piece message)
{
	answer(&answers, member(message, "id"), unquoted(member(message, "tool")),
	       WORD("cannot start: [Errno 11] Resource temporarily unavailable"), 1);
}

static void begin(struct piece message)
{
	if (!begin_call(message, 0)) {
		end_everything(WORD(FULL));
		if (!begin_call(message, 0))
			cannot_begin(message);
	}
	empty(&killed);
}

static void end_call(struct piece id, struct piece why, struct piece message)
{
	set(&ending, why);
	if (bash_id.length && same(all(&bash_id), id)) {
		kill_shell(&shell);
		set(&note, WORD("[the call before this one was cancelled; this is a new shell]"));
	}
	if (job_of(&jobs, id))
		tell_python(&jobs, message);
	empty(&ending);
}

static void hear_jobs(void)
{
	struct job failed = {0, 0, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
	enum heard heard = hear_python(&jobs, &answers, &failed);
	if (heard == ENDED) {
		end_python(&jobs, &answers, all(&killed));
	} else if (heard == NO_PROCESS_LEFT) {
		end_everything(WORD(FULL));
		if (failed.again || !begin_call(all(&failed.message), 1))
			cannot_begin(all(&failed.message));
		empty(&killed);
		forget_job(&failed);
	}
}

static void hear(struct piece message)
{
	struct piece operation = member(message, "op");
	if (same(operation, WORD("\"run\"")))
		begin(message);
	else if (same(operation, WORD("\"end\"")))
		end_call(member(message, "id"), unquoted(member(message, "why")), message);
	else if (same(operation, WORD("\"end_all\"")))
		end_everything(unquoted(member(message, "why")));
}

static void hear_first(struct piece message)
{
	struct piece network = member(message, "network");
	take_all_variables(&shell.variables, message);
	shell.output_bytes = (size_t)number_of(member(message, "output_bytes"), 1);
	set(&note, unquoted(member(message, "note")));
	limit(number_of(member(message, "processes_max"), 1), number_of(member(message, "memory_bytes"), 1));
	begin_frame(&answers.to_send);
	add(&answers.to_send, WORD("{\"ready\":true}"));
	end_frame(&answers.to_send, 0);
	if (same(network, WORD("true"))) {
		hand_over(answers.channel, all(&answers.to_send));
		empty(&answers.to_send);
	} else {
		if (!holds(network))
			begin_refusal(&refusal);
		send_answers(&answers);
	}
}

static void hear_supervisor(void)
{
	static int known; /* nothing else comes before we have answered the first one */
	struct piece message;
	size_t size;
	reserve(&received, READ_BYTES);
	long count = read_from(answers.channel, received.data + received.length, READ_BYTES);
	if (count <= 0)
		leave(0);
	received.length += (size_t)count;
	while ((size = first_frame(&received, &message))) {
		if (known)
			hear(message);
		else
			hear_first(message);
		known = 1;
		drop_front(&received, size);
	}
	if (!received.length)
		empty(&received);
}

/* --- the loop */

enum { CHANNEL, SHELL_INPUT, SHELL_OUTPUT, SHELL_STATUS, PYTHON, LISTENER, CALLERS };

static void watch(struct pollfd *place, int descriptor, int events)
{
	*place = (struct pollfd){events ? descriptor : -1, (short)events, 0};
}

static int64_t watch_all(struct pollfd *places)
{
	int64_t next = INT64_MAX;
	watch(&places[CHANNEL], answers.channel, POLLIN | (answers.to_send.length ? POLLOUT : 0));
	watch(&places[SHELL_INPUT], shell.input, shell.to_send.length ? POLLOUT : 0);
	watch(&places[SHELL_OUTPUT], shell.output, shell.output_open ? POLLIN : 0);
	watch(&places[SHELL_STATUS], shell.status, POLLIN);
	watch(&places[PYTHON], jobs.channel, POLLIN | (jobs.to_send.length ? POLLOUT : 0));
	watch(&places[LISTENER], refusal.listener, POLLIN);
	if (bash_id.length)
		next = bash_deadline;
	for (int at = 0; at < CONNECTIONS_MAX; at++) {
		struct caller *caller = &refusal.callers[at];
		watch(&places[CALLERS + at], caller->socket, POLLIN);
		if (caller->socket >= 0 && caller->deadline < next)
			next = caller->deadline;
	}
	return next;
}

/* Whether something happened there: what was done before may have closed or replaced the descriptor. */
static int happened(const struct pollfd *place, int descriptor, int events)
{
	return place->fd >= 0 && place->fd == descriptor && place->revents & (events | POLLERR | POLLHUP);
}

static void serve_callers(const struct pollfd *places)
{
	if (happened(&places[LISTENER], refusal.listener, POLLIN))
		take_caller(&refusal);
	for (int at = 0; at < CONNECTIONS_MAX; at++)
		if (happened(&places[CALLERS + at], refusal.callers[at].socket, POLLIN))
			hear_caller(&refusal.callers[at]);
}

static void serve(const struct pollfd *places)
{
	/* the shell before the supervisor: a new one may get the old one's descriptors */
	if (happened(&places[SHELL_INPUT], shell.input, POLLOUT))
		send_to_shell(&shell);
	if (happened(&places[SHELL_OUTPUT], shell.output, POLLIN))
		read_output(&shell);
	if (happened(&places[SHELL_STATUS], shell.status, POLLIN))
		read_status(&shell);
	if (happened(&places[PYTHON], jobs.channel, POLLOUT) && places[PYTHON].revents & POLLOUT)
		send_to_python(&jobs);
	if (happened(&places[PYTHON], jobs.channel, POLLIN))
		hear_jobs();
	serve_callers(places);
	if (places[CHANNEL].revents & POLLOUT)
		send_answers(&answers);
	if (happened(&places[CHANNEL], answers.channel, POLLIN) && places[CHANNEL].revents & ~POLLOUT)
		hear_supervisor();
}

static void expire(int64_t time)
{
	for (int at = 0; at < CONNECTIONS_MAX; at++)
		if (refusal.callers[at].socket >= 0 && refusal.callers[at].deadline <= time)
			hang_up(&refusal.callers[at]);
	if (bash_id.length && bash_deadline <= time)
		bash_is_late();
}

static _Noreturn void run(void)
{
	static struct pollfd places[CALLERS + CONNECTIONS_MAX];
	for (;;) {
		int64_t next = watch_all(places), wait = next - now();
		struct timespec patience = {wait > 0 ? wait / 1000 : 0, wait > 0 ? wait % 1000 * 1000000 : 0};
		long ready = CALL(SYS_ppoll, places, CALLERS + CONNECTIONS_MAX,
				  next == INT64_MAX ? 0 : &patience, 0, 0);
		if (ready > 0)
			serve(places);
		expire(now());
	}
}

static int begin_runner(int count, char **words)
{
	size_t at = 0;
	if (count > 1 && same((struct piece){words[0], length_of(words[0])}, WORD("launch")))
		launch(words + 1);
	hide();
	handle(SIGPIPE, SIG_IGN);
	if (count < 2 || count > WORDS_MAX)
		return NONSENSE;
	answers.channel = number_in(words[1], length_of(words[1]), &at);
	CALL(SYS_close_range, 3, answers.channel - 1, 0);
	CALL(SYS_close_range, answers.channel + 1, ~0U, 0);
	CALL(SYS_fcntl, answers.channel, F_SETFD, FD_CLOEXEC);
	for (int word = 2; word < count; word++)
		jobs.words[jobs.words_count++] = words[word];
	jobs.channel = refusal.listener = -1;
	for (int caller = 0; caller < CONNECTIONS_MAX; caller++)
		refusal.callers[caller].socket = -1;
	run();
}

#ifdef HARNESS
int harness(void);

int main(void)
{
	(void)begin_runner;
	return harness();
}
#elif defined(HOSTED)
int main(int count, char **words)
{
	return begin_runner(count, words);
}
#else
__attribute__((used)) _Noreturn void begin_here(long *stack)
{
	leave(begin_runner((int)*stack, (char **)(stack + 1)));
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin_here\n");
#endif
