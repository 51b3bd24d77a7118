// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "CMemory.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

// Set only while this thread is inside iopmem_guarded_copy().
struct guard {
	sigjmp_buf escape;
	const char *to, *from;
	size_t n;
};
static _Thread_local struct guard *volatile current;
static struct sigaction before;

static bool within(const char *p, const char *start, size_t n)
{
	return p >= start && p < start + n;
}

static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	struct guard *guard = current;
	const char *address = info->si_addr;

	(void)context;
	if (guard && (within(address, guard->to, guard->n) ||
		      within(address, guard->from, guard->n)))
		siglongjmp(guard->escape, 1);
	// Not ours: the access is repeated under the old disposition.
	sigaction(signal, &before, NULL);
}

int iopmem_guard_install(void)
{
	static atomic_flag installed = ATOMIC_FLAG_INIT;
	struct sigaction action = {
		.sa_sigaction = on_bus_error,
		// The mask is not saved by sigsetjmp(…, 0), which keeps it
		// cheap, so the signal must not be blocked in the handler.
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	if (atomic_flag_test_and_set(&installed))
		return 0;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, &before) ? errno : 0;
}

int iopmem_guarded_copy(void *to, const void *from, size_t n)
{
	struct guard guard = { .to = to, .from = from, .n = n };
	int result = EIO;

	if (sigsetjmp(guard.escape, 0) == 0) {
		current = &guard;
		atomic_signal_fence(memory_order_seq_cst);
		memcpy(to, from, n);
		atomic_signal_fence(memory_order_seq_cst);
		current = NULL;
		return 0;
	}
	current = NULL;
	return result;
}

static volatile sig_atomic_t stop_signal;
static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };
enum { STOP_SIGNALS = sizeof(stop_signals) / sizeof(stop_signals[0]) };
static struct sigaction stop_before[STOP_SIGNALS];

static void on_stop(int signal)
{
	stop_signal = signal;
}

int iopmem_stop_install(void)
{
	// System calls are restarted: a transfer that runs is let through, and
	// what it overwrote can be put back.
	struct sigaction action = { .sa_handler = on_stop, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	stop_signal = 0;
	for (int i = 0; i < STOP_SIGNALS; i++) {
		if (sigaction(stop_signals[i], NULL, &stop_before[i]))
			return errno;
		// What the parent had ignored (nohup) stays ignored.
		if (stop_before[i].sa_handler == SIG_IGN)
			continue;
		if (sigaction(stop_signals[i], &action, NULL))
			return errno;
	}
	return 0;
}

void iopmem_stop_uninstall(void)
{
	for (int i = 0; i < STOP_SIGNALS; i++)
		sigaction(stop_signals[i], &stop_before[i], NULL);
	stop_signal = 0;
}

int iopmem_stop_signal(void)
{
	return stop_signal;
}
