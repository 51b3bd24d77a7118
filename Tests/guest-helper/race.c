// SPDX-License-Identifier: GPL-2.0
//
//   iopmem-guest race BDF DRIVE SECONDS SEED
//       Processes that do to one card at once, at random and for that long, all
//       that can be done to it: every ioctl with sensible and with wild
//       arguments, every file in sysfs, I/O, mappings, mounts, and taking the
//       module away. DRIVE does DMA into mappings. What each of them answers is
//       not looked at; that nothing hangs is, and the kernel's log is somebody
//       else's task. Prints how often each did something and how often it
//       worked.
//
// The same seed gives each process the same choices, not the same schedule. What
// others would hardly ever let happen gets a turn in which they stand aside.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

// How long a process may take to finish its last step.
#define GRACE 120
// So often each of them must have succeeded in something, or it goes on, at most
// this many times longer than asked for: an emulated machine may be that slow.
#define ENOUGH 3
#define PATIENCE 8
// Milliseconds that a program takes to start in an emulated machine, and how many times longer
// is waited for at most.
#define ORDINARY 100
#define SLOWEST 10

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *bdf, *drive_path;
static __u64 seed;

// Shared with the parent.
static struct tally {
	unsigned long tried, worked;
} *tally;
static volatile int *over;

// Who has a turn, and how many stand aside for it meanwhile.
static struct turn {
	const void *whose;
	unsigned int aside;
} *turn;

// Who fails more often than this has a turn.
#define UNLUCKY 3

// --- Chance --------------------------------------------------------------------

static __u64 chance(void)
{
	__u64 word = seed += 0x9e3779b97f4a7c15;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
	word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
	return word ^ (word >> 31);
}

static __u64 below(__u64 limit)
{
	return chance() % limit;
}

static int once_in(unsigned int n)
{
	return !below(n);
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

// How many times longer a program takes to start than in an ordinary emulated machine.
static unsigned int slowness = 1;

static void measure_slowness(void)
{
	struct timespec start, end;
	long milliseconds;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (system("mkfs.ext4 -V 2>/dev/null"))
		return;
	clock_gettime(CLOCK_MONOTONIC, &end);
	milliseconds = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
	slowness = milliseconds < ORDINARY ? 1 : milliseconds / ORDINARY;
	if (slowness > SLOWEST)
		slowness = SLOWEST;
}

// Others need a window, too, in which they get as far as on a faster machine.
static void breathe(unsigned int milliseconds)
{
	usleep(below(milliseconds) * slowness * 1000);
}

static void count(int worked)
{
	tally->tried++;
	tally->worked += worked;
}

// --- What there is now ---------------------------------------------------------

// One of the names in a folder that begin like this, at random.
static int pick(const char *folder, const char *prefix, int with_n, char *name, size_t size)
{
	DIR *stream = opendir(folder);
	struct dirent *entry;
	unsigned int seen = 0;

	if (!stream)
		return 0;
	while ((entry = readdir(stream))) {
		const char *rest = entry->d_name + strlen(prefix);

		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		if (with_n >= 0 && (*rest < '0' || *rest > '9' || !!strchr(rest, 'n') != with_n))
			continue;
		if (once_in(++seen))
			snprintf(name, size, "%.60s", entry->d_name);
	}
	closedir(stream);
	return seen;
}

static int read_uuid(const char *name, __u8 *uuid)
{
	char path[160], text[64] = "";
	int file, digit = 0;

	snprintf(path, sizeof(path), "/sys/class/iopmem/%s/uuid", name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(file);
	memset(uuid, 0, IOPMEM_UUID_LEN);
	for (char *c = text; *c && digit < 32; c++) {
		int value = *c >= '0' && *c <= '9' ? *c - '0'
			  : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10 : -1;

		if (value < 0)
			continue;
		uuid[digit / 2] |= digit % 2 ? value : value << 4;
		digit++;
	}
	return digit == 32;
}

static int write_text(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CLOEXEC), worked;

	if (file < 0)
		return 0;
	worked = write(file, text, strlen(text)) > 0;
	close(file);
	return worked;
}

// --- Memory that goes away -----------------------------------------------------

static sigjmp_buf taken_away;

static void on_bus_error(int number)
{
	siglongjmp(taken_away, number);
}

// Touches some bytes of a mapping; 0 if it was taken away meanwhile.
static int touch(volatile char *memory, size_t length)
{
	if (sigsetjmp(taken_away, 1))
		return 0;
	for (int i = 0; i < 64; i++) {
		volatile char *byte = memory + below(length);

		*byte = *byte + 1;
	}
	return 1;
}

// --- ioctls --------------------------------------------------------------------

// The argument lies at a page's end, and what is behind it cannot be reached.
static unsigned char *pages;
static long page;

static int nodes[6];

static void close_nodes(void)
{
	for (size_t i = 0; i < COUNT(nodes); i++) {
		if (nodes[i] >= 0)
			close(nodes[i]);
		nodes[i] = -1;
	}
}

// Open files are kept for a while: what belongs to them does as well.
static int some_node(void)
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

	if (sscanf(bdf, "%x:%x:%x.%x", &d, &b, &s, &f) != 4)
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

static size_t sensible(unsigned int nr, void *arg, struct iopmem_range *wipes)
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

		create->mode = once_in(4) ? IOPMEM_MODE_RAW : IOPMEM_MODE_FSDAX;
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
			create->uuid[i] = chance();
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
	default:
		return sizeof(struct iopmem_version);
	}
}

static void call_driver(void)
{
	// Who retires a device keeps others from creating, so that is rare.
	static const __u8 numbers[] = { 0x00, 0x01, 0x02, 0x10, 0x10, 0x10, 0x10, 0x10,
					0x10, 0x10, 0x11, 0x12, 0x13, 0x20 };
	static const __u32 sizes[] = { 0, 4, 7, 55, 56, 200, 400, 4095, 4096, 4097, ~0U };
	static struct iopmem_range wipes[IOPMEM_MAX_WIPES];
	unsigned int nr = once_in(40) ? 0x03 : numbers[below(COUNT(numbers))];
	unsigned char *arg = pages;
	int node = some_node();
	size_t size;

	if (node < 0) {
		breathe(50);
		return;
	}
	memset(pages, 0, 2 * page);
	size = sensible(nr, pages, wipes);
	*(__u32 *)pages = size;
	if (once_in(4)) {
		for (__u64 flips = 1 + below(4); flips; flips--)
			pages[below(size)] = chance();
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
		count(!ioctl(node, once_in(2) ? _IO(IOPMEM_IOC_MAGIC, below(256)) : chance(), arg));
	else
		count(!ioctl(node, _IO(IOPMEM_IOC_MAGIC, nr), arg));
	breathe(10);
}

// What is not an ioctl of a region's node.
static void use_node(void)
{
	static char bytes[1 << 16];
	int node = some_node();
	void *memory;

	breathe(20);
	if (node < 0)
		return;
	switch (below(5)) {
	case 0:
		count(lseek(node, once_in(4) ? chance() : below(1 << 28), below(5)) >= 0);
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
			    once_in(8) ? chance() : below(1 << 28)) > 0);
	}
}

// --- sysfs ---------------------------------------------------------------------

static int write_device(const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	return write_text(path, text);
}

static void change_binding(void)
{
	static const char driver[] = "/sys/bus/pci/drivers/iopmem";
	char path[160];

	breathe(300);
	snprintf(path, sizeof(path), "%s/%s", driver, bdf);
	if (access(path, F_OK) && !once_in(4)) {
		write_device("driver_override", "iopmem");
		count(write_text("/sys/bus/pci/drivers_probe", bdf));
		return;
	}
	switch (below(12)) {
	case 0:
		count(write_device("remove", "1"));
		breathe(100);
		write_text("/sys/bus/pci/rescan", "1");
		write_device("driver_override", "iopmem");
		break;
	case 1:
		write_text("/sys/bus/pci/drivers/iopmem/new_id", "1af4 1110");
		count(write_text("/sys/bus/pci/drivers/iopmem/remove_id", "1af4 1110"));
		break;
	case 2:
		count(write_device("driver_override", once_in(2) ? "\n" : "iopmem"));
		break;
	case 3:
	case 4:
	case 5:
		count(write_device("reset", "1"));
		break;
	case 6:
		write_text("/sys/bus/pci/rescan", "1");
		break;
	case 7:
	case 8:
		snprintf(path, sizeof(path), "%s/bind", driver);
		count(write_text(path, bdf));
		break;
	default:
		snprintf(path, sizeof(path), "%s/unbind", driver);
		count(write_text(path, bdf));
	}
}

static void read_folder(const char *folder)
{
	DIR *stream = opendir(folder);
	struct dirent *entry;
	char text[4096];

	if (!stream)
		return;
	while ((entry = readdir(stream))) {
		int file;

		if (entry->d_type != DT_REG)
			continue;
		file = openat(dirfd(stream), entry->d_name, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		count(read(file, text, sizeof(text)) >= 0);
		close(file);
	}
	closedir(stream);
}

static void read_attributes(void)
{
	char name[64], path[160];

	if (pick("/sys/class/iopmem", "iopmem", -1, name, sizeof(name))) {
		snprintf(path, sizeof(path), "/sys/class/iopmem/%s", name);
		read_folder(path);
	}
	if (pick("/sys/block", "iopmem", -1, name, sizeof(name))) {
		snprintf(path, sizeof(path), "/sys/block/%s", name);
		read_folder(path);
		snprintf(path, sizeof(path), "/sys/block/%s/queue", name);
		read_folder(path);
	}
	breathe(500);
}

// --- Turns ---------------------------------------------------------------------

static unsigned int nr_roles(void);

static void stand_aside(void)
{
	close_nodes();
	__atomic_add_fetch(&turn->aside, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&turn->whose, __ATOMIC_SEQ_CST) && !*over)
		usleep(10000);
	__atomic_sub_fetch(&turn->aside, 1, __ATOMIC_SEQ_CST);
}

static void end_turn(void)
{
	__atomic_store_n(&turn->whose, NULL, __ATOMIC_SEQ_CST);
}

// Waits until all others have ended their step and closed their files; 0 if somebody else
// has a turn, or the time is over.
static int take_turn(void)
{
	const void *nobody = NULL;

	if (!__atomic_compare_exchange_n(&turn->whose, &nobody, tally, 0, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return 0;
	while (__atomic_load_n(&turn->aside, __ATOMIC_SEQ_CST) < nr_roles() - 1) {
		if (*over) {
			end_turn();
			return 0;
		}
		usleep(10000);
	}
	return 1;
}

// --- Using namespaces ----------------------------------------------------------

static int some_disk(char *path, size_t size)
{
	char name[64];

	if (!pick("/sys/block", "iopmem", 1, name, sizeof(name))) {
		breathe(50);
		return 0;
	}
	snprintf(path, size, "/dev/%s", name);
	return 1;
}

static void use_disk(void)
{
	static char *bytes;
	const size_t room = 1 << 17;
	char path[128];
	char *memory;
	int disk;

	if (!bytes)
		bytes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	if (!some_disk(path, sizeof(path)))
		return;
	disk = open(path, O_RDWR | O_CLOEXEC | (once_in(3) ? 0 : O_DIRECT)
		    | (once_in(8) ? O_EXCL : 0));
	count(disk >= 0);
	if (disk < 0) {
		breathe(50);
		return;
	}
	for (__u64 steps = below(40); steps; steps--) {
		size_t length = (1 + below(room / 512)) * 512;
		off_t offset = below(1 << 13) * 512;

		switch (below(8)) {
		case 0:
			count(!fsync(disk));
			break;
		case 1:
			count(!fallocate(disk, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset,
					 length));
			break;
		case 2:
			memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, disk, 0);
			if (memory == MAP_FAILED)
				break;
			count(touch(memory, 1 << 20));
			munmap(memory, 1 << 20);
			break;
		case 3:
		case 4:
			count(pwrite(disk, bytes, length, offset) > 0);
			break;
		default:
			count(pread(disk, bytes, length, offset) > 0);
		}
	}
	close(disk);
	breathe(20);
}

static void use_file(const char *folder, int drive)
{
	const size_t length = 2 << 20;
	char path[128], *memory;
	int file;

	snprintf(path, sizeof(path), "%s/file", folder);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0)
		return;
	if (ftruncate(file, length))
		goto out;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		goto out;
	for (__u64 steps = below(200); steps && !*over; steps--) {
		size_t part = below(8) * 65536;

		switch (below(4)) {
		case 0:
			// The drive's DMA is a pin on pages of the card.
			count(pread(drive, memory + part, 65536, below(256) * 65536) > 0);
			break;
		case 1:
			count(!msync(memory, length, MS_SYNC));
			break;
		default:
			count(touch(memory, length));
		}
	}
	munmap(memory, length);
out:
	close(file);
}

// khugepaged has a file open while it looks at its pages, and closes it later
// (mm/khugepaged.c, collapse_single_pmd()), so a busy mount is asked again.
static int unmount(const char *folder, int flags)
{
	for (int tries = 0; umount2(folder, flags); tries++) {
		if (errno != EBUSY || tries == 100)
			return -1;
		usleep(100000);
	}
	return 0;
}

static int make_and_mount(const char *node, const char *folder)
{
	char command[256];

	snprintf(command, sizeof(command), "mkfs.ext4 -q -F -b 4096 %s %s 2>/dev/null",
		 once_in(2) ? "" : "-O ^has_journal", node);
	return !system(command) &&
	       !mount(node, folder, "ext4", 0, once_in(4) ? "" : "dax=always");
}

static void use_mount(void)
{
	static unsigned int failures;
	static int drive = -1;
	char node[128], folder[64];
	int alone, mounted;

	if (drive < 0)
		drive = open(drive_path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (!some_disk(node, sizeof(node)))
		return;
	snprintf(folder, sizeof(folder), "/run/race-%d", getpid());
	mkdir(folder, 0700);
	alone = failures > UNLUCKY && take_turn();
	// It may have gone before the others stood aside.
	mounted = (!alone || some_disk(node, sizeof(node))) && make_and_mount(node, folder);
	if (alone)
		end_turn();
	count(mounted);
	failures = mounted ? 0 : failures + 1;
	if (!mounted)
		return;
	use_file(folder, drive);
	// Nothing in it is open any more, so it must go, also when the card has gone.
	if (unmount(folder, once_in(4) ? MNT_DETACH : 0)) {
		printf("%s cannot be unmounted: %s\n", folder, strerrorname_np(errno));
		fflush(stdout);
		_exit(1);
	}
	rmdir(folder);
}

static int unload(void)
{
	return !syscall(SYS_delete_module, "iopmem", O_NONBLOCK);
}

static void change_module(void)
{
	static unsigned int failures;
	int gone;

	breathe(1500);
	if (once_in(2)) {
		gone = unload();
		if (!gone && failures > UNLUCKY && take_turn()) {
			// udev looks into new disks.
			for (int tries = 0; !(gone = unload()) && tries < 100; tries++)
				usleep(100000);
			end_turn();
		}
		count(gone);
		failures = gone ? 0 : failures + 1;
	}
	if (access("/sys/module/iopmem", F_OK))
		count(!system("modprobe iopmem 2>/dev/null"));
}

// --- The processes -------------------------------------------------------------

static const struct role {
	const char *name;
	void (*step)(void);
} roles[] = {
	{ "ioctls", call_driver },
	{ "more ioctls", call_driver },
	{ "node", use_node },
	{ "binding", change_binding },
	{ "attributes", read_attributes },
	{ "disk", use_disk },
	{ "more disk", use_disk },
	{ "mount", use_mount },
	{ "module", change_module },
};

static unsigned int nr_roles(void)
{
	return COUNT(roles);
}

static void play(const struct role *role)
{
	struct sigaction action = { .sa_handler = on_bus_error };

	sigaction(SIGBUS, &action, NULL);
	for (size_t i = 0; i < COUNT(nodes); i++)
		nodes[i] = -1;
	pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + 2 * page, page, PROT_NONE))
		_exit(2);
	while (!*over) {
		if (__atomic_load_n(&turn->whose, __ATOMIC_SEQ_CST))
			stand_aside();
		else
			role->step();
	}
	_exit(0);
}

// Where a process hangs.
static void tell_stack(const struct role *role, pid_t pid)
{
	char command[160];

	printf("%s (%d) does not end:\n", role->name, pid);
	fflush(stdout);
	snprintf(command, sizeof(command), "grep State /proc/%d/status; cat /proc/%d/stack", pid,
		 pid);
	if (system(command))
		puts("it has gone meanwhile");
}

static int all_have_worked(const volatile struct tally *all)
{
	for (size_t i = 0; i < COUNT(roles); i++)
		if (all[i].worked < ENOUGH)
			return 0;
	return 1;
}

int race_command(int argc, char **argv)
{
	struct {
		struct tally tallies[COUNT(roles)];
		struct turn turn;
		int over;
	} *shared;
	pid_t pids[COUNT(roles)];
	struct tally *all;
	int status = 0;
	time_t end, latest;

	if (argc != 4)
		return 64;
	bdf = argv[0];
	drive_path = argv[1];
	end = now() + atoi(argv[2]);
	latest = now() + PATIENCE * atoi(argv[2]);
	page = sysconf(_SC_PAGESIZE);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return fail("mmap");
	all = shared->tallies;
	turn = &shared->turn;
	over = &shared->over;
	measure_slowness();
	for (size_t i = 0; i < COUNT(roles); i++) {
		seed = strtoull(argv[3], NULL, 0) + i;
		tally = &all[i];
		pids[i] = fork();
		if (pids[i] < 0)
			return fail("fork");
		if (!pids[i])
			play(&roles[i]);
	}
	while (now() < end || (now() < latest && !all_have_worked(all)))
		usleep(100000);
	*over = 1;
	end = now();
	for (size_t i = 0; i < COUNT(roles); i++) {
		int how = 0;
		pid_t gone;

		while (!(gone = waitpid(pids[i], &how, WNOHANG)) && now() < end + GRACE)
			usleep(50000);
		if (!gone) {
			tell_stack(&roles[i], pids[i]);
			kill(pids[i], SIGKILL);
			status = 1;
		} else if (how) {
			printf("%s ended with %#x\n", roles[i].name, how);
			status = 1;
		}
		printf("%s: %lu tried, %lu worked\n", roles[i].name, all[i].tried, all[i].worked);
	}
	return status;
}
