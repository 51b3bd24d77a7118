/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The past. Included before everything else; defines what older kernels lack
 * in the words of the newest, so that the driver's files carry no tests.
 */
#ifndef _IOPMEM_COMPAT_H
#define _IOPMEM_COMPAT_H

#include <linux/badblocks.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/slab.h>
#ifdef IOPMEM_HAVE_dax_pfn_t
#include <linux/pfn_t.h>
#endif

/* v7.0: allocation by object (linux/slab.h) */
#ifndef kzalloc_obj
#define kzalloc_obj(object)	kzalloc(sizeof(object), GFP_KERNEL)
#endif

/* class and device type callbacks take a const device */
#ifdef IOPMEM_HAVE_class_const
#define iopmem_const	const
#else
#define iopmem_const
#endif

/* block_device_operations.open and .release */
#ifdef IOPMEM_HAVE_disk_open_gendisk
#define IOPMEM_DISK_OPEN(fn)		int fn(struct gendisk *opened, blk_mode_t mode)
#define IOPMEM_DISK_RELEASE(fn)		void fn(struct gendisk *released)
#define iopmem_opened_disk(opened)	(opened)
#else
#define IOPMEM_DISK_OPEN(fn)		int fn(struct block_device *opened, fmode_t mode)
#define IOPMEM_DISK_RELEASE(fn)		void fn(struct gendisk *released, fmode_t mode)
#define iopmem_opened_disk(opened)	((opened)->bd_disk)
#endif

/* queue features are part of the limits */
#ifdef IOPMEM_HAVE_disk_limits
static inline struct gendisk *iopmem_alloc_disk(struct queue_limits *lim, bool dax, int node)
{
	lim->features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA | BLK_FEAT_SYNCHRONOUS |
			BLK_FEAT_NOWAIT | BLK_FEAT_IO_STAT | (dax ? BLK_FEAT_DAX : 0);
	return blk_alloc_disk(lim, node);
}
#else
static inline struct gendisk *iopmem_alloc_disk(struct queue_limits *lim, bool dax, int node)
{
	struct gendisk *disk = blk_alloc_disk(node);
	struct request_queue *q;

	if (!disk)
		return ERR_PTR(-ENOMEM);
	q = disk->queue;
	blk_queue_logical_block_size(q, lim->logical_block_size);
	blk_queue_physical_block_size(q, lim->physical_block_size);
	blk_queue_max_hw_sectors(q, lim->max_hw_sectors);
	blk_queue_max_write_zeroes_sectors(q, lim->max_write_zeroes_sectors);
	blk_queue_write_cache(q, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);
#ifdef QUEUE_FLAG_SYNCHRONOUS
	blk_queue_flag_set(QUEUE_FLAG_SYNCHRONOUS, q);
#endif
	blk_queue_flag_set(QUEUE_FLAG_NOWAIT, q);
	blk_queue_flag_set(QUEUE_FLAG_IO_STAT, q);
	if (dax)
		blk_queue_flag_set(QUEUE_FLAG_DAX, q);
	return disk;
}
#endif

/* Frozen by one task, and unfrozen by another, which lockdep has to be told. */
#ifdef IOPMEM_HAVE_freeze_non_owner
static inline void iopmem_freeze_queue(struct request_queue *q)
{
	blk_freeze_queue_start_non_owner(q);
	blk_mq_freeze_queue_wait(q);
}

#define iopmem_unfreeze_queue(q)	blk_mq_unfreeze_queue_non_owner(q)
#else
#define iopmem_freeze_queue(q)		blk_mq_freeze_queue(q)
#define iopmem_unfreeze_queue(q)	blk_mq_unfreeze_queue(q)
#endif

/* dax_operations.direct_access returns a page frame number */
#ifdef IOPMEM_HAVE_dax_pfn_t
#define iopmem_pfn_t			pfn_t
#define iopmem_phys_to_pfn(phys)	phys_to_pfn_t(phys, PFN_DEV | PFN_MAP)
#else
#define iopmem_pfn_t			unsigned long
#define iopmem_phys_to_pfn(phys)	PHYS_PFN(phys)
#endif

#ifdef IOPMEM_HAVE_dax_break_layout_final
/* Drops the inode's DAX entries; its pages are idle, so it does not wait. */
static inline void iopmem_drop_dax_entries(struct inode *inode)
{
	dax_break_layout_final(inode);
}
#else
/* An FS_DAX page that nobody uses counts 1. */
static inline bool dax_page_is_idle(struct page *page)
{
	return page_ref_count(page) <= 1;
}

static inline void iopmem_drop_dax_entries(struct inode *inode)
{
	truncate_inode_pages(inode->i_mapping, 0);
}
#endif

/*
 * A reference on s_active, of a super block that is mounted: not on one that is
 * going, nor on one that may still fail. That one is unmade by the last
 * reference, and bdev_mark_dead() waits until it is born or dying. Whoever holds
 * it and then takes its disk away would wait for himself.
 */
static inline bool iopmem_grab_super(struct super_block *sb)
{
	/* Pairs with the barrier before SB_BORN is set: vfs_get_tree() in fs/super.c. */
	return (smp_load_acquire(&sb->s_flags) & SB_BORN) && atomic_inc_not_zero(&sb->s_active);
}

/*
 * The file system mounted on a block device, grabbed, or NULL. A super block is
 * freed after a grace period; its holder pointer is cleared under bd_holder_lock
 * where there is one.
 */
#ifdef IOPMEM_HAVE_fs_holder_ops
static inline struct super_block *iopmem_get_bdev_super(struct block_device *bdev)
{
	struct super_block *sb = NULL;

	mutex_lock(&bdev->bd_holder_lock);
	if (bdev->bd_holder_ops == &fs_holder_ops)
		sb = bdev->bd_holder;
	if (sb && !iopmem_grab_super(sb))
		sb = NULL;
	mutex_unlock(&bdev->bd_holder_lock);
	return sb;
}
#elif defined(IOPMEM_HAVE_bd_super)
static inline struct super_block *iopmem_get_bdev_super(struct block_device *bdev)
{
	struct super_block *sb;

	rcu_read_lock();
	sb = READ_ONCE(bdev->bd_super);
	if (sb && !iopmem_grab_super(sb))
		sb = NULL;
	rcu_read_unlock();
	return sb;
}
#else
/* v7.3 exports neither: file systems are found by the pages that they map. */
static inline struct super_block *iopmem_get_bdev_super(struct block_device *bdev)
{
	return NULL;
}
#endif

/* The lengths of lists of bad blocks became sector_t, and setting them bool. */
static inline bool iopmem_badblocks_find(struct badblocks *bb, sector_t start, sector_t n,
					 sector_t *found)
{
#ifdef IOPMEM_HAVE_badblocks_sector_t
	sector_t bad;
#else
	int bad;
#endif

	return badblocks_check(bb, start, n, found, &bad) != 0;
}

static inline bool iopmem_badblocks_add(struct badblocks *bb, sector_t start, sector_t n)
{
#ifdef IOPMEM_HAVE_badblocks_sector_t
	return badblocks_set(bb, start, n, 1);
#else
	return !badblocks_set(bb, start, n, 1);
#endif
}

/* How direct_access() says that memory is poisoned, so that writes may recover it. */
#ifdef IOPMEM_HAVE_dax_mem2blk_err
#define IOPMEM_DAX_POISONED	(-EHWPOISON)
#else
#define IOPMEM_DAX_POISONED	(-EIO)
#endif

/* Was the page marked as poisoned? Not any more. */
static inline bool iopmem_clear_hwpoison(struct page *page)
{
#ifdef CONFIG_MEMORY_FAILURE
	return TestClearPageHWPoison(page);
#else
	return false;
#endif
}

static inline bool iopmem_bars_mappable(const struct pci_dev *pdev)
{
#ifdef IOPMEM_HAVE_non_mappable_bars
	return !pdev->non_mappable_bars;
#else
	return true;
#endif
}

/* Does a DAX fault take the cache type from the vma, not from the reservation? */
#ifdef IOPMEM_HAVE_user_prot_kept
#define IOPMEM_USER_PROT_KEPT	1
#else
#define IOPMEM_USER_PROT_KEPT	0
#endif

/* 2 MiB */
#define IOPMEM_PMD_ORDER	(PMD_SHIFT - PAGE_SHIFT)

#ifdef IOPMEM_HAVE_huge_fault_order
#define IOPMEM_HUGE_FAULT(fn, order)	vm_fault_t fn(struct vm_fault *vmf, unsigned int order)
#define iopmem_fault_order(order)	(order)
#else
#define IOPMEM_HUGE_FAULT(fn, order)	\
	vm_fault_t fn(struct vm_fault *vmf, enum page_entry_size order)
#define iopmem_fault_order(size)	((size) == PE_SIZE_PMD ? IOPMEM_PMD_ORDER : 0)
#endif

static inline void iopmem_set_vm_flags(struct vm_area_struct *vma, vm_flags_t flags)
{
#ifdef IOPMEM_HAVE_vm_flags_set
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* In file_operations: mappings may ask for MAP_SYNC. */
#ifdef FOP_MMAP_SYNC
#define IOPMEM_FOPS_MMAP_SYNC	.fop_flags = FOP_MMAP_SYNC
#else
#define IOPMEM_FOPS_MMAP_SYNC	.mmap_supported_flags = MAP_SYNC
#endif

/*
 * Page table entries that get_user_pages() follows.
 *
 * While there was a pfn_t, vmf_insert_mixed() and vmf_insert_pfn_pmd() made them
 * with the cache type that was reserved for the range, whatever the mapping asked
 * for (track_pfn_insert()); vm_insert_page() takes the mapping's own (@kept), but
 * can do no 2 MiB. Since then all take the mapping's own.
 */
#ifdef IOPMEM_HAVE_dax_pfn_t
#define IOPMEM_DEVDAX_VM_FLAGS	(VM_MIXEDMAP | VM_HUGEPAGE)

static inline vm_fault_t iopmem_insert_page(struct vm_fault *vmf, unsigned long pfn, bool write,
					    bool kept)
{
	if (kept)
		return vmf_insert_page(vmf->vma, vmf->address, pfn_to_page(pfn));
	return vmf_insert_mixed(vmf->vma, vmf->address, iopmem_phys_to_pfn(PFN_PHYS(pfn)));
}
#else
/* They are pages like others, and madvise(2) refuses less where a mapping is of such alone. */
#define IOPMEM_DEVDAX_VM_FLAGS	VM_HUGEPAGE

static inline vm_fault_t iopmem_insert_page(struct vm_fault *vmf, unsigned long pfn, bool write,
					    bool kept)
{
	return vmf_insert_page_mkwrite(vmf, pfn_to_page(pfn), write);
}
#endif

static inline vm_fault_t iopmem_insert_pmd(struct vm_fault *vmf, unsigned long pfn, bool write,
					   bool kept)
{
#ifndef CONFIG_TRANSPARENT_HUGEPAGE
	return VM_FAULT_FALLBACK;
#elif defined(IOPMEM_HAVE_dax_pfn_t)
	if (kept)
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, iopmem_phys_to_pfn(PFN_PHYS(pfn)), write);
#else
	return vmf_insert_folio_pmd(vmf, page_folio(pfn_to_page(pfn)), write);
#endif
}

/* v6.2: programs can map p2pdma memory, by p2pmem/allocate (7e9c7ef83d78) */
#ifdef IOPMEM_HAVE_p2pdma_user_memory
#define IOPMEM_P2PDMA_USER_MEMORY	1
#else
#define IOPMEM_P2PDMA_USER_MEMORY	0
#endif

/* The name of a symbol namespace: a string, or an identifier that is made one. */
#ifdef IOPMEM_HAVE_import_ns_identifier
#define IOPMEM_IMPORT_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#else
#define IOPMEM_IMPORT_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#endif

#ifndef IOPMEM_HAVE_dma_buf_invalidate
#define dma_buf_invalidate_mappings(dmabuf)	dma_buf_move_notify(dmabuf)
#endif

/*
 * Tail pages of compound device pages share their structs' memory: named for
 * hugetlbfs before v6.5, where mm/sparse-vmemmap.c asks for that.
 */
#define IOPMEM_COMPOUND_PAGES_SHARE					\
	(IS_ENABLED(CONFIG_ARCH_WANT_OPTIMIZE_DAX_VMEMMAP) ||		\
	 IS_ENABLED(CONFIG_ARCH_WANT_HUGETLB_PAGE_OPTIMIZE_VMEMMAP))

#endif /* _IOPMEM_COMPAT_H */
