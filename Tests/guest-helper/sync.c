// SPDX-License-Identifier: GPL-2.0
// Makes data durable in every way that a program can ask for it.
//
//   iopmem-guest sync WAY FILE COUNT
//       COUNT times: makes one page of FILE dirty and syncs it. WAY is
//         fsync, fdatasync   after a write
//         msync              after a store into a shared mapping
//         dsync              a write through an O_DSYNC descriptor
//         direct             an O_DIRECT write through an O_DSYNC descriptor,
//                            which is a FUA write on a block device
//       Prints "OK", or the errno's name of the first one that failed.
//   iopmem-guest map-sync FILE
//       Asks for a mapping with MAP_SYNC; prints "OK" or the errno's name.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

enum { PAGE = 4096, PAGES = 16 };

static int report(int error)
{
	puts(error ? strerrorname_np(error) : "OK");
	return 0;
}

static int write_page(int file, const char *page, int number)
{
	ssize_t count = pwrite(file, page, PAGE, (off_t)(number % PAGES) * PAGE);

	return count == PAGE ? 0 : count < 0 ? errno : EIO;
}

static int run(const char *way, const char *path, int count)
{
	int map = !strcmp(way, "msync"), flags = O_RDWR | O_CLOEXEC, file;
	char *page, *memory = NULL;

	if (!strcmp(way, "dsync"))
		flags |= O_DSYNC;
	else if (!strcmp(way, "direct"))
		flags |= O_DSYNC | O_DIRECT;
	file = open(path, flags);
	if (file < 0)
		return fail(path);
	if (posix_memalign((void **)&page, PAGE, PAGE))
		return fail("memory");
	if (map) {
		memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		if (memory == MAP_FAILED)
			return fail("mmap");
	}
	for (int i = 0; i < count; i++) {
		int error = 0;

		memset(page, 'a' + (i + getpid()) % 26, PAGE);
		if (map) {
			char *target = memory + (i % PAGES) * PAGE;

			memcpy(target, page, PAGE);
			error = msync(target, PAGE, MS_SYNC) ? errno : 0;
		} else {
			error = write_page(file, page, i);
			if (!error && !strcmp(way, "fsync"))
				error = fsync(file) ? errno : 0;
			else if (!error && !strcmp(way, "fdatasync"))
				error = fdatasync(file) ? errno : 0;
		}
		if (error)
			return report(error);
	}
	return report(0);
}

static int map_sync(const char *path)
{
	int file = open(path, O_RDWR | O_CLOEXEC);
	char *memory;

	if (file < 0)
		return fail(path);
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, file, 0);
	if (memory == MAP_FAILED)
		return report(errno);
	memory[0] = 1;
	return report(0);
}

int sync_command(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[0], "sync"))
		return run(argv[1], argv[2], atoi(argv[3]));
	if (argc == 2 && !strcmp(argv[0], "map-sync"))
		return map_sync(argv[1]);
	fprintf(stderr, "iopmem-guest: wrong arguments\n");
	return 64;
}
