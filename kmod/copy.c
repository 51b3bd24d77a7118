// SPDX-License-Identifier: GPL-2.0
/*
 * CPU access to the BAR.
 *
 * The mapping is write-combining (or uncached where that could not be had).
 * There every load is a PCIe read of the load's own width, and a byte-wise
 * string copy is one transaction a byte; so loads are 64 bits wide. Stores are
 * non-temporal, which fill whole 64-byte combining buffers and leave nothing in
 * the CPU's caches, whatever the mapping's type is.
 */
#include <linux/string.h>

#include "iopmem.h"

/* @bar must be 8-byte aligned, which sectors are. */
void iopmem_copy_to(void *bar, const void *from, size_t n)
{
	memcpy_flushcache(bar, from, n);
}

/* Both block I/O and the region node read multiples of 8 bytes at such offsets. */
void iopmem_copy_from(void *to, const void *bar, size_t n)
{
	const u64 *source = bar;
	u64 *target = to;

	for (; n >= 64; n -= 64, source += 8, target += 8) {
		u64 a = READ_ONCE(source[0]), b = READ_ONCE(source[1]);
		u64 c = READ_ONCE(source[2]), d = READ_ONCE(source[3]);
		u64 e = READ_ONCE(source[4]), f = READ_ONCE(source[5]);
		u64 g = READ_ONCE(source[6]), h = READ_ONCE(source[7]);

		target[0] = a;
		target[1] = b;
		target[2] = c;
		target[3] = d;
		target[4] = e;
		target[5] = f;
		target[6] = g;
		target[7] = h;
	}
	for (; n >= 8; n -= 8)
		*target++ = READ_ONCE(*source++);
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
}
