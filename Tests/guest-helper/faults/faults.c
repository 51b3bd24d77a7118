// SPDX-License-Identifier: GPL-2.0
//
//   iopmem-guest faults BDF [CALL]
//       BDF is bound to iopmem, has no namespace, and nobody else uses it. Each
//       call below is made again and again; the first time its first allocation
//       fails, then its second, until it makes no more of them. A call that
//       fails must say ENOMEM, unless the kernel lost that, and leave everything
//       as it was; the next one without a fault must work. Prints a line for
//       each call. With CALL, makes only the one of that name.
//
// The kernel counts (Documentation/fault-injection/fault-injection.rst,
// fail-nth): what this task allocates, in process context.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../guest.h"
#include "faults.h"

const char *faults_bdf;
char faults_reason[IOPMEM_REASON_LEN];
void *faults_buffer;

static int faults = -1;

// More than any call allocates; a loop that gets there makes no progress.
#define MOST_ALLOCATIONS 5000

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	exit(1);
}

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
	static char before[SNAPSHOT_SIZE], after[SNAPSHOT_SIZE];
	int failed = 0, survived = 0;

	for (int n = 1; n < MOST_ALLOCATIONS; n++) {
		int error, came;

		if (call->prepare)
			call->prepare();
		snapshot(before);
		faults_reason[0] = '\0';
		arm(n);
		error = call->make();
		came = disarm();
		if (call->check)
			call->check(error);
		if (error && !came)
			die("%s fails by itself: %s: %s", call->name, strerrorname_np(error),
			    faults_reason);
		// device_add_disk() drops the error of dev_set_name() (block/genhd.c), and then
		// misses the name.
		if (error && error != ENOMEM &&
		    !(error == EINVAL && !strncmp(faults_reason, "the disk ", 9) &&
		      strstr(faults_reason, " cannot be added (error -22)"))) {
			int again = call->make();

			snapshot(after);
			die("%s, allocation %d: %s: %s; again, without a fault: %s\n%s", call->name, n,
			    strerrorname_np(error), faults_reason,
			    again ? strerrorname_np(again) : "OK", after);
		}
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

static const char *only;

static void fail_all(const struct call *calls)
{
	for (; calls->name; calls++)
		if (!only || !strcmp(only, calls->name))
			fail_each(calls);
}

int faults_command(int argc, char **argv)
{
	if (argc < 1 || argc > 2)
		return 64;
	faults_bdf = argv[0];
	only = argv[1];
	faults_buffer = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	faults = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (faults_buffer == MAP_FAILED || faults < 0)
		return fail("/proc/thread-self/fail-nth");
	find_driver();
	find_region();
	fail_all(namespace_calls);
	fail_all(lending_calls);
	fail_all(unbinding_calls);
	forget_region();
	if (unbind())
		die("cannot unbind");
	fail_all(binding_calls);
	surely_bind();
	surely_create();
	surely_destroy();
	return 0;
}
