// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a region as a dma-buf, for importers that know no struct pages.
 *
 * It is reached in three ways: a device's DMA (map_dma_buf), the kernel's loads
 * and stores (vmap), and a program's (mmap). The first two are counted, because
 * nobody can take them away without their importer's help; mappings of programs
 * are zapped, and their faults look under the invalidate_lock of the dma-buf's
 * inode whether the memory is still there.
 *
 * An importer is judged when it attaches, by topology: a dma-buf's memory has no
 * pages by which the DMA layer could notice that the address cannot be reached.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#ifdef IOPMEM_HAVE_dma_buf_mapping
#include <linux/dma-buf-mapping.h>
#include <linux/pci-p2pdma.h>
#endif

#include "dmabuf.h"
#include "iopmem.h"
#include "topology.h"

IOPMEM_IMPORT_DMA_BUF;

/**
 * struct iopmem_loan - what is given out as one dma-buf
 * @entry:	in region->loans, by offset; empty when it was taken back
 * @region:	held by us
 * @ns:		held by us; NULL for free space of the region
 * @offset:	from the start of the region
 * @size:	bytes, whole pages
 * @claim:	of free space, child of region->claim
 * @any:	importers need not have declared that they do without pages
 * @dmabuf:	holds us
 * @window:	the kernel's mapping of free space, while an importer has it
 * @lock:	protects the next two
 * @revoked:	nobody new may reach the memory
 * @users:	who reaches it now: mappings for devices and for the kernel
 * @idle:	woken when @users comes to 0
 */
struct iopmem_loan {
	struct list_head entry;
	struct iopmem_region *region;
	struct iopmem_namespace *ns;
	u64 offset;
	u64 size;
	struct resource claim;
	bool any;
	struct dma_buf *dmabuf;
	void __iomem *window;

	spinlock_t lock;	/* the next two */
	bool revoked;
	unsigned int users;
	wait_queue_head_t idle;
};

static phys_addr_t loan_start(const struct iopmem_loan *loan)
{
	return loan->region->start + loan->offset;
}

static struct device *loan_device(const struct iopmem_loan *loan)
{
	return loan->ns ? &loan->ns->dev : &loan->region->dev;
}

/* The device is bound until release_memory(). */
static bool hold_memory(struct iopmem_loan *loan)
{
	bool held;

	spin_lock(&loan->lock);
	held = !loan->revoked;
	loan->users += held;
	spin_unlock(&loan->lock);
	return held;
}

static void release_memory(struct iopmem_loan *loan)
{
	spin_lock(&loan->lock);
	if (!--loan->users)
		wake_up(&loan->idle);
	spin_unlock(&loan->lock);
}

static int refuse_importer(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
			   const char *reason)
{
	dev_warn_ratelimited(loan_device(loan), "no dma-buf for %s: %s\n", dev_name(attach->dev),
			     reason);
	return -EOPNOTSUPP;
}

/* May it have the memory: by what it says of itself, and by the topology? */
static int judge_importer(struct iopmem_loan *loan, struct dma_buf_attachment *attach)
{
	struct pci_dev *provider = loan->region->idev->pdev, *client;
	char reason[IOPMEM_REASON_LEN];
	struct iopmem_route route;

	if (!dev_is_pci(attach->dev))
		return refuse_importer(loan, attach, "it is no PCI function");
	if (!attach->peer2peer && !loan->any)
		return refuse_importer(loan, attach,
				       "its driver may look for struct pages (it has not declared allow_peer2peer)");
	client = to_pci_dev(attach->dev);
	iopmem_judge(provider, client, &route);
	if (route.verdict == IOPMEM_ROUTE_NONE) {
		iopmem_refuse_route(reason, &route, provider, client);
		return refuse_importer(loan, attach, reason);
	}
	if (IS_ENABLED(CONFIG_PCI_P2PDMA) && iopmem_kernel_distance(provider, client) < 0)
		return refuse_importer(loan, attach, "the kernel's p2pdma code does not allow it");
	attach->priv = (void *)(unsigned long)route.verdict;
	return 0;
}

static int loan_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct iopmem_loan *loan = dmabuf->priv;
	int error;

	if (!hold_memory(loan))
		return -ENODEV;
	error = judge_importer(loan, attach);
	release_memory(loan);
	return error;
}

/* It does not move. That it may have to go is told by invalidate_mappings, or waited for. */
static int loan_pin(struct dma_buf_attachment *attach)
{
	struct iopmem_loan *loan = attach->dmabuf->priv;

	return READ_ONCE(loan->revoked) ? -ENODEV : 0;
}

static void loan_unpin(struct dma_buf_attachment *attach)
{
}

#ifdef IOPMEM_HAVE_dma_buf_mapping
static struct sg_table *make_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	struct phys_vec range = { .paddr = loan_start(loan), .len = loan->size };
	struct p2pdma_provider *provider;

	provider = pcim_p2pdma_provider(loan->region->idev->pdev, loan->region->bar);
	if (!provider)
		return ERR_PTR(-EOPNOTSUPP);
	return dma_buf_phys_vec_to_sgt(attach, provider, &range, 1, loan->size, direction);
}

static void free_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
		       struct sg_table *table, enum dma_data_direction direction)
{
	dma_buf_free_sgt(attach, table, direction);
}

/* The kernel's helper asks p2pdma, which wants to know the device. */
static int prepare_device(struct iopmem_region *region)
{
	return pcim_p2pdma_init(region->idev->pdev);
}
#else
static bool by_bus_address(const struct dma_buf_attachment *attach)
{
	return (unsigned long)attach->priv == IOPMEM_ROUTE_BUS_ADDRESS;
}

/* 0; -EIO the importer's device cannot reach it. */
static int map_piece(struct iopmem_loan *loan, struct dma_buf_attachment *attach, u64 done,
		     size_t n, enum dma_data_direction direction, dma_addr_t *address)
{
	struct iopmem_region *region = loan->region;

	if (!by_bus_address(attach)) {
		*address = dma_map_resource(attach->dev, loan_start(loan) + done, n, direction, 0);
		return dma_mapping_error(attach->dev, *address) ? -EIO : 0;
	}
	*address = pci_bus_address(region->idev->pdev, region->bar) + loan->offset + done;
	return *address + n - 1 > dma_get_mask(attach->dev) ? -EIO : 0;
}

/* The first @n entries of a table. */
static void unmap_pieces(struct dma_buf_attachment *attach, struct sg_table *table,
			 unsigned int n, enum dma_data_direction direction)
{
	struct scatterlist *sg;
	unsigned int i;

	if (by_bus_address(attach))
		return;
	for_each_sg(table->sgl, sg, n, i)
		dma_unmap_resource(attach->dev, sg_dma_address(sg), sg_dma_len(sg), direction, 0);
}

/*
 * A table of addresses without pages, as the helper of newer kernels makes it.
 * dma_map_resource() never copies: it fails where the device cannot reach.
 */
static struct sg_table *make_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	size_t most = round_down(min_t(size_t, dma_get_max_seg_size(attach->dev), SZ_1G),
				 PAGE_SIZE);
	struct sg_table *table;
	struct scatterlist *sg;
	unsigned int i;
	u64 done = 0;
	int error;

	if (!most)
		return ERR_PTR(-EOPNOTSUPP);
	table = kzalloc_obj(*table);
	if (!table)
		return ERR_PTR(-ENOMEM);
	error = sg_alloc_table(table, DIV_ROUND_UP_ULL(loan->size, most), GFP_KERNEL);
	if (error)
		goto out_table;
	for_each_sgtable_dma_sg(table, sg, i) {
		size_t n = min_t(u64, most, loan->size - done);
		dma_addr_t address;

		error = map_piece(loan, attach, done, n, direction, &address);
		if (error)
			goto out_pieces;
		sg_set_page(sg, NULL, n, 0);
		sg_dma_address(sg) = address;
		sg_dma_len(sg) = n;
		done += n;
	}
	/* No pages: nobody may walk them. */
	table->orig_nents = 0;
	return table;

out_pieces:
	unmap_pieces(attach, table, i, direction);
	sg_free_table(table);
out_table:
	kfree(table);
	return ERR_PTR(error);
}

static void free_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
		       struct sg_table *table, enum dma_data_direction direction)
{
	unmap_pieces(attach, table, table->nents, direction);
	table->orig_nents = table->nents;
	sg_free_table(table);
	kfree(table);
}

static int prepare_device(struct iopmem_region *region)
{
	return 0;
}
#endif

static struct sg_table *loan_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction direction)
{
	struct iopmem_loan *loan = attach->dmabuf->priv;
	struct sg_table *table;

	if (!hold_memory(loan))
		return ERR_PTR(-ENODEV);
	table = make_table(loan, attach, direction);
	if (IS_ERR(table)) {
		dev_warn_ratelimited(loan_device(loan), "%s cannot map the dma-buf (error %ld)\n",
				     dev_name(attach->dev), PTR_ERR(table));
		release_memory(loan);
	}
	return table;
}

static void loan_unmap(struct dma_buf_attachment *attach, struct sg_table *table,
		       enum dma_data_direction direction)
{
	struct iopmem_loan *loan = attach->dmabuf->priv;

	free_table(loan, attach, table, direction);
	release_memory(loan);
}

/*
 * Called once, whatever the number of importers: the dma-buf counts them.
 *
 * Told as plain memory, which it can be used like. Told as I/O memory, videobuf2
 * would give back what it takes for plain memory all the same
 * (vb2_vmalloc_unmap_dmabuf()), and dma_buf_vunmap() dies of the difference.
 */
static int loan_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct iopmem_loan *loan = dmabuf->priv;

	if (!hold_memory(loan))
		return -ENODEV;
	if (loan->ns) {
		iosys_map_set_vaddr(map, loan->ns->base + (loan->offset - loan->ns->offset));
		return 0;
	}
	loan->window = iopmem_region_window(loan->region, loan->offset, loan->size);
	if (!loan->window) {
		release_memory(loan);
		return -ENOMEM;
	}
	iosys_map_set_vaddr(map, (void __force *)loan->window);
	return 0;
}

static void loan_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct iopmem_loan *loan = dmabuf->priv;

	if (loan->window)
		iounmap(loan->window);
	loan->window = NULL;
	release_memory(loan);
}

static vm_fault_t loan_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct address_space *mapping = vma->vm_file->f_mapping;
	struct iopmem_loan *loan = vma->vm_private_data;
	struct iopmem_device *idev = loan->region->idev;
	u64 offset = PFN_PHYS(vmf->pgoff);
	vm_fault_t result = VM_FAULT_SIGBUS;

	for (;;) {
		filemap_invalidate_lock_shared(mapping);
		if (READ_ONCE(loan->revoked) || likely(!READ_ONCE(idev->paused)))
			break;
		filemap_invalidate_unlock_shared(mapping);
		/* Who is killed while a reset lasts must not come again for the same page. */
		if (wait_event_killable(idev->resumed, !READ_ONCE(idev->paused)))
			return VM_FAULT_SIGBUS;
	}
	if (loan->revoked || offset >= loan->size)
		goto out;
	if (loan->ns && iopmem_media_bad(loan->ns, loan->offset - loan->ns->offset + offset,
					 PAGE_SIZE, NULL))
		goto out;
	result = vmf_insert_pfn(vma, vmf->address, PHYS_PFN(loan_start(loan) + offset));
out:
	filemap_invalidate_unlock_shared(mapping);
	return result;
}

static const struct vm_operations_struct loan_vm_ops = {
	.fault	= loan_fault,
};

static int loan_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct iopmem_loan *loan = dmabuf->priv;

	if (READ_ONCE(loan->revoked))
		return -ENODEV;
	/* A private mapping would copy into RAM what it writes, and call it the BAR. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	vma->vm_ops = &loan_vm_ops;
	vma->vm_private_data = loan;
	iopmem_set_vm_flags(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

/* What a device wrote is read from the device: nothing is cached that could be old. */
static int loan_begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct iopmem_loan *loan = dmabuf->priv;

	return READ_ONCE(loan->revoked) ? -ENODEV : 0;
}

/* What the CPU wrote is on the device before anybody is told to fetch it. */
static int loan_end_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct iopmem_loan *loan = dmabuf->priv;
	void __iomem *window;
	int error;

	if (direction == DMA_FROM_DEVICE)
		return 0;
	if (!hold_memory(loan))
		return -ENODEV;
	if (loan->ns) {
		error = iopmem_flush(loan->ns);
	} else {
		window = iopmem_region_window(loan->region, loan->offset, PAGE_SIZE);
		error = window ? iopmem_read_back(loan->region->idev,
						  (const u64 __force *)window) : -ENOMEM;
		if (window)
			iounmap(window);
	}
	release_memory(loan);
	return error;
}

/* Under idev->lock. Gives free space back. */
static void forget(struct iopmem_loan *loan)
{
	if (list_empty(&loan->entry))
		return;
	spin_lock(&loan->region->loans_lock);
	list_del_init(&loan->entry);
	spin_unlock(&loan->region->loans_lock);
	if (loan->ns)
		return;
	release_resource(&loan->claim);
	iopmem_region_update_free(loan->region);
}

/* The last reference to the dma-buf is gone, and with it every importer and mapping. */
static void loan_release(struct dma_buf *dmabuf)
{
	struct iopmem_loan *loan = dmabuf->priv;
	struct iopmem_region *region = loan->region;
	struct iopmem_namespace *ns = loan->ns;

	mutex_lock(&region->idev->lock);
	forget(loan);
	mutex_unlock(&region->idev->lock);
	if (ns) {
		spin_lock(&ns->open_lock);
		ns->openers--;
		iopmem_user_closed(ns);
		spin_unlock(&ns->open_lock);
		put_device(&ns->dev);
	}
	put_device(&region->dev);
	kfree(loan);
}

static const struct dma_buf_ops loan_ops = {
	.attach			= loan_attach,
	.pin			= loan_pin,
	.unpin			= loan_unpin,
	.map_dma_buf		= loan_map,
	.unmap_dma_buf		= loan_unmap,
	.release		= loan_release,
	.begin_cpu_access	= loan_begin_access,
	.end_cpu_access		= loan_end_access,
	.mmap			= loan_mmap,
	.vmap			= loan_vmap,
	.vunmap			= loan_vunmap,
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
		.start	= loan_start(loan),
		.end	= loan_start(loan) + loan->size - 1,
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

	list_for_each_entry(next, &loan->region->loans, entry)
		if (next->offset > loan->offset)
			break;
	spin_lock(&loan->region->loans_lock);
	list_add_tail(&loan->entry, &next->entry);
	spin_unlock(&loan->region->loans_lock);
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

	if (!IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		return iopmem_refuse(reason, -EOPNOTSUPP,
				     "dma-bufs need a kernel with CONFIG_DMA_SHARED_BUFFER");
	error = prepare_device(region);
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
	/* From here on all of it is undone by loan_release(). */
	loan->dmabuf = dmabuf;
	get_device(&region->dev);
	if (ns) {
		get_device(&ns->dev);
		spin_lock(&ns->open_lock);
		ns->openers++;
		iopmem_user_opened(ns);
		spin_unlock(&ns->open_lock);
	}
	insert_loan(loan);
	if (!ns)
		iopmem_region_update_free(region);
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

/* Nobody new, and whoever can be told is told, once. The caller keeps the dma-buf. */
static void tell_users(struct iopmem_loan *loan)
{
	struct dma_buf *dmabuf = loan->dmabuf;
	struct address_space *mapping = dmabuf->file->f_mapping;

	if (loan->revoked)
		return;
	spin_lock(&loan->lock);
	WRITE_ONCE(loan->revoked, true);
	spin_unlock(&loan->lock);
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(dmabuf);
	/* Some let go when work that they have begun is done. */
	dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false, MAX_SCHEDULE_TIMEOUT);
	dma_resv_unlock(dmabuf->resv);
	filemap_invalidate_lock(mapping);
	unmap_mapping_range(mapping, 0, 0, 1);
	filemap_invalidate_unlock(mapping);
}

static void name_importers(struct dma_buf *dmabuf, char *buffer, size_t n)
{
	struct dma_buf_attachment *attach;
	size_t used = 0;

	buffer[0] = '\0';
	dma_resv_lock(dmabuf->resv, NULL);
	list_for_each_entry(attach, &dmabuf->attachments, node)
		used += scnprintf(buffer + used, n - used, "%s%s", used ? ", " : "",
				  dev_name(attach->dev));
	dma_resv_unlock(dmabuf->resv);
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
		name_importers(loan->dmabuf, importers, sizeof(importers));
		dev_warn(loan_device(loan),
			 "removal waits since %lu s for a dma-buf of %llu bytes that cannot be taken back; importers: %s\n",
			 (jiffies - since) / HZ, loan->size,
			 importers[0] ? importers : "a driver that maps it into the kernel");
	}
	/* The last one may still be in release_memory(). */
	spin_lock(&loan->lock);
	spin_unlock(&loan->lock);
}

/* One whose file is on its way out waits for our lock, and has no users. */
static bool keep_dmabuf(struct iopmem_loan *loan)
{
	struct file *file = loan->dmabuf->file;

	return iopmem_get_file(&file);
}

/* All users of what a region has lent learn that it goes. Waits for nobody. */
void iopmem_dmabufs_tell(struct iopmem_region *region)
{
	struct iopmem_loan *loan;

	list_for_each_entry(loan, &region->loans, entry) {
		if (!keep_dmabuf(loan))
			continue;
		tell_users(loan);
		dma_buf_put(loan->dmabuf);
	}
}

/**
 * iopmem_dmabufs_revoke - take back what was lent
 * @region:	of which; under idev->lock
 * @ns:		of this namespace; NULL: the free space
 *
 * Programs' mappings go at once, importers that can be told let go; others are
 * waited for without a limit, because their devices may do DMA to the memory.
 */
void iopmem_dmabufs_revoke(struct iopmem_region *region, struct iopmem_namespace *ns)
{
	struct iopmem_loan *loan, *next;

	list_for_each_entry_safe(loan, next, &region->loans, entry) {
		if (loan->ns != ns)
			continue;
		if (keep_dmabuf(loan)) {
			tell_users(loan);
			wait_until_returned(loan);
			forget(loan);
			dma_buf_put(loan->dmabuf);
		} else {
			forget(loan);
		}
	}
}

/* Mappings of programs go; their faults wait until the device is awake again. */
void iopmem_dmabufs_pause(struct iopmem_region *region)
{
	struct iopmem_loan *loan;

	list_for_each_entry(loan, &region->loans, entry) {
		struct address_space *mapping;

		if (!keep_dmabuf(loan))
			continue;
		mapping = loan->dmabuf->file->f_mapping;
		filemap_invalidate_lock(mapping);
		unmap_mapping_range(mapping, 0, 0, 1);
		filemap_invalidate_unlock(mapping);
		dma_buf_put(loan->dmabuf);
	}
}

/* What sysfs tells of free space that is lent: "OFFSET+LENGTH", with blanks between them. */
ssize_t iopmem_dmabufs_show(struct iopmem_region *region, char *buffer)
{
	struct iopmem_loan *loan;
	ssize_t n = 0;

	spin_lock(&region->loans_lock);
	list_for_each_entry(loan, &region->loans, entry)
		if (!loan->ns)
			n += sysfs_emit_at(buffer, n, "%s%llu+%llu", n ? " " : "", loan->offset,
					   loan->size);
	spin_unlock(&region->loans_lock);
	return n + sysfs_emit_at(buffer, n, "\n");
}

/* 0, or -EBUSY: free space is lent. */
int iopmem_dmabufs_idle(struct iopmem_region *region, char *reason)
{
	struct iopmem_loan *loan;

	list_for_each_entry(loan, &region->loans, entry)
		if (!loan->ns)
			return iopmem_refuse(reason, -EBUSY,
					     "%llu bytes at offset %llu of %s are exported as a dma-buf that is open",
					     loan->size, loan->offset, dev_name(&region->dev));
	return 0;
}

/**
 * iopmem_region_unlent - what of a gap between namespaces is not lent
 * @region:	under idev->lock
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
