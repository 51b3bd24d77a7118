// SPDX-License-Identifier: GPL-2.0
/*
 * The character device of a devdax namespace: its memory, mapped at an offset.
 *
 * Its pages are GENERIC ones. Nothing else than a mapping names them, no file
 * system moves them, and so they can be pinned for long: RDMA memory regions,
 * V4L2 USERPTR buffers, io_uring's registered buffers.
 *
 * All mappings of a namespace, through whatever node and file, are in one
 * address_space, so that a single call takes them away. It belongs to an inode
 * of a file system that nobody can mount, and its invalidate_lock is held
 * shared by whoever reaches the memory: while it is, the namespace is enabled
 * and its device is not being reset. iopmem_devdax_zap() takes it exclusively.
 */
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>

#include "devdax.h"

#define IOPMEM_DEVDAX_MINORS	BIT(16)

static dev_t devdax_devt;
static DEFINE_IDA(devdax_minors);
static struct vfsmount *devdax_mount;

bool iopmem_devdax_possible(void)
{
	return IS_ENABLED(CONFIG_ZONE_DEVICE);
}

/**
 * iopmem_devdax_begin - reach a node's memory
 * @open:	the open node
 *
 * Waits while its device is being reset.
 *
 * Return: 0, and the namespace stays usable until iopmem_devdax_end(); -ENXIO,
 * it is gone; -EINTR, the caller is being killed.
 */
int iopmem_devdax_begin(const struct devdax_file *open)
{
	struct iopmem_device *idev = open->ns->region->idev;

	for (;;) {
		filemap_invalidate_lock_shared(open->mapping);
		if (READ_ONCE(open->ns->state) != IOPMEM_ENABLED) {
			filemap_invalidate_unlock_shared(open->mapping);
			return -ENXIO;
		}
		if (likely(!READ_ONCE(idev->paused)))
			return 0;
		filemap_invalidate_unlock_shared(open->mapping);
		if (wait_event_killable(idev->resumed, !READ_ONCE(idev->paused)))
			return -EINTR;
	}
}

void iopmem_devdax_end(const struct devdax_file *open)
{
	filemap_invalidate_unlock_shared(open->mapping);
}

/* Everything stored before, by this process and those it has heard from, is on the device. */
static int flush(const struct devdax_file *open)
{
	int error = iopmem_devdax_begin(open);

	if (error)
		return error;
	error = iopmem_flush(open->ns);
	iopmem_devdax_end(open);
	return error;
}

/* fsync(2) of the node, and msync(2) of its mappings. */
static int devdax_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return flush(file->private_data);
}

static loff_t devdax_llseek(struct file *file, loff_t offset, int whence)
{
	const struct devdax_file *open = file->private_data;

	return fixed_size_llseek(file, offset, whence, open->ns->size);
}

static int call_flush(void *owner, void *value)
{
	const struct devdax_file *open = owner;
	struct iopmem_mapping_flush *arg = value;
	int error;

	if (arg->flags)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x", arg->flags);
	error = flush(open);
	if (error == -ENXIO)
		return iopmem_refuse(arg->reason, error, "%s is gone", dev_name(&open->ns->dev));
	if (error == -EIO)
		return iopmem_refuse(arg->reason, error, "%s does not answer",
				     dev_name(&open->ns->dev));
	return error;
}

static int call_set_cache(void *owner, void *value)
{
	struct devdax_file *open = owner;
	struct iopmem_mapping_cache *arg = value;

	if (arg->flags)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x", arg->flags);
	if (arg->reserved)
		return iopmem_refuse(arg->reason, -EINVAL, "reserved fields are not zero");
	if (arg->cache != IOPMEM_CACHE_WC && arg->cache != IOPMEM_CACHE_UC)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown cache type %u", arg->cache);
	WRITE_ONCE(open->cache, arg->cache);
	return 0;
}

static int call_describe(void *owner, void *value)
{
	const struct devdax_file *open = owner;
	const struct iopmem_namespace *ns = open->ns;
	struct iopmem_mapping_info *arg = value;

	if (arg->flags)
		return -EINVAL;
	arg->cache = READ_ONCE(open->cache);
	arg->media = ns->region->media;
	arg->length = ns->size;
	arg->align = PAGE_SIZE;
	arg->huge_align = IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ? PMD_SIZE : PAGE_SIZE;
	arg->flushes = atomic64_read(&ns->flushes);
	export_uuid(arg->uuid, &ns->uuid);
	strscpy_pad(arg->dev, dev_name(&ns->dev), sizeof(arg->dev));
	return 0;
}

static const struct iopmem_call devdax_calls[] = {
	{
		.cmd = IOPMEM_IOC_GET_VERSION,
		.known = sizeof(struct iopmem_version),
		.first = IOPMEM_VERSION_SIZE_VER0,
		.run = iopmem_get_version,
	},
	{
		.cmd = IOPMEM_IOC_DESCRIBE_MAPPING,
		.known = sizeof(struct iopmem_mapping_info),
		.first = IOPMEM_MAPPING_INFO_SIZE_VER0,
		.run = call_describe,
	},
	{
		.cmd = IOPMEM_IOC_SET_MAPPING_CACHE,
		.known = sizeof(struct iopmem_mapping_cache),
		.first = IOPMEM_MAPPING_CACHE_SIZE_VER0,
		.reason = offsetof(struct iopmem_mapping_cache, reason),
		.run = call_set_cache,
	},
	{
		.cmd = IOPMEM_IOC_FLUSH_MAPPING,
		.known = sizeof(struct iopmem_mapping_flush),
		.first = IOPMEM_MAPPING_FLUSH_SIZE_VER0,
		.reason = offsetof(struct iopmem_mapping_flush, reason),
		.run = call_flush,
	},
	{
		.cmd = IOPMEM_IOC_EXPORT_MAPPING,
		.known = sizeof(struct iopmem_mapping_export),
		.first = IOPMEM_MAPPING_EXPORT_SIZE_VER0,
		.reason = offsetof(struct iopmem_mapping_export, reason),
		.run = iopmem_export_mapping,
	},
	{
		.cmd = IOPMEM_IOC_EXPORT_POINTER,
		.known = sizeof(struct iopmem_pointer_export),
		.first = IOPMEM_POINTER_EXPORT_SIZE_VER0,
		.reason = offsetof(struct iopmem_pointer_export, reason),
		.run = iopmem_export_pointer,
	},
};

static long devdax_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	return iopmem_dispatch(devdax_calls, ARRAY_SIZE(devdax_calls), cmd, (void __user *)value,
			       file->private_data);
}

static int devdax_open(struct inode *inode, struct file *file)
{
	struct iopmem_namespace *ns = container_of(inode->i_cdev, struct iopmem_namespace, cdev);
	struct devdax_file *open = kzalloc_obj(*open);
	int error = 0;

	if (!open)
		return -ENOMEM;
	open->ns = ns;
	open->cache = IOPMEM_CACHE_WC;
	open->writable = file->f_mode & FMODE_WRITE;
	spin_lock(&ns->open_lock);
	if (ns->state == IOPMEM_ENABLED) {
		ns->openers++;
		iopmem_user_opened(ns);
		/* While it is enabled, the namespace has its inode. */
		ihold(ns->inode);
		open->mapping = ns->inode->i_mapping;
	} else {
		error = -ENXIO;
	}
	spin_unlock(&ns->open_lock);
	if (error) {
		kfree(open);
		return error;
	}
	/* statx(2) says so, as for a node of device DAX. */
	inode_set_flags(inode, S_DAX, S_DAX);
	file->f_mapping = open->mapping;
	file->private_data = open;
	return 0;
}

/* The last user of the file and of its mappings is gone. */
static int devdax_release(struct inode *inode, struct file *file)
{
	struct devdax_file *open = file->private_data;
	struct iopmem_namespace *ns = open->ns;

	spin_lock(&ns->open_lock);
	ns->openers--;
	iopmem_user_closed(ns);
	spin_unlock(&ns->open_lock);
	iput(open->mapping->host);
	kfree(open);
	return 0;
}

static const struct file_operations devdax_fops = {
	.owner			= THIS_MODULE,
	.open			= devdax_open,
	.release		= devdax_release,
	.mmap			= iopmem_devdax_mmap,
	.get_unmapped_area	= thp_get_unmapped_area,
	.fsync			= devdax_fsync,
	.llseek			= devdax_llseek,
	.read			= iopmem_devdax_read,
	.write			= iopmem_devdax_write,
	.unlocked_ioctl		= devdax_ioctl,
	.compat_ioctl		= compat_ptr_ioctl,
	IOPMEM_FOPS_MMAP_SYNC,
};

/**
 * iopmem_devdax_add - the namespace's device, with its node
 * @ns:	initialised, not added
 *
 * Return: 0, or a negative errno with nothing left behind.
 */
int iopmem_devdax_add(struct iopmem_namespace *ns)
{
	struct inode *inode;
	int minor, error;

	minor = ida_alloc_max(&devdax_minors, IOPMEM_DEVDAX_MINORS - 1, GFP_KERNEL);
	if (minor < 0)
		return minor;
	inode = alloc_anon_inode(devdax_mount->mnt_sb);
	if (IS_ERR(inode)) {
		error = PTR_ERR(inode);
		goto out_minor;
	}
	/* The kernel maps 2 MiB at once only where it knows of DAX: vma_is_dax(). */
	inode_set_flags(inode, S_DAX, S_DAX);
	ns->inode = inode;
	ns->dev.devt = MKDEV(MAJOR(devdax_devt), minor);
	cdev_init(&ns->cdev, &devdax_fops);
	ns->cdev.owner = THIS_MODULE;
	cdev_set_parent(&ns->cdev, &ns->dev.kobj);
	/*
	 * Not cdev_device_add(): it can fail after somebody opened the node. Here
	 * what can be opened is there to stay, and only then listeners are told.
	 */
	dev_set_uevent_suppress(&ns->dev, true);
	error = device_add(&ns->dev);
	if (error)
		goto out_inode;
	error = cdev_add(&ns->cdev, ns->dev.devt, 1);
	if (error)
		goto out_device;
	dev_set_uevent_suppress(&ns->dev, false);
	kobject_uevent(&ns->dev.kobj, KOBJ_ADD);
	return 0;

out_device:
	device_del(&ns->dev);
out_inode:
	ns->inode = NULL;
	iput(inode);
out_minor:
	ida_free(&devdax_minors, minor);
	return error;
}

/* Nothing new is opened; open files stay, and fail. */
void iopmem_devdax_del(struct iopmem_namespace *ns)
{
	cdev_device_del(&ns->cdev, &ns->dev);
	ida_free(&devdax_minors, MINOR(ns->dev.devt));
}

/* After the pages are gone, so that a memory failure always finds it. */
void iopmem_devdax_put(struct iopmem_namespace *ns)
{
	iput(ns->inode);
	ns->inode = NULL;
}

/**
 * iopmem_devdax_zap - take mappings away
 * @ns:		which is dying, or whose device is paused, or has bad blocks
 * @offset:	bytes from its start
 * @n:		bytes; every page that they touch goes
 *
 * When it returns, whoever found the namespace as it was before is done.
 */
void iopmem_devdax_zap(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	struct address_space *mapping = ns->inode->i_mapping;
	u64 first = PAGE_ALIGN_DOWN(offset);

	filemap_invalidate_lock(mapping);
	unmap_mapping_range(mapping, first, PAGE_ALIGN(offset + n) - first, 1);
	filemap_invalidate_unlock(mapping);
}

static int devdax_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, IOPMEM_MAGIC) ? 0 : -ENOMEM;
}

/* Without an owner: the kernel's own mount would keep the module for ever. */
static struct file_system_type devdax_fs = {
	.name			= "iopmem_devdax",
	.init_fs_context	= devdax_init_fs_context,
	.kill_sb		= kill_anon_super,
};

int iopmem_devdax_init(void)
{
	int error;

	error = alloc_chrdev_region(&devdax_devt, 0, IOPMEM_DEVDAX_MINORS, "iopdax");
	if (error)
		return error;
	devdax_mount = kern_mount(&devdax_fs);
	if (IS_ERR(devdax_mount)) {
		unregister_chrdev_region(devdax_devt, IOPMEM_DEVDAX_MINORS);
		return PTR_ERR(devdax_mount);
	}
	return 0;
}

void iopmem_devdax_exit(void)
{
	kern_unmount(devdax_mount);
	unregister_chrdev_region(devdax_devt, IOPMEM_DEVDAX_MINORS);
	ida_destroy(&devdax_minors);
}
