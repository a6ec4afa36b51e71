/* The listener on the proxy's place: handed out to the supervisor where there is a network, and otherwise
 * answered here, with one sentence that says that there is none. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "bytes.h"

enum {
	PROXY_PORT = 3128, BACKLOG = 64, CONNECTIONS_MAX = 64, HEAD_BYTES_MAX = 64 << 10,
	PATIENCE_MILLISECONDS = 5000,
};

static const char REFUSED[] =
	"HTTP/1.1 403 This sandbox has no network access\r\n"
	"Content-Type: text/plain; charset=utf-8\r\n"
	"Content-Length: 74\r\n"
	"Connection: close\r\n\r\n"
	"This sandbox has no network access; nothing outside of it can be reached.\n";

struct caller {
	int socket; /* -1: none */
	int answered;
	int64_t deadline;
	struct bytes head;
};

struct refusal {
	int listener; /* -1: there is a network */
	struct caller callers[CONNECTIONS_MAX];
};

static int proxy_listener(void)
{
	struct sockaddr_in address = {0};
	int yes = 1, listener = (int)CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_family = AF_INET;
	address.sin_port = (uint16_t)(PROXY_PORT >> 8 | (PROXY_PORT & 0xff) << 8);
	address.sin_addr.s_addr = 0x0100007f;
	if (listener < 0 || CALL(SYS_setsockopt, listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
	    CALL(SYS_bind, listener, &address, sizeof address) < 0 || CALL(SYS_listen, listener, BACKLOG) < 0)
		leave(NONSENSE);
	return listener;
}

/* Send `message` with the listening socket; nothing of it is kept. */
static void hand_over(int channel, struct piece message)
{
	struct { struct cmsghdr head; int descriptor; int filled; } rights = {
		{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, proxy_listener(), 0};
	struct iovec part = {(void *)message.at, message.length};
	struct msghdr whole = {0, 0, &part, 1, &rights, sizeof rights, 0};
	if (CALL(SYS_sendmsg, channel, &whole, MSG_NOSIGNAL) != (long)message.length)
		leave(NONSENSE);
	close_it(&rights.descriptor);
}

static void begin_refusal(struct refusal *refusal)
{
	refusal->listener = proxy_listener();
	never_wait(refusal->listener);
}

static void hang_up(struct caller *caller)
{
	close_it(&caller->socket);
	forget(&caller->head);
}

static void take_caller(struct refusal *refusal)
{
	int socket = (int)CALL(SYS_accept4, refusal->listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (socket < 0)
		return;
	for (int at = 0; at < CONNECTIONS_MAX; at++)
		if (refusal->callers[at].socket < 0) {
			refusal->callers[at] = (struct caller){socket, 0, now() + PATIENCE_MILLISECONDS, {0, 0, 0}};
			return;
		}
	close_it(&socket);
}

static int head_is_whole(const struct bytes *head)
{
	for (size_t at = 3; at < head->length; at++)
		if (!memcmp(head->data + at - 3, "\r\n\r\n", 4))
			return 1;
	return head->length > HEAD_BYTES_MAX;
}

static void hear_caller(struct caller *caller)
{
	char data[4096];
	long count = read_from(caller->socket, data, sizeof data);
	if (count == -AGAIN)
		return;
	if (count <= 0) {
		hang_up(caller);
		return;
	}
	if (caller->answered)
		return; /* what still comes is the body of the request */
	add(&caller->head, (struct piece){data, (size_t)count});
	if (!head_is_whole(&caller->head))
		return;
	caller->answered = 1;
	forget(&caller->head);
	if (CALL(SYS_sendto, caller->socket, REFUSED, sizeof REFUSED - 1, MSG_NOSIGNAL) < 0 ||
	    CALL(SYS_shutdown, caller->socket, SHUT_WR) < 0)
		hang_up(caller);
}

#endif
