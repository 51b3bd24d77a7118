// SPDX-License-Identifier: GPL-2.0
/*
 * Measuring, with the host's clock: it counts the time that the host's processors
 * gave to ours, and nothing else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

#define PORT	"/dev/virtio-ports/iopmem.clock"
#define LOCK	"/run/iopmem-clock.lock"

/* Nanoseconds; negative when it failed. */
static long long host_clock(int port)
{
	char answer[32];
	size_t n = 0;

	if (write(port, "?\n", 2) != 2)
		return -1;
	while (n < sizeof(answer) - 1) {
		ssize_t got = read(port, answer + n, 1);

		if (got != 1)
			return -1;
		if (answer[n++] == '\n') {
			answer[n] = 0;
			return atoll(answer);
		}
	}
	errno = EOVERFLOW;
	return -1;
}

/* The port has one opener at a time; the lock is released when we end. */
static int open_port(void)
{
	int lock = open(LOCK, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	if (lock < 0 || flock(lock, LOCK_EX))
		return -1;
	return open(PORT, O_RDWR | O_CLOEXEC);
}

/* clock FILE: appends the time to FILE. */
static int tell(const char *path)
{
	int port = open_port();
	long long now;
	FILE *out;

	if (port < 0)
		return fail(PORT);
	now = host_clock(port);
	if (now < 0)
		return fail("the host's clock");
	out = fopen(path, "a");
	if (!out || fprintf(out, "%lld\n", now) < 0 || fclose(out))
		return fail(path);
	return 0;
}

/*
 * touch FILE STEP TIMES: maps FILE TIMES times, writes a byte every STEP bytes of
 * each new mapping, and prints how many that were and how many nanoseconds they
 * took. A mapping begins at a multiple of 2 MiB if STEP is one; else it begins a
 * page later, so that no fault can map more than a page.
 */
static int touch(const char *path, size_t step, int times)
{
	const size_t huge = 2 << 20;
	int port = open_port(), file = open(path, O_RDWR | O_CLOEXEC);
	long long before, after, sum = 0;
	struct stat info;
	char *room, *at;
	size_t i, n;

	if (port < 0)
		return fail(PORT);
	if (file < 0 || fstat(file, &info))
		return fail(path);
	n = info.st_size;
	room = mmap(NULL, n + 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return fail("room for a mapping");
	at = room + (huge - (unsigned long)room % huge) % huge + (step % huge ? 4096 : 0);
	for (int turn = 0; turn < times; turn++) {
		if (mmap(at, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) ==
		    MAP_FAILED)
			return fail(path);
		before = host_clock(port);
		for (i = 0; i < n; i += step)
			*(volatile char *)(at + i) = 1;
		after = host_clock(port);
		if (before < 0 || after < 0)
			return fail("the host's clock");
		sum += after - before;
		if (munmap(at, n))
			return fail("munmap");
	}
	printf("%zu %lld\n", (n + step - 1) / step * times, sum);
	return 0;
}

int clock_command(int argc, char **argv)
{
	if (argc == 1)
		return tell(argv[0]);
	fprintf(stderr, "usage: iopmem-guest clock FILE\n");
	return 64;
}

int touch_command(int argc, char **argv)
{
	size_t step = argc == 3 ? strtoull(argv[1], NULL, 0) : 0;

	if (step)
		return touch(argv[0], step, atoi(argv[2]));
	fprintf(stderr, "usage: iopmem-guest touch FILE STEP TIMES\n");
	return 64;
}
