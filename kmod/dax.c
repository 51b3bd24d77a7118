// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of a namespace: its struct pages, and the dax device through which
 * file systems reach them.
 */
#include <linux/dax.h>
#include <linux/io.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/mm.h>

#include "iopmem.h"

bool iopmem_dax_possible(void)
{
	return IS_ENABLED(CONFIG_FS_DAX) && IS_ENABLED(CONFIG_ZONE_DEVICE);
}

/*
 * Pages of 2 MiB need the structs of their first and second 4 KiB page for each
 * page of structs alone; all other tail pages are alike, and share theirs
 * (vmemmap_populate_compound_pages() in mm/sparse-vmemmap.c).
 */
static u64 price_of_pages(const struct iopmem_namespace *ns)
{
	u64 price = iopmem_namespace_pages(ns) * sizeof(struct page);

	if (ns->mode == IOPMEM_MODE_DEVDAX && IOPMEM_COMPOUND_PAGES_SHARE)
		price = (ns->size >> PMD_SHIFT) * 2 * PAGE_SIZE;
	return price;
}

static long iopmem_direct_access(struct dax_device *dax, pgoff_t pgoff, long nr_pages,
				 enum dax_access_mode mode, void **kaddr, iopmem_pfn_t *pfn)
{
	struct iopmem_namespace *ns = dax_get_private(dax);
	struct iopmem_device *idev = ns->region->idev;
	u64 offset = PFN_PHYS(pgoff), end = ns->size;

	if (offset >= end)
		return -ERANGE;
	/* A write may go over bad blocks, and makes them good: iopmem_recovery_write(). */
	if (mode != DAX_RECOVERY_WRITE &&
	    unlikely(iopmem_media_bad(ns, offset, min_t(u64, PFN_PHYS(nr_pages), end - offset),
				      &end))) {
		end = PAGE_ALIGN_DOWN(end);
		if (end == offset)
			return IOPMEM_DAX_POISONED;
	}
	if (unlikely(READ_ONCE(idev->paused)) &&
	    wait_event_killable(idev->resumed, !READ_ONCE(idev->paused)))
		return -EINTR;
	iopmem_user_reached(ns);
	if (kaddr)
		*kaddr = ns->base + offset;
	if (pfn)
		*pfn = iopmem_phys_to_pfn(iopmem_namespace_start(ns) + offset);
	return PHYS_PFN(end - offset);
}

static int iopmem_zero_page_range(struct dax_device *dax, pgoff_t pgoff, size_t nr_pages)
{
	struct iopmem_namespace *ns = dax_get_private(dax);

	iopmem_media_rewrite(ns, PFN_PHYS(pgoff), PFN_PHYS(nr_pages));
	iopmem_zero(ns->base + PFN_PHYS(pgoff), PFN_PHYS(nr_pages));
	iopmem_media_written(ns, PFN_PHYS(pgoff), PFN_PHYS(nr_pages));
	return 0;
}

/* write() over bad blocks: whole pages only, as what is not written would stay bad. */
static size_t iopmem_recovery_write(struct dax_device *dax, pgoff_t pgoff, void *addr,
				    size_t bytes, struct iov_iter *iter)
{
	struct iopmem_namespace *ns = dax_get_private(dax);
	u64 offset = PFN_PHYS(pgoff);
	size_t done;

	if (!iopmem_media_bad(ns, offset, bytes, NULL))
		return _copy_from_iter_flushcache(addr, bytes, iter);
	if (!PAGE_ALIGNED(addr) || !PAGE_ALIGNED(bytes)) {
		dev_warn_ratelimited(&ns->dev,
				     "a write of %zu bytes over bad blocks is not of whole pages\n",
				     bytes);
		return 0;
	}
	iopmem_media_rewrite(ns, offset, bytes);
	done = _copy_from_iter_flushcache(addr, bytes, iter);
	iopmem_media_written(ns, offset, done);
	return done;
}

static const struct dax_operations iopmem_dax_ops = {
	.direct_access		= iopmem_direct_access,
	.zero_page_range	= iopmem_zero_page_range,
	.recovery_write		= iopmem_recovery_write,
};

/* The file system knows whose data it was. */
int iopmem_dax_tell_holder(struct iopmem_namespace *ns, u64 offset, u64 n, int flags)
{
	if (!ns->dax)
		return -EOPNOTSUPP;
	return dax_holder_notify_failure(ns->dax, offset, n, flags);
}

/* Poison was found. What the file system cannot handle, the kernel does. */
static int iopmem_memory_failure(struct dev_pagemap *pgmap, unsigned long pfn,
				 unsigned long nr_pages, int flags)
{
	struct iopmem_namespace *ns = container_of(pgmap, struct iopmem_namespace, pgmap);
	u64 offset = PFN_PHYS(pfn) - iopmem_namespace_start(ns);

	iopmem_media_mark(ns, offset, PFN_PHYS(nr_pages));
	iopmem_dmabufs_zap(ns, offset, PFN_PHYS(nr_pages));
	if (ns->mode == IOPMEM_MODE_DEVDAX) {
		/* Whoever comes back to it gets SIGBUS with BUS_MCEERR_AR. */
		if (ns->inode)
			iopmem_devdax_zap(ns, offset, PFN_PHYS(nr_pages));
		return 0;
	}
	return iopmem_dax_tell_holder(ns, offset, PFN_PHYS(nr_pages), flags);
}

static const struct dev_pagemap_ops iopmem_pagemap_ops = {
	.memory_failure	= iopmem_memory_failure,
};

/*
 * memremap_pages() answers what it cannot do with a WARN or a stack dump, so what
 * can be known is asked before.
 */
int iopmem_afford_pages(struct iopmem_namespace *ns, char *reason)
{
	u64 price = price_of_pages(ns);
	long available = si_mem_available();

	if (available < 0 || PHYS_PFN(price) >= available)
		return iopmem_refuse(reason, -ENOMEM,
				     "struct pages for %llu MiB need %llu MiB of RAM, of which %ld MiB are available",
				     ns->size >> 20, price >> 20, available >> (20 - PAGE_SHIFT));
	return 0;
}

/*
 * The kernel marks pages of devices as reserved, and VFIO takes reserved pages for
 * memory that nobody counts: it pins them, and never gives them back
 * (is_invalid_reserved_pfn() in drivers/vfio/vfio_iommu_type1.c). Then neither the
 * namespace could be destroyed nor the device removed. These are counted like
 * others, so the mark goes; by hand, because the pages within a large one have it
 * too, for which there is no function.
 */
static void unmark_reserved(const struct iopmem_namespace *ns)
{
	unsigned long pfn = PHYS_PFN(iopmem_namespace_start(ns)), i;

	for (i = 0; i < iopmem_namespace_pages(ns); i++) {
		clear_bit(PG_reserved, (unsigned long *)&pfn_to_page(pfn + i)->flags);
		if (!(i % SZ_64K))
			cond_resched();
	}
}

static int map_pages(struct iopmem_namespace *ns, char *reason)
{
	phys_addr_t start = iopmem_namespace_start(ns);
	int error = iopmem_afford_pages(ns, reason);
	void *base;

	if (error)
		return error;
	ns->pgmap.type = MEMORY_DEVICE_FS_DAX;
	if (ns->mode == IOPMEM_MODE_DEVDAX) {
		ns->pgmap.type = MEMORY_DEVICE_GENERIC;
		ns->pgmap.vmemmap_shift = IOPMEM_PMD_ORDER;
	}
	ns->pgmap.range.start = start;
	ns->pgmap.range.end = start + ns->size - 1;
	ns->pgmap.nr_range = 1;
	ns->pgmap.ops = &iopmem_pagemap_ops;

	base = memremap_pages(&ns->pgmap, dev_to_node(&ns->region->idev->pdev->dev));
	if (IS_ERR(base))
		return iopmem_refuse(reason, PTR_ERR(base),
				     "the kernel cannot make struct pages for %pa of %llu bytes (%pe)",
				     &start, ns->size, base);
	ns->base = base;
	ns->mapped = true;
	if (ns->mode == IOPMEM_MODE_DEVDAX)
		unmark_reserved(ns);
	return 0;
}

static int map_memory(struct iopmem_namespace *ns, char *reason)
{
	void __iomem *base;

	base = ns->region->wc ? ioremap_wc(iopmem_namespace_start(ns), ns->size) :
				ioremap(iopmem_namespace_start(ns), ns->size);
	if (!base)
		return iopmem_refuse(reason, -ENOMEM, "no address space to map %llu bytes",
				     ns->size);
	/* Plain loads and stores reach a BAR on every architecture that we support. */
	ns->base = (void __force *)base;
	return 0;
}

/**
 * iopmem_map - give the namespace a kernel mapping, and pages if its mode has them
 * @ns:		the namespace; its range is claimed
 * @reason:	IOPMEM_REASON_LEN bytes
 *
 * Return: 0, or a negative errno with @reason filled.
 */
int iopmem_map(struct iopmem_namespace *ns, char *reason)
{
	bool pages = ns->mode == IOPMEM_MODE_FSDAX || ns->mode == IOPMEM_MODE_DEVDAX;
	int error = pages ? map_pages(ns, reason) : map_memory(ns, reason);

	if (!error)
		ns->uncached = !iopmem_is_cached(ns);
	return error;
}

void iopmem_unmap(struct iopmem_namespace *ns)
{
	if (ns->mapped)
		memunmap_pages(&ns->pgmap);
	else if (ns->base)
		iounmap((void __iomem __force *)ns->base);
	ns->mapped = false;
	ns->base = NULL;
}

int iopmem_dax_add(struct iopmem_namespace *ns)
{
	struct dax_device *dax = alloc_dax(ns, &iopmem_dax_ops);
	int error;

	if (IS_ERR_OR_NULL(dax))
		return dax ? PTR_ERR(dax) : -EOPNOTSUPP;
	/* read() and write() on files: copies around the cache, machine checks survived */
	set_dax_nocache(dax);
	set_dax_nomc(dax);
	/*
	 * MAP_SYNC promises that flushing the CPU's caches is enough. Only a
	 * persistent BAR may promise anything at all.
	 */
	if (ns->region->media == IOPMEM_MEDIA_PERSISTENT)
		set_dax_synchronous(dax);
	/* Write back the CPU's caches at fsync where the platform caches the BAR. */
	dax_write_cache(dax, !strcmp(ns->region->platform, "wb"));
	error = dax_add_host(dax, ns->disk);
	if (error) {
		kill_dax(dax);
		put_dax(dax);
		return error;
	}
	ns->dax = dax;
	return 0;
}

/* After it, no fault finds the namespace's pages any more. */
void iopmem_dax_kill(struct iopmem_namespace *ns)
{
	if (!ns->dax)
		return;
	dax_remove_host(ns->disk);
	kill_dax(ns->dax);
}

/* After the pages are gone, so that a memory failure always finds it. */
void iopmem_dax_put(struct iopmem_namespace *ns)
{
	if (ns->dax)
		put_dax(ns->dax);
	ns->dax = NULL;
}

/* A GENERIC page that nobody uses counts 1, and one of 2 MiB counts as a whole. */
static bool page_is_idle(const struct iopmem_namespace *ns, struct page *page)
{
	if (ns->mode == IOPMEM_MODE_DEVDAX)
		return page_ref_count(page) <= 1;
	return dax_page_is_idle(page);
}

/* Pages that somebody besides us refers to: a mapping on 7.x, a pin on all. */
unsigned long iopmem_busy_pages(struct iopmem_namespace *ns)
{
	unsigned long pfn = PHYS_PFN(iopmem_namespace_start(ns)), i, busy = 0;
	unsigned long step = 1UL << ns->pgmap.vmemmap_shift;

	if (!ns->mapped)
		return 0;
	for (i = 0; i < iopmem_namespace_pages(ns); i += step) {
		if (!page_is_idle(ns, pfn_to_page(pfn + i)))
			busy += step;
		if (!(i % SZ_64K))
			cond_resched();
	}
	return busy;
}
