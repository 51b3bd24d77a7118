// SPDX-License-Identifier: GPL-2.0
// What scenarios need in a guest and no program there does:
//
//   iopmem-guest create NODE [FIELD=VALUE...]
//       The create ioctl with any value in any field, also wrong ones, and with
//       readonly=1 from memory that cannot be written. Prints the errno's name
//       (OK if none) and the driver's reason.
//   iopmem-guest hold FILE
//       Maps a file, prints "mapped", and keeps the mapping until it is killed.
//   iopmem-guest scribble FILE
//       Maps a file and writes all of it over and over, until it is killed or
//       the memory is taken away: then it prints "SIGBUS".
//   iopmem-guest stream DRIVE FILE
//       O_DIRECT reads of DRIVE into a shared mapping of FILE, over and over,
//       until one fails; prints the errno's name.
//   iopmem-guest transfer in|out DRIVE FILE LENGTH
//       One O_DIRECT read of DRIVE into a shared mapping of FILE, or one write
//       from there. With "ram" as FILE, to or from anonymous memory.
//
// and, each described where it is: sync and map-sync (sync.c), records
// (records.c), replay (replay.c), faults (faults/), race (race/), devdax (devdax.c),
// dmabuf, importer, path and judge (dmabuf.c), p2pmem and p2pmem-hold (p2pmem.c),
// vfio (vfio.c), camera (camera.c), churn (churn.c), tcp-receive and tcp-send (tcp.c),
// kexec (kexec.c).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

int fail(const char *what)
{
	fprintf(stderr, "iopmem-guest: %s: %s\n", what, strerror(errno));
	return 1;
}

static int create(int argc, char **argv)
{
	// A page: room behind the struct, for callers that claim a longer one.
	static _Alignas(4096) union {
		struct iopmem_namespace_create create;
		unsigned char bytes[4096];
	} call = { .create = {
		.size = sizeof(struct iopmem_namespace_create),
		.mode = IOPMEM_MODE_FSDAX,
		.map = IOPMEM_MAP_MEM,
		.length = IOPMEM_ALIGN,
		.uuid = { 1 },
	} };
	struct iopmem_namespace_create *c = &call.create;
	int node, status, access = PROT_READ | PROT_WRITE;

	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		__u64 number;

		if (!value)
			return fail(argv[i]);
		*value++ = '\0';
		number = strtoull(value, NULL, 0);
		if (!strcmp(argv[i], "size"))
			c->size = number;
		else if (!strcmp(argv[i], "flags"))
			c->flags = number;
		else if (!strcmp(argv[i], "mode"))
			c->mode = number;
		else if (!strcmp(argv[i], "map"))
			c->map = number;
		else if (!strcmp(argv[i], "offset"))
			c->offset = number;
		else if (!strcmp(argv[i], "length"))
			c->length = number;
		else if (!strcmp(argv[i], "id"))
			c->id = number;
		else if (!strcmp(argv[i], "reserved"))
			c->reserved = number;
		else if (!strcmp(argv[i], "uuid"))
			memset(c->uuid, number, sizeof(c->uuid));
		else if (!strcmp(argv[i], "name"))
			strncpy((char *)c->name, value, sizeof(c->name));
		else if (!strcmp(argv[i], "tail"))
			call.bytes[sizeof(*c)] = number;
		else if (!strcmp(argv[i], "readonly") && number)
			access = PROT_READ;
		else
			return fail(argv[i]);
	}
	node = open(argv[0], O_RDWR | O_CLOEXEC);
	if (node < 0)
		return fail(argv[0]);
	if (mprotect(&call, sizeof(call), access))
		return fail("mprotect");
	status = ioctl(node, IOPMEM_IOC_CREATE_NAMESPACE, c);
	printf("%s %s\n", status ? strerrorname_np(errno) : "OK", (char *)c->reason);
	return 0;
}

char *map_shared(const char *path, size_t length, off_t offset)
{
	int file = open(path, O_RDWR | O_CLOEXEC);
	char *memory;

	if (file < 0) {
		fail(path);
		return NULL;
	}
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
	close(file);
	if (memory == MAP_FAILED) {
		fail("mmap");
		return NULL;
	}
	return memory;
}

static int hold(const char *path)
{
	volatile char *memory = map_shared(path, 4096, 0);

	if (!memory)
		return 1;
	// Only a page that was touched is mapped.
	memory[0] = memory[0];
	puts("mapped");
	fflush(stdout);
	for (;;)
		pause();
}

// The whole file, or node of a devdax namespace; NULL after a message.
static char *map_file(const char *path, size_t *length)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (file < 0 || fstat(file, &status)) {
		fail(path);
		return NULL;
	}
	*length = S_ISREG(status.st_mode) ? status.st_size : lseek(file, 0, SEEK_END);
	close(file);
	return map_shared(path, *length, 0);
}

static void taken_away(int number)
{
	static const char said[] = "SIGBUS\n";

	(void)number;
	_exit(write(STDOUT_FILENO, said, sizeof(said) - 1) < 0);
}

static int scribble(const char *path)
{
	struct sigaction action = { .sa_handler = taken_away };
	size_t length;
	char *memory = map_file(path, &length);

	if (!memory)
		return 1;
	sigaction(SIGBUS, &action, NULL);
	for (int round = 0;; round++) {
		memset(memory, round, length);
		if (!round) {
			puts("scribbling");
			fflush(stdout);
		}
	}
}

static int stream(const char *drive_path, const char *path)
{
	int drive = open(drive_path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	size_t length;
	char *memory = map_file(path, &length);

	if (drive < 0)
		return fail(drive_path);
	if (!memory)
		return 1;
	for (int round = 0;; round++) {
		ssize_t count = pread(drive, memory, length, 0);

		if (count < 0) {
			puts(strerrorname_np(errno));
			return 0;
		}
		if (!round) {
			puts("streaming");
			fflush(stdout);
		}
	}
}

static int transfer(char **argv)
{
	int into = !strcmp(argv[0], "in");
	size_t length = strtoull(argv[3], NULL, 0);
	int drive = open(argv[1], (into ? O_RDONLY : O_WRONLY) | O_DIRECT | O_CLOEXEC);
	int file = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *memory;

	if (drive < 0)
		return fail(argv[1]);
	if (strcmp(argv[2], "ram")) {
		flags = MAP_SHARED;
		file = open(argv[2], O_RDWR | O_CLOEXEC);
		if (file < 0)
			return fail(argv[2]);
	}
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, file, 0);
	if (memory == MAP_FAILED)
		return fail("mmap");
	for (size_t done = 0; done < length;) {
		ssize_t count = into ? pread(drive, memory + done, length - done, done)
				     : pwrite(drive, memory + done, length - done, done);

		if (count <= 0)
			return fail(into ? "read" : "write");
		done += count;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "create"))
		return create(argc - 2, argv + 2);
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "scribble"))
		return scribble(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "stream"))
		return stream(argv[2], argv[3]);
	if (argc == 6 && !strcmp(argv[1], "transfer"))
		return transfer(argv + 2);
	if (argc >= 2 && (!strcmp(argv[1], "sync") || !strcmp(argv[1], "map-sync")))
		return sync_command(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "records"))
		return records_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "replay"))
		return replay_command(argc - 2, argv + 2);
	if (argc >= 2 && (!strcmp(argv[1], "poison") || !strcmp(argv[1], "load") ||
			  !strcmp(argv[1], "pin") || !strcmp(argv[1], "spin")))
		return memory_command(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "faults"))
		return faults_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "race"))
		return race_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "clock"))
		return clock_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "touch"))
		return touch_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "churn"))
		return churn_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "devdax"))
		return devdax_command(argc - 2, argv + 2);
	if (argc >= 2 && !strncmp(argv[1], "tcp-", 4))
		return tcp_command(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "camera"))
		return camera_command(argc - 2, argv + 2);
	if (argc >= 2 && !strncmp(argv[1], "p2pmem", 6))
		return p2pmem_command(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "dmabuf"))
		return dmabuf_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "importer"))
		return importer_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "path"))
		return path_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "judge"))
		return judge_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "vfio"))
		return vfio_command(argc - 2, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "kexec"))
		return kexec_command(argc - 1, argv + 1);
	fprintf(stderr, "iopmem-guest: wrong arguments\n");
	return 64;
}
