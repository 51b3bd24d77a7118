// SPDX-License-Identifier: GPL-2.0
// Mappings of a devdax namespace, dma-bufs of it and of free space, and a device that takes one.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../importer/iopmem-importer.h"
#include "faults.h"

#define LENGTH (1UL << 20)

static int node = -1, dmabuf = -1, importer = -1;
static char *memory = MAP_FAILED;

static int export(__u32 id)
{
	// Free space is behind all that is made here.
	struct iopmem_export arg = {
		.size = sizeof(arg), .id = id, .offset = id ? 4096 : 16 * IOPMEM_ALIGN,
		.length = LENGTH,
	};

	if (id)
		memcpy(arg.uuid, made.uuid, sizeof(arg.uuid));
	if (!ioctl(faults_region, IOPMEM_IOC_EXPORT_DMABUF, &arg)) {
		dmabuf = arg.fd;
		return 0;
	}
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static int export_namespace(void)
{
	return export(made.id);
}

static int export_free_space(void)
{
	return export(0);
}

static void close_dmabuf(void)
{
	close(dmabuf);
	dmabuf = -1;
}

static void close_and_destroy(void)
{
	close_dmabuf();
	surely_destroy();
}

static void create_devdax(void)
{
	int error = create(IOPMEM_MODE_DEVDAX);

	if (error)
		die("no devdax namespace can be created: %s: %s", strerrorname_np(error),
		    faults_reason);
}

// /dev/iopdax0n1 of iopmem0.
static void node_path(char *path, size_t size)
{
	snprintf(path, size, "/dev/iopdax%sn%u", region_name + strlen("iopmem"), made.id);
}

static int open_devdax(void)
{
	char path[64];

	node_path(path, sizeof(path));
	return open_path(path);
}

static void close_devdax(void)
{
	close_opened();
	surely_destroy();
}

static void prepare_node(void)
{
	char path[64];

	create_devdax();
	node_path(path, sizeof(path));
	node = open(path, O_RDWR | O_CLOEXEC);
	if (node < 0)
		die("cannot open %s: %s", path, strerrorname_np(errno));
}

static int map_devdax(void)
{
	memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
	return memory == MAP_FAILED ? errno : 0;
}

static void prepare_mapping(void)
{
	int error;

	prepare_node();
	error = map_devdax();
	if (error)
		die("cannot map a devdax namespace: %s", strerrorname_np(error));
}

static int flush_mapping(void)
{
	struct iopmem_mapping_flush arg = { .size = sizeof(arg) };

	if (!ioctl(node, IOPMEM_IOC_FLUSH_MAPPING, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static int export_pointer(void)
{
	struct iopmem_pointer_export arg = {
		.size = sizeof(arg), .address = (uintptr_t)memory + 100, .length = 5000,
	};

	if (!ioctl(node, IOPMEM_IOC_EXPORT_POINTER, &arg)) {
		dmabuf = arg.fd;
		return 0;
	}
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static void close_node(void)
{
	if (memory != MAP_FAILED)
		munmap(memory, LENGTH);
	memory = MAP_FAILED;
	if (dmabuf >= 0)
		close_dmabuf();
	close(node);
	node = -1;
	surely_destroy();
}

static void prepare_importer(void)
{
	int error = export(0);

	if (error)
		die("no free space can be exported: %s: %s", strerrorname_np(error),
		    faults_reason);
	importer = open("/dev/iopmem-importer", O_RDWR | O_CLOEXEC);
	if (importer < 0)
		die("cannot open /dev/iopmem-importer: %s", strerrorname_np(errno));
}

static int attach(void)
{
	struct importer_attach arg = { .fd = dmabuf, .kind = IMPORTER_OBEDIENT };

	return ioctl(importer, IMPORTER_ATTACH, &arg) ? errno : 0;
}

static void prepare_attachment(void)
{
	int error;

	prepare_importer();
	error = attach();
	if (error)
		die("an importer cannot attach: %s", strerrorname_np(error));
}

static int map_for_device(void)
{
	return ioctl(importer, IMPORTER_MAP) ? errno : 0;
}

static void close_importer(void)
{
	close(importer);
	importer = -1;
	close_dmabuf();
}

const struct call lending_calls[] = {
	{ "export a namespace", .prepare = surely_create, .make = export_namespace,
	  .undo = close_and_destroy, .cancel = surely_destroy },
	{ "export free space", .make = export_free_space, .undo = close_dmabuf },
	{ "attach an importer", .prepare = prepare_importer, .make = attach,
	  .undo = close_importer, .cancel = close_importer },
	{ "map for a device", .prepare = prepare_attachment, .make = map_for_device,
	  .undo = close_importer, .cancel = close_importer },
	{ "open devdax", .prepare = create_devdax, .make = open_devdax, .undo = close_devdax,
	  .cancel = surely_destroy },
	{ "map devdax", .prepare = prepare_node, .make = map_devdax, .undo = close_node,
	  .cancel = close_node },
	{ "flush devdax", .prepare = prepare_mapping, .make = flush_mapping, .undo = close_node,
	  .cancel = close_node },
	{ "export a pointer", .prepare = prepare_mapping, .make = export_pointer,
	  .undo = close_node, .cancel = close_node },
	{ NULL },
};
