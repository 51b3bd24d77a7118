// SPDX-License-Identifier: GPL-2.0
/*
 * The disk of a namespace: bios are copied by the CPU, in the submitter's
 * context.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/compat.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#include "iopmem.h"

/* swapon's number in the 32-bit table (arch/x86/entry/syscalls/syscall_32.tbl). */
#define IOPMEM_COMPAT_SWAPON	87

/*
 * A segment may be many contiguous pages: without highmem, which no machine with
 * a 64-bit BAR has, they are contiguous for the kernel as well.
 */

/* A segment of huge pages takes seconds at the speed of an uncached BAR. */
#define IOPMEM_COPY_PIECE	SZ_1M

static int do_segment(struct iopmem_namespace *ns, void *bar, void *pages, u64 n, bool write)
{
	while (n) {
		size_t piece = min_t(u64, n, IOPMEM_COPY_PIECE);

		if (write)
			iopmem_copy_to(bar, pages, piece);
		else if (iopmem_copy_from(pages, bar, piece, ns->region->stream))
			return -EIO;
		bar += piece;
		pages += piece;
		n -= piece;
		cond_resched();
	}
	return 0;
}

static blk_status_t do_segments(struct iopmem_namespace *ns, struct bio *bio)
{
	u64 offset = bio->bi_iter.bi_sector << SECTOR_SHIFT;
	bool write = op_is_write(bio_op(bio));
	struct bvec_iter iter;
	struct bio_vec bv;

	if (!write && iopmem_media_bad(ns, offset, bio->bi_iter.bi_size, NULL))
		return BLK_STS_IOERR;
	if (write)
		iopmem_media_rewrite(ns, offset, bio->bi_iter.bi_size);
	bio_for_each_bvec(bv, bio, iter)
		if (do_segment(ns, ns->base + (iter.bi_sector << SECTOR_SHIFT), bvec_virt(&bv),
			       bv.bv_len, write))
			return BLK_STS_IOERR;
	if (write) {
		/* Whoever is told of the completion, on any CPU, reads what was written. */
		wmb();
		iopmem_media_written(ns, offset, bio->bi_iter.bi_size);
		return BLK_STS_OK;
	}
	/* What was read may have come from nobody. Writes are asked about at the flush. */
	return iopmem_answered(ns, offset, bio->bi_iter.bi_size) ? BLK_STS_OK : BLK_STS_IOERR;
}

static blk_status_t do_bio(struct iopmem_namespace *ns, struct bio *bio)
{
	u64 offset = bio->bi_iter.bi_sector << SECTOR_SHIFT;

	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		return do_segments(ns, bio);
	case REQ_OP_WRITE_ZEROES:
		iopmem_media_rewrite(ns, offset, bio->bi_iter.bi_size);
		iopmem_zero(ns->base + offset, bio->bi_iter.bi_size);
		iopmem_media_written(ns, offset, bio->bi_iter.bi_size);
		return BLK_STS_OK;
	default:
		return BLK_STS_NOTSUPP;
	}
}

static void iopmem_submit_bio(struct bio *bio)
{
	struct gendisk *disk = bio->bi_bdev->bd_disk;
	struct iopmem_namespace *ns = disk->private_data;
	bool account = blk_queue_io_stat(disk->queue) && bio_sectors(bio);
	unsigned long start = 0;

	if (unlikely(READ_ONCE(ns->state) != IOPMEM_ENABLED)) {
		bio_io_error(bio);
		return;
	}
	/* A swap file, or swap on something stacked on us: the pages stay in RAM. */
	if (unlikely(bio->bi_opf & REQ_SWAP && op_is_write(bio_op(bio)))) {
		dev_err_ratelimited(&ns->dev, "swap is refused: the card may go at any time\n");
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
		return;
	}
	if (account)
		start = bio_start_io_acct(bio);
	if (bio->bi_opf & REQ_PREFLUSH && iopmem_flush(ns))
		bio->bi_status = BLK_STS_IOERR;
	if (!bio->bi_status)
		bio->bi_status = do_bio(ns, bio);
	if (bio->bi_opf & REQ_FUA && !bio->bi_status && iopmem_flush(ns))
		bio->bi_status = BLK_STS_IOERR;
	if (account)
		bio_end_io_acct(bio, start);
	bio_endio(bio);
}

/*
 * Is this open part of swapon(2)? The block layer does not tell what a disk is
 * opened for, and a refusal later, when pages are written out, is too late for
 * whoever counted on the swap space.
 */
static bool iopmem_in_swapon(void)
{
	int call;

	if (current->flags & (PF_KTHREAD | PF_IO_WORKER))
		return false;
	call = syscall_get_nr(current, task_pt_regs(current));
	return call == (in_compat_syscall() ? IOPMEM_COMPAT_SWAPON : __NR_swapon);
}

static IOPMEM_DISK_OPEN(iopmem_open)
{
	struct iopmem_namespace *ns = iopmem_opened_disk(opened)->private_data;
	int error = 0;

	if (iopmem_in_swapon()) {
		dev_err_ratelimited(&ns->dev, "swap is refused: the card may go at any time\n");
		return -EOPNOTSUPP;
	}
	spin_lock(&ns->open_lock);
	if (ns->state == IOPMEM_ENABLED) {
		ns->openers++;
		iopmem_user_opened(ns);
	} else {
		error = -ENXIO;
	}
	spin_unlock(&ns->open_lock);
	return error;
}

static IOPMEM_DISK_RELEASE(iopmem_release)
{
	struct iopmem_namespace *ns = released->private_data;

	spin_lock(&ns->open_lock);
	ns->openers--;
	iopmem_user_closed(ns);
	spin_unlock(&ns->open_lock);
}

/* The last open file of a removed disk is closed: now nothing finds @ns by it. */
static void iopmem_free_disk(struct gendisk *disk)
{
	struct iopmem_namespace *ns = disk->private_data;

	put_device(&ns->dev);
}

static const struct block_device_operations iopmem_block_fops = {
	.owner		= THIS_MODULE,
	.submit_bio	= iopmem_submit_bio,
	.open		= iopmem_open,
	.release	= iopmem_release,
	.free_disk	= iopmem_free_disk,
};

/*
 * The write cache is the PCIe fabric: posted writes are in it until a read
 * comes back. It is advertised always, or the block layer drops the flushes
 * (block/blk-core.c, submit_bio_noacct()). Discard is not: the BAR has no
 * blocks to give back, and zeroing instead would make each mkfs write it all.
 */
int iopmem_block_add(struct iopmem_namespace *ns)
{
	struct queue_limits lim = {
		.logical_block_size	= SECTOR_SIZE,
		.physical_block_size	= PAGE_SIZE,
		.max_hw_sectors		= UINT_MAX,
		.max_write_zeroes_sectors = SZ_1G >> SECTOR_SHIFT,
	};
	struct gendisk *disk;
	int error;

	disk = iopmem_alloc_disk(&lim, ns->mode == IOPMEM_MODE_FSDAX,
				 dev_to_node(&ns->region->idev->pdev->dev));
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	strscpy(disk->disk_name, dev_name(&ns->dev), sizeof(disk->disk_name));
	disk->fops = &iopmem_block_fops;
	disk->private_data = ns;
	disk->bb = &ns->badblocks;
	set_capacity(disk, ns->size >> SECTOR_SHIFT);
	ns->disk = disk;

	if (ns->mode == IOPMEM_MODE_FSDAX) {
		error = iopmem_dax_add(ns);
		if (error)
			goto out_disk;
	}
	error = device_add_disk(&ns->dev, disk, NULL);
	if (error)
		goto out_dax;
	/* Put by iopmem_free_disk(), which is called only for a disk that was added. */
	get_device(&ns->dev);
	return 0;

out_dax:
	iopmem_dax_kill(ns);
	iopmem_dax_put(ns);
out_disk:
	iopmem_block_put(ns);
	return error;
}

/* Ends all I/O: after it, no bio is in flight and none can come. */
void iopmem_block_del(struct iopmem_namespace *ns)
{
	blk_mark_disk_dead(ns->disk);
	del_gendisk(ns->disk);
}

void iopmem_block_put(struct iopmem_namespace *ns)
{
	struct gendisk *disk = ns->disk;

	ns->disk = NULL;
	put_disk(disk);
}
