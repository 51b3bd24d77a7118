// SPDX-License-Identifier: GPL-2.0
/*
 * v6.2 4003f107fa2e "mm: introduce FOLL_PCI_P2PDMA to gate getting PCI P2PDMA pages",
 *      7e9c7ef83d78 "PCI/P2PDMA: Allow userspace VMA allocations through sysfs"
 */
#include <linux/mm.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return FOLL_PCI_P2PDMA;
}
