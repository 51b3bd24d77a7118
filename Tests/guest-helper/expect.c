// SPDX-License-Identifier: GPL-2.0
// Checks that say what they found, and go on; stores that may not be possible.
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"

static int failures;
static sigjmp_buf landing;

void expect(int truth, const char *what)
{
	printf("%s %s", truth ? "ok" : "failed", what);
	if (!truth)
		printf(" (errno %s)", errno ? strerrorname_np(errno) : "0");
	puts("");
	failures += !truth;
	errno = 0;
}

int expectations_failed(void)
{
	return failures ? 1 : 0;
}

static void land(int signal)
{
	siglongjmp(landing, signal);
}

void catch_faults(void)
{
	signal(SIGBUS, land);
	signal(SIGSEGV, land);
}

int store(volatile char *at, char value)
{
	int signal = sigsetjmp(landing, 1);

	if (!signal)
		*at = value;
	return signal;
}
