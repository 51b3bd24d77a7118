// SPDX-License-Identifier: GPL-2.0
// Reads the log of a dm-log-writes device.
//
//   iopmem-guest replay list LOG
//       Prints one line for each entry: its number, what it is (some of flush,
//       fua, mark; or write), and a mark's text.
//   iopmem-guest replay apply LOG TARGET FIRST END
//       Writes the entries FIRST up to and without END to TARGET.
//
// The log's first sector holds magic, version, the count of entries and the
// sector size. Each entry is one sector of head (sector, count of sectors,
// flags, length of a mark's text, then that text) and its data. A write is in
// the log only once a flush or FUA that came after it was complete: so the
// entries up to a flush are what a device must have kept when power fails there.
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

#define LOG_MAGIC 0x6a736677736872ULL

enum { FLUSH = 1, FUA = 2, DISCARD = 4, MARK = 8 };

struct super {
	uint64_t magic, version, entries;
	uint32_t sector_size;
};

struct entry {
	uint64_t sector, sectors, flags, text_length;
};

static void print(unsigned long number, const struct entry *e, const char *text)
{
	uint64_t flags = le64toh(e->flags);

	printf("%lu %s%s%s%s", number, flags & FLUSH ? "flush" : "",
	       (flags & FLUSH) && (flags & FUA) ? "+" : "", flags & FUA ? "fua" : "",
	       flags & MARK ? "mark" : flags & (FLUSH | FUA) ? "" : "write");
	if (flags & MARK)
		printf(" %.*s", (int)le64toh(e->text_length), text);
	putchar('\n');
}

static int apply(int log, off_t from, int target, const struct entry *e, uint32_t size)
{
	uint64_t left = le64toh(e->sectors) * size;
	off_t to = le64toh(e->sector) * size;
	static char bytes[1 << 16];

	while (left) {
		size_t chunk = left < sizeof(bytes) ? left : sizeof(bytes);

		if (pread(log, bytes, chunk, from) != (ssize_t)chunk)
			return fail("reading the log");
		if (pwrite(target, bytes, chunk, to) != (ssize_t)chunk)
			return fail("writing the target");
		from += chunk;
		to += chunk;
		left -= chunk;
	}
	return 0;
}

static int walk(const char *path, const char *target_path, unsigned long first, unsigned long end)
{
	int log = open(path, O_RDONLY | O_CLOEXEC), target = -1;
	struct super super;
	off_t offset;

	if (log < 0 || pread(log, &super, sizeof(super), 0) != sizeof(super))
		return fail(path);
	if (le64toh(super.magic) != LOG_MAGIC || le64toh(super.version) != 1) {
		fprintf(stderr, "iopmem-guest: %s holds no log\n", path);
		return 1;
	}
	if (target_path) {
		target = open(target_path, O_WRONLY | O_CLOEXEC);
		if (target < 0)
			return fail(target_path);
	}
	offset = le32toh(super.sector_size);
	for (unsigned long i = 0; i < le64toh(super.entries) && i < end; i++) {
		uint32_t size = le32toh(super.sector_size);
		// A sector of any size that disks have.
		char head[4096];
		struct entry *e = (struct entry *)head;
		uint64_t flags;

		if (pread(log, head, size, offset) != (ssize_t)size)
			return fail(path);
		offset += size;
		flags = le64toh(e->flags);
		if (!target_path)
			print(i, e, head + sizeof(*e));
		else if (i >= first && !(flags & (DISCARD | MARK)) &&
			 apply(log, offset, target, e, size))
			return 1;
		if (!(flags & DISCARD))
			offset += le64toh(e->sectors) * size;
	}
	if (target >= 0 && fsync(target))
		return fail(target_path);
	return 0;
}

int replay_command(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[0], "list"))
		return walk(argv[1], NULL, 0, -1UL);
	if (argc == 5 && !strcmp(argv[0], "apply"))
		return walk(argv[1], argv[2], strtoul(argv[3], NULL, 0), strtoul(argv[4], NULL, 0));
	fprintf(stderr, "iopmem-guest: wrong arguments\n");
	return 64;
}
