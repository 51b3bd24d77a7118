// SPDX-License-Identifier: GPL-2.0
/*
 * PCI functions: which BARs can be regions, probe and remove.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/memory_hotplug.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "iopmem.h"

static DEFINE_MUTEX(iopmem_devices_lock);
static LIST_HEAD(iopmem_devices);

static void device_free(struct kref *ref)
{
	struct iopmem_device *idev = container_of(ref, struct iopmem_device, ref);

	mutex_destroy(&idev->lock);
	kfree(idev);
}

void iopmem_device_get(struct iopmem_device *idev)
{
	kref_get(&idev->ref);
}

void iopmem_device_put(struct iopmem_device *idev)
{
	kref_put(&idev->ref, device_free);
}

static bool bar_holds_msix(struct pci_dev *pdev, int bar)
{
	u32 table, pba;

	if (!pdev->msix_cap)
		return false;
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_PBA, &pba);
	return (table & PCI_MSIX_TABLE_BIR) == bar || (pba & PCI_MSIX_PBA_BIR) == bar;
}

/* 0, or a negative errno as listed with struct iopmem_bar_verdict. */
static int judge_bar(struct pci_dev *pdev, int bar, bool force, char *reason)
{
	unsigned long flags = pci_resource_flags(pdev, bar);
	resource_size_t start = pci_resource_start(pdev, bar);
	resource_size_t size = pci_resource_len(pdev, bar);
	struct range possible = mhp_get_pluggable_range(true);

	if (!flags || !size) {
		if (bar && pci_resource_flags(pdev, bar - 1) & IORESOURCE_MEM_64)
			return iopmem_refuse(reason, -ENXIO, "the upper half of BAR %d", bar - 1);
		return iopmem_refuse(reason, -ENXIO, "not implemented by the device");
	}
	if (!(flags & IORESOURCE_MEM))
		return iopmem_refuse(reason, -ENOTTY, "I/O ports, not memory");
	if (size < IOPMEM_ALIGN)
		return iopmem_refuse(reason, -EFBIG,
				     "too small: %llu bytes, at least %llu are needed",
				     (u64)size, IOPMEM_ALIGN);
	if (!start || flags & IORESOURCE_UNSET)
		return iopmem_refuse(reason, -EADDRNOTAVAIL,
				     "no address was assigned; firmware or bridge windows lack the space");
	if (bar_holds_msix(pdev, bar))
		return iopmem_refuse(reason, -ENOTUNIQ,
				     "holds the MSI-X table or pending bits of the device");
	if (!iopmem_bars_mappable(pdev))
		return iopmem_refuse(reason, -EOPNOTSUPP, "cannot be mapped by the CPU");
	if (!(flags & IORESOURCE_PREFETCH) && !force)
		return iopmem_refuse(reason, -EPERM,
				     "not prefetchable: reads may have side effects (force accepts it)");
	if (pci_bus_address(pdev, bar) != start)
		return iopmem_refuse(reason, -EREMOTE,
				     "its address on the bus, 0x%llx, differs from the CPU's, %pa",
				     (u64)pci_bus_address(pdev, bar), &start);
	/* memremap_pages() would refuse it with a WARN. */
	if (start < possible.start || start + size - 1 > possible.end)
		return iopmem_refuse(reason, -ERANGE,
				     "%pa lies above %llx, the highest address for which this kernel makes struct pages",
				     &start, possible.end);
	if (!IS_ALIGNED(start, IOPMEM_ALIGN) || !IS_ALIGNED(size, IOPMEM_ALIGN))
		return iopmem_refuse(reason, -EFBIG, "not aligned to %llu bytes", IOPMEM_ALIGN);
	return 0;
}

/*
 * Do the bridges on the way pass memory accesses on? One that was reset, and that
 * nobody set up again, answers for the device: with zeros or all ones, while the
 * device itself would say that it is there. pci_enable_device() takes a bridge
 * that was enabled once for one that is.
 */
static int judge_way(struct pci_dev *pdev, char *reason)
{
	struct pci_dev *bridge, *closed = NULL;
	u16 command;

	for (bridge = pci_upstream_bridge(pdev); bridge; bridge = pci_upstream_bridge(bridge)) {
		pci_read_config_word(bridge, PCI_COMMAND, &command);
		if (!iopmem_decodes(command))
			closed = bridge;
	}
	if (!closed)
		return 0;
	return iopmem_refuse(reason, -EIO,
			     "the bridge %s above %s forwards no memory accesses: it was reset, and nobody set it up again (remove it and rescan its bus)",
			     pci_name(closed), pci_name(pdev));
}

/* The bound device with that address, with a reference, or NULL. */
struct iopmem_device *iopmem_device_find(u32 domain, u8 bus, u8 devfn)
{
	struct iopmem_device *idev, *found = NULL;

	mutex_lock(&iopmem_devices_lock);
	list_for_each_entry(idev, &iopmem_devices, entry) {
		struct pci_dev *pdev = idev->pdev;

		if (pci_domain_nr(pdev->bus) == domain && pdev->bus->number == bus &&
		    pdev->devfn == devfn) {
			iopmem_device_get(idev);
			found = idev;
			break;
		}
	}
	mutex_unlock(&iopmem_devices_lock);
	return found;
}

/* The first device that @owner retired, with a reference. */
struct iopmem_device *iopmem_device_find_retired(const struct file *owner)
{
	struct iopmem_device *idev, *found = NULL;

	mutex_lock(&iopmem_devices_lock);
	list_for_each_entry(idev, &iopmem_devices, entry) {
		if (READ_ONCE(idev->retired_by) == owner) {
			iopmem_device_get(idev);
			found = idev;
			break;
		}
	}
	mutex_unlock(&iopmem_devices_lock);
	return found;
}

static void destroy_regions(struct iopmem_device *idev)
{
	int bar;

	/* Everybody learns of it before the first is waited for. */
	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			iopmem_region_withdraw(idev->regions[bar]);
	for (bar = IOPMEM_BARS - 1; bar >= 0; bar--) {
		struct iopmem_region *region = idev->regions[bar];

		if (region)
			iopmem_region_destroy(region);
		idev->regions[bar] = NULL;
	}
}

/* All regions that were asked for, or none. */
static int create_regions(struct iopmem_device *idev, const struct iopmem_device_bind *arg,
			  struct iopmem_bind_result *result)
{
	bool chosen = arg->bar_mask != IOPMEM_BAR_MASK_ALL;
	int bar, made = 0, error;

	for (bar = 0; bar < IOPMEM_BARS; bar++) {
		struct iopmem_bar_verdict *verdict = &result->bars[bar];
		struct iopmem_region *region;

		verdict->region = -1;
		if (!(arg->bar_mask & BIT(bar))) {
			verdict->error = ECANCELED;
			iopmem_refuse(verdict->reason, 0, "not asked for");
			continue;
		}
		error = judge_bar(idev->pdev, bar, arg->flags & IOPMEM_DEVICE_BIND_F_FORCE,
				  verdict->reason);
		if (!error) {
			region = iopmem_region_create(idev, bar, arg->media, verdict->reason);
			error = PTR_ERR_OR_ZERO(region);
		}
		verdict->error = -error;
		if (!error) {
			idev->regions[bar] = region;
			verdict->region = region->index;
			made++;
		} else if (chosen || error == -ENOMEM) {
			return iopmem_refuse(result->reason, error, "BAR %d: %s", bar,
					     verdict->reason);
		}
	}
	if (!made)
		return iopmem_refuse(result->reason, -ENXIO, "no BAR of %s can be a region",
				     pci_name(idev->pdev));
	return 0;
}

static void log_verdicts(struct pci_dev *pdev, const struct iopmem_bind_result *result)
{
	int bar;

	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (result->bars[bar].error && result->bars[bar].error != ENXIO)
			dev_info(&pdev->dev, "BAR %d: %s\n", bar, result->bars[bar].reason);
	if (result->error)
		dev_err(&pdev->dev, "not bound: %s\n", result->reason);
}

static int iopmem_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct iopmem_device_bind arg = { .bar_mask = IOPMEM_BAR_MASK_ALL };
	struct iopmem_bind_result *result;
	struct iopmem_device *idev;
	int error;

	result = kzalloc_obj(*result);
	idev = kzalloc_obj(*idev);
	if (!result || !idev) {
		kfree(result);
		kfree(idev);
		return -ENOMEM;
	}
	idev->pdev = pdev;
	kref_init(&idev->ref);
	mutex_init(&idev->lock);
	iopmem_recovery_init(idev);

	iopmem_bind_asked(pdev, &arg);

	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		error = iopmem_refuse(result->reason, -EINVAL, "%s is a bridge", pci_name(pdev));
	else
		error = pci_enable_device_mem(pdev);
	if (error) {
		if (!result->reason[0])
			iopmem_refuse(result->reason, error, "%s cannot be enabled (error %d)",
				      pci_name(pdev), error);
		goto out_report;
	}
	error = judge_way(pdev, result->reason);
	if (!error)
		error = create_regions(idev, &arg, result);
	if (error)
		goto out_regions;
	pci_set_drvdata(pdev, idev);
	/* For error recovery: of old kernels none does it for us. */
	pci_save_state(pdev);

	mutex_lock(&iopmem_devices_lock);
	list_add_tail(&idev->entry, &iopmem_devices);
	mutex_unlock(&iopmem_devices_lock);
	goto out_report;

out_regions:
	destroy_regions(idev);
	pci_disable_device(pdev);
out_report:
	result->error = -error;
	log_verdicts(pdev, result);
	iopmem_bind_report(pdev, result);
	kfree(result);
	if (error)
		iopmem_device_put(idev);
	return error;
}

/*
 * For who cannot give up. The lock may be held for as long as somebody's pin lasts,
 * and one long sleep counts as hung; many short ones do not.
 */
void iopmem_device_lock(struct iopmem_device *idev)
{
	while (!mutex_trylock(&idev->lock))
		msleep(20);
}

static void iopmem_remove(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	mutex_lock(&iopmem_devices_lock);
	list_del(&idev->entry);
	mutex_unlock(&iopmem_devices_lock);

	WRITE_ONCE(idev->leaving, true);
	iopmem_device_lock(idev);
	idev->dead = true;
	mutex_unlock(&idev->lock);
	iopmem_recovery_end(idev);
	destroy_regions(idev);
	pci_disable_device(pdev);
	iopmem_device_put(idev);
}

/*
 * No ids: the driver binds what it is told to, by driver_override, and never
 * takes a device because it is there. A virtual function is a function like any
 * other, and is removed like any other when its physical function's driver
 * switches it off. There is no sriov_configure: the BARs of a physical function
 * that we drive are memory, and its virtual functions stay off.
 */
static const struct pci_device_id iopmem_ids[] = {
	{}
};

static struct pci_driver iopmem_pci_driver = {
	.name		= IOPMEM_DRIVER_NAME,
	.id_table	= iopmem_ids,
	.probe		= iopmem_probe,
	.remove		= iopmem_remove,
	.shutdown	= iopmem_shutdown,
	.driver.pm	= pm_sleep_ptr(&iopmem_pm_ops),
	.err_handler	= &iopmem_error_handlers,
};

int iopmem_pci_init(void)
{
	return pci_register_driver(&iopmem_pci_driver);
}

void iopmem_pci_exit(void)
{
	pci_unregister_driver(&iopmem_pci_driver);
}
