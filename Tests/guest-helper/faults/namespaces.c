// SPDX-License-Identifier: GPL-2.0
// Namespaces: made, used, destroyed; labels.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "faults.h"

static int node = -1;

struct iopmem_namespace_create made;

int create(__u32 mode)
{
	memset(&made, 0, sizeof(made));
	made.size = sizeof(made);
	made.mode = mode;
	made.map = mode == IOPMEM_MODE_RAW ? 0 : IOPMEM_MAP_MEM;
	made.length = 4 * IOPMEM_ALIGN;
	made.uuid[0] = 0x42;
	strcpy((char *)made.name, "faulty");
	if (!ioctl(faults_region, IOPMEM_IOC_CREATE_NAMESPACE, &made))
		return 0;
	memcpy(faults_reason, made.reason, sizeof(faults_reason));
	return errno;
}

static int create_fsdax(void)
{
	return create(IOPMEM_MODE_FSDAX);
}

static int create_raw(void)
{
	return create(IOPMEM_MODE_RAW);
}

static int create_devdax(void)
{
	return create(IOPMEM_MODE_DEVDAX);
}

static int destroy(void)
{
	struct iopmem_range wipe = { .offset = 4096, .length = 4096 };
	struct iopmem_namespace_destroy arg = {
		.size = sizeof(arg), .id = made.id, .nr_wipes = 1, .wipes = (__u64)(uintptr_t)&wipe,
	};

	memcpy(arg.uuid, made.uuid, sizeof(arg.uuid));
	if (!ioctl(faults_region, IOPMEM_IOC_DESTROY_NAMESPACE, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

// udev looks at every new disk, and has it open for a moment.
void surely_destroy(void)
{
	int error;

	for (int try = 0; (error = destroy()) == EBUSY && try < 500; try++)
		usleep(20000);
	if (error)
		die("a namespace cannot be destroyed: %s: %s", strerrorname_np(error), faults_reason);
}

void surely_create(void)
{
	int error = create_fsdax();

	if (error)
		die("no namespace can be created: %s: %s", strerrorname_np(error), faults_reason);
}

void made_path(char *path, size_t size)
{
	snprintf(path, size, "/dev/%sn%u", region_name, made.id);
}

static void open_node(void)
{
	char path[64];

	surely_create();
	made_path(path, sizeof(path));
	node = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (node < 0)
		die("cannot open %s: %s", path, strerror(errno));
}

static void close_node(void)
{
	close(node);
	node = -1;
	surely_destroy();
}

static int read_block(void)
{
	return pread(node, faults_buffer, 65536, 0) == 65536 ? 0 : errno;
}

static int write_block(void)
{
	return pwrite(node, faults_buffer, 65536, 0) == 65536 ? 0 : errno;
}

static int flush_block(void)
{
	return fsync(node) ? errno : 0;
}

static int read_region(void)
{
	return pread(faults_region, faults_buffer, 8192, 100) == 8192 ? 0 : errno;
}

static int open_block(void)
{
	char path[64];

	made_path(path, sizeof(path));
	return open_path(path);
}

static int set_label_area(void)
{
	struct iopmem_label_area arg = { .size = sizeof(arg), .length = IOPMEM_ALIGN };

	if (!ioctl(faults_region, IOPMEM_IOC_SET_LABEL_AREA, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static void clear_label_area(void)
{
	struct iopmem_label_area arg = { .size = sizeof(arg) };

	if (ioctl(faults_region, IOPMEM_IOC_SET_LABEL_AREA, &arg))
		die("the label area cannot be given up: %s", arg.reason);
}

static int write_labels(void)
{
	struct iopmem_label_write arg = {
		.size = sizeof(arg), .offset = 4096, .length = 65536,
		.data = (__u64)(uintptr_t)faults_buffer,
	};

	if (!ioctl(faults_region, IOPMEM_IOC_WRITE_LABELS, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static void before_label_write(void)
{
	if (set_label_area())
		die("no label area: %s", faults_reason);
}

static void close_and_destroy(void)
{
	close_opened();
	surely_destroy();
}

const struct call namespace_calls[] = {
	{ "read the region", .make = read_region },
	{ "create fsdax", .make = create_fsdax, .undo = surely_destroy },
	{ "create devdax", .make = create_devdax, .undo = surely_destroy },
	{ "create raw", .make = create_raw, .undo = surely_destroy },
	{ "destroy", .prepare = surely_create, .make = destroy, .cancel = surely_destroy },
	{ "set the label area", .make = set_label_area, .undo = clear_label_area },
	{ "write labels", .prepare = before_label_write, .make = write_labels,
	  .undo = clear_label_area, .cancel = clear_label_area },
	{ "open the disk", .prepare = surely_create, .make = open_block,
	  .undo = close_and_destroy, .cancel = surely_destroy },
	{ "read the disk", .prepare = open_node, .make = read_block, .undo = close_node,
	  .cancel = close_node },
	{ "write the disk", .prepare = open_node, .make = write_block, .undo = close_node,
	  .cancel = close_node },
	{ "flush the disk", .prepare = open_node, .make = flush_block, .undo = close_node,
	  .cancel = close_node },
	{ NULL },
};
