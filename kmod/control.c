// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/iopmem-control: binding and unbinding, as far as they are ours.
 *
 * What is prepared or retired belongs to an open file and ends with it, so that
 * a tool that is killed leaves nothing behind.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "iopmem.h"

/* How the next probe of a function shall go, and how it went. */
struct bind_request {
	struct list_head entry;
	const struct file *owner;
	struct iopmem_device_bind arg;
	struct iopmem_bind_result result;
	bool done;
};

static DEFINE_MUTEX(iopmem_binds_lock);
static LIST_HEAD(iopmem_binds);

/* What was prepared for this function, or NULL. Under iopmem_binds_lock. */
static struct bind_request *find_bind(u32 domain, u8 bus, u8 devfn)
{
	struct bind_request *bind;

	list_for_each_entry(bind, &iopmem_binds, entry)
		if (bind->arg.domain == domain && bind->arg.bus == bus && bind->arg.devfn == devfn)
			return bind;
	return NULL;
}

static struct bind_request *find_open_bind(struct pci_dev *pdev)
{
	struct bind_request *bind = find_bind(pci_domain_nr(pdev->bus), pdev->bus->number,
					      pdev->devfn);

	return bind && !bind->done ? bind : NULL;
}

/* @arg stays as it is when nothing was prepared. */
void iopmem_bind_asked(struct pci_dev *pdev, struct iopmem_device_bind *arg)
{
	struct bind_request *bind;

	mutex_lock(&iopmem_binds_lock);
	bind = find_open_bind(pdev);
	if (bind)
		*arg = bind->arg;
	mutex_unlock(&iopmem_binds_lock);
}

void iopmem_bind_report(struct pci_dev *pdev, const struct iopmem_bind_result *result)
{
	struct bind_request *bind;

	mutex_lock(&iopmem_binds_lock);
	bind = find_open_bind(pdev);
	if (bind) {
		bind->result = *result;
		bind->done = true;
	}
	mutex_unlock(&iopmem_binds_lock);
}

/**
 * prepare_bind - say how the next probe of a function shall go
 * @owner:	the open control file
 * @arg:	checked but for the function's existence
 */
static int prepare_bind(const struct file *owner, struct iopmem_device_bind *arg)
{
	struct bind_request *bind, *other, *next;
	struct iopmem_device *idev;
	struct pci_dev *pdev;
	int error = 0;

	pdev = pci_get_domain_bus_and_slot(arg->domain, arg->bus, arg->devfn);
	if (!pdev)
		return iopmem_refuse(arg->reason, -ENODEV, "there is no function %04x:%02x:%02x.%x",
				     arg->domain, arg->bus, PCI_SLOT(arg->devfn),
				     PCI_FUNC(arg->devfn));
	idev = iopmem_device_find(arg->domain, arg->bus, arg->devfn);
	if (idev) {
		error = iopmem_refuse(arg->reason, -EALREADY, "%s is bound to iopmem already",
				      pci_name(pdev));
		iopmem_device_put(idev);
		goto out_pdev;
	}
	bind = kzalloc_obj(*bind);
	if (!bind) {
		error = -ENOMEM;
		goto out_pdev;
	}
	bind->owner = owner;
	bind->arg = *arg;

	mutex_lock(&iopmem_binds_lock);
	other = find_bind(arg->domain, arg->bus, arg->devfn);
	if (other && other->owner != owner)
		error = iopmem_refuse(arg->reason, -EBUSY, "%s is being bound by somebody else",
				      pci_name(pdev));
	if (!error) {
		/* One preparation an open file: a new one replaces the old. */
		list_for_each_entry_safe(other, next, &iopmem_binds, entry) {
			if (other->owner == owner) {
				list_del(&other->entry);
				kfree(other);
			}
		}
		list_add_tail(&bind->entry, &iopmem_binds);
	}
	mutex_unlock(&iopmem_binds_lock);
	if (error)
		kfree(bind);
out_pdev:
	pci_dev_put(pdev);
	return error;
}

/* Return: 0; -ENOENT nothing was prepared; -EAGAIN it was not probed yet. */
static int bind_outcome(const struct file *owner, struct iopmem_bind_result *arg)
{
	struct bind_request *bind;
	u32 size = arg->size;
	int error = -ENOENT;

	mutex_lock(&iopmem_binds_lock);
	list_for_each_entry(bind, &iopmem_binds, entry) {
		if (bind->owner != owner)
			continue;
		error = bind->done ? 0 : -EAGAIN;
		if (!error) {
			*arg = bind->result;
			arg->size = size;
		}
		break;
	}
	mutex_unlock(&iopmem_binds_lock);
	return error;
}

/* What p2pdma hands out goes with the binding; until then it is what it was. */
static void withdraw_all(struct iopmem_device *idev)
{
	struct iopmem_namespace *ns;
	int bar;

	for (bar = 0; bar < IOPMEM_BARS; bar++) {
		if (!idev->regions[bar])
			continue;
		list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry) {
			if (ns->mode == IOPMEM_MODE_P2PDMA)
				iopmem_namespace_open_doors(ns);
			else
				iopmem_namespace_withdraw(ns);
		}
		iopmem_dmabufs_tell(idev->regions[bar], NULL);
	}
}

static int close_all_doors(struct iopmem_device *idev, bool revoke, char *reason)
{
	struct iopmem_namespace *ns, *undo;
	int bar, error;

	for (bar = 0; bar < IOPMEM_BARS; bar++) {
		if (!idev->regions[bar])
			continue;
		list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry) {
			error = iopmem_namespace_close_doors(ns, revoke, reason);
			if (error)
				goto out_undo;
		}
		error = revoke ? 0 : iopmem_dmabufs_idle(idev->regions[bar], reason);
		if (error)
			goto out_undo;
	}
	return 0;

out_undo:
	for (; bar >= 0; bar--) {
		if (!idev->regions[bar])
			continue;
		list_for_each_entry(undo, &idev->regions[bar]->namespaces, entry)
			iopmem_namespace_open_doors(undo);
	}
	return error;
}

/**
 * retire_device - destroy all namespaces of a device, or none
 * @owner:	the open control file, until whose end no new one can be made
 * @arg:	which, and how
 */
static int retire_device(const struct file *owner, struct iopmem_device_retire *arg)
{
	struct iopmem_namespace *ns, *next;
	struct iopmem_device *idev;
	int bar, error = 0;

	idev = iopmem_device_find(arg->domain, arg->bus, arg->devfn);
	if (!idev)
		return iopmem_refuse(arg->reason, -ENODEV,
				     "%04x:%02x:%02x.%x is not bound to iopmem", arg->domain,
				     arg->bus, PCI_SLOT(arg->devfn), PCI_FUNC(arg->devfn));

	if (mutex_lock_killable(&idev->lock)) {
		iopmem_device_put(idev);
		return iopmem_refuse(arg->reason, -EINTR, "interrupted by a signal");
	}
	if (idev->dead)
		error = iopmem_refuse(arg->reason, -ENODEV, "the device is gone");
	else if (idev->retired_by && idev->retired_by != owner)
		error = iopmem_refuse(arg->reason, -EBUSY, "%s is being unbound by somebody else",
				      pci_name(idev->pdev));
	else if (idev->paused)
		error = iopmem_refuse(arg->reason, -EBUSY, "%s is being reset",
				      pci_name(idev->pdev));
	else
		error = close_all_doors(idev, arg->flags & IOPMEM_DEVICE_RETIRE_F_REVOKE,
					arg->reason);
	if (!error) {
		idev->retired_by = owner;
		withdraw_all(idev);
		for (bar = 0; bar < IOPMEM_BARS; bar++) {
			if (!idev->regions[bar])
				continue;
			list_for_each_entry_safe(ns, next, &idev->regions[bar]->namespaces, entry) {
				if (ns->mode == IOPMEM_MODE_P2PDMA)
					continue;
				iopmem_namespace_teardown(ns, NULL, 0);
				arg->destroyed++;
			}
			iopmem_dmabufs_revoke(idev->regions[bar], NULL);
		}
	}
	mutex_unlock(&idev->lock);
	iopmem_device_put(idev);
	return error;
}

/* Whatever the file prepared or retired ends with it, also when its owner died. */
static void control_closed(const struct file *owner)
{
	struct bind_request *bind, *next;
	struct iopmem_device *idev;

	mutex_lock(&iopmem_binds_lock);
	list_for_each_entry_safe(bind, next, &iopmem_binds, entry) {
		if (bind->owner == owner) {
			list_del(&bind->entry);
			kfree(bind);
		}
	}
	mutex_unlock(&iopmem_binds_lock);

	while ((idev = iopmem_device_find_retired(owner))) {
		mutex_lock(&idev->lock);
		WRITE_ONCE(idev->retired_by, NULL);
		mutex_unlock(&idev->lock);
		iopmem_device_put(idev);
	}
}

static int control_prepare_bind(void *owner, void *value)
{
	struct iopmem_device_bind *arg = value;

	if (arg->flags & ~IOPMEM_DEVICE_BIND_F_FORCE)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x",
				     arg->flags & ~IOPMEM_DEVICE_BIND_F_FORCE);
	if (!iopmem_is_zero(arg->reserved, sizeof(arg->reserved)))
		return iopmem_refuse(arg->reason, -EINVAL, "reserved fields are not zero");
	if (arg->media > IOPMEM_MEDIA_PERSISTENT)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown media %u", arg->media);
	if (!arg->bar_mask)
		return iopmem_refuse(arg->reason, -EINVAL, "the BAR mask is empty");
	return prepare_bind(owner, arg);
}

static int control_bind_result(void *owner, void *value)
{
	struct iopmem_bind_result *arg = value;

	return arg->flags ? -EINVAL : bind_outcome(owner, arg);
}

static int control_retire_device(void *owner, void *value)
{
	struct iopmem_device_retire *arg = value;

	arg->destroyed = 0;
	if (arg->flags & ~IOPMEM_DEVICE_RETIRE_F_REVOKE)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x",
				     arg->flags & ~IOPMEM_DEVICE_RETIRE_F_REVOKE);
	if (arg->reserved0 || arg->reserved)
		return iopmem_refuse(arg->reason, -EINVAL, "reserved fields are not zero");
	return retire_device(owner, arg);
}

static const struct iopmem_call control_calls[] = {
	{
		.cmd = IOPMEM_IOC_GET_VERSION,
		.known = sizeof(struct iopmem_version),
		.first = IOPMEM_VERSION_SIZE_VER0,
		.run = iopmem_get_version,
	},
	{
		.cmd = IOPMEM_IOC_PREPARE_BIND,
		.known = sizeof(struct iopmem_device_bind),
		.first = IOPMEM_DEVICE_BIND_SIZE_VER0,
		.reason = offsetof(struct iopmem_device_bind, reason),
		.run = control_prepare_bind,
	},
	{
		.cmd = IOPMEM_IOC_GET_BIND_RESULT,
		.known = sizeof(struct iopmem_bind_result),
		.first = IOPMEM_BIND_RESULT_SIZE_VER0,
		.run = control_bind_result,
	},
	{
		.cmd = IOPMEM_IOC_RETIRE_DEVICE,
		.known = sizeof(struct iopmem_device_retire),
		.first = IOPMEM_DEVICE_RETIRE_SIZE_VER0,
		.reason = offsetof(struct iopmem_device_retire, reason),
		.run = control_retire_device,
	},
};

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	return iopmem_dispatch(control_calls, ARRAY_SIZE(control_calls), cmd, (void __user *)value,
			       file);
}

static int control_release(struct inode *inode, struct file *file)
{
	control_closed(file);
	return 0;
}

/*
 * The permission is checked at open, by the node's mode; the capability as
 * well, so that a careless chmod or a file descriptor from a user namespace
 * does not hand out the hardware.
 */
static int control_open(struct inode *inode, struct file *file)
{
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static const struct file_operations control_fops = {
	.owner		= THIS_MODULE,
	.open		= control_open,
	.release	= control_release,
	.unlocked_ioctl	= control_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice control = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "iopmem-control",
	.fops	= &control_fops,
	.mode	= 0600,
};

int iopmem_control_init(void)
{
	return misc_register(&control);
}

void iopmem_control_exit(void)
{
	misc_deregister(&control);
}
