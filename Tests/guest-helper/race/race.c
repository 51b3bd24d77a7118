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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../kmod/include/uapi/linux/iopmem.h"
#include "../guest.h"
#include "race.h"

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

const char *race_bdf, *race_drive;
volatile int *race_over;
static __u64 seed;

// Shared with the parent.
static struct tally {
	unsigned long tried, worked;
} *tally;

// Who has a turn, and how many stand aside for it meanwhile.
static struct turn {
	const void *whose;
	unsigned int aside;
} *turn;

// --- Chance --------------------------------------------------------------------

__u64 race_chance(void)
{
	__u64 word = seed += 0x9e3779b97f4a7c15;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
	word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
	return word ^ (word >> 31);
}

__u64 below(__u64 limit)
{
	return race_chance() % limit;
}

int once_in(unsigned int n)
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
void breathe(unsigned int milliseconds)
{
	usleep(below(milliseconds) * slowness * 1000);
}

void count(int worked)
{
	tally->tried++;
	tally->worked += worked;
}

// --- What there is now ---------------------------------------------------------

// One of the names in a folder that begin like this, at random.
int pick(const char *folder, const char *prefix, int with_n, char *name, size_t size)
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

int read_uuid(const char *name, __u8 *uuid)
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

int write_text(const char *path, const char *text)
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
int touch(volatile char *memory, size_t length)
{
	if (sigsetjmp(taken_away, 1))
		return 0;
	for (int i = 0; i < 64; i++) {
		volatile char *byte = memory + below(length);

		*byte = *byte + 1;
	}
	return 1;
}

// --- Turns ---------------------------------------------------------------------

static unsigned int nr_roles(void);

static void stand_aside(void)
{
	close_nodes();
	__atomic_add_fetch(&turn->aside, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&turn->whose, __ATOMIC_SEQ_CST) && !*race_over)
		usleep(10000);
	__atomic_sub_fetch(&turn->aside, 1, __ATOMIC_SEQ_CST);
}

void end_turn(void)
{
	__atomic_store_n(&turn->whose, NULL, __ATOMIC_SEQ_CST);
}

// Waits until all others have ended their step and closed their files; 0 if somebody else
// has a turn, or the time is over.
int take_turn(void)
{
	const void *nobody = NULL;

	if (!__atomic_compare_exchange_n(&turn->whose, &nobody, tally, 0, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return 0;
	while (__atomic_load_n(&turn->aside, __ATOMIC_SEQ_CST) < nr_roles() - 1) {
		if (*race_over) {
			end_turn();
			return 0;
		}
		usleep(10000);
	}
	return 1;
}

// --- The processes -------------------------------------------------------------

static const struct role {
	const char *name;
	void (*step)(void);
} roles[] = {
	{ "ioctls", race_ioctls },
	{ "more ioctls", race_ioctls },
	{ "node", race_node },
	{ "binding", race_binding },
	{ "attributes", race_attributes },
	{ "disk", race_disk },
	{ "more disk", race_disk },
	{ "mount", race_mount },
	{ "mapping", race_mapping },
	{ "dma-bufs", race_lend },
	{ "module", race_module },
};

static unsigned int nr_roles(void)
{
	return COUNT(roles);
}

static void play(const struct role *role)
{
	struct sigaction action = { .sa_handler = on_bus_error };

	sigaction(SIGBUS, &action, NULL);
	open_nodes();
	while (!*race_over) {
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
	race_bdf = argv[0];
	race_drive = argv[1];
	end = now() + atoi(argv[2]);
	latest = now() + PATIENCE * atoi(argv[2]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return fail("mmap");
	all = shared->tallies;
	turn = &shared->turn;
	race_over = &shared->over;
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
	*race_over = 1;
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
