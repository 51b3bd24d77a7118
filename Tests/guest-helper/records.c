// SPDX-License-Identifier: GPL-2.0
// Records that are written, synced and only then reported, so that somebody who
// lives on can tell what must be there.
//
//   iopmem-guest records write LEDGER SEED WRITER:FOLDER...
//       One process for each writer. After the sync of a record, one line
//       WRITER:FOLDER:NUMBER goes to LEDGER: a file or a port, or, as dm:NAME,
//       a mark in the log of that dm-log-writes device. A writer that fails
//       reports "failed:WRITER:FOLDER:ERRNO". Runs until it is killed; a writer
//       whose space is full waits.
//   iopmem-guest records check SEED WRITER:FOLDER:COUNT...
//       Compares the first COUNT records, byte for byte. Prints how many were
//       compared in all; the first difference ends it with status 1.
//
// Writers:
//   append   grows a file by write() and fsync() or fdatasync() in turn
//   create   a new file for each, fsync() of it and of its folder; every third
//            is renamed into its place
//   slots    64 places in one file, overwritten in turn with O_DSYNC: no
//            metadata changes with which the data could travel
//   map      stores into a shared mapping, then msync()
//   sync     stores into a MAP_SYNC mapping; the program writes back the CPU's
//            caches itself and reads back from the memory, with no system call
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

enum {
	LIMIT = 6 << 20,		// bytes that one writer may fill
	FILES = 1024,			// and files that it may make
	SLOT = 4096, SLOTS = 64,
	LONGEST = 64 + 6000,
};

struct writer {
	char name[16], folder[96];
	uint64_t key;			// of its content
};

static uint64_t mix(uint64_t word)
{
	word += 0x9e3779b97f4a7c15;
	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
	word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
	return word ^ (word >> 31);
}

// "WRITER:FOLDER" and, if asked for, ":COUNT".
static int parse(struct writer *w, const char *text, uint64_t seed, unsigned long *count)
{
	unsigned long ignored;

	if (sscanf(text, "%15[^:]:%95[^:]:%lu", w->name, w->folder, count ? count : &ignored) !=
	    (count ? 3 : 2)) {
		fprintf(stderr, "iopmem-guest: %s is no writer\n", text);
		return 64;
	}
	w->key = seed;
	for (const char *c = text, *end = text + strlen(w->name) + 1 + strlen(w->folder); c < end;
	     c++)
		w->key = mix(w->key ^ (unsigned char)*c);
	return 0;
}

// Record NUMBER of a writer, from 1; returns its length.
static size_t make(const struct writer *w, unsigned long number, uint64_t *words)
{
	uint64_t state = mix(w->key ^ number);
	size_t length = strcmp(w->name, "slots") ? 64 + state % 6000 / 8 * 8 : SLOT;

	words[0] = number;
	for (size_t i = 1; i < length / 8; i++) {
		state = mix(state);
		words[i] = state;
	}
	return length;
}

// MARK: - The ledger

static int ledger;
static const char *mapper;

static int mark(const char *text)
{
	struct {
		struct dm_ioctl head;
		struct {
			__u64 sector;
			char message[256];
		} target;
	} call = {};

	call.head.version[0] = DM_VERSION_MAJOR;
	call.head.data_size = sizeof(call);
	call.head.data_start = offsetof(__typeof__(call), target);
	strncpy(call.head.name, mapper, sizeof(call.head.name) - 1);
	snprintf(call.target.message, sizeof(call.target.message), "mark %s", text);
	return ioctl(ledger, DM_TARGET_MSG, &call);
}

static int tell(const char *line)
{
	char text[256];
	int length = snprintf(text, sizeof(text), "%s\n", line), count;

	if (mapper)
		return mark(line);
	// A virtio port whose queue is full takes nothing, without an error.
	while (!(count = write(ledger, text, length)))
		sched_yield();
	return count == length ? 0 : -1;
}

// dm-log-writes hands what was written before a flush to that flush, and writes it down when that
// flush is complete. Of two flushes at once, the later one may be complete first: then a sync has
// returned for data that is not in the log yet, and a newer version of the same block may come into it
// before the older. So there, writers take turns, and only one of them syncs at a time.
static struct turns {
	_Atomic unsigned int next, now;
} *turns;

static void take_turn(void)
{
	unsigned int mine;

	if (!mapper)
		return;
	mine = atomic_fetch_add(&turns->next, 1);
	while (atomic_load(&turns->now) != mine)
		usleep(50);
}

static void end_turn(void)
{
	if (mapper)
		atomic_fetch_add(&turns->now, 1);
}

static int durable(const struct writer *w, unsigned long number)
{
	char line[200];
	int status;

	snprintf(line, sizeof(line), "%s:%s:%lu", w->name, w->folder, number);
	status = tell(line);
	end_turn();
	take_turn();
	return status;
}

// MARK: - Writing. Each returns only when it could not go on, with errno; 0 is "full".

static int open_in(const struct writer *w, const char *name, int flags)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", w->folder, name);
	return open(path, flags | O_CLOEXEC, 0644);
}

static int put(int file, const void *bytes, size_t length, off_t offset)
{
	ssize_t count = pwrite(file, bytes, length, offset);

	if (count >= 0 && (size_t)count != length)
		errno = ENOSPC;
	return count == (ssize_t)length ? 0 : -1;
}

static int do_append(const struct writer *w, uint64_t *words)
{
	int file = open_in(w, "append", O_RDWR | O_CREAT);
	off_t offset = 0;

	if (file < 0)
		return -1;
	for (unsigned long number = 1; offset + LONGEST <= LIMIT; number++) {
		size_t length = make(w, number, words);

		if (put(file, words, length, offset))
			return -1;
		// The first one also makes the file's name durable.
		if (number % 2 ? fsync(file) : fdatasync(file))
			return -1;
		if (durable(w, number))
			return -1;
		offset += length;
	}
	return 0;
}

static int do_create(const struct writer *w, uint64_t *words)
{
	int folder = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return -1;
	for (unsigned long number = 1; number <= FILES; number++) {
		size_t length = make(w, number, words);
		char name[32], first[32];
		int file;

		snprintf(name, sizeof(name), "create-%lu", number);
		snprintf(first, sizeof(first), number % 3 ? "%s" : "%s.new", name);
		file = openat(folder, first, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (file < 0 || put(file, words, length, 0) || fsync(file) || close(file))
			return -1;
		if (strcmp(first, name) && renameat(folder, first, folder, name))
			return -1;
		if (fsync(folder) || durable(w, number))
			return -1;
	}
	return 0;
}

static int do_slots(const struct writer *w, uint64_t *words)
{
	int file = open_in(w, "slots", O_RDWR | O_CREAT | O_DSYNC);
	static const char zeroes[SLOT];

	if (file < 0)
		return -1;
	// Written once before, so that later writes change nothing but data.
	for (int slot = 0; slot < SLOTS; slot++)
		if (put(file, zeroes, SLOT, slot * SLOT))
			return -1;
	if (fsync(file))
		return -1;
	for (unsigned long number = 1;; number++) {
		make(w, number, words);
		if (put(file, words, SLOT, number % SLOTS * SLOT) || durable(w, number))
			return -1;
	}
}

static int do_map(const struct writer *w, uint64_t *words)
{
	int sync = !strcmp(w->name, "sync");
	int file = open_in(w, w->name, O_RDWR | O_CREAT);
	size_t offset = 0;
	char *memory;

	if (file < 0 || ftruncate(file, LIMIT) || fsync(file))
		return -1;
	memory = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE,
		      sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		return -1;
	for (unsigned long number = 1; offset + LONGEST <= LIMIT; number++) {
		size_t length = make(w, number, words);
		size_t start = offset & ~(size_t)4095;

		memcpy(memory + offset, words, length);
		if (sync) {
			// Cache lines to the bus, then a load that no posted write may be
			// behind: the driver's own flush, in a program.
			for (size_t line = offset & ~(size_t)63; line < offset + length; line += 64)
				__builtin_ia32_clflush(memory + line);
			__builtin_ia32_sfence();
			(void)*(volatile uint64_t *)(memory + offset + length - 8);
			__builtin_ia32_lfence();
		} else if (msync(memory + start, offset + length - start, MS_SYNC)) {
			return -1;
		}
		if (durable(w, number))
			return -1;
		offset += length;
	}
	return 0;
}

static void write_records(const struct writer *w)
{
	static uint64_t words[LONGEST / 8 + 1];
	int status;

	take_turn();
	if (!strcmp(w->name, "append"))
		status = do_append(w, words);
	else if (!strcmp(w->name, "create"))
		status = do_create(w, words);
	else if (!strcmp(w->name, "slots"))
		status = do_slots(w, words);
	else
		status = do_map(w, words);
	if (status) {
		char line[200];

		snprintf(line, sizeof(line), "failed:%s:%s:%s", w->name, w->folder,
			 strerrorname_np(errno));
		tell(line);
		exit(1);
	}
	end_turn();
	for (;;)
		pause();
}

static int write_all(int argc, char **argv)
{
	uint64_t seed = strtoull(argv[1], NULL, 0);

	if (!strncmp(argv[0], "dm:", 3)) {
		mapper = argv[0] + 3;
		ledger = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	} else {
		ledger = open(argv[0], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	}
	if (ledger < 0)
		return fail(argv[0]);
	turns = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (turns == MAP_FAILED)
		return fail("mmap");
	for (int i = 2; i < argc; i++) {
		struct writer w;
		int status = parse(&w, argv[i], seed, NULL);

		if (status)
			return status;
		if (mkdir(w.folder, 0755) && errno != EEXIST)
			return fail(w.folder);
		if (!fork()) {
			// Who stops the command means all of it.
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			write_records(&w);
		}
	}
	while (wait(NULL) > 0)
		;
	return 1;
}

// MARK: - Checking

static int compare(int file, const uint64_t *words, size_t length, off_t offset,
		   const struct writer *w, unsigned long number)
{
	static char found[LONGEST];
	ssize_t count = file < 0 ? -1 : pread(file, found, length, offset);
	size_t good = 0;

	if (count < 0) {
		fprintf(stderr, "%s:%s: record %lu: %s\n", w->name, w->folder, number,
			strerror(errno));
		return 1;
	}
	while (good < (size_t)count && found[good] == ((const char *)words)[good])
		good++;
	if (good == length)
		return 0;
	fprintf(stderr, "%s:%s: record %lu, %zu bytes at %lld: %s at byte %zu\n", w->name,
		w->folder, number, length, (long long)offset,
		good == (size_t)count ? "the file ends" : "wrong data", good);
	return 1;
}

// Adds to CHECKED how many were compared.
static int check(const struct writer *w, unsigned long count, unsigned long *checked)
{
	static uint64_t words[LONGEST / 8 + 1];
	int slots = !strcmp(w->name, "slots"), create = !strcmp(w->name, "create");
	// Later ones, and half of another, may be in the slots of the oldest; at most a few, since a
	// record is written only when the one before it was reported.
	unsigned long number = slots && count > SLOTS / 2 ? count - SLOTS / 2 + 1 : 1;
	int file = create ? -1 : open_in(w, w->name, O_RDONLY);
	off_t offset = 0;

	for (; number <= count; number++) {
		size_t length = make(w, number, words);
		int status;

		if (create) {
			char name[32];

			snprintf(name, sizeof(name), "create-%lu", number);
			file = open_in(w, name, O_RDONLY);
		} else if (slots) {
			offset = number % SLOTS * SLOT;
		}
		status = compare(file, words, length, offset, w, number);
		if (status)
			return status;
		if (create)
			close(file);
		else
			offset += length;
		++*checked;
	}
	if (file >= 0 && !create)
		close(file);
	return 0;
}

static int check_all(int argc, char **argv)
{
	uint64_t seed = strtoull(argv[0], NULL, 0);
	unsigned long checked = 0;

	for (int i = 1; i < argc; i++) {
		unsigned long count;
		struct writer w;
		int status = parse(&w, argv[i], seed, &count);

		if (!status)
			status = check(&w, count, &checked);
		if (status)
			return status;
	}
	printf("%lu\n", checked);
	return 0;
}

int records_command(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[0], "write"))
		return write_all(argc - 1, argv + 1);
	if (argc >= 3 && !strcmp(argv[0], "check"))
		return check_all(argc - 1, argv + 1);
	fprintf(stderr, "iopmem-guest: wrong arguments\n");
	return 64;
}
