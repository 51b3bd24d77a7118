// SPDX-License-Identifier: GPL-2.0
/*
 * Can one PCI function reach the memory of another, and by which address?
 *
 * Kernels without CONFIG_PCI_P2PDMA do not say, and those with it ask for pages
 * of mode p2pdma alone. So this is the judgement of calc_map_type_and_dist() in
 * drivers/pci/p2pdma.c, made by ourselves; iopmemctl topology makes it a third
 * time, from sysfs, and the tests hold the three against each other.
 */
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>

#include "iopmem.h"
#include "topology.h"

/*
 * Root complexes that forward from one of their ports to another, by the first
 * device below their host bridge: pci_p2pdma_whitelist[], up to v7.2.
 */
static const struct root_complex {
	u16 vendor;
	u16 device;
	bool within;	/* not to another host bridge */
} root_complexes[] = {
	/* Xeon E5, E7 v3 and the Core i7 of their times */
	{ PCI_VENDOR_ID_INTEL, 0x3c00, true },
	{ PCI_VENDOR_ID_INTEL, 0x3c01, true },
	{ PCI_VENDOR_ID_INTEL, 0x2f00, true },
	{ PCI_VENDOR_ID_INTEL, 0x2f01, true },
	/* Skylake-E, Ice Lake */
	{ PCI_VENDOR_ID_INTEL, 0x2030 },
	{ PCI_VENDOR_ID_INTEL, 0x2031 },
	{ PCI_VENDOR_ID_INTEL, 0x2032 },
	{ PCI_VENDOR_ID_INTEL, 0x2033 },
	{ PCI_VENDOR_ID_INTEL, 0x2020 },
	{ PCI_VENDOR_ID_INTEL, 0x09a2 },
#ifdef IOPMEM_HAVE_dma_buf_mapping
	/* where the first device is an accelerator: DSA, IAA, QAT */
	{ PCI_VENDOR_ID_INTEL, 0x0b25 },
	{ PCI_VENDOR_ID_INTEL, 0x0cfe },
	{ PCI_VENDOR_ID_INTEL, 0x11fb },
	{ PCI_VENDOR_ID_INTEL, 0x1212 },
	{ PCI_VENDOR_ID_INTEL, 0x1216 },
	{ PCI_VENDOR_ID_INTEL, 0x4940 },
	{ PCI_VENDOR_ID_INTEL, 0x4942 },
	{ PCI_VENDOR_ID_INTEL, 0x4944 },
	{ PCI_VENDOR_ID_INTEL, 0x4946 },
	{ PCI_VENDOR_ID_INTEL, 0x4948 },
	{ 0x1ae0 /* Google */, (u16)PCI_ANY_ID },
#endif
};

/* Its access control sends transfers between its neighbours up to the root complex. */
static bool redirects(struct pci_dev *pdev)
{
	u16 control;

	if (!pdev->acs_cap ||
	    pci_read_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL, &control))
		return false;
	return control & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

/* The device that a host bridge is known by; put it. */
static struct pci_dev *representative(struct pci_dev *pdev)
{
	struct pci_host_bridge *bridge = pci_find_host_bridge(pdev->bus);
	struct pci_dev *first = NULL;
	unsigned int devfn;

	for (devfn = 0; !first && devfn < 256; devfn++)
		first = pci_get_slot(bridge->bus, devfn);
	/* One that is not 00.0 counts if it is a root port. */
	if (first && first->devfn &&
	    !(pci_is_pcie(first) && pci_pcie_type(first) == PCI_EXP_TYPE_ROOT_PORT)) {
		pci_dev_put(first);
		return NULL;
	}
	return first;
}

static bool is_known(struct pci_dev *pdev, bool within)
{
	struct pci_dev *first = representative(pdev);
	bool known = false;
	int i;

	if (!first)
		return false;
	for (i = 0; i < ARRAY_SIZE(root_complexes); i++) {
		const struct root_complex *entry = &root_complexes[i];

		if (first->vendor == entry->vendor &&
		    (entry->device == (u16)PCI_ANY_ID || first->device == entry->device)) {
			known = within || !entry->within;
			break;
		}
	}
	pci_dev_put(first);
	return known;
}

/* AMD's processors from Zen on forward between all of theirs. */
static bool is_zen(void)
{
#ifdef CONFIG_X86
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD && boot_cpu_data.x86 >= 0x17;
#else
	return false;
#endif
}

static bool root_complex_forwards(struct pci_dev *provider, struct pci_dev *client)
{
	bool within;

	if (is_zen())
		return true;
	within = pci_find_host_bridge(provider->bus) == pci_find_host_bridge(client->bus);
	return is_known(provider, within) && (within || is_known(client, within));
}

/**
 * iopmem_judge - the way from a client to a provider's memory
 * @provider:	whose memory it is
 * @client:	who does DMA
 * @route:	[out] its verdict, its length, the first bridge that redirects
 *
 * The caller holds references to both, so that the bridges above them stay.
 */
void iopmem_judge(struct pci_dev *provider, struct pci_dev *client, struct iopmem_route *route)
{
	struct pci_dev *a, *b, *bridge;
	u32 above = 0, below = 0;

	*route = (struct iopmem_route){};
	for (a = provider; a; a = pci_upstream_bridge(a), above++) {
		/* The provider itself counts: a function beside others may redirect. */
		if (redirects(a) && !route->redirecting)
			route->redirecting = a;
		below = 0;
		for (b = client; b && b != a; b = pci_upstream_bridge(b))
			below++;
		if (b)
			break;
	}
	route->distance = above + below;
	if (a) {
		for (bridge = client; bridge != a; bridge = pci_upstream_bridge(bridge))
			if (redirects(bridge) && !route->redirecting)
				route->redirecting = bridge;
		if (!route->redirecting) {
			route->verdict = IOPMEM_ROUTE_BUS_ADDRESS;
			return;
		}
	} else {
		/* No bridge is above both; an access control on the way does not matter. */
		route->redirecting = NULL;
	}
	route->verdict = root_complex_forwards(provider, client) ? IOPMEM_ROUTE_HOST_BRIDGE :
								   IOPMEM_ROUTE_NONE;
}

/* What the kernel's own code says: a distance, or a negative number. */
int iopmem_kernel_distance(struct pci_dev *provider, struct pci_dev *client)
{
	if (!IS_ENABLED(CONFIG_PCI_P2PDMA))
		return -EOPNOTSUPP;
	return pci_p2pdma_distance(provider, &client->dev, false);
}

/* Why not, in words. */
int iopmem_refuse_route(char *reason, const struct iopmem_route *route, struct pci_dev *provider,
			struct pci_dev *client)
{
	if (route->redirecting)
		return iopmem_refuse(reason, -EOPNOTSUPP,
				     "%s cannot reach %s: access control (ACS) of %s sends transfers up to a root complex that is not known to forward them",
				     pci_name(client), pci_name(provider),
				     pci_name(route->redirecting));
	return iopmem_refuse(reason, -EOPNOTSUPP,
			     "%s cannot reach %s: no PCI bridge is above both, and the root complex is not known to forward (put both below one switch)",
			     pci_name(client), pci_name(provider));
}

/* IOPMEM_IOC_JUDGE_CLIENT */
int iopmem_judge_client(void *owner, void *value)
{
	struct iopmem_region *region = owner;
	struct iopmem_client *arg = value;
	struct iopmem_route route;
	struct pci_dev *client;
	int error;

	if (arg->flags)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x", arg->flags);
	if (arg->reserved)
		return iopmem_refuse(arg->reason, -EINVAL, "reserved fields are not zero");
	client = pci_get_domain_bus_and_slot(arg->domain, arg->bus, arg->devfn);
	if (!client)
		return iopmem_refuse(arg->reason, -ENODEV,
				     "there is no PCI function %04x:%02x:%02x.%x", arg->domain,
				     arg->bus, PCI_SLOT(arg->devfn), PCI_FUNC(arg->devfn));
	error = iopmem_region_lock(region, arg->reason);
	if (error)
		goto out;
	error = region->dead ? iopmem_refuse(arg->reason, -ENODEV, "%s is gone",
					     dev_name(&region->dev)) : 0;
	if (!error) {
		struct pci_dev *provider = region->idev->pdev;

		iopmem_judge(provider, client, &route);
		arg->verdict = route.verdict;
		arg->distance = route.distance;
		arg->kernel_distance = iopmem_kernel_distance(provider, client);
		if (route.verdict == IOPMEM_ROUTE_NONE)
			iopmem_refuse_route(arg->reason, &route, provider, client);
	}
	iopmem_region_unlock(region);
out:
	pci_dev_put(client);
	return error;
}
