// SPDX-License-Identifier: GPL-2.0
//
//   iopmem-guest faults BDF
//       BDF is bound to iopmem, has no namespace, and nobody else uses it. Each
//       call below is made again and again; the first time its first allocation
//       fails, then its second, until it makes no more of them. A call that
//       fails must say ENOMEM, unless the kernel lost that, and leave everything
//       as it was; the next one without a fault must work. Prints a line for
//       each call.
//
// The kernel counts (Documentation/fault-injection/fault-injection.rst,
// fail-nth): what this task allocates, in process context.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

// More than any call allocates; a loop that gets there makes no progress.
#define MOST_ALLOCATIONS 5000

static const char *bdf;
static int control = -1, region = -1, node = -1;
static int faults = -1;
static char region_path[64], region_name[32];
static void *buffer;

struct call {
	const char *name;
	void (*prepare)(void);
	// 0 or an errno. Says more about it in reason.
	int (*make)(void);
	// Looks closer at what it returned.
	void (*check)(int error);
	// What remains is cleaned up after it succeeded, or failed.
	void (*undo)(void);
	void (*cancel)(void);
};

static char reason[IOPMEM_REASON_LEN];

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	exit(1);
}

// Without a stop at the first error; 0 or an errno.
static int try_write(int file, const char *text)
{
	return write(file, text, strlen(text)) < 0 ? errno : 0;
}

// --- What there is -------------------------------------------------------------

static char state[1 << 16];

static void note(char **end, const char *text)
{
	size_t room = state + sizeof(state) - *end;

	*end += snprintf(*end, room, "%s\n", text);
	if (*end >= state + sizeof(state))
		die("there is too much to remember");
}

static int is_ours(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "iopmem", 6);
}

static void note_folder(char **end, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_ours, alphasort);

	note(end, path);
	for (int i = 0; i < n; i++) {
		note(end, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

// Names and claims: of regions, namespaces, disks, nodes, memory; who drives the
// function.
static void snapshot(char *copy)
{
	char *end = state, line[512], link[512];
	FILE *iomem = fopen("/proc/iomem", "re");
	ssize_t n;

	note_folder(&end, "/sys/class/iopmem");
	note_folder(&end, "/sys/block");
	note_folder(&end, "/sys/class/bdi");
	note_folder(&end, "/sys/bus/dax/devices");
	note_folder(&end, "/dev");
	while (iomem && fgets(line, sizeof(line), iomem))
		if (strstr(line, "iopmem"))
			note(&end, line);
	if (iomem)
		fclose(iomem);
	snprintf(line, sizeof(line), "/sys/bus/pci/devices/%s/driver", bdf);
	n = readlink(line, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	note(&end, link);
	snprintf(line, sizeof(line), "/sys/class/iopmem/%s/available_size", region_name);
	iomem = fopen(line, "re");
	if (iomem && fgets(line, sizeof(line), iomem))
		note(&end, line);
	if (iomem)
		fclose(iomem);
	strcpy(copy, state);
}

// --- The calls -----------------------------------------------------------------

static struct iopmem_namespace_create made;

static int create(__u32 mode)
{
	memset(&made, 0, sizeof(made));
	made.size = sizeof(made);
	made.mode = mode;
	made.map = mode == IOPMEM_MODE_RAW ? 0 : IOPMEM_MAP_MEM;
	made.length = 4 * IOPMEM_ALIGN;
	made.uuid[0] = 0x42;
	strcpy((char *)made.name, "faulty");
	if (!ioctl(region, IOPMEM_IOC_CREATE_NAMESPACE, &made))
		return 0;
	memcpy(reason, made.reason, sizeof(reason));
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

static int destroy(void)
{
	struct iopmem_range wipe = { .offset = 4096, .length = 4096 };
	struct iopmem_namespace_destroy arg = {
		.size = sizeof(arg), .id = made.id, .nr_wipes = 1, .wipes = (__u64)(uintptr_t)&wipe,
	};

	memcpy(arg.uuid, made.uuid, sizeof(arg.uuid));
	if (!ioctl(region, IOPMEM_IOC_DESTROY_NAMESPACE, &arg))
		return 0;
	memcpy(reason, arg.reason, sizeof(reason));
	return errno;
}

// udev looks at every new disk, and has it open for a moment.
static void surely_destroy(void)
{
	int error;

	for (int try = 0; (error = destroy()) == EBUSY && try < 500; try++)
		usleep(20000);
	if (error)
		die("a namespace cannot be destroyed: %s: %s", strerrorname_np(error), reason);
}

static void surely_create(void)
{
	int error = create_fsdax();

	if (error)
		die("no namespace can be created: %s: %s", strerrorname_np(error), reason);
}

static void open_node(void)
{
	char path[64];

	surely_create();
	snprintf(path, sizeof(path), "/dev/%sn%u", region_name, made.id);
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
	return pread(node, buffer, 65536, 0) == 65536 ? 0 : errno;
}

static int write_block(void)
{
	return pwrite(node, buffer, 65536, 0) == 65536 ? 0 : errno;
}

static int flush_block(void)
{
	return fsync(node) ? errno : 0;
}

static int read_region(void)
{
	return pread(region, buffer, 8192, 100) == 8192 ? 0 : errno;
}

static int opened = -1;

static int open_path(const char *path)
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

static int open_block(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/%sn%u", region_name, made.id);
	return open_path(path);
}

static void close_opened(void)
{
	close(opened);
	opened = -1;
}

static void parse_bdf(__u32 *domain, __u8 *bus, __u8 *devfn)
{
	unsigned int d, b, s, f;

	if (sscanf(bdf, "%x:%x:%x.%x", &d, &b, &s, &f) != 4)
		die("%s is no PCI address", bdf);
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
	memcpy(reason, arg.reason, sizeof(reason));
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

// With a preparation, so that the driver's own word about it can be asked for.
static void prepare_for_bind(void)
{
	open_control_file();
	if (prepare_bind())
		die("cannot prepare: %s", reason);
}

static int is_bound(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/iopmem/%s", bdf);
	return !access(path, F_OK);
}

static int bind_function(void)
{
	return try_write(bind_file, bdf);
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

static void forget_region(void)
{
	if (region >= 0)
		close(region);
	region = -1;
}

// The region's number can be another one after each bind.
static void find_region(void)
{
	char path[128];
	struct dirent **entries;
	int n;

	forget_region();
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iopmem", bdf);
	n = scandir(path, &entries, is_ours, alphasort);
	if (n < 1)
		die("%s has no region", bdf);
	snprintf(region_name, sizeof(region_name), "%.31s", entries[0]->d_name);
	snprintf(region_path, sizeof(region_path), "/dev/%s", region_name);
	while (n)
		free(entries[--n]);
	free(entries);
	region = open(region_path, O_RDWR | O_CLOEXEC);
	if (region < 0)
		die("cannot open %s: %s", region_path, strerror(errno));
}

static int unbind(void)
{
	return try_write(unbind_file, bdf);
}

static void surely_unbind(void)
{
	int error = unbind();

	if (error)
		die("cannot unbind %s: %s", bdf, strerrorname_np(error));
	close_control_file();
}

static void surely_bind(void)
{
	int error = try_write(bind_file, bdf);

	if (error)
		die("cannot bind %s: %s", bdf, strerrorname_np(error));
	find_region();
}

// The region's node, still open, belongs to nothing.
static void all_gone(void)
{
	static char now[sizeof(state)];

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
	memcpy(reason, arg.reason, sizeof(reason));
	return errno;
}

static void before_retire(void)
{
	surely_create();
	open_control_file();
}

static int set_label_area(void)
{
	struct iopmem_label_area arg = { .size = sizeof(arg), .length = IOPMEM_ALIGN };

	if (!ioctl(region, IOPMEM_IOC_SET_LABEL_AREA, &arg))
		return 0;
	memcpy(reason, arg.reason, sizeof(reason));
	return errno;
}

static void clear_label_area(void)
{
	struct iopmem_label_area arg = { .size = sizeof(arg) };

	if (ioctl(region, IOPMEM_IOC_SET_LABEL_AREA, &arg))
		die("the label area cannot be given up: %s", arg.reason);
}

static int write_labels(void)
{
	struct iopmem_label_write arg = {
		.size = sizeof(arg), .offset = 4096, .length = 65536, .data = (__u64)(uintptr_t)buffer,
	};

	if (!ioctl(region, IOPMEM_IOC_WRITE_LABELS, &arg))
		return 0;
	memcpy(reason, arg.reason, sizeof(reason));
	return errno;
}

static void before_label_write(void)
{
	if (set_label_area())
		die("no label area: %s", reason);
}

static void close_and_destroy(void)
{
	close_opened();
	surely_destroy();
}

static void close_control_and_destroy(void)
{
	close_control_file();
	surely_destroy();
}

static const struct call while_bound[] = {
	{ "open the region", .make = open_region, .undo = close_opened },
	{ "open the control node", .make = open_control, .undo = close_opened },
	{ "read the region", .make = read_region },
	{ "create fsdax", .make = create_fsdax, .undo = surely_destroy },
	{ "create raw", .make = create_raw, .undo = surely_destroy },
	{ "destroy", .prepare = surely_create, .make = destroy, .cancel = surely_destroy },
	{ "retire", .prepare = before_retire, .make = retire, .undo = close_control_file,
	  .cancel = close_control_and_destroy },
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
	// The driver cannot refuse this one; the file system of the file can.
	{ "unbind", .prepare = surely_create, .make = unbind, .undo = all_gone,
	  .cancel = surely_destroy },
};

static const struct call while_unbound[] = {
	{ "prepare a bind", .prepare = open_control_file, .make = prepare_bind,
	  .undo = close_control_file, .cancel = close_control_file },
	{ "bind", .prepare = prepare_for_bind, .make = bind_function, .check = check_bind,
	  .undo = surely_unbind, .cancel = close_control_file },
};

// --- Making them fail ----------------------------------------------------------

static void arm(int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(faults, text, length, 0) != length)
		die("cannot ask for a fault: %s", strerror(errno));
}

// Whether the fault came.
static int disarm(void)
{
	char text[16] = "";

	if (pread(faults, text, sizeof(text) - 1, 0) < 0)
		die("cannot ask whether a fault came: %s", strerror(errno));
	arm(0);
	return !atoi(text);
}

static void fail_each(const struct call *call)
{
	static char before[sizeof(state)], after[sizeof(state)];
	int failed = 0, survived = 0;

	for (int n = 1; n < MOST_ALLOCATIONS; n++) {
		int error, came;

		if (call->prepare)
			call->prepare();
		snapshot(before);
		reason[0] = '\0';
		arm(n);
		error = call->make();
		came = disarm();
		if (call->check)
			call->check(error);
		if (error && !came)
			die("%s fails by itself: %s: %s", call->name, strerrorname_np(error), reason);
		// device_add_disk() drops the error of dev_set_name() (block/genhd.c), and then
		// misses the name.
		if (error && error != ENOMEM &&
		    !(error == EINVAL && !strncmp(reason, "the disk ", 9) &&
		      strstr(reason, " cannot be added (error -22)")))
			die("%s, allocation %d: %s: %s", call->name, n, strerrorname_np(error), reason);
		if (error) {
			snapshot(after);
			if (strcmp(before, after))
				die("%s failed at allocation %d and left something behind.\nbefore:\n%s"
				    "after:\n%s", call->name, n, before, after);
			failed++;
			if (call->cancel)
				call->cancel();
		} else {
			survived += came;
			if (call->undo)
				call->undo();
		}
		if (!came) {
			printf("%s: %d allocations failed the call, %d did not\n", call->name, failed,
			       survived);
			fflush(stdout);
			return;
		}
	}
	die("%s allocates without an end", call->name);
}

int faults_command(int argc, char **argv)
{
	if (argc != 1)
		return 64;
	bdf = argv[0];
	buffer = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	faults = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (buffer == MAP_FAILED || faults < 0)
		return fail("/proc/thread-self/fail-nth");
	bind_file = driver_file("bind");
	unbind_file = driver_file("unbind");
	find_region();
	for (size_t i = 0; i < sizeof(while_bound) / sizeof(*while_bound); i++)
		fail_each(&while_bound[i]);
	forget_region();
	if (unbind())
		die("cannot unbind");
	for (size_t i = 0; i < sizeof(while_unbound) / sizeof(*while_unbound); i++)
		fail_each(&while_unbound[i]);
	surely_bind();
	surely_create();
	surely_destroy();
	return 0;
}
