// SPDX-License-Identifier: GPL-2.0
// iopmem-guest dmabuf REGION ID UUID NODE FREE
//     What can be done with dma-bufs of a devdax namespace and of free space,
//     done, and what cannot: each step is a line "ok WHAT", or "failed WHAT
//     (...)" and exit status 1 in the end. NODE is the namespace's, of 16 MiB or
//     more; at offset FREE of the region, 4 MiB are free.
// iopmem-guest importer KIND REGION ID UUID OFFSET LENGTH [any] [look|add|hold|stay]
//     Gives a dma-buf to the test's importer (Tests/importer), whose KIND is
//     obedient, stubborn or old, and lets its device copy the first 4 KiB to the
//     last. Prints "mapped ADDRESS ENTRIES" and "copied"; or "refused", and the
//     name of the errno. With look it copies nothing. With add the kernel loads and
//     stores the last 4 KiB as well, and "added" is printed if the program sees that.
//     With hold it keeps the mapping until the memory is taken back, prints "SIGBUS" when its own mapping is gone, "dead" if nothing can be
//     begun with the dma-buf either, and in the end "let go"; one that is
//     not obedient waits for 4 s in between. With stay it has a second dma-buf of
//     the same memory that nobody imports, and keeps everything until it is killed.
// iopmem-guest path REGION ID UUID
//     Lets go of a dma-buf but for a path to it (O_PATH), prints "path", and keeps
//     that until it is killed.
// iopmem-guest judge REGION DOMAIN BUS DEVICE FUNCTION
//     Prints the driver's verdict: bus_addr, through_host_bridge or
//     not_supported, its distance, the kernel's, and a line with the reason.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "../importer/iopmem-importer.h"
#include "guest.h"

#define MIB	(1UL << 20)
#define PAGE	4096UL

static int region;
static struct iopmem_export whole = { .size = sizeof(whole) };

static void parse_uuid(const char *text, __u8 *uuid)
{
	for (int i = 0; i < IOPMEM_UUID_LEN; text += *text == '-')
		for (unsigned int byte; i < IOPMEM_UUID_LEN && *text != '-'; text += 2) {
			sscanf(text, "%2x", &byte);
			uuid[i++] = byte;
		}
}

static int open_region(char **argv)
{
	region = open(argv[0], O_RDWR | O_CLOEXEC);
	if (region < 0)
		return fail(argv[0]);
	whole.id = strtoul(argv[1], NULL, 0);
	if (whole.id)
		parse_uuid(argv[2], whole.uuid);
	return 0;
}

// A file descriptor, or -1 with errno and, on refusals, a reason.
static int export(struct iopmem_export call)
{
	if (ioctl(region, IOPMEM_IOC_EXPORT_DMABUF, &call)) {
		if (!call.reason[0])
			errno = EBADMSG;
		return -1;
	}
	return call.fd;
}

static int export_range(__u64 offset, __u64 length)
{
	struct iopmem_export call = whole;

	call.offset = offset;
	call.length = length;
	return export(call);
}

static int is_refused(struct iopmem_export call, int error)
{
	int fd = export(call), refused = fd < 0 && errno == error;

	if (fd >= 0)
		close(fd);
	return refused;
}

static char *map(int dmabuf, size_t length, size_t offset)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, offset);
}

static __u64 flushes(int node)
{
	struct iopmem_mapping_info info = { .size = sizeof(info) };

	return ioctl(node, IOPMEM_IOC_DESCRIBE_MAPPING, &info) ? 0 : info.flushes;
}

static void of_a_namespace(int node, char *memory)
{
	struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int dmabuf = export_range(2 * MIB, 4 * MIB);
	__u64 before = flushes(node);
	char *view;

	expect(dmabuf >= 0, "a dma-buf of a part");
	expect(lseek(dmabuf, 0, SEEK_END) == (off_t)(4 * MIB), "it has the part's size");
	view = map(dmabuf, 4 * MIB, 0);
	expect(view != MAP_FAILED, "it can be mapped");
	expect(!ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), "access begins");
	memory[2 * MIB + 5] = 0x51;
	expect(view[5] == 0x51, "it shows what the node shows");
	view[4 * MIB - 1] = 0x52;
	expect(memory[6 * MIB - 1] == 0x52, "and is written through");
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	expect(!ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync) && flushes(node) == before + 1,
	       "the end of access flushes the device");
	munmap(view, 4 * MIB);
	view = map(dmabuf, PAGE, 4 * MIB - PAGE);
	expect(view != MAP_FAILED && view[PAGE - 1] == 0x52, "its last page alone");
	munmap(view, PAGE);
	expect(map(dmabuf, 2 * PAGE, 4 * MIB - PAGE) == MAP_FAILED && errno == EINVAL,
	       "a mapping beyond its end is refused");
	expect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, dmabuf, 0) == MAP_FAILED &&
	       errno == EINVAL, "so is a private one");
	view = map(dmabuf, PAGE, 0);
	close(dmabuf);
	expect(view[5] == 0x51, "a mapping outlives the descriptor");
	munmap(view, PAGE);
}

static void mistakes(unsigned long size)
{
	struct iopmem_export call = whole;

	call.length = PAGE;
	call.flags = 2;
	expect(is_refused(call, EINVAL), "an unknown flag is refused");
	call.flags = 0;
	call.fd = 7;
	expect(is_refused(call, EINVAL), "so is a descriptor");
	call.fd = 0;
	call.length = 0;
	expect(is_refused(call, EINVAL), "no bytes");
	call.length = 512;
	expect(is_refused(call, EINVAL), "half a page");
	call.length = PAGE;
	call.offset = 100;
	expect(is_refused(call, EINVAL), "an offset within a page");
	call.offset = size;
	expect(is_refused(call, ERANGE), "a page behind the end");
	call.offset = size - PAGE;
	call.length = 2 * PAGE;
	expect(is_refused(call, ERANGE), "two pages, of which one is behind it");
	call.offset = -PAGE;
	expect(is_refused(call, ERANGE), "an offset with which the sum overflows");
	call.offset = PAGE;
	call.length = -PAGE;
	expect(is_refused(call, ERANGE), "a length likewise");
	call.length = PAGE;
	call.uuid[3] ^= 1;
	expect(is_refused(call, ESTALE), "another UUID");
	call = whole;
	call.length = PAGE;
	call.id = 77;
	expect(is_refused(call, ENOENT), "an unknown number");
	call.id = 0;
	expect(is_refused(call, EINVAL), "a UUID without a number");
	call.size = 8;
	expect(ioctl(region, IOPMEM_IOC_EXPORT_DMABUF, &call) && errno == EINVAL,
	       "a struct that is too short");
}

static void of_free_space(unsigned long start)
{
	struct iopmem_export call = { .size = sizeof(call), .offset = start, .length = 2 * MIB };
	int dmabuf = export(call), other;
	char *view = map(dmabuf, 2 * MIB, 0);
	struct dma_buf_sync sync = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE };

	expect(dmabuf >= 0 && view != MAP_FAILED, "a dma-buf of free space");
	view[MIB] = 0x61;
	expect(view[MIB] == 0x61 && !ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync),
	       "can be written and flushed");
	call.length = PAGE;
	call.offset = start + MIB;
	expect(is_refused(call, EBUSY), "what is lent is not lent again");
	call.offset = start + 2 * MIB;
	other = export(call);
	expect(other >= 0, "its neighbour is");
	close(other);
	call.offset = 0;
	expect(is_refused(call, EBUSY), "what belongs to a namespace is no free space");
	munmap(view, 2 * MIB);
	close(dmabuf);
	call.offset = start;
	other = export(call);
	expect(other >= 0, "and is free again when it is closed");
	close(other);
}

static int point(int node, struct iopmem_pointer_export call, int error)
{
	call.size = sizeof(call);
	if (!ioctl(node, IOPMEM_IOC_EXPORT_POINTER, &call))
		return 0;
	return errno == error && call.reason[0];
}

static void of_pointers(const char *path, int node, char *memory, unsigned long size)
{
	struct iopmem_pointer_export call = { .size = sizeof(call), .length = 5000 };
	struct iopmem_mapping_export range = { .size = sizeof(range), .length = PAGE };
	int reader = open(path, O_RDONLY | O_CLOEXEC);
	char *view, *ram;

	call.address = (unsigned long)memory + 3 * PAGE + 100;
	memory[3 * PAGE + 100] = 0x71;
	expect(!ioctl(node, IOPMEM_IOC_EXPORT_POINTER, &call), "a dma-buf of a pointer");
	expect(call.offset == 100 && lseek(call.fd, 0, SEEK_END) == (off_t)(2 * PAGE),
	       "of the pages that its bytes touch, and where they begin");
	view = map(call.fd, 2 * PAGE, 0);
	expect(view != MAP_FAILED && view[100] == 0x71, "it is the same memory");
	munmap(view, 2 * PAGE);
	close(call.fd);

	mprotect(memory + 4 * PAGE, PAGE, PROT_READ);
	call.offset = call.fd = 0;
	expect(!ioctl(node, IOPMEM_IOC_EXPORT_POINTER, &call),
	       "mappings that follow each other are one");
	close(call.fd);
	mprotect(memory + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	call.offset = call.fd = 0;

	ram = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	call.address = (unsigned long)ram;
	call.length = 1;
	expect(point(node, call, EFAULT), "a pointer to RAM is refused");
	call.address = (unsigned long)memory + size - 1;
	call.length = PAGE;
	expect(point(node, call, EFAULT), "so is one that leaves the mapping");
	call.address = (unsigned long)memory;
	call.length = 0;
	expect(point(node, call, EINVAL), "no bytes");
	call.length = -1UL;
	expect(point(node, call, EFAULT), "bytes beyond all addresses");
	call.length = 1;
	call.flags = 4;
	expect(point(node, call, EINVAL), "an unknown flag");
	call.flags = 0;
	expect(point(reader, call, EACCES), "who may only read");
	expect(ioctl(reader, IOPMEM_IOC_EXPORT_MAPPING, &range) && errno == EACCES,
	       "nor is a range given to him");
	expect(!ioctl(node, IOPMEM_IOC_EXPORT_MAPPING, &range), "who may write gets one");
	close(range.fd);
	close(reader);
}

int dmabuf_command(int argc, char **argv)
{
	unsigned long size;
	char *memory;
	int node;

	if (argc != 5)
		return 64;
	if (open_region(argv))
		return 1;
	node = open(argv[3], O_RDWR | O_CLOEXEC);
	if (node < 0)
		return fail(argv[3]);
	size = lseek(node, 0, SEEK_END);
	memory = map_shared(argv[3], size, 0);
	if (!memory)
		return 1;
	catch_faults();
	of_a_namespace(node, memory);
	mistakes(size);
	of_free_space(strtoul(argv[4], NULL, 0));
	of_pointers(argv[3], node, memory, size);
	return expectations_failed();
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

static int refused(void)
{
	printf("refused %s\n", strerrorname_np(errno));
	return 0;
}

static struct importer_state state_of(int importer)
{
	struct importer_state state = { 0 };

	if (ioctl(importer, IMPORTER_STATE, &state))
		fail("IMPORTER_STATE");
	return state;
}

// Of memory that was taken back.
static int is_dead(int dmabuf)
{
	struct importer_attach attach = { .fd = dmabuf, .kind = IMPORTER_OBEDIENT };
	struct dma_buf_sync start = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };
	int another = open("/dev/iopmem-importer", O_RDWR | O_CLOEXEC);

	return map(dmabuf, PAGE, 0) == MAP_FAILED && errno == ENODEV &&
	       ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &start) && errno == ENODEV &&
	       ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &end) && errno == ENODEV &&
	       ioctl(another, IMPORTER_ATTACH, &attach) && errno == ENODEV && !close(another);
}

// Until the memory is taken back. What a program had mapped is gone at once; a device that
// does not let go is waited for.
static int keep(int importer, int dmabuf, char *view, __u32 kind, int stay)
{
	while (store(view, 1) != SIGBUS)
		usleep(50000);
	say("SIGBUS");
	if (is_dead(dmabuf))
		say("dead");
	close(dmabuf);
	while (stay)
		pause();
	if (kind != IMPORTER_OBEDIENT)
		sleep(4);
	if (state_of(importer).told != (kind != IMPORTER_OLD) ||
	    state_of(importer).mapped == (kind == IMPORTER_OBEDIENT)) {
		say("told or mapped as it should not be");
		return 1;
	}
	ioctl(importer, IMPORTER_DETACH);
	say("let go");
	return 0;
}

// The kernel's loads and stores by way of the dma-buf, and a program's, are of one memory.
static int is_added(int importer, const char *view, size_t length)
{
	struct importer_add add = { .from = length - PAGE, .length = PAGE, .add = 0x29 };
	struct importer_add beyond = { .from = length, .length = 1 };

	if (!ioctl(importer, IMPORTER_ADD, &beyond) || errno != ERANGE ||
	    ioctl(importer, IMPORTER_ADD, &add))
		return 0;
	for (size_t i = 0; i < PAGE; i++)
		if (view[length - PAGE + i] != (char)(view[i] + 0x29))
			return 0;
	return 1;
}

int importer_command(int argc, char **argv)
{
	static const char *const kinds[] = { "obedient", "stubborn", "old" };
	struct iopmem_export call;
	struct importer_attach attach = { .kind = IMPORTER_OLD };
	struct importer_copy copy = { .length = PAGE };
	struct importer_state state;
	int importer, look = 0, add = 0, hold = 0, stay = 0;
	char *view;

	if (argc < 6)
		return 64;
	importer = open("/dev/iopmem-importer", O_RDWR | O_CLOEXEC);
	if (importer < 0)
		return fail("/dev/iopmem-importer");
	for (__u32 kind = 0; kind < 3; kind++)
		if (!strcmp(argv[0], kinds[kind]))
			attach.kind = kind;
	if (open_region(argv + 1))
		return 1;
	call = whole;
	call.offset = strtoull(argv[4], NULL, 0);
	call.length = strtoull(argv[5], NULL, 0);
	for (int i = 6; i < argc; i++) {
		look |= !strcmp(argv[i], "look");
		add |= !strcmp(argv[i], "add");
		hold |= !strcmp(argv[i], "hold");
		stay |= !strcmp(argv[i], "stay");
		if (!strcmp(argv[i], "any"))
			call.flags = IOPMEM_EXPORT_F_ANY_IMPORTER;
	}
	attach.fd = export(call);
	if (attach.fd < 0)
		return refused();
	if (ioctl(importer, IMPORTER_ATTACH, &attach) || ioctl(importer, IMPORTER_MAP))
		return refused();
	state = state_of(importer);
	printf("mapped 0x%llx %u\n", state.address, state.entries);
	if (look)
		return 0;

	view = map(attach.fd, call.length, 0);
	if (view == MAP_FAILED)
		return fail("mmap");
	for (size_t i = 0; i < PAGE; i++) {
		view[i] = i * 7 + 3;
		view[call.length - PAGE + i] = 0;
	}
	copy.to = call.length - PAGE;
	if (ioctl(importer, IMPORTER_COPY, &copy))
		return fail("IMPORTER_COPY");
	puts(memcmp(view, view + copy.to, PAGE) ? "differs" : "copied");
	if (add)
		puts(is_added(importer, view, call.length) ? "added" : "not added");
	fflush(stdout);
	/* When it is killed, the one with the higher number is closed before the importer. */
	if (stay && dup2(export(call), 200) < 0)
		return fail("a second dma-buf");
	close(region);
	catch_faults();
	return hold || stay ? keep(importer, attach.fd, view, attach.kind, stay) : 0;
}

int path_command(int argc, char **argv)
{
	char link[32];
	int dmabuf;

	if (argc != 3)
		return 64;
	if (open_region(argv))
		return 1;
	dmabuf = export_range(0, PAGE);
	if (dmabuf < 0)
		return fail("IOPMEM_IOC_EXPORT_DMABUF");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dmabuf);
	if (open(link, O_PATH) < 0)
		return fail(link);
	close(dmabuf);
	close(region);
	say("path");
	for (;;)
		pause();
}

int judge_command(int argc, char **argv)
{
	static const char *const verdicts[] = { "not_supported", "bus_addr",
						"through_host_bridge" };
	struct iopmem_client call = { .size = sizeof(call) };

	if (argc != 5)
		return 64;
	region = open(argv[0], O_RDWR | O_CLOEXEC);
	if (region < 0)
		return fail(argv[0]);
	call.domain = strtoul(argv[1], NULL, 16);
	call.bus = strtoul(argv[2], NULL, 16);
	call.devfn = strtoul(argv[3], NULL, 16) << 3 | strtoul(argv[4], NULL, 16);
	if (ioctl(region, IOPMEM_IOC_JUDGE_CLIENT, &call)) {
		printf("%s\n%s\n", strerrorname_np(errno), call.reason);
		return 0;
	}
	printf("%s %u %d\n%s\n", verdicts[call.verdict], call.distance, call.kernel_distance,
	       call.reason);
	return 0;
}
