// SPDX-License-Identifier: GPL-2.0
/*
 * Taking pages back from their users, for good or for the time of a reset.
 *
 * memunmap_pages() frees the struct pages of a FS_DAX pagemap without waiting
 * for whoever still refers to them: a page table entry, a bio in flight, a pin.
 * And a mounted file system keeps entries that name the pages in its inodes,
 * and looks at them at umount. So before the pages go:
 *
 *   1. no new fault may find them                  iopmem_dax_kill(), before
 *   2. the file systems must not go away meanwhile  a reference on s_active
 *   3. page table entries are zapped                unmap_mapping_range()
 *   4. every page is idle                           wait: DMA ends, pins too
 *   5. the inodes forget the pages                  iopmem_drop_dax_entries()
 *
 * The reference is on the super block. On an inode it is kept across the wait only
 * where it has become the last one: giving that back evicts the inode, which may
 * wait for a frozen queue or for a pin. It goes before that on its super block, as
 * an inode that is held while its file system is unmounted is a "Busy inodes" BUG.
 * That one is given back after del_gendisk() and before memunmap_pages(), because the
 * last one runs the unmount. A mount that is not complete has no faults yet, and
 * once it is, those are refused: it is left alone.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "iopmem.h"

struct held_super {
	struct list_head entry;
	struct super_block *sb;
};

struct held_inode {
	struct list_head entry;
	struct inode *inode;
};

static void begin(struct iopmem_revocation *rev)
{
	INIT_LIST_HEAD(&rev->supers);
	INIT_LIST_HEAD(&rev->inodes);
}

/* Takes over one reference, and waits for nothing. */
static void put_inode_later(struct iopmem_revocation *rev, struct inode *inode)
{
	struct held_inode *held;

	if (atomic_add_unless(&inode->i_count, -1, 1))
		return;
	held = kmalloc(sizeof(*held), GFP_NOIO | __GFP_NOFAIL);
	held->inode = inode;
	list_add(&held->entry, &rev->inodes);
}

/* Takes over one s_active reference. */
static void hold_super(struct iopmem_revocation *rev, struct super_block *sb)
{
	struct held_super *held;

	list_for_each_entry(held, &rev->supers, entry) {
		if (held->sb == sb) {
			/* Cannot be the last one: we hold another. */
			atomic_dec(&sb->s_active);
			return;
		}
	}
	held = kmalloc(sizeof(*held), GFP_KERNEL | __GFP_NOFAIL);
	held->sb = sb;
	list_add_tail(&held->entry, &rev->supers);
}

/* File systems directly on the disk or on one of its partitions. */
static void hold_supers_of_disk(struct iopmem_namespace *ns, struct iopmem_revocation *rev)
{
	struct block_device *part;
	unsigned long index = 0;

	for (;;) {
		struct super_block *sb;

		rcu_read_lock();
		part = xa_find(&ns->disk->part_tbl, &index, ULONG_MAX, XA_PRESENT);
		if (part && !kobject_get_unless_zero(&part->bd_device.kobj))
			part = NULL;
		rcu_read_unlock();
		if (!part)
			return;
		sb = iopmem_get_bdev_super(part);
		if (sb)
			hold_super(rev, sb);
		put_device(&part->bd_device);
		index++;
	}
}

/* The super block of the file that a page is mapped into, if it has one. */
static struct super_block *get_page_super(struct page *page)
{
	struct folio *folio = page_folio(page);
	struct super_block *sb = NULL;
	struct address_space *mapping;
	struct inode *host;

	/*
	 * Inodes and super blocks are freed after a grace period. The pointer
	 * has flag bits where a page is shared between files. A page that is just
	 * becoming part of a larger one, or ceasing to, has something else in its
	 * place: TAIL_MAPPING, or a pointer into the page structs, neither of which is
	 * the address of memory that the kernel allocates (prep_compound_tail() in
	 * mm/internal.h, dax_folio_put() in fs/dax.c).
	 */
	rcu_read_lock();
	mapping = READ_ONCE(folio->mapping);
	if (mapping && !((unsigned long)mapping & (sizeof(long) - 1)) &&
	    virt_addr_valid(mapping) && page_folio(page) == folio) {
		host = READ_ONCE(mapping->host);
		if (host && iopmem_grab_super(host->i_sb))
			sb = host->i_sb;
	}
	rcu_read_unlock();
	return sb;
}

/* File systems that reach us through something stacked in between, like dm-linear. */
static void hold_supers_of_pages(struct iopmem_namespace *ns, struct iopmem_revocation *rev)
{
	unsigned long pfn = PHYS_PFN(iopmem_namespace_start(ns)), i;

	for (i = 0; i < iopmem_namespace_pages(ns); i++) {
		struct super_block *sb = get_page_super(pfn_to_page(pfn + i));

		if (sb)
			hold_super(rev, sb);
		if (!(i % SZ_64K))
			cond_resched();
	}
}

static void zap_inode(struct inode *inode)
{
	/*
	 * Faults hold this lock shared from before they look the page up until
	 * the entry is in, so one that began before kill_dax() is over now.
	 */
	filemap_invalidate_lock(inode->i_mapping);
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	filemap_invalidate_unlock(inode->i_mapping);
}

/* For a reset. Faults wait with the lock that zap_inode() takes. */
static void zap_inode_unlocked(struct inode *inode)
{
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
}

static void drop_inode(struct inode *inode)
{
	filemap_invalidate_lock(inode->i_mapping);
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	iopmem_drop_dax_entries(inode);
	/* erofs faults without the lock; an entry that was locked meanwhile is in by now. */
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	filemap_invalidate_unlock(inode->i_mapping);
}

typedef void (*inode_fn)(struct inode *inode);

static void walk_dax_inodes(struct iopmem_revocation *rev, struct super_block *sb, inode_fn fn)
{
	struct inode *inode, *previous = NULL;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!dax_mapping(inode->i_mapping) || !igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		/* The list goes on from an inode that is still in it. */
		if (previous)
			put_inode_later(rev, previous);
		previous = inode;
		fn(inode);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	if (previous)
		put_inode_later(rev, previous);
}

static void walk_supers(struct iopmem_revocation *rev, inode_fn fn)
{
	struct held_super *held;

	list_for_each_entry(held, &rev->supers, entry)
		walk_dax_inodes(rev, held->sb, fn);
}

/*
 * File systems are found by their disk or by the pages that they map. One that
 * is stacked (or that this kernel does not let us find by its disk) and takes
 * its very first fault right now has no page yet. Faults hold the inode's
 * invalidate_lock from before they look a page up until its entry is in, so
 * taking the lock of each DAX inode once lets such a fault finish, and then its
 * page is found.
 */
static void settle_inode(struct inode *inode)
{
	filemap_invalidate_lock(inode->i_mapping);
	filemap_invalidate_unlock(inode->i_mapping);
}

static void put_inodes(struct iopmem_revocation *rev)
{
	struct held_inode *held, *next;

	list_for_each_entry_safe(held, next, &rev->inodes, entry) {
		iput(held->inode);
		kfree(held);
	}
	INIT_LIST_HEAD(&rev->inodes);
}

/* Not only of ours, so that nothing is held of it for long. */
static void settle_super(struct super_block *sb, void *unused)
{
	struct iopmem_revocation rev;

	begin(&rev);
	if (sb->s_bdev && blk_queue_dax(bdev_get_queue(sb->s_bdev)))
		walk_dax_inodes(&rev, sb, settle_inode);
	put_inodes(&rev);
}

/*
 * The file systems that put files on DAX disks (users of fs_dax_get_by_bdev()).
 * Asking for a type loads its module, so this is only for a namespace that
 * somebody has open and on whose disk no file system was found.
 */
static void settle_faults(struct iopmem_namespace *ns, struct iopmem_revocation *rev)
{
	static const char * const types[] = { "ext2", "ext4", "xfs", "erofs" };
	int i;

	if (!READ_ONCE(ns->openers) || !list_empty(&rev->supers))
		return;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		struct file_system_type *type = get_fs_type(types[i]);

		if (!type)
			continue;
		iterate_supers_type(type, settle_super, NULL);
		module_put(type->owner);
	}
}

/* First after a moment, then every few seconds. */
#define IOPMEM_FIRST_WARNING	(2 * HZ)
#define IOPMEM_NEXT_WARNING	(5 * HZ)

static void wait_until_idle(struct iopmem_namespace *ns, struct iopmem_revocation *rev)
{
	unsigned long since = jiffies, next = since + IOPMEM_FIRST_WARNING, busy;
	unsigned int pause = 1;
	char users[128];

	while ((busy = iopmem_busy_pages(ns))) {
		if (time_after(jiffies, next)) {
			next = jiffies + IOPMEM_NEXT_WARNING;
			iopmem_users_name(ns, true, users, sizeof(users));
			iopmem_waits(ns->region, &ns->dev, since,
				     "%lu pages that are pinned (for DMA?); it was used by %s",
				     busy, users[0] ? users : "nobody known");
		}
		msleep(pause);
		pause = min(pause * 2, 500u);
		if (ns->inode)
			continue;
		hold_supers_of_pages(ns, rev);
		walk_supers(rev, zap_inode);
	}
	iopmem_waits_end(ns->region);
}

/**
 * iopmem_revoke_begin - take away what can be taken at once
 * @ns:		whose dax device is dead and whose bios fail
 *
 * Mappings end here. Waits for faults that are under way, and for nobody else.
 */
void iopmem_revoke_begin(struct iopmem_namespace *ns)
{
	struct iopmem_revocation *rev = &ns->held;

	begin(rev);
	if (ns->inode)
		iopmem_devdax_zap(ns, 0, ns->size);
	if (ns->inode || !ns->mapped)
		return;
	hold_supers_of_disk(ns, rev);
	settle_faults(ns, rev);
	hold_supers_of_pages(ns, rev);
	walk_supers(rev, zap_inode);
}

/**
 * iopmem_revoke - nobody uses the namespace's memory when it returns
 * @ns:		for which iopmem_revoke_begin() was called
 *
 * Waits without a limit for pins, and for importers of dma-bufs that do not let
 * go: pages cannot be freed under a device that does DMA to them.
 */
void iopmem_revoke(struct iopmem_namespace *ns)
{
	iopmem_dmabufs_revoke(ns->region, ns);
	if (!ns->inode && !ns->mapped)
		return;
	wait_until_idle(ns, &ns->held);
	walk_supers(&ns->held, drop_inode);
}

/* After del_gendisk(), before the pages go: this may be the last unmount. */
void iopmem_revoke_finish(struct iopmem_namespace *ns)
{
	struct held_super *held, *next;

	put_inodes(&ns->held);
	list_for_each_entry_safe(held, next, &ns->held.supers, entry) {
		deactivate_super(held->sb);
		kfree(held);
	}
}

/**
 * iopmem_namespace_pause - nobody reaches the memory until it is resumed
 * @ns:	of a device that is about to be reset
 *
 * Bios wait at the frozen queue; mappings are zapped, and faults wait in
 * iopmem_direct_access(). A fault that was past it may still put its entry in,
 * and its user reads whatever a BAR answers during a reset. Pins cannot be taken
 * back: a peer's DMA into a device in reset is the peer's error.
 */
void iopmem_namespace_pause(struct iopmem_namespace *ns)
{
	begin(&ns->held);
	if (ns->inode)
		iopmem_devdax_zap(ns, 0, ns->size);
	if (!ns->disk)
		return;
	if (ns->mapped) {
		/* Before the freeze: file systems wait for bios with their locks held. */
		hold_supers_of_disk(ns, &ns->held);
		hold_supers_of_pages(ns, &ns->held);
		walk_supers(&ns->held, zap_inode_unlocked);
	}
	iopmem_freeze_queue(ns->disk->queue);
	/* Freezing took a grace period, in which faults that were on their way came through. */
	walk_supers(&ns->held, zap_inode_unlocked);
}

/* The first half of the way back, without idev->lock: see resume_device() in reset.c. */
void iopmem_namespace_unfreeze(struct iopmem_namespace *ns)
{
	if (ns->disk)
		iopmem_unfreeze_queue(ns->disk->queue);
}
