// SPDX-License-Identifier: GPL-2.0
// Block nodes, and file systems on them.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "race.h"

static int some_disk(char *path, size_t size)
{
	char name[64];

	if (!pick("/sys/block", "iopmem", 1, name, sizeof(name))) {
		breathe(50);
		return 0;
	}
	snprintf(path, size, "/dev/%s", name);
	return 1;
}

void race_disk(void)
{
	static char *bytes;
	const size_t room = 1 << 17;
	char path[128];
	char *memory;
	int disk;

	if (!bytes)
		bytes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	if (!some_disk(path, sizeof(path)))
		return;
	disk = open(path, O_RDWR | O_CLOEXEC | (once_in(3) ? 0 : O_DIRECT)
		    | (once_in(8) ? O_EXCL : 0));
	count(disk >= 0);
	if (disk < 0) {
		breathe(50);
		return;
	}
	for (__u64 steps = below(40); steps; steps--) {
		size_t length = (1 + below(room / 512)) * 512;
		off_t offset = below(1 << 13) * 512;

		switch (below(8)) {
		case 0:
			count(!fsync(disk));
			break;
		case 1:
			count(!fallocate(disk, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset,
					 length));
			break;
		case 2:
			memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, disk, 0);
			if (memory == MAP_FAILED)
				break;
			count(touch(memory, 1 << 20));
			munmap(memory, 1 << 20);
			break;
		case 3:
		case 4:
			count(pwrite(disk, bytes, length, offset) > 0);
			break;
		default:
			count(pread(disk, bytes, length, offset) > 0);
		}
	}
	close(disk);
	breathe(20);
}

static void use_file(const char *folder, int drive)
{
	const size_t length = 2 << 20;
	char path[128], *memory;
	int file;

	snprintf(path, sizeof(path), "%s/file", folder);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0)
		return;
	if (ftruncate(file, length))
		goto out;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		goto out;
	for (__u64 steps = below(200); steps && !*race_over; steps--) {
		size_t part = below(8) * 65536;

		switch (below(4)) {
		case 0:
			// The drive's DMA is a pin on pages of the card.
			count(pread(drive, memory + part, 65536, below(256) * 65536) > 0);
			break;
		case 1:
			count(!msync(memory, length, MS_SYNC));
			break;
		default:
			count(touch(memory, length));
		}
	}
	munmap(memory, length);
out:
	close(file);
}

// khugepaged has a file open while it looks at its pages, and closes it later
// (mm/khugepaged.c, collapse_single_pmd()), so a busy mount is asked again.
static int unmount(const char *folder, int flags)
{
	for (int tries = 0; umount2(folder, flags); tries++) {
		if (errno != EBUSY || tries == 100)
			return -1;
		usleep(100000);
	}
	return 0;
}

static int make_and_mount(const char *node, const char *folder)
{
	char command[256];

	snprintf(command, sizeof(command), "mkfs.ext4 -q -F -b 4096 %s %s 2>/dev/null",
		 once_in(2) ? "" : "-O ^has_journal", node);
	return !system(command) &&
	       !mount(node, folder, "ext4", 0, once_in(4) ? "" : "dax=always");
}

void race_mount(void)
{
	static unsigned int failures;
	static int drive = -1;
	char node[128], folder[64];
	int alone, mounted;

	if (drive < 0)
		drive = open(race_drive, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (!some_disk(node, sizeof(node)))
		return;
	snprintf(folder, sizeof(folder), "/run/race-%d", getpid());
	mkdir(folder, 0700);
	alone = failures > UNLUCKY && take_turn();
	// It may have gone before the others stood aside.
	mounted = (!alone || some_disk(node, sizeof(node))) && make_and_mount(node, folder);
	if (alone)
		end_turn();
	count(mounted);
	failures = mounted ? 0 : failures + 1;
	if (!mounted)
		return;
	use_file(folder, drive);
	// Nothing in it is open any more, so it must go, also when the card has gone.
	if (unmount(folder, once_in(4) ? MNT_DETACH : 0)) {
		printf("%s cannot be unmounted: %s\n", folder, strerrorname_np(errno));
		fflush(stdout);
		_exit(1);
	}
	rmdir(folder);
}
