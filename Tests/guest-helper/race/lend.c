// SPDX-License-Identifier: GPL-2.0
// Mappings of devdax nodes, and dma-bufs: of those and of regions.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../kmod/include/uapi/linux/iopmem.h"
#include "../../importer/iopmem-importer.h"
#include "race.h"

#define MIB (1UL << 20)

// A device that does DMA to it, whatever it does when the memory is taken back.
static void lend_to_device(int dmabuf, size_t size)
{
	struct importer_attach attach = { .fd = dmabuf, .kind = below(3) };
	struct importer_copy copy = { .length = 1 + below(2048) };
	int importer = open("/dev/iopmem-importer", O_RDWR | O_CLOEXEC);

	if (importer < 0)
		return;
	if (!ioctl(importer, IMPORTER_ATTACH, &attach)) {
		count(!ioctl(importer, IMPORTER_MAP));
		copy.from = below(size);
		copy.to = below(size);
		ioctl(importer, IMPORTER_COPY, &copy);
		breathe(30);
		if (once_in(2))
			ioctl(importer, IMPORTER_DETACH);
	}
	close(importer);
}

void use_dmabuf(int dmabuf)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	off_t size = lseek(dmabuf, 0, SEEK_END);
	char *memory;

	if (size <= 0)
		return;
	if (once_in(2))
		lend_to_device(dmabuf, size);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (memory == MAP_FAILED)
		return;
	ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
	count(touch(memory, size));
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
	munmap(memory, size);
}

// Of a namespace, or of free space.
void race_lend(void)
{
	int node = some_node();

	if (node >= 0)
		call_node(node, 0x14, NULL);
	breathe(20);
}

static int open_some_devdax(void)
{
	char name[64], path[128];

	if (!pick("/dev", "iopdax", 1, name, sizeof(name)))
		return -1;
	snprintf(path, sizeof(path), "/dev/%s", name);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void use_mapping(int node, char *memory, size_t length)
{
	static const __u8 numbers[] = { 0x30, 0x31, 0x32, 0x32, 0x33, 0x34, 0x34 };
	static char bytes[65536];
	static int drive = -1;

	if (drive < 0)
		drive = open(race_drive, O_RDONLY | O_DIRECT | O_CLOEXEC);
	for (__u64 steps = 1 + below(40); steps && !*race_over; steps--) {
		size_t part = below(length / 65536) * 65536;

		switch (below(8)) {
		case 0:
		case 1:
			call_node(node, numbers[below(COUNT(numbers))], memory);
			break;
		case 2:
			// The drive's DMA is a pin on pages of the card.
			count(pread(drive, memory + part, 65536, below(256) * 65536) > 0);
			break;
		case 3:
			count(!msync(memory, length, MS_SYNC));
			break;
		case 4:
			count(pread(node, bytes, sizeof(bytes), part) > 0);
			break;
		case 5:
			count(pwrite(node, bytes, sizeof(bytes), part) > 0);
			break;
		case 6:
			madvise(memory + part, 65536, MADV_DONTNEED);
			break;
		default:
			count(touch(memory, length));
		}
	}
}

void race_mapping(void)
{
	const size_t length = 2 * MIB;
	int node = open_some_devdax();
	char *memory;

	breathe(20);
	if (node < 0)
		return;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	// A mapping may outlive its file.
	if (memory != MAP_FAILED) {
		use_mapping(node, memory, length);
		close(node);
		count(touch(memory, length));
		munmap(memory, length);
	} else {
		close(node);
	}
}
