// SPDX-License-Identifier: GPL-2.0
// iopmem-guest tcp-receive MEMORY OFFSET LENGTH
//     Waits on TCP port 7000 for one sender, prints "listening", and receives
//     LENGTH bytes straight into a mapping of MEMORY. Prints "received LENGTH".
// iopmem-guest tcp-send MEMORY OFFSET LENGTH ADDRESS
//     Sends so many bytes of a mapping of MEMORY by MSG_ZEROCOPY, and waits for
//     the kernel to say that it needs them no more. Prints "sent LENGTH, N
//     notices, M copied": M counts those of which the kernel says that it copied
//     after all (Documentation/networking/msg_zerocopy.rst).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

#define PORT	7000
#define CHUNK	(64UL << 10)

static int receive(char **argv)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), sender;
	size_t length = strtoull(argv[2], NULL, 0), done = 0;
	char *memory = map_shared(argv[0], length, strtoull(argv[1], NULL, 0));

	if (!memory)
		return 1;
	if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof(here)) ||
	    listen(listener, 1))
		return fail("listen");
	puts("listening");
	fflush(stdout);
	sender = accept(listener, NULL, NULL);
	if (sender < 0)
		return fail("accept");
	while (done < length) {
		ssize_t count = recv(sender, memory + done, length - done, 0);

		if (count <= 0)
			return fail("recv");
		done += count;
	}
	printf("received %zu\n", done);
	return 0;
}

// Takes the notices that have come; how many sends they are about, -1 for an error.
static long reap(int peer, unsigned int *notices, unsigned int *copied)
{
	char control[128];
	struct msghdr message = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	struct sock_extended_err *notice;

	if (recvmsg(peer, &message, MSG_ERRQUEUE) < 0)
		return errno == EAGAIN ? 0 : -1;
	header = CMSG_FIRSTHDR(&message);
	if (!header)
		return -1;
	notice = (struct sock_extended_err *)CMSG_DATA(header);
	if (notice->ee_errno || notice->ee_origin != SO_EE_ORIGIN_ZEROCOPY)
		return -1;
	++*notices;
	if (notice->ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
		++*copied;
	return notice->ee_data - notice->ee_info + 1;
}

static int send_all(char **argv)
{
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	unsigned int notices = 0, copied = 0;
	size_t length = strtoull(argv[2], NULL, 0), done = 0;
	char *memory = map_shared(argv[0], length, strtoull(argv[1], NULL, 0));
	long pending = 0;

	if (!memory)
		return 1;
	inet_pton(AF_INET, argv[3], &there.sin_addr);
	if (peer < 0 || setsockopt(peer, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) ||
	    connect(peer, (struct sockaddr *)&there, sizeof(there)))
		return fail("connect");
	while (done < length || pending) {
		struct pollfd ready = { .fd = peer };
		size_t part = length - done < CHUNK ? length - done : CHUNK;
		long gone;

		if (part) {
			ssize_t count = send(peer, memory + done, part, MSG_ZEROCOPY);

			if (count < 0)
				return fail("send");
			done += count;
			pending++;
		} else {
			// Notices are an error condition, which is always reported.
			poll(&ready, 1, 1000);
		}
		while ((gone = reap(peer, &notices, &copied)) > 0)
			pending -= gone;
		if (gone < 0)
			return fail("a notice");
	}
	printf("sent %zu, %u notices, %u copied\n", done, notices, copied);
	return 0;
}

int tcp_command(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[0], "tcp-receive"))
		return receive(argv + 1);
	if (argc == 5 && !strcmp(argv[0], "tcp-send"))
		return send_all(argv + 1);
	return 64;
}
