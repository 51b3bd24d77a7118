// SPDX-License-Identifier: GPL-2.0
// The function and its region: bound, opened, retired, unbound.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "faults.h"

int faults_region = -1;
char region_path[64], region_name[32];

static int control = -1;

// Without a stop at the first error; 0 or an errno.
static int try_write(int file, const char *text)
{
	return write(file, text, strlen(text)) < 0 ? errno : 0;
}

static int opened = -1;

int open_path(const char *path)
{
	opened = open(path, O_RDWR | O_CLOEXEC);
	return opened < 0 ? errno : 0;
}

static int open_region(void)
{
	return open_path(region_path);
}

static int open_control(void)
{
	return open_path("/dev/iopmem-control");
}

void close_opened(void)
{
	close(opened);
	opened = -1;
}

static void parse_bdf(__u32 *domain, __u8 *bus, __u8 *devfn)
{
	unsigned int d, b, s, f;

	if (sscanf(faults_bdf, "%x:%x:%x.%x", &d, &b, &s, &f) != 4)
		die("%s is no PCI address", faults_bdf);
	*domain = d;
	*bus = b;
	*devfn = s << 3 | f;
}

static int prepare_bind(void)
{
	struct iopmem_device_bind arg = { .size = sizeof(arg), .bar_mask = 1 << 2 };

	parse_bdf(&arg.domain, &arg.bus, &arg.devfn);
	if (!ioctl(control, IOPMEM_IOC_PREPARE_BIND, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static void open_control_file(void)
{
	control = open("/dev/iopmem-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		die("cannot open /dev/iopmem-control: %s", strerror(errno));
}

static void close_control_file(void)
{
	close(control);
	control = -1;
}

static int driver_file(const char *name)
{
	char path[128];
	int file;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/iopmem/%s", name);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		die("cannot open %s: %s", path, strerror(errno));
	return file;
}

static int bind_file = -1, unbind_file = -1;

void find_driver(void)
{
	bind_file = driver_file("bind");
	unbind_file = driver_file("unbind");
}

// With a preparation, so that the driver's own word about it can be asked for.
static void prepare_for_bind(void)
{
	open_control_file();
	if (prepare_bind())
		die("cannot prepare: %s", faults_reason);
}

static int is_bound(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/iopmem/%s", faults_bdf);
	return !access(path, F_OK);
}

static int bind_function(void)
{
	return try_write(bind_file, faults_bdf);
}

// What the driver says must go with what happened. Nobody asked it if the core
// failed before its probe or after.
static void check_bind(int error)
{
	static struct iopmem_bind_result result;

	result.size = sizeof(result);
	if ((error == 0) != is_bound())
		die("bind says %s, and the function is %sbound", error ? strerrorname_np(error) : "OK",
		    is_bound() ? "" : "not ");
	if (ioctl(control, IOPMEM_IOC_GET_BIND_RESULT, &result)) {
		if (errno != EAGAIN || !error)
			die("there is no result of a bind: %s", strerrorname_np(errno));
		return;
	}
	if (result.error && !error)
		die("it is bound, and the result is %s", result.reason);
	if (result.error && result.error != (__u32)error)
		die("bind says %s, the result %s: %s", strerrorname_np(error),
		    strerrorname_np(result.error), result.reason);
	if (result.error && !result.reason[0])
		die("a failed bind has no reason");
}

void forget_region(void)
{
	if (faults_region >= 0)
		close(faults_region);
	faults_region = -1;
}

// The region's number can be another one after each bind.
void find_region(void)
{
	char path[128];
	struct dirent **entries;
	int n;

	forget_region();
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iopmem", faults_bdf);
	n = scandir(path, &entries, is_ours, alphasort);
	if (n < 1)
		die("%s has no region", faults_bdf);
	snprintf(region_name, sizeof(region_name), "%.31s", entries[0]->d_name);
	snprintf(region_path, sizeof(region_path), "/dev/%s", region_name);
	while (n)
		free(entries[--n]);
	free(entries);
	faults_region = open(region_path, O_RDWR | O_CLOEXEC);
	if (faults_region < 0)
		die("cannot open %s: %s", region_path, strerror(errno));
}

int unbind(void)
{
	return try_write(unbind_file, faults_bdf);
}

static void surely_unbind(void)
{
	int error = unbind();

	if (error)
		die("cannot unbind %s: %s", faults_bdf, strerrorname_np(error));
	close_control_file();
}

void surely_bind(void)
{
	int error = try_write(bind_file, faults_bdf);

	if (error)
		die("cannot bind %s: %s", faults_bdf, strerrorname_np(error));
	find_region();
}

// The region's node, still open, belongs to nothing.
static void all_gone(void)
{
	static char now[SNAPSHOT_SIZE];

	snapshot(now);
	if (is_bound() || strstr(now, region_name))
		die("after an unbind there still is:\n%s", now);
	surely_bind();
}

static int retire(void)
{
	struct iopmem_device_retire arg = {
		.size = sizeof(arg), .flags = IOPMEM_DEVICE_RETIRE_F_REVOKE,
	};

	parse_bdf(&arg.domain, &arg.bus, &arg.devfn);
	if (!ioctl(control, IOPMEM_IOC_RETIRE_DEVICE, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

// Itself: what is asked for is the path to the root.
static int judge_client(void)
{
	struct iopmem_client arg = { .size = sizeof(arg) };

	parse_bdf(&arg.domain, &arg.bus, &arg.devfn);
	if (!ioctl(faults_region, IOPMEM_IOC_JUDGE_CLIENT, &arg))
		return 0;
	memcpy(faults_reason, arg.reason, sizeof(faults_reason));
	return errno;
}

static void before_retire(void)
{
	surely_create();
	open_control_file();
}

static void close_control_and_destroy(void)
{
	close_control_file();
	surely_destroy();
}

const struct call unbinding_calls[] = {
	{ "open the region", .make = open_region, .undo = close_opened },
	{ "open the control node", .make = open_control, .undo = close_opened },
	{ "judge a client", .make = judge_client },
	{ "retire", .prepare = before_retire, .make = retire, .undo = close_control_file,
	  .cancel = close_control_and_destroy },
	// The driver cannot refuse this one; the file system of the file can.
	{ "unbind", .prepare = surely_create, .make = unbind, .undo = all_gone,
	  .cancel = surely_destroy },
	{ NULL },
};

const struct call binding_calls[] = {
	{ "prepare a bind", .prepare = open_control_file, .make = prepare_bind,
	  .undo = close_control_file, .cancel = close_control_file },
	{ "bind", .prepare = prepare_for_bind, .make = bind_function, .check = check_bind,
	  .undo = surely_unbind, .cancel = close_control_file },
	{ NULL },
};
