// SPDX-License-Identifier: GPL-2.0
// iopmem-guest devdax NODE
//     What a program can do with the node of a devdax namespace, done: each step
//     is a line "ok WHAT", or "failed WHAT (...)" and exit status 1 in the end.
//     The namespace has at least 16 MiB, and loses its contents.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

#define MIB	(1024UL * 1024)
#define PAGE	4096UL

static char *map(int node, size_t length, size_t offset, int flags)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, flags, node, offset);
}

static int is_refused(int node, size_t length, size_t offset, int flags, int error)
{
	char *memory = map(node, length, offset, flags);

	if (memory != MAP_FAILED)
		munmap(memory, length);
	return memory == MAP_FAILED && errno == error;
}

static long page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static struct iopmem_mapping_info describe(int node)
{
	struct iopmem_mapping_info info = { .size = sizeof(info) };

	expect(!ioctl(node, IOPMEM_IOC_DESCRIBE_MAPPING, &info), "describe");
	return info;
}

static void mappings(int node, char *all, size_t size)
{
	char *part, *moved;

	memset(all, 0x11, 4 * PAGE);
	part = map(node, PAGE, 3 * PAGE, MAP_SHARED);
	expect(part != MAP_FAILED && part[17] == 0x11, "a mapping at offset 12 KiB");
	part[17] = 0x22;
	expect(all[3 * PAGE + 17] == 0x22, "both mappings show one memory");
	munmap(part, PAGE);

	expect(is_refused(node, PAGE, 0, MAP_PRIVATE, EINVAL), "a private mapping is refused");
	expect(is_refused(node, 2 * PAGE, size - PAGE, MAP_SHARED, EINVAL),
	       "a mapping beyond the end is refused");
	expect(is_refused(node, PAGE, size, MAP_SHARED, EINVAL),
	       "a mapping behind the end is refused");
	expect(is_refused(node, PAGE, 512, MAP_SHARED, EINVAL), "half a page is refused");

	part = map(node, PAGE, size - PAGE, MAP_SHARED);
	moved = mremap(part, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	expect(moved != MAP_FAILED && !store(moved, 1) && store(moved + PAGE, 1) == SIGBUS,
	       "a mapping made longer than the memory ends in SIGBUS there");
	if (moved != MAP_FAILED)
		munmap(moved, 2 * PAGE);
}

static void protection(const char *path, int node)
{
	int reader = open(path, O_RDONLY | O_CLOEXEC);
	char *memory = map(node, PAGE, 0, MAP_SHARED);

	expect(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED &&
	       errno == EACCES, "who may only read gets no writable mapping");
	expect(!mprotect(memory, PAGE, PROT_READ) && store(memory, 1) == SIGSEGV,
	       "a store to a read-only mapping is SIGSEGV");
	expect(!mprotect(memory, PAGE, PROT_READ | PROT_WRITE) && !store(memory, 9),
	       "and possible again");
	munmap(memory, PAGE);
	close(reader);
}

static void advice(char *all)
{
	all[PAGE] = 0x33;
	expect(!madvise(all, 4 * MIB, MADV_DONTNEED) && all[PAGE] == 0x33,
	       "MADV_DONTNEED loses no data");
	expect(!madvise(all, 4 * MIB, MADV_DONTFORK) && !madvise(all, 4 * MIB, MADV_DOFORK),
	       "MADV_DONTFORK");
}

static void large_pages(int node)
{
	char *memory = map(node, 8 * MIB, 2 * MIB, MAP_SHARED);
	long before, faults;

	expect(!((unsigned long)memory % (2 * MIB)), "a large mapping is aligned to 2 MiB");
	before = page_faults();
	for (size_t at = 0; at < 8 * MIB; at += PAGE)
		memory[at] = 1;
	faults = page_faults() - before;
	expect(faults >= 4 && faults < 16, "2 MiB at a time are mapped");
	munmap(memory, 8 * MIB);

	// The kernel finds an address for any offset at which large pages meet. Elsewhere they do not.
	memory = mmap(NULL, 8 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory += 2 * MIB - (unsigned long)memory % (2 * MIB);
	memory = mmap(memory, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, node, PAGE);
	before = page_faults();
	for (size_t at = 0; at < 4 * MIB; at += PAGE)
		memory[at] = 1;
	faults = page_faults() - before;
	expect(faults >= 1024, "where alignments do not meet, 4 KiB are");
	munmap(memory, 4 * MIB);
}

static void cache_types(int node, char *all)
{
	struct iopmem_mapping_cache call = { .size = sizeof(call), .cache = IOPMEM_CACHE_UC };
	char *uncached;

	expect(describe(node).cache == IOPMEM_CACHE_WC, "mappings are write-combining");
	expect(!ioctl(node, IOPMEM_IOC_SET_MAPPING_CACHE, &call) &&
	       describe(node).cache == IOPMEM_CACHE_UC, "or uncached, if asked for");
	uncached = map(node, 4 * MIB, 0, MAP_SHARED);
	all[5] = 0x44;
	expect(uncached[5] == 0x44, "an uncached mapping shows the same memory");
	uncached[4 * MIB - 1] = 0x45;
	expect(all[4 * MIB - 1] == 0x45, "and is written through");
	munmap(uncached, 4 * MIB);

	call.cache = 3;
	expect(ioctl(node, IOPMEM_IOC_SET_MAPPING_CACHE, &call) && errno == EINVAL &&
	       call.reason[0], "an unknown type is refused, with a reason");
	call = (struct iopmem_mapping_cache){ .size = sizeof(call), .flags = 1,
					      .cache = IOPMEM_CACHE_WC };
	expect(ioctl(node, IOPMEM_IOC_SET_MAPPING_CACHE, &call) && errno == EINVAL,
	       "so is an unknown flag");
	call.flags = 0;
	expect(!ioctl(node, IOPMEM_IOC_SET_MAPPING_CACHE, &call), "write-combining again");
}

static void flushes(int node, char *all)
{
	struct iopmem_mapping_flush call = { .size = sizeof(call) };
	__u64 before = describe(node).flushes;

	all[0] = 1;
	expect(!ioctl(node, IOPMEM_IOC_FLUSH_MAPPING, &call), "flush");
	expect(describe(node).flushes == before + 1, "it reached the device");
	expect(!fsync(node) && describe(node).flushes == before + 2, "so does fsync");
	expect(!msync(all, PAGE, MS_SYNC) && describe(node).flushes == before + 3,
	       "and msync");
	call.flags = 1;
	expect(ioctl(node, IOPMEM_IOC_FLUSH_MAPPING, &call) && errno == EINVAL,
	       "an unknown flag is refused");
	call.size = 8;
	expect(ioctl(node, IOPMEM_IOC_FLUSH_MAPPING, &call) && errno == EINVAL,
	       "so is a struct that is too short");
	expect(ioctl(node, IOPMEM_IOC_CREATE_NAMESPACE, &call) && errno == ENOTTY,
	       "the node makes no namespaces");
}

static void descriptors(int node, char *all, size_t size)
{
	char bytes[4096];

	memset(all + 8 * PAGE, 0x55, PAGE);
	expect(pread(node, bytes, 100, 8 * PAGE + 3) == 100 && bytes[0] == 0x55 && bytes[99] == 0x55,
	       "read(2) sees what was stored");
	memset(bytes, 0x66, sizeof(bytes));
	expect(pwrite(node, bytes, 4096, 9 * PAGE + 8) == 4096 && all[9 * PAGE + 8] == 0x66 &&
	       all[10 * PAGE + 7] == 0x66 && all[9 * PAGE + 7] != 0x66, "write(2) is seen");
	expect(pwrite(node, bytes, 3, 0) < 0 && errno == EINVAL,
	       "a write of bytes that are no words is refused");
	expect(pread(node, bytes, 4096, size - 100) == 100 && !pread(node, bytes, 1, size),
	       "reading ends at the end");
	expect(pwrite(node, bytes, 8, size) < 0 && errno == ENOSPC, "so does writing");
	// Its own memory as a buffer: the fault must not meet a lock of the copy.
	expect(pread(node, all + 12 * MIB, MIB, 8 * PAGE) == (ssize_t)MIB &&
	       all[12 * MIB] == 0x55, "read(2) into a mapping of the same memory");
	expect(lseek(node, 0, SEEK_END) == (off_t)size, "its end is its size");
}

static void lifetime(int node, size_t size)
{
	char *memory = map(node, 4 * MIB, 0, MAP_SHARED);
	int pair[2], status;
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	memory[7] = 0;
	if (!fork()) {
		memory[7] = 0x77;
		_exit(0);
	}
	wait(&status);
	expect(!status && memory[7] == 0x77, "a child writes to the same memory");

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	if (!fork()) {
		char *theirs;
		int got;

		if (recvmsg(pair[1], &message, 0) != 1)
			_exit(1);
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
		theirs = map(got, PAGE, 0, MAP_SHARED);
		if (theirs == MAP_FAILED)
			_exit(2);
		theirs[8] = 0x78;
		_exit(0);
	}
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &node, sizeof(node));
	sendmsg(pair[0], &message, 0);
	wait(&status);
	expect(!status && memory[8] == 0x78, "so does who is given the descriptor");

	close(node);
	memory[9] = 0x79;
	madvise(memory, 4 * MIB, MADV_DONTNEED);
	expect(memory[9] == 0x79 && size, "a mapping outlives the descriptor");
	munmap(memory, 4 * MIB);
}

int devdax_command(int argc, char **argv)
{
	struct iopmem_mapping_info info;
	char *all;
	int node;

	if (argc != 1)
		return 64;
	node = open(argv[0], O_RDWR | O_CLOEXEC);
	if (node < 0)
		return fail(argv[0]);
	catch_faults();
	info = describe(node);
	expect(info.length >= 16 * MIB && info.align == PAGE &&
	       (info.huge_align == 2 * MIB || info.huge_align == PAGE),
	       "its size and alignments");
	all = map(node, info.length, 0, MAP_SHARED);
	if (all == MAP_FAILED)
		return fail("mmap");
	mappings(node, all, info.length);
	protection(argv[0], node);
	advice(all);
	// A kernel without transparent huge pages has none for us either.
	if (info.huge_align > PAGE)
		large_pages(node);
	cache_types(node, all);
	flushes(node, all);
	descriptors(node, all, info.length);
	munmap(all, info.length);
	lifetime(node, info.length);
	return expectations_failed();
}
