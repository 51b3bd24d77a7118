// SPDX-License-Identifier: GPL-2.0
/*
 * Bad blocks: memory of which the hardware said that its contents are lost.
 *
 * They are found by a machine check (iopmem_memory_failure()) or made by
 * IOPMEM_IOC_INJECT_ERROR, and listed in the disk's badblocks, in units of 512
 * bytes. Reading one gives EIO through every door; writing all of it makes it
 * good again, because a device's error correction is computed anew by a write.
 * The list lives as long as the namespace: hardware says it again.
 */
#include <linux/badblocks.h>
#include <linux/mm.h>
#include <linux/set_memory.h>

#include "iopmem.h"

int iopmem_media_init(struct iopmem_namespace *ns)
{
	return badblocks_init(&ns->badblocks, 1);
}

void iopmem_media_exit(struct iopmem_namespace *ns)
{
	badblocks_exit(&ns->badblocks);
}

/**
 * iopmem_media_find_bad - is a part of the range bad?
 * @ns:		the namespace
 * @offset:	bytes from its start
 * @n:		bytes
 * @first:	[out] offset of the first bad byte within the namespace; may be NULL
 */
bool iopmem_media_find_bad(struct iopmem_namespace *ns, u64 offset, u64 n, u64 *first)
{
	sector_t start = offset >> SECTOR_SHIFT;
	sector_t end = DIV_ROUND_UP_ULL(offset + n, SECTOR_SIZE);
	sector_t found;

	/* A bio that only flushes has no bytes. */
	if (start >= end)
		return false;
	if (!iopmem_badblocks_find(&ns->badblocks, start, end - start, &found))
		return false;
	if (first)
		*first = max(offset, (u64)found << SECTOR_SHIFT);
	return true;
}

/* The offset of a word that is not bad; the first one, if all are. */
u64 iopmem_media_good(struct iopmem_namespace *ns)
{
	u64 offset = 0, first;

	while (offset < ns->size && iopmem_media_bad(ns, offset, PAGE_SIZE, &first))
		offset += PAGE_SIZE;
	return offset < ns->size ? offset : 0;
}

/**
 * iopmem_media_rewrite_bad - bad blocks may be about to be written
 * @ns:		the namespace
 * @offset:	bytes from its start
 * @n:		bytes
 *
 * A machine check takes the page out of the kernel's own mapping (set_mce_nospec()
 * in arch/x86/mm/pat/set_memory.c), and stores do not survive what loads do.
 */
void iopmem_media_rewrite_bad(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	unsigned long pfn = PHYS_PFN(iopmem_namespace_start(ns) + offset);
	unsigned long end = PHYS_PFN(PAGE_ALIGN(iopmem_namespace_start(ns) + offset + n));

	if (!iopmem_media_find_bad(ns, offset, n, NULL) || !ns->mapped)
		return;
	for (; pfn < end; pfn++) {
		clear_mce_nospec(pfn);
		cond_resched();
	}
}

/**
 * iopmem_media_mark - a range is bad
 * @ns:		the namespace
 * @offset:	bytes from its start
 * @n:		bytes; every block that they touch is bad
 *
 * Return: 0; -ENOSPC the list is full, and nothing was added.
 */
int iopmem_media_mark(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	sector_t start = offset >> SECTOR_SHIFT;
	sector_t end = DIV_ROUND_UP_ULL(offset + n, SECTOR_SIZE);

	/*
	 * Each entry holds up to BB_MAX_LEN blocks. Counted before, because a
	 * list that overflows keeps what went in.
	 */
	if (DIV_ROUND_UP_ULL(end - start, BB_MAX_LEN) + 2 >
	    MAX_BADBLOCKS - READ_ONCE(ns->badblocks.count) ||
	    !iopmem_badblocks_add(&ns->badblocks, start, end - start)) {
		dev_err_ratelimited(&ns->dev, "the list of bad blocks is full\n");
		return -ENOSPC;
	}
	dev_err_ratelimited(&ns->dev, "media error: %llu bytes at offset %llu are bad\n",
			    (u64)(end - start) << SECTOR_SHIFT, (u64)start << SECTOR_SHIFT);
	iopmem_namespace_tell(ns, "IOPMEM_EVENT=media-error");
	return 0;
}

/* The kernel marked pages as poisoned; what was written anew is good. */
static void clear_poison(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	unsigned long first = PHYS_PFN(iopmem_namespace_start(ns) + PAGE_ALIGN(offset));
	unsigned long end = PHYS_PFN(iopmem_namespace_start(ns) + offset + n), pfn;

	for (pfn = first; ns->mapped && pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);

		iopmem_clear_hwpoison(page);
	}
}

/* After a write: blocks that were written whole are good again. */
void iopmem_media_clear_bad(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	sector_t start = DIV_ROUND_UP_ULL(offset, SECTOR_SIZE);
	sector_t end = (offset + n) >> SECTOR_SHIFT;

	if (start >= end)
		return;
	badblocks_clear(&ns->badblocks, start, end - start);
	clear_poison(ns, offset, n);
}

/* How many blocks of 512 bytes are bad. */
u64 iopmem_media_count(struct iopmem_namespace *ns)
{
	struct badblocks *bb = &ns->badblocks;
	unsigned int seq;
	u64 total;
	int i;

	do {
		seq = read_seqbegin(&bb->lock);
		total = 0;
		for (i = 0; i < bb->count; i++)
			total += BB_LEN(bb->page[i]);
	} while (read_seqretry(&bb->lock, seq));
	return total;
}

#ifdef IOPMEM_DEBUG
/**
 * iopmem_media_inject - make blocks bad as if the hardware had reported them
 * @ns:		the namespace
 * @offset:	bytes from its start, checked
 * @n:		bytes, checked
 * @reason:	filled on failure
 *
 * Return: 0, or -ENOSPC.
 */
int iopmem_media_inject(struct iopmem_namespace *ns, u64 offset, u64 n, char *reason)
{
	int error = iopmem_media_mark(ns, offset, n);

	if (error)
		return iopmem_refuse(reason, error, "the list of bad blocks of %s is full",
				     dev_name(&ns->dev));
	if (ns->inode)
		iopmem_devdax_zap(ns, offset, n);
	iopmem_dmabufs_zap(ns, offset, n);
	iopmem_dax_tell_holder(ns, offset, n, 0);
	return 0;
}
#else
int iopmem_media_inject(struct iopmem_namespace *ns, u64 offset, u64 n, char *reason)
{
	return iopmem_refuse(reason, -EOPNOTSUPP,
			     "the driver was built without IOPMEM_DEBUG=1 and injects no errors");
}
#endif
