/* SPDX-License-Identifier: GPL-2.0 */
/* How one PCI function reaches the memory of another: topology.c */
#ifndef _IOPMEM_TOPOLOGY_H
#define _IOPMEM_TOPOLOGY_H

#include <linux/types.h>

struct pci_dev;

/**
 * struct iopmem_route - a judgement
 * @verdict:	IOPMEM_ROUTE_*
 * @distance:	hops up to the bridge that is above both, and down again; all of
 *		both chains where there is none
 * @redirecting: a function on the way whose access control sends transfers up,
 *		or NULL; held by whoever holds the two ends
 */
struct iopmem_route {
	u32 verdict;
	u32 distance;
	struct pci_dev *redirecting;
};

void iopmem_judge(struct pci_dev *provider, struct pci_dev *client, struct iopmem_route *route);
int iopmem_kernel_distance(struct pci_dev *provider, struct pci_dev *client);
int iopmem_refuse_route(char *reason, const struct iopmem_route *route, struct pci_dev *provider,
			struct pci_dev *client);

#endif
