// SPDX-License-Identifier: GPL-2.0
// ioctls of regions and of the driver as a whole, and what else their nodes can do.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../kmod/include/uapi/linux/iopmem.h"
#include "race.h"

// The argument lies at a page's end, and what is behind it cannot be reached.
static unsigned char *pages;
static long page;

static int nodes[6];

void open_nodes(void)
{
	for (size_t i = 0; i < COUNT(nodes); i++)
		nodes[i] = -1;
	page = sysconf(_SC_PAGESIZE);
	pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + 2 * page, page, PROT_NONE))
		_exit(2);
}

void close_nodes(void)
{
	for (size_t i = 0; i < COUNT(nodes); i++) {
		if (nodes[i] >= 0)
			close(nodes[i]);
		nodes[i] = -1;
	}
}

// Open files are kept for a while: what belongs to them does as well.
int some_node(void)
{
	int *node = &nodes[below(COUNT(nodes))];
	char name[64], path[128];

	if (*node >= 0 && !once_in(8))
		return *node;
	if (*node >= 0)
		close(*node);
	*node = -1;
	if (once_in(3))
		snprintf(path, sizeof(path), "/dev/iopmem-control");
	else if (pick("/sys/class/iopmem", "iopmem", 0, name, sizeof(name)))
		snprintf(path, sizeof(path), "/dev/%s", name);
	else
		return -1;
	*node = open(path, O_RDWR | O_CLOEXEC);
	return *node;
}

static void our_function(__u32 *domain, __u8 *bus, __u8 *devfn)
{
	unsigned int d, b, s, f;

	if (sscanf(race_bdf, "%x:%x:%x.%x", &d, &b, &s, &f) != 4)
		return;
	*domain = d;
	*bus = b;
	*devfn = s << 3 | f;
}

static void some_uuid(__u8 *uuid, __u32 *id)
{
	char name[64];
	const char *n;

	if (!pick("/sys/class/iopmem", "iopmem", 1, name, sizeof(name)))
		return;
	n = strrchr(name, 'n');
	*id = n ? atoi(n + 1) : 1;
	read_uuid(name, uuid);
}

static __u32 some_mode(void)
{
	static const __u8 modes[] = { IOPMEM_MODE_FSDAX, IOPMEM_MODE_FSDAX, IOPMEM_MODE_FSDAX,
				      IOPMEM_MODE_DEVDAX, IOPMEM_MODE_DEVDAX, IOPMEM_MODE_RAW };

	return once_in(16) ? IOPMEM_MODE_P2PDMA : modes[below(COUNT(modes))];
}

static size_t sensible(unsigned int nr, void *arg, struct iopmem_range *wipes, const void *memory)
{
	switch (_IO(IOPMEM_IOC_MAGIC, nr)) {
	case IOPMEM_IOC_PREPARE_BIND: {
		struct iopmem_device_bind *bind = arg;

		bind->bar_mask = once_in(2) ? IOPMEM_BAR_MASK_ALL : 1 << below(6);
		bind->media = below(2);
		bind->flags = below(2);
		our_function(&bind->domain, &bind->bus, &bind->devfn);
		return sizeof(*bind);
	}
	case IOPMEM_IOC_GET_BIND_RESULT:
		return sizeof(struct iopmem_bind_result);
	case IOPMEM_IOC_RETIRE_DEVICE: {
		struct iopmem_device_retire *retire = arg;

		retire->flags = below(2);
		our_function(&retire->domain, &retire->bus, &retire->devfn);
		return sizeof(*retire);
	}
	case IOPMEM_IOC_CREATE_NAMESPACE: {
		struct iopmem_namespace_create *create = arg;

		create->mode = some_mode();
		create->map = create->mode == IOPMEM_MODE_RAW ? 0 : IOPMEM_MAP_MEM;
		create->length = (once_in(8) ? 32 : 1 + below(6)) * IOPMEM_ALIGN;
		if (once_in(3)) {
			create->flags |= IOPMEM_NAMESPACE_CREATE_F_OFFSET;
			create->offset = below(40) * IOPMEM_ALIGN;
		}
		if (once_in(3)) {
			create->flags |= IOPMEM_NAMESPACE_CREATE_F_ID;
			create->id = 1 + below(5);
		}
		for (int i = 0; i < IOPMEM_UUID_LEN; i++)
			create->uuid[i] = race_chance();
		if (once_in(2))
			snprintf((char *)create->name, IOPMEM_NAME_LEN, "race%llu", below(4));
		return sizeof(*create);
	}
	case IOPMEM_IOC_DESTROY_NAMESPACE: {
		struct iopmem_namespace_destroy *destroy = arg;

		destroy->flags = below(2) * IOPMEM_NAMESPACE_DESTROY_F_REVOKE;
		if (once_in(8))
			destroy->flags |= IOPMEM_NAMESPACE_DESTROY_F_ZERO;
		some_uuid(destroy->uuid, &destroy->id);
		destroy->nr_wipes = below(4);
		destroy->wipes = (uintptr_t)wipes;
		for (__u32 i = 0; i < destroy->nr_wipes; i++) {
			wipes[i].offset = below(1 << 21);
			wipes[i].length = below(1 << 16);
		}
		return sizeof(*destroy);
	}
	case IOPMEM_IOC_SET_LABEL_AREA: {
		struct iopmem_label_area *area = arg;

		area->length = once_in(2) ? IOPMEM_ALIGN : 0;
		return sizeof(*area);
	}
	case IOPMEM_IOC_WRITE_LABELS: {
		struct iopmem_label_write *write = arg;

		write->offset = below(1 << 18) * 8;
		write->length = (1 + below(512)) * 8;
		write->data = (uintptr_t)pages;
		return sizeof(*write);
	}
	case IOPMEM_IOC_INJECT_ERROR: {
		struct iopmem_error_injection *inject = arg;

		some_uuid(inject->uuid, &inject->id);
		inject->offset = below(4096) * 512;
		inject->length = (1 + below(8)) * 512;
		return sizeof(*inject);
	}
	case IOPMEM_IOC_EXPORT_DMABUF: {
		struct iopmem_export *export = arg;

		if (once_in(2))
			some_uuid(export->uuid, &export->id);
		export->offset = below(export->id ? 2048 : 32768) * page;
		export->length = (1 + below(512)) * page;
		export->flags = below(2);
		return sizeof(*export);
	}
	case IOPMEM_IOC_JUDGE_CLIENT: {
		struct iopmem_client *client = arg;

		our_function(&client->domain, &client->bus, &client->devfn);
		if (once_in(2))
			client->bus = below(8);
		client->devfn = once_in(2) ? below(8) << 3 : client->devfn;
		return sizeof(*client);
	}
	case IOPMEM_IOC_DESCRIBE_MAPPING:
		return sizeof(struct iopmem_mapping_info);
	case IOPMEM_IOC_SET_MAPPING_CACHE: {
		struct iopmem_mapping_cache *cache = arg;

		cache->cache = once_in(2) ? IOPMEM_CACHE_WC : IOPMEM_CACHE_UC;
		return sizeof(*cache);
	}
	case IOPMEM_IOC_FLUSH_MAPPING:
		return sizeof(struct iopmem_mapping_flush);
	case IOPMEM_IOC_EXPORT_MAPPING: {
		struct iopmem_mapping_export *export = arg;

		export->offset = below(512) * page;
		export->length = (1 + below(512)) * page;
		export->flags = below(2);
		return sizeof(*export);
	}
	case IOPMEM_IOC_EXPORT_POINTER: {
		struct iopmem_pointer_export *export = arg;

		export->address = (uintptr_t)memory + below(1 << 20);
		export->length = 1 + below(1 << 20);
		export->flags = below(2);
		return sizeof(*export);
	}
	default:
		return sizeof(struct iopmem_version);
	}
}

// Where the dma-buf is that a call returned; NULL for others.
static __s32 *returned_file(unsigned int nr, void *arg)
{
	switch (_IO(IOPMEM_IOC_MAGIC, nr)) {
	case IOPMEM_IOC_EXPORT_DMABUF:
		return &((struct iopmem_export *)arg)->fd;
	case IOPMEM_IOC_EXPORT_MAPPING:
		return &((struct iopmem_mapping_export *)arg)->fd;
	case IOPMEM_IOC_EXPORT_POINTER:
		return &((struct iopmem_pointer_export *)arg)->fd;
	default:
		return NULL;
	}
}

void call_node(int node, unsigned int nr, const void *memory)
{
	static const __u32 sizes[] = { 0, 4, 7, 55, 56, 200, 400, 4095, 4096, 4097, ~0U };
	static struct iopmem_range wipes[IOPMEM_MAX_WIPES];
	unsigned char *arg = pages;
	unsigned int cmd;
	__s32 *file;
	size_t size;
	int worked;

	memset(pages, 0, 2 * page);
	size = sensible(nr, pages, wipes, memory);
	*(__u32 *)pages = size;
	if (once_in(4)) {
		for (__u64 flips = 1 + below(4); flips; flips--)
			pages[below(size)] = race_chance();
		if (once_in(3))
			*(__u32 *)pages = sizes[below(COUNT(sizes))];
	}
	if (once_in(3)) {
		// Nothing may be read or written behind it.
		arg = pages + 2 * page - size;
		memmove(arg, pages, size);
	}
	if (once_in(40))
		arg = once_in(2) ? NULL : pages + 2 * page - 4;
	if (once_in(20))
		nr = below(256);
	cmd = once_in(40) ? race_chance() : _IO(IOPMEM_IOC_MAGIC, nr);
	worked = !ioctl(node, cmd, arg);
	count(worked);
	file = returned_file(nr, arg);
	if (worked && file && cmd == (unsigned int)_IO(IOPMEM_IOC_MAGIC, nr)) {
		use_dmabuf(*file);
		close(*file);
	}
}

void race_ioctls(void)
{
	// Who retires a device keeps others from creating, so that is rare.
	static const __u8 numbers[] = { 0x00, 0x01, 0x02, 0x10, 0x10, 0x10, 0x10, 0x10,
					0x10, 0x10, 0x11, 0x12, 0x13, 0x15, 0x20 };
	int node = some_node();

	if (node < 0) {
		breathe(50);
		return;
	}
	call_node(node, once_in(40) ? 0x03 : numbers[below(COUNT(numbers))], NULL);
	breathe(10);
}

// What is not an ioctl of a region's node.
void race_node(void)
{
	static char bytes[1 << 16];
	int node = some_node();
	void *memory;

	breathe(20);
	if (node < 0)
		return;
	switch (below(5)) {
	case 0:
		count(lseek(node, once_in(4) ? race_chance() : below(1 << 28), below(5)) >= 0);
		break;
	case 1:
		memory = mmap(NULL, page, PROT_READ, MAP_SHARED, node, 0);
		count(memory != MAP_FAILED);
		if (memory != MAP_FAILED)
			munmap(memory, page);
		break;
	case 2:
		count(write(node, bytes, 16) > 0);
		break;
	default:
		count(pread(node, bytes, below(once_in(8) ? sizeof(bytes) : 8192),
			    once_in(8) ? race_chance() : below(1 << 28)) > 0);
	}
}
