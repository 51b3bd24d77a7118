// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a region as a dma-buf, for importers that know no struct pages.
 *
 * It is reached in three ways: a device's DMA (map_dma_buf), the kernel's loads
 * and stores (vmap), and a program's (mmap). The first two are counted, because
 * nobody can take them away without their importer's help; mappings of programs
 * are zapped, and their faults look under the invalidate_lock of the dma-buf's
 * inode whether the memory is still there.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "dmabuf.h"

IOPMEM_IMPORT_DMA_BUF;

/* The device is bound until iopmem_loan_release(). */
bool iopmem_loan_hold(struct iopmem_loan *loan)
{
	bool held;

	spin_lock(&loan->lock);
	held = !loan->revoked;
	loan->users += held;
	spin_unlock(&loan->lock);
	return held;
}

void iopmem_loan_release(struct iopmem_loan *loan)
{
	spin_lock(&loan->lock);
	if (!--loan->users)
		wake_up(&loan->idle);
	spin_unlock(&loan->lock);
}

static void free_loan(struct kref *ref)
{
	struct iopmem_loan *loan = container_of(ref, struct iopmem_loan, ref);

	iput(loan->inode);
	if (loan->ns)
		put_device(&loan->ns->dev);
	put_device(&loan->region->dev);
	kfree(loan);
}

/* Under space_lock. Gives free space back. */
static void forget(struct iopmem_loan *loan)
{
	if (list_empty(&loan->entry))
		return;
	list_del_init(&loan->entry);
	if (loan->ns)
		return;
	release_resource(&loan->claim);
	iopmem_region_update_free(loan->region);
}

/*
 * The last reference to the dma-buf is gone, and with it every importer and
 * mapping. Waits for no removal: its caller may be the one who would have to end
 * what that waits for, and closes this one first.
 */
static void end_loan(struct dma_buf *dmabuf)
{
	struct iopmem_loan *loan = dmabuf->priv;
	struct iopmem_namespace *ns = loan->ns;

	mutex_lock(&loan->region->space_lock);
	forget(loan);
	mutex_unlock(&loan->region->space_lock);
	if (ns) {
		spin_lock(&ns->open_lock);
		ns->openers--;
		iopmem_user_closed(ns);
		spin_unlock(&ns->open_lock);
	}
	kref_put(&loan->ref, free_loan);
}

static const struct dma_buf_ops loan_ops = {
	.attach			= iopmem_loan_attach,
	.pin			= iopmem_loan_pin,
	.unpin			= iopmem_loan_unpin,
	.map_dma_buf		= iopmem_loan_map,
	.unmap_dma_buf		= iopmem_loan_unmap,
	.release		= end_loan,
	.begin_cpu_access	= iopmem_loan_begin_access,
	.end_cpu_access		= iopmem_loan_end_access,
	.mmap			= iopmem_loan_mmap,
	.vmap			= iopmem_loan_vmap,
	.vunmap			= iopmem_loan_vunmap,
};

/* Free space that is lent cannot be lent again, nor become a namespace. */
static int claim_space(struct iopmem_loan *loan, char *reason)
{
	struct iopmem_region *region = loan->region;
	struct iopmem_namespace *ns;

	if (loan->offset < region->label_size)
		return iopmem_refuse(reason, -EBUSY,
				     "the first %llu bytes of %s are its label area",
				     region->label_size, dev_name(&region->dev));
	loan->claim = (struct resource) {
		.name	= "dma-buf",
		.start	= iopmem_loan_start(loan),
		.end	= iopmem_loan_start(loan) + loan->size - 1,
		.flags	= IORESOURCE_MEM | IORESOURCE_BUSY,
	};
	if (!request_resource(region->claim, &loan->claim))
		return 0;
	list_for_each_entry(ns, &region->namespaces, entry)
		if (loan->offset < ns->offset + ns->size &&
		    ns->offset < loan->offset + loan->size)
			return iopmem_refuse(reason, -EBUSY,
					     "the range overlaps %s, which has offset %llu and length %llu",
					     dev_name(&ns->dev), ns->offset, ns->size);
	return iopmem_refuse(reason, -EBUSY,
			     "the range is exported already, or claimed by somebody else: see /proc/iomem");
}

static void insert_loan(struct iopmem_loan *loan)
{
	struct iopmem_loan *next;

	mutex_lock(&loan->region->space_lock);
	list_for_each_entry(next, &loan->region->loans, entry)
		if (next->offset > loan->offset)
			break;
	list_add_tail(&loan->entry, &next->entry);
	iopmem_region_update_free(loan->region);
	mutex_unlock(&loan->region->space_lock);
}

/**
 * iopmem_dmabuf_create - lend memory of a region
 * @region:	which is usable, under idev->lock
 * @ns:		a namespace of it that is enabled, or NULL for free space
 * @offset:	bytes from the start of the region, within @ns
 * @length:	bytes
 * @flags:	IOPMEM_EXPORT_F_*, checked
 * @reason:	filled on failure
 *
 * Return: a file descriptor, or a negative errno with nothing left behind.
 */
int iopmem_dmabuf_create(struct iopmem_region *region, struct iopmem_namespace *ns, u64 offset,
			 u64 length, u32 flags, char *reason)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct iopmem_loan *loan;
	struct dma_buf *dmabuf;
	int error;

	error = iopmem_loan_prepare(region);
	if (error)
		return iopmem_refuse(reason, error, "p2pdma does not take %s (error %d)",
				     pci_name(region->idev->pdev), error);
	loan = kzalloc_obj(*loan);
	if (!loan)
		return iopmem_refuse(reason, -ENOMEM, "out of memory");
	loan->region = region;
	loan->ns = ns;
	loan->offset = offset;
	loan->size = length;
	loan->any = flags & IOPMEM_EXPORT_F_ANY_IMPORTER;
	get_task_comm(loan->comm, current);
	loan->pid = task_tgid_nr(current);
	kref_init(&loan->ref);
	spin_lock_init(&loan->lock);
	init_waitqueue_head(&loan->idle);
	INIT_LIST_HEAD(&loan->entry);
	error = ns ? 0 : claim_space(loan, reason);
	if (error)
		goto out_loan;

	info.exp_name = IOPMEM_DRIVER_NAME;
	info.ops = &loan_ops;
	info.size = length;
	info.flags = O_RDWR;
	info.priv = loan;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		error = iopmem_refuse(reason, PTR_ERR(dmabuf), "no dma-buf can be made (error %ld)",
				      PTR_ERR(dmabuf));
		goto out_claim;
	}
	/* From here on all of it is undone by end_loan(). */
	loan->dmabuf = dmabuf;
	loan->inode = file_inode(dmabuf->file);
	ihold(loan->inode);
	get_device(&region->dev);
	if (ns) {
		get_device(&ns->dev);
		spin_lock(&ns->open_lock);
		ns->openers++;
		iopmem_user_opened(ns);
		spin_unlock(&ns->open_lock);
	}
	insert_loan(loan);
	error = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (error < 0) {
		iopmem_refuse(reason, error, "no file descriptor is free (error %d)", error);
		dma_buf_put(dmabuf);
	}
	return error;

out_claim:
	if (!ns)
		release_resource(&loan->claim);
out_loan:
	kfree(loan);
	return error;
}

/* What of it is in the mappings of programs, so many bytes from @offset. */
static void zap(struct iopmem_loan *loan, u64 offset, u64 n)
{
	struct address_space *mapping = loan->inode->i_mapping;

	filemap_invalidate_lock(mapping);
	unmap_mapping_range(mapping, offset, n, 1);
	filemap_invalidate_unlock(mapping);
}

/*
 * Nobody new, and whoever can be told is told, once. Under space_lock. Who lets
 * go only when work is done that his device has begun is counted until then.
 */
static void tell_users(struct iopmem_loan *loan)
{
	if (loan->revoked)
		return;
	spin_lock(&loan->lock);
	WRITE_ONCE(loan->revoked, true);
	spin_unlock(&loan->lock);
	dma_resv_lock(loan->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(loan->dmabuf);
	dma_resv_unlock(loan->dmabuf->resv);
	zap(loan, 0, loan->size);
}

/* Under space_lock, of a loan in the list. */
static void name_importers(struct iopmem_loan *loan, char *buffer, size_t n)
{
	struct dma_buf_attachment *attach;
	size_t used = 0;

	dma_resv_lock(loan->dmabuf->resv, NULL);
	list_for_each_entry(attach, &loan->dmabuf->attachments, node)
		used += scnprintf(buffer + used, n - used, "%s%s", used ? ", " : "importers: ",
				  dev_name(attach->dev));
	dma_resv_unlock(loan->dmabuf->resv);
	if (!used)
		strscpy(buffer, "no device has it attached", n);
}

/* First after a moment, then every few seconds. */
#define FIRST_WARNING	(2 * HZ)
#define NEXT_WARNING	(5 * HZ)

static void wait_until_returned(struct iopmem_loan *loan)
{
	unsigned long since = jiffies, pause = FIRST_WARNING;
	char importers[128];

	while (!wait_event_timeout(loan->idle, !READ_ONCE(loan->users), pause)) {
		pause = NEXT_WARNING;
		mutex_lock(&loan->region->space_lock);
		if (!list_empty(&loan->entry)) {
			name_importers(loan, importers, sizeof(importers));
			iopmem_waits(loan->region, iopmem_loan_device(loan), since,
				     "a dma-buf of %llu bytes that cannot be taken back, made by %s[%d]; %s",
				     loan->size, loan->comm, loan->pid, importers);
		}
		mutex_unlock(&loan->region->space_lock);
	}
	iopmem_waits_end(loan->region);
	/* The last one may still be in iopmem_loan_release(). */
	spin_lock(&loan->lock);
	spin_unlock(&loan->lock);
}

/**
 * iopmem_dmabufs_tell - who uses what was lent learns that it goes
 * @region:	of which; under idev->lock
 * @ns:		of this namespace; NULL: the free space
 *
 * Programs' mappings go at once, and importers are told to let go. Waits for
 * nobody.
 */
void iopmem_dmabufs_tell(struct iopmem_region *region, struct iopmem_namespace *ns)
{
	struct iopmem_loan *loan;

	mutex_lock(&region->space_lock);
	list_for_each_entry(loan, &region->loans, entry)
		if (loan->ns == ns)
			tell_users(loan);
	mutex_unlock(&region->space_lock);
}

/* With a reference; NULL: there are no more. */
static struct iopmem_loan *first_loan(struct iopmem_region *region, struct iopmem_namespace *ns)
{
	struct iopmem_loan *loan, *found = NULL;

	mutex_lock(&region->space_lock);
	list_for_each_entry(loan, &region->loans, entry) {
		if (loan->ns != ns)
			continue;
		kref_get(&loan->ref);
		found = loan;
		break;
	}
	mutex_unlock(&region->space_lock);
	return found;
}

/**
 * iopmem_dmabufs_revoke - take back what was lent
 * @region:	of which; under idev->lock, and no new ones come
 * @ns:		of this namespace; NULL: the free space
 *
 * Importers that do not let go are waited for without a limit, because their
 * devices may do DMA to the memory.
 */
void iopmem_dmabufs_revoke(struct iopmem_region *region, struct iopmem_namespace *ns)
{
	struct iopmem_loan *loan;

	iopmem_dmabufs_tell(region, ns);
	while ((loan = first_loan(region, ns))) {
		wait_until_returned(loan);
		mutex_lock(&region->space_lock);
		forget(loan);
		mutex_unlock(&region->space_lock);
		kref_put(&loan->ref, free_loan);
	}
}

/* Mappings of programs go; their faults wait until the device is awake again. */
void iopmem_dmabufs_pause(struct iopmem_region *region)
{
	struct iopmem_loan *loan;

	mutex_lock(&region->space_lock);
	list_for_each_entry(loan, &region->loans, entry)
		zap(loan, 0, loan->size);
	mutex_unlock(&region->space_lock);
}

/* Programs that come back to these bytes of a namespace ask whether they are good. */
void iopmem_dmabufs_zap(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	u64 start = ns->offset + round_down(offset, PAGE_SIZE);
	u64 end = ns->offset + round_up(offset + n, PAGE_SIZE);
	struct iopmem_loan *loan;

	mutex_lock(&ns->region->space_lock);
	list_for_each_entry(loan, &ns->region->loans, entry) {
		u64 first = max(start, loan->offset);
		u64 last = min(end, loan->offset + loan->size);

		if (loan->ns == ns && first < last)
			zap(loan, first - loan->offset, last - first);
	}
	mutex_unlock(&ns->region->space_lock);
}

/*
 * What sysfs tells of free space that is lent: "OFFSET+LENGTH", with blanks between
 * them; as many as fit into the file's one page.
 */
ssize_t iopmem_dmabufs_show(struct iopmem_region *region, char *buffer)
{
	struct iopmem_loan *loan;
	ssize_t n = 0;

	mutex_lock(&region->space_lock);
	list_for_each_entry(loan, &region->loans, entry) {
		/* Two numbers of 64 bits, and what is around them. */
		if (n > (ssize_t)PAGE_SIZE - 48)
			break;
		if (!loan->ns)
			n += sysfs_emit_at(buffer, n, "%s%llu+%llu", n ? " " : "", loan->offset,
					   loan->size);
	}
	mutex_unlock(&region->space_lock);
	return n + sysfs_emit_at(buffer, n, "\n");
}

/* 0, or -EBUSY: free space is lent. */
int iopmem_dmabufs_idle(struct iopmem_region *region, char *reason)
{
	struct iopmem_loan *loan;
	char importers[64];
	int error = 0;

	mutex_lock(&region->space_lock);
	list_for_each_entry(loan, &region->loans, entry) {
		if (loan->ns)
			continue;
		name_importers(loan, importers, sizeof(importers));
		error = iopmem_refuse(reason, -EBUSY,
				      "%llu bytes at offset %llu of %s are a dma-buf that is open, made by %s[%d]; %s",
				      loan->size, loan->offset, dev_name(&region->dev),
				      loan->comm, loan->pid, importers);
		break;
	}
	mutex_unlock(&region->space_lock);
	return error;
}

/**
 * iopmem_region_unlent - what of a gap between namespaces is not lent
 * @region:	under space_lock
 * @start:	[in/out] bytes from its start, a multiple of IOPMEM_ALIGN
 * @end:	[in/out] likewise
 *
 * Return: the first such extent is in *@start and *@end; false: there is none.
 */
bool iopmem_region_unlent(const struct iopmem_region *region, u64 *start, u64 *end)
{
	struct iopmem_loan *loan;

	list_for_each_entry(loan, &region->loans, entry) {
		if (loan->ns || loan->offset + loan->size <= *start)
			continue;
		if (loan->offset >= *end)
			break;
		if (round_down(loan->offset, IOPMEM_ALIGN) > *start) {
			*end = round_down(loan->offset, IOPMEM_ALIGN);
			break;
		}
		*start = round_up(loan->offset + loan->size, IOPMEM_ALIGN);
	}
	return *start < *end;
}
