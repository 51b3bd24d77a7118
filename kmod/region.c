// SPDX-License-Identifier: GPL-2.0
/*
 * A region: one memory BAR, claimed whole, and the node that changes it.
 */
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "iopmem.h"

#define IOPMEM_MAX_REGIONS	1024

static dev_t region_devt;
static DEFINE_IDA(region_ida);

/* Between two namespaces, what is not lent as a dma-buf. */
static void count_gap(const struct iopmem_region *region, u64 start, u64 end, u64 *available,
		      u64 *extent)
{
	u64 until = end;

	for (; iopmem_region_unlent(region, &start, &until); start = until, until = end) {
		*available += until - start;
		*extent = max(*extent, until - start);
	}
}

/* Free space changed: keep what sysfs shows. Under space_lock. */
void iopmem_region_update_free(struct iopmem_region *region)
{
	u64 end = region->label_size, available = 0, extent = 0;
	struct iopmem_namespace *ns;

	lockdep_assert_held(&region->space_lock);
	list_for_each_entry(ns, &region->namespaces, entry) {
		count_gap(region, end, ns->offset, &available, &extent);
		end = ns->offset + ns->size;
	}
	count_gap(region, end, region->size, &available, &extent);
	WRITE_ONCE(region->available, available);
	WRITE_ONCE(region->extent, extent);
}

/* 0 if namespaces can come and go now. Under idev->lock. */
int iopmem_region_usable(struct iopmem_region *region, char *reason)
{
	if (region->dead || region->idev->dead)
		return iopmem_refuse(reason, -ENODEV, "%s is gone", dev_name(&region->dev));
	if (region->idev->paused)
		return iopmem_refuse(reason, -EBUSY, "%s is being reset",
				     pci_name(region->idev->pdev));
	return 0;
}

/* For a call that changes the region's namespaces, or looks at them. */
int iopmem_region_lock(struct iopmem_region *region, char *reason)
{
	if (mutex_lock_killable(&region->idev->lock))
		return iopmem_refuse(reason, -EINTR, "interrupted by a signal");
	return 0;
}

void iopmem_region_unlock(struct iopmem_region *region)
{
	mutex_unlock(&region->idev->lock);
}

/* A mapping of some pages, for those that no namespace maps; undone by iounmap(). */
void __iomem *iopmem_region_window(struct iopmem_region *region, u64 offset, u64 n)
{
	phys_addr_t start = region->start + offset;

	return region->wc ? ioremap_wc(start, n) : ioremap(start, n);
}

/*
 * How the region is read: tried on its first page, unless reads may have side
 * effects. Then nothing is read that nobody asked for.
 */
static void choose_loads(struct iopmem_region *region)
{
	void __iomem *window;

	region->stream = true;
	if (!(pci_resource_flags(region->idev->pdev, region->bar) & IORESOURCE_PREFETCH))
		return;
	window = iopmem_region_window(region, 0, PAGE_SIZE);
	if (!window)
		return;
	region->stream = iopmem_stream_is_faster((const void __force *)window);
	iounmap(window);
}

static int region_open(struct inode *inode, struct file *file)
{
	struct iopmem_region *region = container_of(inode->i_cdev, struct iopmem_region, cdev);

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* The open file holds the cdev, whose parent is the region. */
	file->private_data = region;
	return 0;
}

static loff_t region_llseek(struct file *file, loff_t offset, int whence)
{
	struct iopmem_region *region = file->private_data;

	return fixed_size_llseek(file, offset, whence, region->size);
}

/* A page of the region. With the device's lock only here, which a removal waits for. */
static int read_page(struct iopmem_region *region, u64 offset, void *buffer)
{
	struct iopmem_device *idev = region->idev;
	void __iomem *window;
	int error;

	if (mutex_lock_killable(&idev->lock))
		return -EINTR;
	error = iopmem_region_usable(region, NULL) ? -ENODEV : 0;
	if (error)
		goto out;
	window = iopmem_region_window(region, offset, PAGE_SIZE);
	if (!window) {
		error = -ENOMEM;
		goto out;
	}
	error = iopmem_copy_from(buffer, (const void __force *)window, PAGE_SIZE, region->stream);
	iounmap(window);
	if (!error && !iopmem_answers(idev))
		error = -EIO;
out:
	mutex_unlock(&idev->lock);
	return error;
}

/*
 * The region's bytes, for tools that look for file systems before they put a
 * namespace there. Mapped piecewise: most of a region has no mapping of ours.
 */
static ssize_t region_read(struct file *file, char __user *user, size_t n, loff_t *position)
{
	struct iopmem_region *region = file->private_data;
	ssize_t done = 0;
	void *buffer;
	int error = 0;

	if (*position < 0)
		return -EINVAL;
	if (*position >= region->size)
		return 0;
	n = min_t(u64, n, region->size - *position);
	buffer = (void *)__get_free_page(GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	while (n && !error) {
		size_t within = offset_in_page(*position);
		size_t chunk = min_t(size_t, n, PAGE_SIZE - within);

		error = fatal_signal_pending(current) ? -EINTR :
			read_page(region, *position & PAGE_MASK, buffer);
		if (!error && copy_to_user(user + done, buffer + within, chunk))
			error = -EFAULT;
		if (error)
			break;
		done += chunk;
		*position += chunk;
		n -= chunk;
		cond_resched();
	}
	free_page((unsigned long)buffer);
	return done ?: error;
}

static int region_create_namespace(void *owner, void *value)
{
	struct iopmem_namespace_create *arg = value;
	int error = iopmem_region_lock(owner, arg->reason);

	if (!error) {
		error = iopmem_namespace_create(owner, arg);
		iopmem_region_unlock(owner);
	}
	return error;
}

static int region_destroy_namespace(void *owner, void *value)
{
	struct iopmem_namespace_destroy *arg = value;
	struct iopmem_range *wipes = NULL;
	int error;

	if (arg->nr_wipes > IOPMEM_MAX_WIPES)
		return iopmem_refuse(arg->reason, -EINVAL, "%u wipes, at most %u", arg->nr_wipes,
				     IOPMEM_MAX_WIPES);
	if (arg->nr_wipes) {
		wipes = memdup_user(u64_to_user_ptr(arg->wipes), arg->nr_wipes * sizeof(*wipes));
		if (IS_ERR(wipes))
			return iopmem_refuse(arg->reason, PTR_ERR(wipes),
					     "the wipes cannot be read");
	}
	error = iopmem_region_lock(owner, arg->reason);
	if (!error) {
		error = iopmem_namespace_destroy(owner, arg, wipes);
		iopmem_region_unlock(owner);
	}
	kfree(wipes);
	return error;
}

static int region_inject_error(void *owner, void *value)
{
	struct iopmem_error_injection *arg = value;
	int error = iopmem_region_lock(owner, arg->reason);

	if (!error) {
		error = iopmem_namespace_inject(owner, arg);
		iopmem_region_unlock(owner);
	}
	return error;
}

static const struct iopmem_call region_calls[] = {
	{
		.cmd = IOPMEM_IOC_GET_VERSION,
		.known = sizeof(struct iopmem_version),
		.first = IOPMEM_VERSION_SIZE_VER0,
		.run = iopmem_get_version,
	},
	{
		.cmd = IOPMEM_IOC_CREATE_NAMESPACE,
		.known = sizeof(struct iopmem_namespace_create),
		.first = IOPMEM_NAMESPACE_CREATE_SIZE_VER0,
		.reason = offsetof(struct iopmem_namespace_create, reason),
		.run = region_create_namespace,
	},
	{
		.cmd = IOPMEM_IOC_DESTROY_NAMESPACE,
		.known = sizeof(struct iopmem_namespace_destroy),
		.first = IOPMEM_NAMESPACE_DESTROY_SIZE_VER0,
		.reason = offsetof(struct iopmem_namespace_destroy, reason),
		.run = region_destroy_namespace,
	},
	{
		.cmd = IOPMEM_IOC_SET_LABEL_AREA,
		.known = sizeof(struct iopmem_label_area),
		.first = IOPMEM_LABEL_AREA_SIZE_VER0,
		.reason = offsetof(struct iopmem_label_area, reason),
		.run = iopmem_set_label_area,
	},
	{
		.cmd = IOPMEM_IOC_WRITE_LABELS,
		.known = sizeof(struct iopmem_label_write),
		.first = IOPMEM_LABEL_WRITE_SIZE_VER0,
		.reason = offsetof(struct iopmem_label_write, reason),
		.run = iopmem_write_labels,
	},
	{
		.cmd = IOPMEM_IOC_INJECT_ERROR,
		.known = sizeof(struct iopmem_error_injection),
		.first = IOPMEM_ERROR_INJECTION_SIZE_VER0,
		.reason = offsetof(struct iopmem_error_injection, reason),
		.run = region_inject_error,
	},
	{
		.cmd = IOPMEM_IOC_EXPORT_DMABUF,
		.known = sizeof(struct iopmem_export),
		.first = IOPMEM_EXPORT_SIZE_VER0,
		.reason = offsetof(struct iopmem_export, reason),
		.run = iopmem_export_dmabuf,
	},
	{
		.cmd = IOPMEM_IOC_JUDGE_CLIENT,
		.known = sizeof(struct iopmem_client),
		.first = IOPMEM_CLIENT_SIZE_VER0,
		.reason = offsetof(struct iopmem_client, reason),
		.run = iopmem_judge_client,
	},
};

static long region_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	return iopmem_dispatch(region_calls, ARRAY_SIZE(region_calls), cmd, (void __user *)value,
			       file->private_data);
}

static const struct file_operations region_fops = {
	.owner		= THIS_MODULE,
	.open		= region_open,
	.llseek		= region_llseek,
	.read		= region_read,
	.unlocked_ioctl	= region_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/**
 * iopmem_region_create - make a region of a BAR that was judged eligible
 * @idev:	its device; takes a reference
 * @bar:	0..5
 * @media:	IOPMEM_MEDIA_*
 * @reason:	filled on failure
 *
 * Return: the region, visible in sysfs, or an ERR_PTR with nothing left behind.
 */
struct iopmem_region *iopmem_region_create(struct iopmem_device *idev, int bar, u8 media,
					   char *reason)
{
	struct pci_dev *pdev = idev->pdev;
	struct iopmem_region *region;
	int error;

	region = kzalloc_obj(*region);
	if (!region)
		return ERR_PTR(iopmem_refuse(reason, -ENOMEM, "out of memory"));
	region->idev = idev;
	region->bar = bar;
	region->media = media;
	region->start = pci_resource_start(pdev, bar);
	region->size = pci_resource_len(pdev, bar);
	INIT_LIST_HEAD(&region->namespaces);
	INIT_LIST_HEAD(&region->loans);
	mutex_init(&region->space_lock);
	spin_lock_init(&region->waits_lock);
	mutex_lock(&region->space_lock);
	iopmem_region_update_free(region);
	mutex_unlock(&region->space_lock);

	region->index = ida_alloc_max(&region_ida, IOPMEM_MAX_REGIONS - 1, GFP_KERNEL);
	if (region->index < 0) {
		error = iopmem_refuse(reason, region->index, "no region number is free");
		goto out_region;
	}

	region->claim = request_mem_region(region->start, region->size, IOPMEM_DRIVER_NAME);
	if (!region->claim) {
		/* It says no more than that, and it allocates. */
		if (region_intersects(region->start, region->size,
				      IORESOURCE_MEM | IORESOURCE_BUSY,
				      IORES_DESC_NONE) == REGION_DISJOINT)
			error = iopmem_refuse(reason, -ENOMEM, "out of memory");
		else
			error = iopmem_refuse(reason, -EBUSY,
					      "somebody else has claimed (part of) the BAR, see /proc/iomem");
		goto out_index;
	}
	region->platform = iopmem_cache_platform(region->start);
	region->wc = !arch_io_reserve_memtype_wc(region->start, region->size);
	if (!region->wc)
		dev_warn(&pdev->dev, "BAR %d cannot be reserved as write-combining\n", bar);
	choose_loads(region);

	device_initialize(&region->dev);
	region->dev.class = &iopmem_class;
	region->dev.type = &iopmem_region_type;
	region->dev.parent = &pdev->dev;
	region->dev.devt = MKDEV(MAJOR(region_devt), region->index);
	iopmem_device_get(idev);	/* put by the device's release */
	error = dev_set_name(&region->dev, "iopmem%d", region->index);
	if (error)
		goto out_device;
	cdev_init(&region->cdev, &region_fops);
	region->cdev.owner = THIS_MODULE;
	error = cdev_device_add(&region->cdev, &region->dev);
	if (error)
		goto out_device;
	return region;

out_device:
	iopmem_refuse(reason, error, "the region's device cannot be added (error %d)", error);
	if (region->wc)
		arch_io_free_memtype_wc(region->start, region->size);
	release_mem_region(region->start, region->size);
	ida_free(&region_ida, region->index);
	put_device(&region->dev);
	return ERR_PTR(error);

out_index:
	ida_free(&region_ida, region->index);
out_region:
	kfree(region);
	return ERR_PTR(error);
}

/* All users learn that it goes. Waits for none of them. */
void iopmem_region_withdraw(struct iopmem_region *region)
{
	struct iopmem_namespace *ns;

	iopmem_device_lock(region->idev);
	region->dead = true;
	list_for_each_entry(ns, &region->namespaces, entry) {
		iopmem_namespace_close_doors(ns, true, NULL);
		iopmem_namespace_withdraw(ns);
	}
	iopmem_dmabufs_tell(region, NULL);
	mutex_unlock(&region->idev->lock);
}

/* After iopmem_region_withdraw(): takes the namespaces away from whoever has them. */
void iopmem_region_destroy(struct iopmem_region *region)
{
	struct iopmem_device *idev = region->idev;
	struct iopmem_namespace *ns, *next;

	iopmem_device_lock(idev);
	list_for_each_entry_safe(ns, next, &region->namespaces, entry)
		iopmem_namespace_teardown(ns, NULL, 0);
	iopmem_dmabufs_revoke(region, NULL);
	mutex_unlock(&idev->lock);

	cdev_device_del(&region->cdev, &region->dev);
	if (region->wc)
		arch_io_free_memtype_wc(region->start, region->size);
	release_mem_region(region->start, region->size);
	ida_free(&region_ida, region->index);
	put_device(&region->dev);
}

int iopmem_region_init(void)
{
	int error;

	error = alloc_chrdev_region(&region_devt, 0, IOPMEM_MAX_REGIONS, IOPMEM_DRIVER_NAME);
	if (error)
		return error;
	error = class_register(&iopmem_class);
	if (error)
		unregister_chrdev_region(region_devt, IOPMEM_MAX_REGIONS);
	return error;
}

void iopmem_region_exit(void)
{
	class_unregister(&iopmem_class);
	unregister_chrdev_region(region_devt, IOPMEM_MAX_REGIONS);
	ida_destroy(&region_ida);
}
