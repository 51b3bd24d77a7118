// SPDX-License-Identifier: GPL-2.0
/*
 * CPU access to the BAR.
 *
 * The mapping is write-combining, or uncached where that could not be had. Two
 * rules of such memory decide the instructions here.
 *
 * A load is a PCIe read of the load's own width, and the CPU waits a round trip
 * on the link for it. A byte-wise string copy is one transaction a byte, 64-bit
 * loads are 512 transactions for a page. A streaming load (MOVNTDQA) from
 * write-combining memory fetches a whole line of 64 bytes into a buffer of its
 * own, from which the next three are served (Intel SDM vol. 1, "Streaming Load
 * Hint Instruction"); from uncached memory it is a 16-byte load. That is worth
 * the FPU section it needs from the first line on: what saving the registers
 * costs is less than one round trip. 64-bit loads do the rest, and all of it
 * where the FPU cannot be had.
 *
 * An emulated processor has no round trips and takes twice as long for streaming
 * loads. So both are timed once on each BAR, as the kernel does with its RAID
 * parity routines (lib/raid6/algos.c); no list of processors knows better.
 *
 * Stores are posted, and combining buffers make 64-byte writes of them when
 * they come in order. MOVNTI does that for 8 bytes at a time and needs no FPU
 * section; wider stores would fill the same buffers. It leaves nothing in the
 * CPU's caches, whatever the mapping's type is.
 *
 * Loads survive what the device may answer: a poisoned completion is a machine
 * check, a page marked bad has no mapping any more.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>

#include "iopmem.h"

#define STREAM_LINE	64
/* Preemption is off for as long as one piece takes. */
#define STREAM_PIECE	SZ_4K
/* What a turn of a loop copies: two lines, or two combining buffers. */
#define BLOCK		128

/* A load that may fail; then label 9 follows, with what is left still counted. */
#define LOAD(label, insn)	#label ": " insn "\n"
#define MAY_FAIL(label)		_ASM_EXTABLE_TYPE(label##b, 9b, EX_TYPE_DEFAULT_MCE_SAFE)

/*
 * Copies 64-byte lines by streaming loads. No register is named as clobbered:
 * the compiler uses none of them in the kernel, the FPU section owns them.
 */
static size_t stream_lines(void **to, const void **bar, size_t lines)
{
	asm volatile(LOAD(1, "movntdqa   (%[bar]), %%xmm0")
		     LOAD(2, "movntdqa 16(%[bar]), %%xmm1")
		     LOAD(3, "movntdqa 32(%[bar]), %%xmm2")
		     LOAD(4, "movntdqa 48(%[bar]), %%xmm3")
		     "movups %%xmm0,   (%[to])\n"
		     "movups %%xmm1, 16(%[to])\n"
		     "movups %%xmm2, 32(%[to])\n"
		     "movups %%xmm3, 48(%[to])\n"
		     "add $64, %[bar]\n"
		     "add $64, %[to]\n"
		     "dec %[lines]\n"
		     "jnz 1b\n"
		     "9:\n"
		     MAY_FAIL(1) MAY_FAIL(2) MAY_FAIL(3) MAY_FAIL(4)
		     : [to] "+r" (*to), [bar] "+r" (*bar), [lines] "+r" (lines)
		     : : "memory", "cc");
	return lines;
}

/* Four words at @offset from both pointers. */
#define LOAD_FOUR(l1, l2, l3, l4, offset)				\
	LOAD(l1, "movq " #offset "(%[bar]), %[a]")			\
	LOAD(l2, "movq " #offset "+8(%[bar]), %[b]")			\
	LOAD(l3, "movq " #offset "+16(%[bar]), %[c]")			\
	LOAD(l4, "movq " #offset "+24(%[bar]), %[d]")			\
	"movq %[a], " #offset "(%[to])\n"				\
	"movq %[b], " #offset "+8(%[to])\n"				\
	"movq %[c], " #offset "+16(%[to])\n"				\
	"movq %[d], " #offset "+24(%[to])\n"

/* Copies blocks by 64-bit loads; at least one. */
static size_t load_blocks(void **to, const void **bar, size_t blocks)
{
	u64 a, b, c, d;

	asm volatile("0:\n"
		     LOAD_FOUR(1, 2, 3, 4, 0)
		     LOAD_FOUR(5, 6, 7, 8, 32)
		     LOAD_FOUR(11, 12, 13, 14, 64)
		     LOAD_FOUR(15, 16, 17, 18, 96)
		     "sub $-128, %[bar]\n"
		     "sub $-128, %[to]\n"
		     "dec %[blocks]\n"
		     "jnz 0b\n"
		     "9:\n"
		     MAY_FAIL(1) MAY_FAIL(2) MAY_FAIL(3) MAY_FAIL(4)
		     MAY_FAIL(5) MAY_FAIL(6) MAY_FAIL(7) MAY_FAIL(8)
		     MAY_FAIL(11) MAY_FAIL(12) MAY_FAIL(13) MAY_FAIL(14)
		     MAY_FAIL(15) MAY_FAIL(16) MAY_FAIL(17) MAY_FAIL(18)
		     : [to] "+r" (*to), [bar] "+r" (*bar), [blocks] "+r" (blocks),
		       [a] "=&r" (a), [b] "=&r" (b), [c] "=&r" (c), [d] "=&r" (d)
		     : : "memory", "cc");
	return blocks;
}

#define STORE_FOUR(offset)						\
	"movq " #offset "(%[from]), %[a]\n"				\
	"movq " #offset "+8(%[from]), %[b]\n"				\
	"movq " #offset "+16(%[from]), %[c]\n"				\
	"movq " #offset "+24(%[from]), %[d]\n"				\
	"movnti %[a], " #offset "(%[bar])\n"				\
	"movnti %[b], " #offset "+8(%[bar])\n"				\
	"movnti %[c], " #offset "+16(%[bar])\n"			\
	"movnti %[d], " #offset "+24(%[bar])\n"

/* Copies blocks by non-temporal stores; at least one. */
static void store_blocks(void **bar, const void **from, size_t blocks)
{
	u64 a, b, c, d;

	asm volatile("0:\n"
		     STORE_FOUR(0)
		     STORE_FOUR(32)
		     STORE_FOUR(64)
		     STORE_FOUR(96)
		     "sub $-128, %[from]\n"
		     "sub $-128, %[bar]\n"
		     "dec %[blocks]\n"
		     "jnz 0b\n"
		     : [bar] "+r" (*bar), [from] "+r" (*from), [blocks] "+r" (blocks),
		       [a] "=&r" (a), [b] "=&r" (b), [c] "=&r" (c), [d] "=&r" (d)
		     : : "memory", "cc");
}

/**
 * iopmem_load - one 64-bit load from the BAR
 * @value:	[out] the word
 * @bar:	8-byte aligned
 *
 * Return: 0; -EIO the load failed, and @value is undefined.
 */
int iopmem_load(u64 *value, const u64 *bar)
{
	int error = -EIO;

	asm volatile(LOAD(1, "movq (%[bar]), %[value]")
		     "xor %[error], %[error]\n"
		     "9:\n"
		     MAY_FAIL(1)
		     : [value] "=&r" (*value), [error] "+r" (error)
		     : [bar] "r" (bar)
		     : "memory", "cc");
	return error;
}

/**
 * iopmem_load_anew - one 64-bit load that no cache of a CPU answers
 * @value:	[out] the word
 * @bar:	8-byte aligned
 *
 * Where the platform caches the BAR, a line of it may have come into a cache by
 * another mapping, and even a load from write-combining memory may be served from
 * it. CLFLUSH takes the line out of all caches, whatever the type of the mapping
 * (Intel SDM vol. 2, "CLFLUSH"), and MFENCE keeps the load behind it. It also
 * drains this CPU's combining buffers, as in iopmem_read_back().
 *
 * Return: 0; -EIO the load failed, and @value is undefined.
 */
int iopmem_load_anew(u64 *value, const u64 *bar)
{
	int error = -EIO;

	asm volatile(LOAD(1, "clflush (%[bar])")
		     "mfence\n"
		     LOAD(2, "movq (%[bar]), %[value]")
		     "xor %[error], %[error]\n"
		     "9:\n"
		     MAY_FAIL(1) MAY_FAIL(2)
		     : [value] "=&r" (*value), [error] "+r" (error)
		     : [bar] "r" (bar)
		     : "memory", "cc");
	return error;
}

/* What is left of an aligned 64-bit word, from or up to a byte within it. */
static int load_part(void *to, const void *bar, size_t n)
{
	size_t within = (uintptr_t)bar % sizeof(u64);
	u64 word;
	int error;

	error = iopmem_load(&word, bar - within);
	if (!error)
		memcpy(to, (const u8 *)&word + within, n);
	return error;
}

/**
 * iopmem_copy_from - read from the BAR
 * @to:		RAM
 * @bar:	any address; what is loaded beyond the range is in the same aligned
 *		64-bit words
 * @n:		bytes
 * @stream:	by streaming loads where that is possible
 *
 * Sees what every processor and peer wrote before the call: mfence, because a
 * streaming load may otherwise be served from a line that was fetched earlier
 * (Intel SDM vol. 1, "Streaming Load Hint Instruction").
 *
 * Return: 0; -EIO a load failed, and @to holds nothing of use.
 */
int iopmem_copy_from(void *to, const void *bar, size_t n, bool stream)
{
	size_t part = min_t(size_t, n, -(uintptr_t)bar % sizeof(u64));

	mb();	/* no line that was fetched earlier */
	if (part) {
		if (load_part(to, bar, part))
			return -EIO;
		to += part;
		bar += part;
		n -= part;
	}
	if (stream && n >= STREAM_LINE && IS_ALIGNED((uintptr_t)bar, 16) &&
	    cpu_feature_enabled(X86_FEATURE_XMM4_1) && irq_fpu_usable()) {
		do {
			size_t lines = min_t(size_t, n, STREAM_PIECE) / STREAM_LINE;
			size_t left;

			kernel_fpu_begin();
			left = stream_lines(&to, &bar, lines);
			kernel_fpu_end();
			if (left)
				return -EIO;
			n -= lines * STREAM_LINE;
		} while (n >= STREAM_LINE);
	}
	if (n >= BLOCK) {
		if (load_blocks(&to, &bar, n / BLOCK))
			return -EIO;
		n %= BLOCK;
	}
	while (n) {
		part = min_t(size_t, n, sizeof(u64));
		if (load_part(to, bar, part))
			return -EIO;
		to += part;
		bar += part;
		n -= part;
	}
	return 0;
}

/**
 * iopmem_stream_is_faster - which loads a BAR is to be read with
 * @bar:	a mapped page
 *
 * The shortest of several times each, since an interrupt makes one longer.
 */
bool iopmem_stream_is_faster(const void *bar)
{
	u64 best[2] = { U64_MAX, U64_MAX };
	void *page = (void *)__get_free_page(GFP_KERNEL);
	int turn;

	/* Without a measurement, what is right on hardware. */
	if (!page)
		return true;
	for (turn = 0; turn < 16; turn++) {
		u64 start = ktime_get_ns();

		if (iopmem_copy_from(page, bar, PAGE_SIZE, turn % 2))
			break;
		best[turn % 2] = min(best[turn % 2], ktime_get_ns() - start);
	}
	free_page((unsigned long)page);
	return best[1] <= best[0];
}

/**
 * iopmem_copy_to - write to the BAR
 * @bar:	8-byte aligned, which sectors are
 * @from:	RAM
 * @n:		a multiple of 8: no part of a word is written by itself
 *
 * The same stores as memcpy_flushcache() makes of such a range, two combining
 * buffers in each turn of the loop instead of a half.
 *
 * The caller orders it before what follows: wmb() for other CPUs, a read back
 * for the device.
 */
void iopmem_copy_to(void *bar, const void *from, size_t n)
{
	if (n >= BLOCK)
		store_blocks(&bar, &from, n / BLOCK);
	n %= BLOCK;
	if (n)
		memcpy_flushcache(bar, from, n);
}

void iopmem_zero(void *bar, size_t n)
{
	const void *zeroes = page_address(ZERO_PAGE(0));

	while (n) {
		size_t chunk = min_t(size_t, n, PAGE_SIZE);

		memcpy_flushcache(bar, zeroes, chunk);
		bar += chunk;
		n -= chunk;
		/* A namespace may be many GiB. */
		cond_resched();
	}
	wmb();	/* before the caller tells of it */
}
