// SPDX-License-Identifier: GPL-2.0
/*
 * What the CPU makes of a mapping of the BAR.
 *
 * The kernel decides it from three sides: the type asked for, the memory types
 * already reserved for the range (the PAT list), and the MTRRs. What counts is
 * what ended up in the page table, so that is read back.
 */
#include <linux/io.h>
#include <asm/cacheflush.h>
#include <asm/msr.h>
#include <asm/pgtable.h>

#include "iopmem.h"

/* Intel SDM vol. 3, "Page Attribute Table": encodings in IA32_PAT. */
static const char *pat_type(unsigned int encoding)
{
	switch (encoding) {
	case 0:
		return "uc";
	case 1:
		return "wc";
	case 4:
		return "wt";
	case 5:
		return "wp";
	case 6:
		return "wb";
	case 7:
		return "uc-";
	default:
		return "unknown";
	}
}

/**
 * iopmem_cache_of - the cache type in the page table entry of a kernel address
 * @addr:	mapped
 *
 * Return: wb, wt, wp, wc, uc-, uc or unknown.
 */
const char *iopmem_cache_of(const void *addr)
{
	unsigned int level, index;
	u64 entry, pat;
	pte_t *pte;
	u32 lo, hi;

	pte = lookup_address((unsigned long)addr, &level);
	if (!pte || !pte_present(*pte))
		return "unknown";
	entry = pte_val(*pte);
	index = (entry & _PAGE_PWT ? 1 : 0) | (entry & _PAGE_PCD ? 2 : 0);
	if (entry & (level == PG_LEVEL_4K ? _PAGE_PAT : _PAGE_PAT_LARGE))
		index |= 4;
	rdmsr(MSR_IA32_CR_PAT, lo, hi);
	pat = (u64)hi << 32 | lo;
	return pat_type(pat >> (index * 8) & 7);
}

/**
 * iopmem_cache_platform - what the MTRRs alone make of a cached mapping
 * @start:	physical address of the BAR
 *
 * A write-back request becomes UC- unless the MTRRs say write-back too
 * (arch/x86/mm/pat/memtype.c, pat_x_mtrr_type()). Firmware that leaves BARs
 * above 4 GiB under a write-back default lets the CPU cache them, and then
 * writes by peers go unseen.
 *
 * To be called before the range is reserved.
 */
const char *iopmem_cache_platform(phys_addr_t start)
{
	const char *type;
	void __iomem *probe = ioremap_cache(start, PAGE_SIZE);

	if (!probe)
		return "unknown";
	type = iopmem_cache_of((const void __force *)probe);
	/* Nothing that was fetched ahead may stay behind in the cache. */
	clflush_cache_range((void __force *)probe, PAGE_SIZE);
	iounmap(probe);
	return type;
}

/**
 * iopmem_is_cached - may a load from the BAR be served by a cache?
 * @ns:	a mapped one
 *
 * By our own mapping, or by a line that was fetched through another one of a
 * type that the platform allows.
 */
bool iopmem_is_cached(const struct iopmem_namespace *ns)
{
	const char *type = iopmem_cache_of(ns->base);

	return !strcmp(ns->region->platform, "wb") ||
	       (strcmp(type, "wc") && strcmp(type, "uc-") && strcmp(type, "uc"));
}

/**
 * iopmem_cache_user - the type in the page table entries of DAX mappings
 * @ns:	one whose mode has pages
 *
 * Older kernels look the reserved type up (track_pfn_insert()); newer ones
 * insert pages with the vma's protection, which is write-back, and only the
 * MTRRs may still weaken it. Mappings of a devdax namespace ask for write-combining
 * unless their maker asked for another type (IOPMEM_IOC_SET_MAPPING_CACHE), and
 * p2pdma inserts pages as DAX does now (p2pmem_alloc_mmap() in drivers/pci/p2pdma.c).
 */
const char *iopmem_cache_user(const struct iopmem_namespace *ns)
{
	if (ns->mode == IOPMEM_MODE_P2PDMA)
		return "wb";
	if (IOPMEM_USER_PROT_KEPT)
		return ns->mode == IOPMEM_MODE_DEVDAX ? "wc" : "wb";
	return iopmem_cache_of(ns->base);
}
