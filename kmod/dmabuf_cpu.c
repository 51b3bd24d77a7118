// SPDX-License-Identifier: GPL-2.0
/*
 * Loads and stores through a dma-buf: the kernel's, which are counted like a
 * device's mapping, and those of programs, whose mappings can be taken away.
 */
#include <linux/dma-buf.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "dmabuf.h"

/*
 * Called once, whatever the number of importers: the dma-buf counts them.
 *
 * Told as plain memory, which it can be used like. Told as I/O memory, videobuf2
 * would give back what it takes for plain memory all the same
 * (vb2_vmalloc_unmap_dmabuf()), and dma_buf_vunmap() dies of the difference.
 */
int iopmem_loan_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct iopmem_loan *loan = dmabuf->priv;

	if (!iopmem_loan_hold(loan))
		return -ENODEV;
	if (loan->ns) {
		iosys_map_set_vaddr(map, loan->ns->base + (loan->offset - loan->ns->offset));
		return 0;
	}
	loan->window = iopmem_region_window(loan->region, loan->offset, loan->size);
	if (!loan->window) {
		iopmem_loan_release(loan);
		return -ENOMEM;
	}
	iosys_map_set_vaddr(map, (void __force *)loan->window);
	return 0;
}

void iopmem_loan_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct iopmem_loan *loan = dmabuf->priv;

	if (loan->window)
		iounmap(loan->window);
	loan->window = NULL;
	iopmem_loan_release(loan);
}

static vm_fault_t loan_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct iopmem_loan *loan = vma->vm_private_data;
	struct address_space *mapping = loan->inode->i_mapping;
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
	result = vmf_insert_pfn(vma, vmf->address, PHYS_PFN(iopmem_loan_start(loan) + offset));
out:
	filemap_invalidate_unlock_shared(mapping);
	return result;
}

static const struct vm_operations_struct loan_vm_ops = {
	.fault	= loan_fault,
};

int iopmem_loan_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
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
int iopmem_loan_begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct iopmem_loan *loan = dmabuf->priv;

	return READ_ONCE(loan->revoked) ? -ENODEV : 0;
}

/* What the CPU wrote is on the device before anybody is told to fetch it. */
int iopmem_loan_end_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct iopmem_loan *loan = dmabuf->priv;
	struct iopmem_device *idev = loan->region->idev;
	void __iomem *window;
	int error;

	if (direction == DMA_FROM_DEVICE)
		return 0;
	if (!iopmem_loan_hold(loan))
		return -ENODEV;
	/* A removal that waits for us ends the reset first. */
	if (unlikely(READ_ONCE(idev->paused)) &&
	    wait_event_killable(idev->resumed, !READ_ONCE(idev->paused))) {
		error = -EINTR;
	} else if (loan->ns) {
		error = iopmem_flush(loan->ns);
	} else {
		window = iopmem_region_window(loan->region, loan->offset, PAGE_SIZE);
		error = window ? iopmem_read_back(idev, (const u64 __force *)window) : -ENOMEM;
		if (window)
			iounmap(window);
	}
	iopmem_loan_release(loan);
	return error;
}
