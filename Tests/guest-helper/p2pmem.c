// SPDX-License-Identifier: GPL-2.0
// iopmem-guest p2pmem ALLOCATE DRIVE LENGTH
//     O_DIRECT reads of DRIVE into memory that p2pdma hands out, and writes of
//     it from there, with the data compared by way of RAM. The drive gets back
//     what it had. Prints "in RESULT" and "out RESULT": OK, DIFFERS, or the name
//     of the errno.
// iopmem-guest p2pmem-hold ALLOCATE LENGTH
//     Maps so much of it, prints "mapped", and keeps it until it is killed or
//     the memory is taken away (SIGBUS).
// iopmem-guest p2pmem-stream ALLOCATE DRIVE LENGTH
//     O_DIRECT reads of DRIVE into so much of it, again and again; prints
//     "streaming" after the first, and the name of the errno with which they end.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

static char *ram(size_t length)
{
	char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

// 0, or an errno; EREMCHG for a short transfer.
static int move(int drive, char *memory, size_t length, int write)
{
	ssize_t count = write ? pwrite(drive, memory, length, 0) : pread(drive, memory, length, 0);

	return count < 0 ? errno : count == (ssize_t)length ? 0 : EREMCHG;
}

static void say(const char *way, int error, int same)
{
	printf("%s %s\n", way, error ? strerrorname_np(error) : same ? "OK" : "DIFFERS");
}

static int transfer(char **argv)
{
	size_t length = strtoull(argv[2], NULL, 0);
	char *peer = map_shared(argv[0], length, 0), *had = ram(length), *seen = ram(length);
	int drive = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC), error;

	if (!peer)
		return 1;
	if (drive < 0 || !had || !seen || move(drive, had, length, 0))
		return fail(argv[1]);
	// What is there must not be what should come.
	for (size_t i = 0; i < length; i++)
		peer[i] = ~had[i];
	error = move(drive, peer, length, 0);
	say("in", error, !memcmp(peer, had, length));

	for (size_t i = 0; i < length; i++)
		peer[i] = had[i] ^ 0x5a;
	error = move(drive, peer, length, 1);
	if (!error)
		error = move(drive, seen, length, 0);
	say("out", error, !memcmp(peer, seen, length));
	if (move(drive, had, length, 1))
		return fail("giving the drive back what it had");
	return 0;
}

static int hold(char **argv)
{
	size_t length = strtoull(argv[1], NULL, 0);
	volatile char *memory = map_shared(argv[0], length, 0);

	if (!memory)
		return 1;
	puts("mapped");
	fflush(stdout);
	for (;;) {
		memory[0] = 1;
		usleep(1000);
	}
}

static int stream(char **argv)
{
	size_t length = strtoull(argv[2], NULL, 0);
	char *memory = map_shared(argv[0], length, 0);
	int drive = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC), error;

	if (!memory)
		return 1;
	if (drive < 0)
		return fail(argv[1]);
	// A short one, whose first pages were there, has no errno; the next one has.
	for (int round = 0; !(error = move(drive, memory, length, 0)) || error == EREMCHG;
	     round++) {
		if (!round) {
			puts("streaming");
			fflush(stdout);
		}
	}
	puts(strerrorname_np(error));
	return 0;
}

int p2pmem_command(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[0], "p2pmem"))
		return transfer(argv + 1);
	if (argc == 3 && !strcmp(argv[0], "p2pmem-hold"))
		return hold(argv + 1);
	if (argc == 4 && !strcmp(argv[0], "p2pmem-stream"))
		return stream(argv + 1);
	return 64;
}
