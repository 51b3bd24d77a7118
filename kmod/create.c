// SPDX-License-Identifier: GPL-2.0
/*
 * A new namespace: what is asked for is checked, finds its place, and is put
 * together, all or nothing.
 *
 * Everything here runs under idev->lock.
 */
#include <linux/ctype.h>
#include <linux/slab.h>

#include "iopmem.h"

/* Names go into udev links and must not be mistaken for kernel names. */
static int check_name(const u8 *name, char *reason)
{
	size_t length = strnlen(name, IOPMEM_NAME_LEN), i;

	if (length == IOPMEM_NAME_LEN)
		return iopmem_refuse(reason, -EINVAL, "the name is not terminated");
	if (!iopmem_is_zero(name + length, IOPMEM_NAME_LEN - length))
		return iopmem_refuse(reason, -EINVAL, "the name has bytes after its end");
	for (i = 0; i < length; i++) {
		bool alnum = isascii(name[i]) && isalnum(name[i]);

		if (!alnum && (!i || !strchr("._-", name[i])))
			return iopmem_refuse(reason, -EINVAL,
					     "the name is not of the form [A-Za-z0-9][A-Za-z0-9._-]*");
	}
	if (!strncmp(name, "iopmem", 6) && isdigit(name[6]))
		return iopmem_refuse(reason, -EINVAL, "the name %s looks like a kernel name",
				     name);
	return 0;
}

static int check_mode(const struct iopmem_namespace_create *arg, char *reason)
{
	switch (arg->mode) {
	case IOPMEM_MODE_FSDAX:
		if (!iopmem_dax_possible())
			return iopmem_refuse(reason, -EOPNOTSUPP,
					     "mode fsdax needs a kernel with CONFIG_FS_DAX and CONFIG_ZONE_DEVICE");
		break;
	case IOPMEM_MODE_DEVDAX:
		if (!iopmem_devdax_possible())
			return iopmem_refuse(reason, -EOPNOTSUPP,
					     "mode devdax needs a kernel with CONFIG_ZONE_DEVICE");
		break;
	case IOPMEM_MODE_P2PDMA:
		if (!iopmem_p2pdma_possible())
			return iopmem_refuse(reason, -EOPNOTSUPP,
					     "mode p2pdma needs Linux 6.2 or newer with CONFIG_PCI_P2PDMA (fsdax and devdax do not)");
		break;
	case IOPMEM_MODE_RAW:
		break;
	default:
		return iopmem_refuse(reason, -EINVAL, "unknown mode %u", arg->mode);
	}
	if (arg->mode == IOPMEM_MODE_RAW) {
		if (arg->map)
			return iopmem_refuse(reason, -EINVAL,
					     "mode raw has no struct pages to map");
		return 0;
	}
	if (arg->map == IOPMEM_MAP_DEV)
		/*
		 * Struct pages are counted with locked read-modify-writes. On
		 * memory that is not cached those become locked PCIe reads,
		 * which an endpoint must answer as an unsupported request (PCIe
		 * Base Specification, "Locked Transactions"): counts of all ones.
		 */
		return iopmem_refuse(reason, -EOPNOTSUPP,
				     "struct pages cannot live on the device: the kernel counts them with locked accesses, which PCIe endpoints do not serve (use map mem)");
	if (arg->map != IOPMEM_MAP_MEM)
		return iopmem_refuse(reason, -EINVAL, "unknown map %u", arg->map);
	return 0;
}

static int check_create(const struct iopmem_namespace_create *arg, char *reason)
{
	const u32 known = IOPMEM_NAMESPACE_CREATE_F_OFFSET | IOPMEM_NAMESPACE_CREATE_F_ID |
			  IOPMEM_NAMESPACE_CREATE_F_PUBLISH;
	int error;

	if (arg->flags & ~known)
		return iopmem_refuse(reason, -EINVAL, "unknown flags 0x%x", arg->flags & ~known);
	if (arg->flags & IOPMEM_NAMESPACE_CREATE_F_PUBLISH && arg->mode != IOPMEM_MODE_P2PDMA)
		return iopmem_refuse(reason, -EINVAL,
				     "only memory of mode p2pdma can be published");
	if (arg->reserved)
		return iopmem_refuse(reason, -EINVAL, "reserved fields are not zero");
	error = check_mode(arg, reason);
	if (error)
		return error;
	if (!arg->length)
		return iopmem_refuse(reason, -EINVAL, "the length is 0");
	if (arg->length % IOPMEM_ALIGN)
		return iopmem_refuse(reason, -EINVAL, "the length %llu is not a multiple of %llu",
				     arg->length, IOPMEM_ALIGN);
	if (arg->flags & IOPMEM_NAMESPACE_CREATE_F_OFFSET) {
		if (arg->offset % IOPMEM_ALIGN)
			return iopmem_refuse(reason, -EINVAL,
					     "the offset %llu is not a multiple of %llu",
					     arg->offset, IOPMEM_ALIGN);
	} else if (arg->offset) {
		return iopmem_refuse(reason, -EINVAL, "an offset is given without its flag");
	}
	if (arg->flags & IOPMEM_NAMESPACE_CREATE_F_ID) {
		if (!arg->id || arg->id > IOPMEM_MAX_ID)
			return iopmem_refuse(reason, -EINVAL, "the number %u is not in 1..%u",
					     arg->id, IOPMEM_MAX_ID);
	} else if (arg->id) {
		return iopmem_refuse(reason, -EINVAL, "a number is given without its flag");
	}
	if (iopmem_is_zero(arg->uuid, sizeof(arg->uuid)))
		return iopmem_refuse(reason, -EINVAL, "the UUID is nil");
	return check_name(arg->name, reason);
}

/* The first extent of a gap between namespaces that is not lent and large enough. */
static bool fits(const struct iopmem_region *region, u64 start, u64 end, u64 length, u64 *place)
{
	u64 until = end;

	for (; iopmem_region_unlent(region, &start, &until); start = until, until = end) {
		*place = start;
		if (until - start >= length)
			return true;
	}
	return false;
}

/* Return: the neighbour after which the range goes in, or NULL with *error set. */
static struct list_head *find_place(struct iopmem_region *region,
				    struct iopmem_namespace_create *arg, int *error)
{
	bool fixed = arg->flags & IOPMEM_NAMESPACE_CREATE_F_OFFSET;
	struct list_head *before = &region->namespaces;
	struct iopmem_namespace *ns;
	u64 end = region->label_size, next, place = 0;

	if (fixed && (arg->offset > region->size || arg->length > region->size - arg->offset)) {
		*error = iopmem_refuse(arg->reason, -ERANGE,
				       "offset %llu and length %llu reach beyond the %llu bytes of %s",
				       arg->offset, arg->length, region->size,
				       dev_name(&region->dev));
		return NULL;
	}
	if (fixed && arg->offset < region->label_size) {
		*error = iopmem_refuse(arg->reason, -EBUSY,
				       "the first %llu bytes of %s are its label area",
				       region->label_size, dev_name(&region->dev));
		return NULL;
	}
	/* One round more than there are namespaces: the gap behind the last one. */
	for (;;) {
		bool last = list_is_last(before, &region->namespaces);

		ns = last ? NULL : list_first_entry(before, struct iopmem_namespace, entry);
		next = ns ? ns->offset : region->size;
		if (fixed ? arg->offset >= end && arg->offset + arg->length <= next
			  : fits(region, end, next, arg->length, &place)) {
			if (!fixed)
				arg->offset = place;
			return before;
		}
		if (!ns)
			break;
		if (fixed && arg->offset < ns->offset + ns->size &&
		    ns->offset < arg->offset + arg->length) {
			*error = iopmem_refuse(arg->reason, -EBUSY,
					       "the range overlaps %s, which has offset %llu and length %llu",
					       dev_name(&ns->dev), ns->offset, ns->size);
			return NULL;
		}
		end = ns->offset + ns->size;
		before = &ns->entry;
	}
	*error = iopmem_refuse(arg->reason, -ENOSPC,
			       "%llu bytes do not fit into %s: the largest free extent is %llu",
			       arg->length, dev_name(&region->dev), region->extent);
	return NULL;
}

static int choose_id(struct iopmem_region *region, struct iopmem_namespace_create *arg)
{
	struct iopmem_namespace *ns;
	u32 id = arg->id ?: 1;
	bool taken;

	do {
		taken = false;
		list_for_each_entry(ns, &region->namespaces, entry)
			taken |= ns->id == id;
		if (taken && arg->flags & IOPMEM_NAMESPACE_CREATE_F_ID)
			return iopmem_refuse(arg->reason, -EEXIST, "%sn%u exists",
					     dev_name(&region->dev), id);
	} while (taken && ++id <= IOPMEM_MAX_ID);
	if (id > IOPMEM_MAX_ID)
		return iopmem_refuse(arg->reason, -ENOSPC, "no namespace number is free");
	arg->id = id;
	return 0;
}

static struct iopmem_namespace *alloc_namespace(struct iopmem_region *region,
						const struct iopmem_namespace_create *arg)
{
	struct iopmem_namespace *ns = kzalloc_obj(*ns);

	if (!ns)
		return NULL;
	ns->region = region;
	ns->id = arg->id;
	ns->mode = arg->mode;
	ns->map = arg->map;
	ns->offset = arg->offset;
	ns->size = arg->length;
	import_uuid(&ns->uuid, arg->uuid);
	memcpy(ns->name, arg->name, sizeof(ns->name));
	spin_lock_init(&ns->open_lock);
	ns->state = IOPMEM_ENABLED;

	device_initialize(&ns->dev);
	ns->dev.class = &iopmem_class;
	ns->dev.type = &iopmem_namespace_type;
	ns->dev.parent = &region->dev;
	get_device(&region->dev);	/* put by the device's release */
	if (iopmem_media_init(ns) ||
	    dev_set_name(&ns->dev, "%sn%u", dev_name(&region->dev), ns->id)) {
		put_device(&ns->dev);
		return NULL;
	}
	return ns;
}

/* The device in sysfs, and the nodes of the mode. */
static int add_nodes(struct iopmem_namespace *ns, const struct iopmem_namespace_create *arg,
		     char *reason)
{
	int error;

	if (ns->mode == IOPMEM_MODE_DEVDAX) {
		error = iopmem_devdax_add(ns);
		if (error)
			iopmem_refuse(reason, error, "the node of %s cannot be added (error %d)",
				      dev_name(&ns->dev), error);
		return error;
	}
	error = device_add(&ns->dev);
	if (error)
		return iopmem_refuse(reason, error, "the device %s cannot be added (error %d)",
				     dev_name(&ns->dev), error);
	if (ns->mode == IOPMEM_MODE_P2PDMA) {
		error = iopmem_p2pdma_add(ns, arg->flags & IOPMEM_NAMESPACE_CREATE_F_PUBLISH,
					  reason);
	} else {
		error = iopmem_block_add(ns);
		if (error)
			iopmem_refuse(reason, error, "the disk %s cannot be added (error %d)",
				      dev_name(&ns->dev), error);
	}
	if (error)
		device_del(&ns->dev);
	return error;
}

/**
 * iopmem_namespace_create - make a namespace, or nothing
 * @region:	where
 * @arg:	what is asked for; offset and id are filled if they were left open,
 *		reason on failure
 *
 * Return: 0; -EINVAL, -ERANGE the request is wrong; -EOPNOTSUPP this kernel,
 * driver or device cannot; -EBUSY the range is taken, or the device is going; -EEXIST the
 * name, UUID or number is taken; -ENOSPC it does not fit; -ENOMEM; -EIO, and
 * whatever the kernel answers to new pages, a new device and a new disk.
 */
int iopmem_namespace_create(struct iopmem_region *region, struct iopmem_namespace_create *arg)
{
	struct iopmem_namespace *ns;
	struct list_head *before;
	int error;

	error = check_create(arg, arg->reason);
	if (error)
		return error;
	error = iopmem_region_usable(region, arg->reason);
	if (error)
		return error;
	if (region->idev->retired_by)
		return iopmem_refuse(arg->reason, -EBUSY, "%s is being unbound",
				     pci_name(region->idev->pdev));
	if (arg->mode == IOPMEM_MODE_P2PDMA && region->idev->p2pdma)
		return iopmem_refuse(arg->reason, -EOPNOTSUPP,
				     "%s has %s of mode p2pdma already, and the kernel keeps one for each device",
				     pci_name(region->idev->pdev),
				     dev_name(&region->idev->p2pdma->dev));
	/* Until it is taken below, what is lent can become less, and nothing more. */
	mutex_lock(&region->space_lock);
	before = find_place(region, arg, &error);
	mutex_unlock(&region->space_lock);
	if (!before)
		return error;
	error = choose_id(region, arg);
	if (error)
		return error;

	ns = alloc_namespace(region, arg);
	if (!ns)
		return iopmem_refuse(arg->reason, -ENOMEM, "out of memory");
	error = iopmem_registry_add(ns, arg->reason);
	if (error)
		goto out_ns;
	ns->claim.name = dev_name(&ns->dev);
	ns->claim.flags = IORESOURCE_MEM | IORESOURCE_BUSY;
	ns->claim.start = iopmem_namespace_start(ns);
	ns->claim.end = ns->claim.start + ns->size - 1;
	error = request_resource(region->claim, &ns->claim);
	if (error) {
		iopmem_refuse(arg->reason, error,
			      "the range is exported as a dma-buf, or claimed by somebody else: see /proc/iomem");
		goto out_identity;
	}
	error = iopmem_map(ns, arg->reason);
	if (error)
		goto out_claim;
	error = add_nodes(ns, arg, arg->reason);
	if (error)
		goto out_map;
	mutex_lock(&region->space_lock);
	list_add(&ns->entry, before);
	iopmem_region_update_free(region);
	mutex_unlock(&region->space_lock);
	dev_info(&ns->dev, "created: %s, %llu MiB at %llu MiB of BAR %d, UUID %pUb\n",
		 iopmem_mode_name(ns->mode), ns->size >> 20, ns->offset >> 20, region->bar,
		 &ns->uuid);
	return 0;

out_map:
	iopmem_unmap(ns);
out_claim:
	release_resource(&ns->claim);
out_identity:
	iopmem_registry_remove(ns);
out_ns:
	put_device(&ns->dev);
	return error;
}
