// SPDX-License-Identifier: GPL-2.0
/*
 * Resets of a function, and errors of the link to it: I/O waits while they last,
 * and goes on. The contents may be gone then, and each namespace's event says so.
 *
 * The PCI core calls all of it with the function's device_lock().
 */
#include <linux/delay.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "iopmem.h"

/*
 * The device's lock may be held for as long as somebody's pin lasts, by who
 * takes a namespace away, and by who creates one and waits for I/O. So nobody
 * waits for it here without an end, and what needs it later is left to
 * end_recovery(). A function reset waits less long than what counts as hung
 * (120 s). Of errors the kernel tells with pci_bus_sem held (pci_walk_bus()),
 * which all that plug or reset anything need.
 */
#define IOPMEM_PAUSE_LIMIT_RESET	(20 * HZ)
#define IOPMEM_PAUSE_LIMIT_ERROR	(5 * HZ)

static void pause_namespaces(struct iopmem_region *region, bool disks)
{
	struct iopmem_namespace *ns;

	list_for_each_entry(ns, &region->namespaces, entry)
		if (!ns->disk == !disks)
			iopmem_namespace_pause(ns);
}

/* I/O waits until resume_device(), if the lock can be had in @limit jiffies; else it fails. */
static void pause_device(struct iopmem_device *idev, unsigned long limit)
{
	unsigned long end = jiffies + limit;
	unsigned int noio;
	int bar;

	while (!mutex_trylock(&idev->lock)) {
		if (time_after(jiffies, end)) {
			dev_warn(&idev->pdev->dev,
				 "I/O fails while it is reset, and does not wait: somebody creates or destroys a namespace\n");
			return;
		}
		msleep(20);
	}
	if (idev->paused)
		goto out;
	/* What is frozen already cannot help to reclaim memory for the rest. */
	noio = memalloc_noio_save();
	WRITE_ONCE(idev->paused, true);
	/* Disks last: who faults with a mapping's lock may wait for them to reclaim memory. */
	for (bar = 0; bar < IOPMEM_BARS; bar++) {
		if (!idev->regions[bar])
			continue;
		pause_namespaces(idev->regions[bar], false);
		iopmem_dmabufs_pause(idev->regions[bar]);
	}
	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			pause_namespaces(idev->regions[bar], true);
	memalloc_noio_restore(noio);
out:
	mutex_unlock(&idev->lock);
}

/* Queues are unfrozen. Under idev->lock. */
static void resume_namespaces(struct iopmem_device *idev, const char *event)
{
	bool paused = idev->paused;
	struct iopmem_namespace *ns;
	int bar;

	if (paused) {
		WRITE_ONCE(idev->paused, false);
		wake_up_all(&idev->resumed);
	}
	for (bar = 0; bar < IOPMEM_BARS; bar++) {
		if (!idev->regions[bar])
			continue;
		list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry) {
			if (paused)
				iopmem_revoke_finish(ns);
			if (event)
				iopmem_namespace_tell(ns, event);
		}
	}
}

/**
 * resume_device - I/O goes on
 * @idev:	paused or not
 * @event:	what the namespaces' uevents say, or NULL: nobody is told
 */
static void resume_device(struct iopmem_device *idev, const char *event)
{
	struct iopmem_namespace *ns;
	int bar;

	idev->recovering = false;
	cancel_delayed_work(&idev->recovery);
	/*
	 * Queues first, without the lock: creation does I/O with it held. While
	 * the device is paused, no namespace comes or goes, and who pauses,
	 * resumes or removes it holds the function's device_lock().
	 */
	for (bar = 0; READ_ONCE(idev->paused) && bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry)
				iopmem_namespace_unfreeze(ns);

	iopmem_device_lock(idev);
	resume_namespaces(idev, event);
	mutex_unlock(&idev->lock);
}

static void count_reset(struct iopmem_device *idev)
{
	int bar;

	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			atomic_inc(&idev->regions[bar]->resets);
}

/* The rest is done by end_recovery(), at once. */
static void recovered(struct iopmem_device *idev)
{
	idev->recovering = true;
	idev->recovered = true;
	mod_delayed_work(system_long_wq, &idev->recovery, 0);
}

/*
 * One task resets a function, or all below a bridge (pci_reset_function(),
 * pci_reset_bus()), and gives them back in the order in which it took them. It
 * reclaims no memory by I/O until the last one of ours is back.
 */
static LIST_HEAD(resetting);
static DEFINE_SPINLOCK(resetting_lock);

static void begin_noio(struct iopmem_device *idev)
{
	idev->noio = memalloc_noio_save();
	idev->resetter = current;
	spin_lock(&resetting_lock);
	list_add_tail(&idev->resetting, &resetting);
	spin_unlock(&resetting_lock);
}

static void end_noio(struct iopmem_device *idev)
{
	struct iopmem_device *other;
	bool is_last = true, is_first = false;

	spin_lock(&resetting_lock);
	list_for_each_entry(other, &resetting, resetting) {
		if (other == idev) {
			is_first = is_last;
			continue;
		}
		if (other->resetter != current)
			continue;
		/* What was before the first one is what the last one gives back. */
		if (is_first && is_last)
			other->noio = idev->noio;
		is_last = false;
	}
	list_del(&idev->resetting);
	spin_unlock(&resetting_lock);
	if (is_last)
		memalloc_noio_restore(idev->noio);
}

/* A function reset: I/O waits while it lasts. */
static void iopmem_reset_prepare(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	begin_noio(idev);
	atomic_inc(&idev->disturbed);
	pause_device(idev, IOPMEM_PAUSE_LIMIT_RESET);
}

static void iopmem_reset_done(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	/* Restoring it has used the one for iopmem_slot_reset() up. */
	pci_save_state(pdev);
	count_reset(idev);
	if (idev->paused)
		resume_device(idev, "IOPMEM_EVENT=reset");
	else
		recovered(idev);
	end_noio(idev);
}

/*
 * Error recovery, Documentation/PCI/pci-error-recovery.rst. It fails for all who
 * are below one bridge if one of them has a driver that knows nothing of it, or
 * none; and kernels before 6.18 tell nobody that it failed. So nobody waits for
 * it longer than this. The kernel itself waits 60 s for a function to come back
 * (PCIE_RESET_READY_POLL_MS), and calls a task hung that waits for 120 s.
 */
#define IOPMEM_RECOVERY_LIMIT	(90 * HZ)

static void end_recovery(struct work_struct *work)
{
	struct iopmem_device *idev = container_of(work, struct iopmem_device, recovery.work);
	struct device *dev = &idev->pdev->dev;

	/* A removal has it, and waits for us; or a reset, or the recovery itself. */
	if (!device_trylock(dev))
		goto later;
	if (!idev->recovering)
		goto out;
	/* Where it could not be paused, the lock may be held for long still. */
	if (!idev->paused && !mutex_trylock(&idev->lock)) {
		device_unlock(dev);
		goto later;
	}
	if (!idev->recovered) {
		dev_err(dev,
			"the kernel did not recover from the error of the link: I/O fails from now on, and what was written lately may be lost; remove what is below the port that reported it, and rescan\n");
		count_reset(idev);
	}
	if (idev->paused) {
		resume_device(idev, "IOPMEM_EVENT=reset");
	} else {
		idev->recovering = false;
		resume_namespaces(idev, "IOPMEM_EVENT=reset");
		mutex_unlock(&idev->lock);
	}
out:
	device_unlock(dev);
	return;
later:
	queue_delayed_work(system_long_wq, &idev->recovery, HZ / 20);
}

static void begin_recovery(struct iopmem_device *idev)
{
	atomic_inc(&idev->disturbed);
	/* Another error does not prolong the wait. */
	if (idev->recovering && !idev->recovered)
		queue_delayed_work(system_long_wq, &idev->recovery, IOPMEM_RECOVERY_LIMIT);
	else
		mod_delayed_work(system_long_wq, &idev->recovery, IOPMEM_RECOVERY_LIMIT);
	idev->recovering = true;
	idev->recovered = false;
	pause_device(idev, IOPMEM_PAUSE_LIMIT_ERROR);
}

static pci_ers_result_t iopmem_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	switch (state) {
	case pci_channel_io_normal:
		return PCI_ERS_RESULT_CAN_RECOVER;
	case pci_channel_io_frozen:
		dev_warn(&pdev->dev, "the link to it failed: the kernel tries to recover it\n");
		begin_recovery(idev);
		return PCI_ERS_RESULT_NEED_RESET;
	default:
		if (idev->recovering)
			mod_delayed_work(system_long_wq, &idev->recovery, 0);
		return PCI_ERS_RESULT_DISCONNECT;
	}
}

/* It was reset, so that its BARs have no addresses. Others may have asked for it. */
static pci_ers_result_t iopmem_slot_reset(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	if (!idev->recovering || idev->recovered)
		begin_recovery(idev);
	pci_restore_state(pdev);
	pci_save_state(pdev);
	return pci_device_is_present(pdev) ? PCI_ERS_RESULT_RECOVERED : PCI_ERS_RESULT_DISCONNECT;
}

static void iopmem_error_resume(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	/* Otherwise it was not reset: the error hit a single transfer. */
	if (!idev->recovering)
		return;
	count_reset(idev);
	recovered(idev);
}

const struct pci_error_handlers iopmem_error_handlers = {
	.reset_prepare	= iopmem_reset_prepare,
	.reset_done	= iopmem_reset_done,
	.error_detected	= iopmem_error_detected,
	.slot_reset	= iopmem_slot_reset,
	.resume		= iopmem_error_resume,
};

void iopmem_recovery_init(struct iopmem_device *idev)
{
	init_waitqueue_head(&idev->resumed);
	INIT_DELAYED_WORK(&idev->recovery, end_recovery);
}

/* Before a removal: a recovery ends here, with bios and faults still waiting. */
void iopmem_recovery_end(struct iopmem_device *idev)
{
	cancel_delayed_work_sync(&idev->recovery);
	resume_device(idev, NULL);
}
