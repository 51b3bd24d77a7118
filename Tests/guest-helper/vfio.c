// SPDX-License-Identifier: GPL-2.0
// iopmem-guest vfio GROUP FUNCTION MEMORY LENGTH [OTHER|forever]
//     What a hypervisor or a driver in user space does with memory for its device:
//     maps MEMORY, a file or node, for QEMU's edu device (docs/specs/edu.rst in
//     QEMU's source), which is bound to vfio-pci, and lets it copy the first 2 KiB
//     to the last; with OTHER, of the same length, from MEMORY to the end of OTHER,
//     and from there to the end of MEMORY; with forever, again and again until it is
//     killed. Prints "mapped" and, after the first time, "copied"; or "refused" and the
//     name of the errno with which VFIO did not take the memory.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define IOVA		0x10000000UL
#define OTHER_IOVA	0x20000000UL
#define PIECE		2048UL

#define EDU_SOURCE	0x80
#define EDU_TARGET	0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_BUFFER	0x40000

static int device;
static __u64 bar;

static int set(unsigned int at, __u64 value)
{
	return pwrite(device, &value, sizeof(value), bar + at) == sizeof(value) ? 0 : -1;
}

// 0, or -1. The engine takes a tenth of a second for anything.
static int run(__u64 source, __u64 target, __u64 command)
{
	__u64 state = 1;

	if (set(EDU_SOURCE, source) || set(EDU_TARGET, target) || set(EDU_COUNT, PIECE) ||
	    set(EDU_COMMAND, command | 1))
		return -1;
	for (int tries = 0; state & 1; tries++) {
		if (tries == 1000 || pread(device, &state, sizeof(state), bar + EDU_COMMAND) < 0)
			return -1;
		usleep(20000);
	}
	return 0;
}

// The device's registers, and its DMA allowed; 0, or -1.
static int set_up(void)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	__u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) ||
	    pwrite(device, &command, sizeof(command), region.offset + PCI_COMMAND) < 0)
		return -1;
	region.index = VFIO_PCI_BAR0_REGION_INDEX;
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		return -1;
	bar = region.offset;
	return 0;
}

static int map_dma(int container, void *memory, size_t length, __u64 iova)
{
	struct vfio_iommu_type1_dma_map mapping = {
		.argsz = sizeof(mapping), .iova = iova,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (unsigned long)memory, .size = length,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &mapping);
}

int vfio_command(int argc, char **argv)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char *memory, *other = NULL;
	int container, group, forever = argc == 5 && !strcmp(argv[4], "forever");
	const char *second = argc == 5 && !forever ? argv[4] : NULL;
	__u64 last;
	size_t length;

	if (argc != 4 && argc != 5)
		return 64;
	length = strtoul(argv[3], NULL, 0);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open(argv[0], O_RDWR | O_CLOEXEC);
	if (container < 0 || group < 0)
		return fail("open");
	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return fail("the group");
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return fail("the container");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[1]);
	if (device < 0 || set_up())
		return fail("the device");
	memory = map_shared(argv[2], length, 0);
	if (second)
		other = map_shared(second, length, 0);
	if (!memory || (second && !other))
		return 1;
	for (size_t i = 0; i < PIECE; i++) {
		memory[i] = i * 11 + 5;
		memory[length - PIECE + i] = 0;
	}
	if (other)
		memset(other + length - PIECE, 0, PIECE);
	if (map_dma(container, memory, length, IOVA) ||
	    (other && map_dma(container, other, length, OTHER_IOVA))) {
		printf("refused %s\n", strerrorname_np(errno));
		return 0;
	}
	puts("mapped");
	last = length - PIECE;
	if (run(IOVA, EDU_BUFFER, 0))
		return fail("DMA");
	/* By way of the other card, and with the device's own buffer emptied in between. */
	if (other && (run(EDU_BUFFER, OTHER_IOVA + last, 2) || run(IOVA + last, EDU_BUFFER, 0) ||
		      run(OTHER_IOVA + last, EDU_BUFFER, 0)))
		return fail("DMA");
	if (run(EDU_BUFFER, IOVA + last, 2))
		return fail("DMA");
	puts(memcmp(memory, memory + length - PIECE, PIECE) ? "differs" : "copied");
	fflush(stdout);
	while (forever && !run(IOVA, EDU_BUFFER, 0) && !run(EDU_BUFFER, IOVA + last, 2))
		;
	return forever ? fail("DMA") : 0;
}
