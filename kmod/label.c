// SPDX-License-Identifier: GPL-2.0
/*
 * The label area: the first bytes of a region, kept free of namespaces and
 * written in pieces that are each on the device before the call returns.
 *
 * What labels mean is user space's business. Reading them is read(2) on the
 * region's node.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "iopmem.h"

static int set_area(struct iopmem_region *region, struct iopmem_label_area *arg)
{
	u64 start = 0, end = arg->length;
	struct iopmem_namespace *first;
	int error;

	if (arg->flags)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x", arg->flags);
	if (arg->length && arg->length != IOPMEM_ALIGN)
		return iopmem_refuse(arg->reason, -EINVAL,
				     "a label area has %llu bytes, not %llu", IOPMEM_ALIGN,
				     arg->length);
	error = iopmem_region_usable(region, arg->reason);
	if (error)
		return error;
	if (arg->length >= region->size)
		return iopmem_refuse(arg->reason, -EINVAL,
				     "%s has %llu bytes: beside a label area, no namespace fits",
				     dev_name(&region->dev), region->size);
	first = list_first_entry_or_null(&region->namespaces, struct iopmem_namespace, entry);
	if (first && first->offset < arg->length)
		return iopmem_refuse(arg->reason, -EBUSY, "%s stands in the first %llu bytes of %s",
				     dev_name(&first->dev), arg->length, dev_name(&region->dev));
	mutex_lock(&region->space_lock);
	if (arg->length && (!iopmem_region_unlent(region, &start, &end) || start ||
			    end != arg->length)) {
		error = iopmem_refuse(arg->reason, -EBUSY,
				      "the first %llu bytes of %s are exported as a dma-buf",
				      arg->length, dev_name(&region->dev));
	} else {
		WRITE_ONCE(region->label_size, arg->length);
		iopmem_region_update_free(region);
	}
	mutex_unlock(&region->space_lock);
	return error;
}

static int write_area(struct iopmem_region *region, struct iopmem_label_write *arg,
		      const void *data)
{
	u64 within = offset_in_page(arg->offset);
	void __iomem *window;
	int error;

	error = iopmem_region_usable(region, arg->reason);
	if (error)
		return error;
	if (arg->offset > region->label_size || arg->length > region->label_size - arg->offset)
		return iopmem_refuse(arg->reason, -ERANGE,
				     "offset %llu and length %llu reach beyond the %llu bytes of %s's label area",
				     arg->offset, arg->length, region->label_size,
				     dev_name(&region->dev));
	window = iopmem_region_window(region, arg->offset - within, within + arg->length);
	if (!window)
		return iopmem_refuse(arg->reason, -ENOMEM, "no address space to map the labels");
	iopmem_copy_to((void __force *)window + within, data, arg->length);
	error = iopmem_read_back(region->idev, (const void __force *)window + within);
	iounmap(window);
	if (error)
		return iopmem_refuse(arg->reason, error, "%s does not answer",
				     pci_name(region->idev->pdev));
	return 0;
}

int iopmem_set_label_area(void *owner, void *value)
{
	struct iopmem_label_area *arg = value;
	int error = iopmem_region_lock(owner, arg->reason);

	if (!error) {
		error = set_area(owner, arg);
		iopmem_region_unlock(owner);
	}
	return error;
}

static int check_write(struct iopmem_label_write *arg)
{
	if (arg->flags)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x", arg->flags);
	if (!arg->length || arg->length > IOPMEM_MAX_LABEL_WRITE)
		return iopmem_refuse(arg->reason, -EINVAL, "the length %llu is not in 8..%u",
				     arg->length, IOPMEM_MAX_LABEL_WRITE);
	if (arg->offset % 8 || arg->length % 8)
		return iopmem_refuse(arg->reason, -EINVAL,
				     "offset %llu and length %llu are not multiples of 8",
				     arg->offset, arg->length);
	return 0;
}

int iopmem_write_labels(void *owner, void *value)
{
	struct iopmem_label_write *arg = value;
	int error = check_write(arg);
	void *data;

	if (error)
		return error;
	data = vmemdup_user(u64_to_user_ptr(arg->data), arg->length);
	if (IS_ERR(data))
		return iopmem_refuse(arg->reason, PTR_ERR(data), "the data cannot be read");
	error = iopmem_region_lock(owner, arg->reason);
	if (!error) {
		error = write_area(owner, arg, data);
		iopmem_region_unlock(owner);
	}
	kvfree(data);
	return error;
}
