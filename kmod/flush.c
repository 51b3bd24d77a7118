// SPDX-License-Identifier: GPL-2.0
/*
 * The promise that what was written has reached the device, and the question
 * whether there still is one.
 */
#include <linux/io.h>
#include <linux/pci.h>

#include "iopmem.h"
#include "trace.h"

/**
 * iopmem_answers - the function is there and decodes its memory
 * @idev:	a bound device
 *
 * Asked after flushes and reads, because a BAR without a device behind it
 * answers with any value (hardware: all ones, QEMU: zeros) and drops writes
 * silently. The command register tells two things in one read: all ones come
 * from nobody, and a cleared memory bit means that the BAR is switched off.
 * A virtual function's bit is hardwired to zero (PCIe Base Specification,
 * "VF Command Register"), so there the physical function's id is asked for.
 */
bool iopmem_answers(const struct iopmem_device *idev)
{
	struct pci_dev *pdev = idev->pdev;
	u16 command;

	if (pci_channel_offline(pdev))
		return false;
	if (pdev->is_virtfn)
		return pci_device_is_present(pdev);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	return iopmem_decodes(command);
}

/* Two words that only a device can have said, just now. */
static bool vouch(const struct iopmem_namespace *ns, const u64 *first, const u64 *last)
{
	u64 one, other;

	if (likely(ns->uncached))
		return !iopmem_load(&one, first) && !iopmem_load(&other, last) &&
		       iopmem_is_answer(one, other);
	return !iopmem_load_anew(&one, first) && !iopmem_load_anew(&other, last) &&
	       iopmem_is_answer(one, other);
}

/**
 * iopmem_answered - what was just read was the device's answer
 * @ns:		the namespace
 * @offset:	of the range that was read, 8-byte aligned
 * @n:		its bytes, a multiple of 8
 *
 * Configuration space is reached under one lock of the whole system (pci_lock in
 * drivers/pci/access.c), which is much to ask of each read. So the device is first
 * asked by two more loads: where they bring words that only a device can have said,
 * it was there when the range was read. Where they do not, since the range is all
 * zeros for example, two words from elsewhere in the namespace may, which did so
 * before. Where these do not either, that says nothing, and the function itself is
 * asked. The words are loaded anew, because loads from write-combining memory
 * complete in any order, and these must be the last.
 */
bool iopmem_answered(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	const u64 *first = ns->base + offset, *last = ns->base + offset + n - sizeof(u64);
	/* Others may change the one and not yet the other: both are words of the namespace. */
	const u64 *witness[] = { READ_ONCE(ns->witness[0]), READ_ONCE(ns->witness[1]) };
	bool known = witness[0] && witness[1];

	rmb();	/* what was read before is back */
	if (likely(vouch(ns, first, last))) {
		if (unlikely(!known)) {
			WRITE_ONCE(ns->witness[0], first);
			WRITE_ONCE(ns->witness[1], last);
		}
		return true;
	}
	if (known) {
		if (vouch(ns, witness[0], witness[1]))
			return true;
		/* Overwritten meanwhile. The next range that can tell takes its place. */
		WRITE_ONCE(ns->witness[0], NULL);
	}
	return iopmem_answers(ns->region->idev);
}

/**
 * iopmem_read_back - everything written before has reached the device
 * @idev:	the device
 * @bar:	any mapped word of the BAR that was written
 *
 * mb() drains the CPU's store and combining buffers onto the link. Writes to
 * a PCIe device are posted; only a read from the same device, which may not
 * pass them (PCIe Base Specification, "Transaction Ordering Rules"), proves
 * that they arrived (Documentation/driver-api/io_ordering.rst), and only one that
 * no cache answers, which a line that a program fetched through a cached mapping
 * would do where the platform allows such mappings.
 *
 * Return: 0; -EIO the device is gone.
 */
int iopmem_read_back(const struct iopmem_device *idev, const u64 *bar)
{
	u64 word;

	mb();	/* combining buffers drain before the read leaves: SFENCE orders no loads */
	if (iopmem_load_anew(&word, bar))
		return -EIO;
	rmb();	/* the read is back before anything that follows */
	return iopmem_answers(idev) ? 0 : -EIO;
}

/**
 * iopmem_flush - everything written to a namespace has reached the device
 * @ns:	the namespace
 *
 * Return: 0; -EIO the device is gone.
 */
int iopmem_flush(struct iopmem_namespace *ns)
{
	u64 offset = ns->size - sizeof(u64);
	int error;

	/* A word that is bad would not come back. */
	if (iopmem_media_bad(ns, offset, sizeof(u64), NULL))
		offset = iopmem_media_good(ns);
	error = iopmem_read_back(ns->region->idev, ns->base + offset);
	if (!error)
		atomic64_inc(&ns->flushes);
	trace_iopmem_flush(ns, error);
	return error;
}
