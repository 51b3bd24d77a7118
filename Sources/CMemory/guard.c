// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "CMemory.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

// Set only while this thread is inside iopmem_guarded_copy() or iopmem_guarded_flush().
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

// By the widest accesses that every processor of the kind has. memcpy may choose byte-wise string
// instructions for long copies: on uncached memory each byte is then a transaction of its own, and
// emulators take them one by one.
static void wide_copy(char *to, const char *from, size_t n)
{
#if defined(__x86_64__)
	for (; n >= 64; n -= 64, to += 64, from += 64) {
		__m128i a = _mm_loadu_si128((const __m128i *)from);
		__m128i b = _mm_loadu_si128((const __m128i *)(from + 16));
		__m128i c = _mm_loadu_si128((const __m128i *)(from + 32));
		__m128i d = _mm_loadu_si128((const __m128i *)(from + 48));

		_mm_storeu_si128((__m128i *)to, a);
		_mm_storeu_si128((__m128i *)(to + 16), b);
		_mm_storeu_si128((__m128i *)(to + 32), c);
		_mm_storeu_si128((__m128i *)(to + 48), d);
	}
#endif
	for (; n >= sizeof(uint64_t); n -= 8, to += 8, from += 8) {
		uint64_t word;

		memcpy(&word, from, sizeof(word));
		memcpy(to, &word, sizeof(word));
		// Or the compiler would see that this is memcpy.
		atomic_signal_fence(memory_order_seq_cst);
	}
	for (; n; n--)
		*to++ = *from++;
}

int iopmem_guarded_copy(void *to, const void *from, size_t n)
{
	struct guard guard = { .to = to, .from = from, .n = n };

	if (sigsetjmp(guard.escape, 0) == 0) {
		current = &guard;
		atomic_signal_fence(memory_order_seq_cst);
		wide_copy(to, from, n);
		atomic_signal_fence(memory_order_seq_cst);
		current = NULL;
		return 0;
	}
	current = NULL;
	return EIO;
}

int iopmem_guarded_flush(const void *from, size_t n)
{
#if defined(__x86_64__)
	// CLFLUSH, on every x86-64: what is not in a cache costs little. Intel SDM, CLFLUSH: ordered
	// with stores to the line; MFENCE orders it with all else.
	enum { LINE = 64 };
	const char *p = (const char *)((uintptr_t)from & ~(uintptr_t)(LINE - 1));
	struct guard guard = { .to = from, .from = from, .n = n };

	if (sigsetjmp(guard.escape, 0) == 0) {
		current = &guard;
		atomic_signal_fence(memory_order_seq_cst);
		__builtin_ia32_mfence();
		for (; p < (const char *)from + n; p += LINE)
			__builtin_ia32_clflush(p);
		__builtin_ia32_mfence();
		atomic_signal_fence(memory_order_seq_cst);
		current = NULL;
		return 0;
	}
	current = NULL;
	return EIO;
#else
	(void)from;
	(void)n;
	return EOPNOTSUPP;
#endif
}
