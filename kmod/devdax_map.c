// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of a devdax node, and the faults that fill them.
 */
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>

#include "devdax.h"

/*
 * One page, or 2 MiB where the mapping, the memory and the mapping's place in it
 * are aligned. @kept: the mapping has another cache type than the reserved one.
 */
static vm_fault_t insert(struct vm_fault *vmf, unsigned int order, bool kept)
{
	struct vm_area_struct *vma = vmf->vma;
	struct iopmem_namespace *ns = ((struct devdax_file *)vma->vm_file->private_data)->ns;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	unsigned long address = vmf->address & (PAGE_MASK << order);
	unsigned long size = PAGE_SIZE << order;
	phys_addr_t start;
	u64 offset;

	if (order && (address < vma->vm_start || vma->vm_end - address < size))
		return VM_FAULT_FALLBACK;
	offset = PFN_PHYS(linear_page_index(vma, address));
	/* A mapping can be made longer by mremap(2). */
	if (offset >= ns->size || size > ns->size - offset)
		return order ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;
	if (unlikely(iopmem_media_bad(ns, offset, size, NULL)))
		return order ? VM_FAULT_FALLBACK : VM_FAULT_HWPOISON;
	start = iopmem_namespace_start(ns) + offset;
	if (!order)
		return iopmem_insert_page(vmf, PHYS_PFN(start), write, kept);
	if (!IS_ALIGNED(start, size))
		return VM_FAULT_FALLBACK;
	return iopmem_insert_pmd(vmf, PHYS_PFN(start), write, kept);
}

static vm_fault_t fault(struct vm_fault *vmf, unsigned int order, bool kept)
{
	const struct devdax_file *open = vmf->vma->vm_file->private_data;
	vm_fault_t result;

	/* Who is killed while a reset lasts must not come again for the same page. */
	if (iopmem_devdax_begin(open))
		return VM_FAULT_SIGBUS;
	iopmem_user_reached(open->ns);
	result = insert(vmf, order, kept);
	iopmem_devdax_end(open);
	return result;
}

static vm_fault_t devdax_fault(struct vm_fault *vmf)
{
	return fault(vmf, 0, false);
}

static vm_fault_t devdax_kept_fault(struct vm_fault *vmf)
{
	return fault(vmf, 0, true);
}

static IOPMEM_HUGE_FAULT(devdax_huge_fault, order)
{
	return iopmem_fault_order(order) == IOPMEM_PMD_ORDER ? fault(vmf, IOPMEM_PMD_ORDER, false) :
							VM_FAULT_FALLBACK;
}

static IOPMEM_HUGE_FAULT(devdax_kept_huge_fault, order)
{
	return iopmem_fault_order(order) == IOPMEM_PMD_ORDER ? fault(vmf, IOPMEM_PMD_ORDER, true) :
							VM_FAULT_FALLBACK;
}

static const struct vm_operations_struct devdax_vm_ops = {
	.fault		= devdax_fault,
	.huge_fault	= devdax_huge_fault,
};

/* For mappings of another cache type than the one reserved for the BAR. */
static const struct vm_operations_struct devdax_kept_vm_ops = {
	.fault		= devdax_kept_fault,
	.huge_fault	= devdax_kept_huge_fault,
};

/* mmap(2) of the node: shared, within the namespace. */
int iopmem_devdax_mmap(struct file *file, struct vm_area_struct *vma)
{
	const struct devdax_file *open = file->private_data;
	struct iopmem_namespace *ns = open->ns;
	unsigned long pages = vma_pages(vma), size = iopmem_namespace_pages(ns);
	/* Once: another thread may be choosing. */
	bool uncached = READ_ONCE(open->cache) == IOPMEM_CACHE_UC;

	if (READ_ONCE(ns->state) != IOPMEM_ENABLED)
		return -ENXIO;
	/* A private mapping would copy into RAM what it writes, and call it the BAR. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff > size || pages > size - vma->vm_pgoff)
		return -EINVAL;
	/* As on a file system: only what is persistent can be synchronous. */
	if (vma->vm_flags & VM_SYNC && ns->region->media != IOPMEM_MEDIA_PERSISTENT)
		return -EOPNOTSUPP;

	if (uncached)
		vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	else
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	vma->vm_ops = uncached ? &devdax_kept_vm_ops : &devdax_vm_ops;
	iopmem_set_vm_flags(vma, IOPMEM_DEVDAX_VM_FLAGS);
	return 0;
}
