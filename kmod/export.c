// SPDX-License-Identifier: GPL-2.0
/*
 * Who may have a dma-buf, and of what: root of any range of a region, and
 * whoever has a devdax node open for writing of what he could map.
 */
#include <linux/mm.h>
#include <linux/uuid.h>

#include "devdax.h"
#include "dmabuf.h"
#include "iopmem.h"

static int check_flags(u32 flags, char *reason)
{
	if (flags & ~IOPMEM_EXPORT_F_ANY_IMPORTER)
		return iopmem_refuse(reason, -EINVAL, "unknown flags 0x%x",
				     flags & ~IOPMEM_EXPORT_F_ANY_IMPORTER);
	return 0;
}

static int check_range(u64 offset, u64 length, u64 size, struct device *of, char *reason)
{
	if (!length || offset % PAGE_SIZE || length % PAGE_SIZE)
		return iopmem_refuse(reason, -EINVAL,
				     "offset %llu and length %llu are not multiples of %lu, or the length is 0",
				     offset, length, PAGE_SIZE);
	if (offset > size || length > size - offset)
		return iopmem_refuse(reason, -ERANGE,
				     "offset %llu and length %llu reach beyond the %llu bytes of %s",
				     offset, length, size, dev_name(of));
	return 0;
}

/* Under idev->lock. */
static int export(struct iopmem_region *region, struct iopmem_namespace *ns, u64 offset,
		  u64 length, u32 flags, char *reason)
{
	int error = iopmem_region_usable(region, reason);

	if (error)
		return error;
	if (region->idev->retired_by)
		return iopmem_refuse(reason, -EBUSY, "%s is being unbound",
				     pci_name(region->idev->pdev));
	if (!ns)
		return iopmem_dmabuf_create(region, NULL, offset, length, flags, reason);
	if (ns->state != IOPMEM_ENABLED)
		return iopmem_refuse(reason, -ENODEV, "%s is gone", dev_name(&ns->dev));
	if (ns->mode == IOPMEM_MODE_P2PDMA)
		return iopmem_refuse(reason, -EOPNOTSUPP,
				     "the memory of %s is handed out by the kernel, to others too",
				     dev_name(&ns->dev));
	return iopmem_dmabuf_create(region, ns, ns->offset + offset, length, flags, reason);
}

static int export_of_region(struct iopmem_region *region, struct iopmem_export *arg)
{
	struct iopmem_namespace *ns = NULL;
	int error;

	if (arg->id) {
		ns = iopmem_namespace_find(region, arg->id, arg->uuid, arg->reason);
		if (IS_ERR(ns))
			return PTR_ERR(ns);
	} else if (!iopmem_is_zero(arg->uuid, sizeof(arg->uuid))) {
		return iopmem_refuse(arg->reason, -EINVAL, "a UUID is given without a number");
	}
	error = check_range(arg->offset, arg->length, ns ? ns->size : region->size,
			    ns ? &ns->dev : &region->dev, arg->reason);
	return error ?: export(region, ns, arg->offset, arg->length, arg->flags, arg->reason);
}

/* IOPMEM_IOC_EXPORT_DMABUF */
int iopmem_export_dmabuf(void *owner, void *value)
{
	struct iopmem_export *arg = value;
	int result = check_flags(arg->flags, arg->reason);

	if (!result && arg->fd)
		result = iopmem_refuse(arg->reason, -EINVAL, "the descriptor is not zero");
	if (!result)
		result = iopmem_region_lock(owner, arg->reason);
	if (result)
		return result;
	result = export_of_region(owner, arg);
	iopmem_region_unlock(owner);
	if (result < 0)
		return result;
	arg->fd = result;
	return 0;
}

static int export_of_node(const struct devdax_file *open, u64 offset, u64 length, u32 flags,
			  char *reason)
{
	struct iopmem_namespace *ns = open->ns;
	int result = check_flags(flags, reason);

	if (!result)
		result = check_range(offset, length, ns->size, &ns->dev, reason);
	if (!result && !open->writable)
		result = iopmem_refuse(reason, -EACCES, "the node is open for reading alone");
	if (!result)
		result = iopmem_region_lock(ns->region, reason);
	if (result)
		return result;
	result = export(ns->region, ns, offset, length, flags, reason);
	iopmem_region_unlock(ns->region);
	return result;
}

/* IOPMEM_IOC_EXPORT_MAPPING */
int iopmem_export_mapping(void *owner, void *value)
{
	struct iopmem_mapping_export *arg = value;
	int result;

	if (arg->fd || arg->reserved)
		return iopmem_refuse(arg->reason, -EINVAL, "reserved fields are not zero");
	result = export_of_node(owner, arg->offset, arg->length, arg->flags, arg->reason);
	if (result < 0)
		return result;
	arg->fd = result;
	return 0;
}

/*
 * Where in the namespace the bytes are. They may be in several mappings, for
 * instance after mprotect(2) of a part, if these follow each other.
 */
static int find_pointer(const struct devdax_file *open, u64 address, u64 length, u64 *offset,
			char *reason)
{
	struct mm_struct *mm = current->mm;
	u64 at = address, end = address + length;
	int error = 0;

	if (!length)
		return iopmem_refuse(reason, -EINVAL, "the length is 0");
	if (end < address || end > TASK_SIZE)
		return iopmem_refuse(reason, -EFAULT, "there are no addresses of programs");
	if (mmap_read_lock_killable(mm))
		return iopmem_refuse(reason, -EINTR, "interrupted by a signal");
	while (at < end) {
		struct vm_area_struct *vma = vma_lookup(mm, at);
		u64 place;

		if (!vma || !vma->vm_file || vma->vm_file->f_mapping != open->mapping) {
			error = iopmem_refuse(reason, -EFAULT,
					      "0x%llx is in no mapping of %s (files can be moved: of them there are no dma-bufs)",
					      at, dev_name(&open->ns->dev));
			break;
		}
		place = PFN_PHYS(vma->vm_pgoff) + (at - vma->vm_start);
		if (at == address)
			*offset = place;
		if (place != *offset + (at - address)) {
			error = iopmem_refuse(reason, -EFAULT,
					      "the mapping at 0x%llx shows another place than the one before it goes on to",
					      at);
			break;
		}
		if (!(vma->vm_flags & VM_MAYWRITE)) {
			error = iopmem_refuse(reason, -EACCES,
					      "the mapping at 0x%llx can only be read", at);
			break;
		}
		at = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return error;
}

/* IOPMEM_IOC_EXPORT_POINTER */
int iopmem_export_pointer(void *owner, void *value)
{
	struct iopmem_pointer_export *arg = value;
	u64 place = 0, first;
	int result;

	if (arg->fd || arg->reserved || arg->offset)
		return iopmem_refuse(arg->reason, -EINVAL, "reserved fields are not zero");
	result = find_pointer(owner, arg->address, arg->length, &place, arg->reason);
	if (result)
		return result;
	first = round_down(place, PAGE_SIZE);
	result = export_of_node(owner, first, round_up(place + arg->length, PAGE_SIZE) - first,
				arg->flags, arg->reason);
	if (result < 0)
		return result;
	arg->offset = place - first;
	arg->fd = result;
	return 0;
}
