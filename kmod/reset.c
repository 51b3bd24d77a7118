// SPDX-License-Identifier: GPL-2.0
/*
 * Resets of a function, and errors of the link to it: I/O waits while they last,
 * and goes on. The contents may be gone then, and each namespace's event says so.
 *
 * The PCI core calls all of it with the function's device_lock().
 */
#include <linux/pci.h>
#include <linux/workqueue.h>

#include "iopmem.h"

/* I/O waits until resume_device(). */
static void pause_device(struct iopmem_device *idev)
{
	struct iopmem_namespace *ns;
	int bar;

	mutex_lock(&idev->lock);
	if (!idev->paused) {
		WRITE_ONCE(idev->paused, true);
		for (bar = 0; bar < IOPMEM_BARS; bar++) {
			if (!idev->regions[bar])
				continue;
			list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry)
				iopmem_namespace_pause(ns);
			iopmem_dmabufs_pause(idev->regions[bar]);
		}
	}
	mutex_unlock(&idev->lock);
}

/**
 * resume_device - I/O goes on
 * @idev:	paused or not
 * @event:	what the namespaces' uevents say, or NULL: nobody is told
 *
 * Backwards: a frozen queue changes the task's allocation flags, and gives them back.
 */
static void resume_device(struct iopmem_device *idev, const char *event)
{
	struct iopmem_namespace *ns;
	int bar;

	if (!READ_ONCE(idev->paused))
		return;
	cancel_delayed_work(&idev->recovery);
	/*
	 * Queues first, without the lock: creation does I/O with it held. While
	 * the device is paused, no namespace comes or goes, and who pauses,
	 * resumes or removes it holds the function's device_lock().
	 */
	for (bar = IOPMEM_BARS - 1; bar >= 0; bar--)
		if (idev->regions[bar])
			list_for_each_entry_reverse(ns, &idev->regions[bar]->namespaces, entry)
				iopmem_namespace_unfreeze(ns);

	mutex_lock(&idev->lock);
	WRITE_ONCE(idev->paused, false);
	wake_up_all(&idev->resumed);
	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			list_for_each_entry(ns, &idev->regions[bar]->namespaces, entry)
				iopmem_namespace_resume(ns, event);
	mutex_unlock(&idev->lock);
}

static void resume_after_reset(struct iopmem_device *idev)
{
	int bar;

	for (bar = 0; bar < IOPMEM_BARS; bar++)
		if (idev->regions[bar])
			atomic_inc(&idev->regions[bar]->resets);
	resume_device(idev, "IOPMEM_EVENT=reset");
}

/* A function reset: I/O waits while it lasts (pci_reset_function()). */
static void iopmem_reset_prepare(struct pci_dev *pdev)
{
	pause_device(pci_get_drvdata(pdev));
}

static void iopmem_reset_done(struct pci_dev *pdev)
{
	/* Restoring it has used the one for iopmem_slot_reset() up. */
	pci_save_state(pdev);
	resume_after_reset(pci_get_drvdata(pdev));
}

/*
 * Error recovery, Documentation/PCI/pci-error-recovery.rst. It fails for all who
 * are below one bridge if one of them has a driver that knows nothing of it, or
 * none; and kernels before 6.18 tell nobody that it failed. So nobody waits for
 * it longer than this. The kernel itself waits 60 s for a function to come back
 * (PCIE_RESET_READY_POLL_MS), and calls a task hung that waits for 120 s.
 */
#define IOPMEM_RECOVERY_LIMIT	(90 * HZ)

static void recovery_failed(struct iopmem_device *idev)
{
	dev_err(&idev->pdev->dev,
		"the kernel did not recover from the error of the link: I/O fails from now on, and what was written lately may be lost; remove what is below the port that reported it, and rescan\n");
	resume_after_reset(idev);
}

static void recovery_overdue(struct work_struct *work)
{
	struct iopmem_device *idev = container_of(work, struct iopmem_device, recovery.work);

	/* A removal has it, and waits for us; or a reset, or the recovery itself. */
	if (!device_trylock(&idev->pdev->dev)) {
		schedule_delayed_work(&idev->recovery, HZ);
		return;
	}
	if (READ_ONCE(idev->paused))
		recovery_failed(idev);
	device_unlock(&idev->pdev->dev);
}

/* Called with the device_lock(), like all that follow. */
static pci_ers_result_t iopmem_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	switch (state) {
	case pci_channel_io_normal:
		return PCI_ERS_RESULT_CAN_RECOVER;
	case pci_channel_io_frozen:
		dev_warn(&pdev->dev, "the link to it failed: I/O waits for the kernel to recover it\n");
		pause_device(idev);
		schedule_delayed_work(&idev->recovery, IOPMEM_RECOVERY_LIMIT);
		return PCI_ERS_RESULT_NEED_RESET;
	default:
		if (idev->paused)
			recovery_failed(idev);
		return PCI_ERS_RESULT_DISCONNECT;
	}
}

/* It was reset, so that its BARs have no addresses. Others may have asked for it. */
static pci_ers_result_t iopmem_slot_reset(struct pci_dev *pdev)
{
	pause_device(pci_get_drvdata(pdev));
	pci_restore_state(pdev);
	pci_save_state(pdev);
	return pci_device_is_present(pdev) ? PCI_ERS_RESULT_RECOVERED : PCI_ERS_RESULT_DISCONNECT;
}

static void iopmem_error_resume(struct pci_dev *pdev)
{
	struct iopmem_device *idev = pci_get_drvdata(pdev);

	/* Otherwise it was not reset: the error hit a single transfer. */
	if (idev->paused)
		resume_after_reset(idev);
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
	INIT_DELAYED_WORK(&idev->recovery, recovery_overdue);
}

/* Before a removal: a recovery ends here, with bios and faults still waiting. */
void iopmem_recovery_end(struct iopmem_device *idev)
{
	cancel_delayed_work_sync(&idev->recovery);
	resume_device(idev, NULL);
}
