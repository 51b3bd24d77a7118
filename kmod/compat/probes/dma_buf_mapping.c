// SPDX-License-Identifier: GPL-2.0
/*
 * After v6.12, by v7.2: dma_buf_phys_vec_to_sgt(),
 * of use only where p2pdma judges (linux/dma-buf-mapping.h)
 */
#include <linux/dma-buf-mapping.h>
#include <linux/pci-p2pdma.h>

#ifndef CONFIG_PCI_P2PDMA
#error "no p2pdma"
#endif

void *probe(struct pci_dev *pdev);
void *probe(struct pci_dev *pdev)
{
	return pcim_p2pdma_provider(pdev, 0);
}
