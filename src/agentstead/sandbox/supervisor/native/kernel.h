/* System calls, without any library: the runner is one small static file that needs nothing in an image.
 * With HOSTED it is built on the C library, so that sanitizers can watch it. */
#ifndef KERNEL_H
#define KERNEL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#ifndef HOSTED
#if !defined(__x86_64__)
#error "only x86_64 is written here; other machines have the runner in Python"
#endif

static long call6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* The compiler calls these by itself. */
void *memcpy(void *to, const void *from, size_t count)
{
	void *start = to;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	return start;
}

void *memset(void *to, int value, size_t count)
{
	void *start = to;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t count)
{
	unsigned char *target = to;
	const unsigned char *source = from;
	if (target <= source || target >= source + count)
		return memcpy(to, from, count);
	while (count--)
		target[count] = source[count];
	return to;
}

int memcmp(const void *one, const void *other, size_t count)
{
	const unsigned char *a = one, *b = other;
	for (size_t at = 0; at < count; at++)
		if (a[at] != b[at])
			return a[at] < b[at] ? -1 : 1;
	return 0;
}
#else
#include <errno.h>
#include <string.h>
#include <unistd.h>

static long call6(long number, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(number, a, b, c, d, e, f);
	return result < 0 ? -errno : result;
}
#endif

#define CALL(number, ...) CALL_(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(number, a, b, c, d, e, f, ...) \
	call6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

enum { NO_ENTRY = 2, INTERRUPTED = 4, AGAIN = 11 }; /* errors, of those that are told apart */

static _Noreturn void leave(int status)
{
	for (;;)
		CALL(SYS_exit_group, status);
}

static long read_from(int descriptor, void *to, size_t room)
{
	long count;
	do
		count = CALL(SYS_read, descriptor, to, room);
	while (count == -INTERRUPTED);
	return count;
}

static long write_to(int descriptor, const void *from, size_t count)
{
	long written;
	do
		written = CALL(SYS_write, descriptor, from, count);
	while (written == -INTERRUPTED);
	return written;
}

static void close_it(int *descriptor)
{
	if (*descriptor >= 0)
		CALL(SYS_close, *descriptor);
	*descriptor = -1;
}

static int opened(const char *path, int flags)
{
	return (int)CALL(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0);
}

static int is_there(const char *path)
{
	return CALL(SYS_faccessat, AT_FDCWD, path, 0) == 0;
}

static int pair_of_pipes(int ends[2])
{
	return (int)CALL(SYS_pipe2, ends, O_CLOEXEC);
}

static void never_wait(int descriptor)
{
	long flags = CALL(SYS_fcntl, descriptor, F_GETFL);
	CALL(SYS_fcntl, descriptor, F_SETFL, flags | O_NONBLOCK);
}

static int fork_now(void)
{
	return (int)CALL(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void wait_for(int pid)
{
	while (CALL(SYS_wait4, pid, 0, 0, 0) == -INTERRUPTED)
		;
}

/* What the kernel takes, which is not what the C library's header says. */
struct handling {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static void handle(int number, void (*handler)(int))
{
	struct handling how = {handler, 0, 0, 0};
	CALL(SYS_rt_sigaction, number, &how, 0, sizeof how.mask);
}

static int64_t now(void) /* milliseconds of a clock that never goes back */
{
	struct timespec time = {0, 0};
	CALL(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

#endif
