// SPDX-License-Identifier: GPL-2.0
/*
 * Sleep, shutdown and kexec.
 *
 * A card may lose its contents when the machine sleeps, and no driver can know
 * whether it did. So while a namespace is held, sleep is refused with a reason:
 * a file system that wakes up over empty memory is lost. Nobody holds one: the
 * machine sleeps, and each namespace's event says afterwards that the contents
 * may be gone.
 *
 * Runtime power management is never used: the PCI core wakes a function up for
 * its driver and we do not give that reference back, so it stays in D0, where
 * its memory is. Whatever is written to power/control changes nothing.
 */
#include <linux/pci.h>
#include <linux/pm.h>

#include "iopmem.h"

static int sleep_refused(struct iopmem_device *idev)
{
	char users[IOPMEM_REASON_LEN];
	int bar;

	for (bar = 0; bar < IOPMEM_BARS; bar++) {
		struct iopmem_namespace *ns;

		if (!idev->regions[bar])
			continue;
		if (iopmem_dmabufs_idle(idev->regions[bar], users)) {
			dev_err(&idev->regions[bar]->dev, "the machine may not sleep: %s\n", users);
			return -EBUSY;
		}
		list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry) {
			if (!READ_ONCE(ns->openers) && !iopmem_busy_pages(ns) &&
			    !iopmem_p2pdma_busy(ns))
				continue;
			iopmem_users_name(ns, true, users, sizeof(users));
			dev_err(&ns->dev,
				"the machine may not sleep: the card may lose what is on it (used by %s)\n",
				users[0] ? users : "nobody known");
			return -EBUSY;
		}
	}
	return 0;
}

/* User space is frozen, so what is held now stays held. */
static int iopmem_sleep_prepare(struct device *dev)
{
	struct iopmem_device *idev = dev_get_drvdata(dev);
	int error;

	/* A removal that waits for a pin has it; its namespaces are held. */
	if (!mutex_trylock(&idev->lock))
		return -EBUSY;
	error = sleep_refused(idev);
	mutex_unlock(&idev->lock);
	return error;
}

/* Nothing had to be stopped, since nobody could begin anything. */
static int iopmem_sleep_over(struct device *dev)
{
	struct iopmem_device *idev = dev_get_drvdata(dev);
	struct iopmem_namespace *ns;
	int bar;

	/* As after a function reset. */
	pci_save_state(to_pci_dev(dev));
	mutex_lock(&idev->lock);
	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry)
				iopmem_namespace_tell(ns, "IOPMEM_EVENT=resume");
	mutex_unlock(&idev->lock);
	return 0;
}

const struct dev_pm_ops iopmem_pm_ops = {
	.prepare	= iopmem_sleep_prepare,
	SYSTEM_SLEEP_PM_OPS(NULL, iopmem_sleep_over)
};

/*
 * Before power off, reboot and kexec: what was written is on the device. The
 * next kernel finds a function that nobody drives. Without waiting, because a
 * machine must go down also while a removal waits for a pin.
 */
void iopmem_shutdown(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);
	struct iopmem_namespace *ns;
	int bar;

	if (!mutex_trylock(&idev->lock))
		return;
	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry)
				iopmem_flush(ns);
	mutex_unlock(&idev->lock);
}
