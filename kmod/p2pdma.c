// SPDX-License-Identifier: GPL-2.0
/*
 * Namespaces that the kernel's own peer-to-peer code hands out: it judges each
 * transfer to their pages by topology.
 *
 * The memory is given to it for as long as the device is bound: there is no way
 * back (drivers/pci/p2pdma.c knows no "remove_resource"). It is released with
 * the function's other managed resources after our remove(), and that waits for
 * whoever still uses a page.
 */
#include <linux/mm.h>
#include <linux/pci-p2pdma.h>

#include "iopmem.h"

bool iopmem_p2pdma_possible(void)
{
	return IOPMEM_P2PDMA_USER_MEMORY && IS_ENABLED(CONFIG_PCI_P2PDMA);
}

/**
 * iopmem_p2pdma_add - give a namespace's memory to p2pdma
 * @ns:		of a device that has given none
 * @publish:	drivers may allocate from it, not only programs
 * @reason:	filled on failure
 *
 * Return: 0, or a negative errno with no memory given. A pool without memory may
 * be left, the device's p2pmem folder in sysfs: the kernel makes it first, and
 * takes it away when the device is unbound.
 */
int iopmem_p2pdma_add(struct iopmem_namespace *ns, bool publish, char *reason)
{
	struct iopmem_region *region = ns->region;
	struct pci_dev *pdev = region->idev->pdev;
	int error;

	error = iopmem_afford_pages(ns, reason);
	if (error)
		return error;
	error = pci_p2pdma_add_resource(pdev, region->bar, ns->size, ns->offset);
	if (error)
		return iopmem_refuse(reason, error,
				     "p2pdma does not take %llu bytes at offset %llu of BAR %d (error %d)",
				     ns->size, ns->offset, region->bar, error);
	region->idev->p2pdma = ns;
	if (publish)
		pci_p2pmem_publish(pdev, true);
	return 0;
}

/*
 * The pool does not tell what is allocated; it is idle if all of it can be had.
 * For that moment nobody else can allocate, and is told that there is no room.
 */
bool iopmem_p2pdma_busy(const struct iopmem_namespace *ns)
{
	struct pci_dev *pdev = ns->region->idev->pdev;
	void *all;

	if (ns->mode != IOPMEM_MODE_P2PDMA)
		return false;
	all = pci_alloc_p2pmem(pdev, ns->size);
	if (!all)
		return true;
	pci_free_p2pmem(pdev, all, ns->size);
	return false;
}
