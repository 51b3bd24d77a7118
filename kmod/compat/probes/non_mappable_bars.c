// SPDX-License-Identifier: GPL-2.0
/* v6.15 888bd8322dfc "s390/pci: Introduce pdev->non_mappable_bars" */
#include <linux/pci.h>

bool probe(struct pci_dev *pdev);
bool probe(struct pci_dev *pdev)
{
	return pdev->non_mappable_bars;
}
