// SPDX-License-Identifier: GPL-2.0
/*
 * Importers of dma-bufs: who may have the memory, and by what addresses.
 *
 * An importer is judged when it attaches, by topology: a dma-buf's memory has no
 * pages by which the DMA layer could notice that the address cannot be reached.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/scatterlist.h>
#ifdef IOPMEM_HAVE_dma_buf_mapping
#include <linux/dma-buf-mapping.h>
#include <linux/pci-p2pdma.h>
#endif

#include "dmabuf.h"
#include "topology.h"

static int refuse_importer(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
			   const char *reason)
{
	dev_warn_ratelimited(iopmem_loan_device(loan), "no dma-buf for %s: %s\n",
			     dev_name(attach->dev), reason);
	return -EOPNOTSUPP;
}

/* May it have the memory: by what it says of itself, and by the topology? */
static int judge_importer(struct iopmem_loan *loan, struct dma_buf_attachment *attach)
{
	struct pci_dev *provider = loan->region->idev->pdev, *client;
	char reason[IOPMEM_REASON_LEN];
	struct iopmem_route route;

	if (!dev_is_pci(attach->dev))
		return refuse_importer(loan, attach, "it is no PCI function");
	if (!attach->peer2peer && !loan->any)
		return refuse_importer(loan, attach,
				       "its driver may look for struct pages (it has not declared allow_peer2peer)");
	client = to_pci_dev(attach->dev);
	iopmem_judge(provider, client, &route);
	if (route.verdict == IOPMEM_ROUTE_NONE) {
		iopmem_refuse_route(reason, &route, provider, client);
		return refuse_importer(loan, attach, reason);
	}
	if (IS_ENABLED(CONFIG_PCI_P2PDMA) && iopmem_kernel_distance(provider, client) < 0)
		return refuse_importer(loan, attach, "the kernel's p2pdma code does not allow it");
	attach->priv = (void *)(unsigned long)route.verdict;
	return 0;
}

int iopmem_loan_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct iopmem_loan *loan = dmabuf->priv;
	int error;

	if (!iopmem_loan_hold(loan))
		return -ENODEV;
	error = judge_importer(loan, attach);
	iopmem_loan_release(loan);
	return error;
}

/* It does not move. That it may have to go is told by invalidate_mappings, or waited for. */
int iopmem_loan_pin(struct dma_buf_attachment *attach)
{
	struct iopmem_loan *loan = attach->dmabuf->priv;

	return READ_ONCE(loan->revoked) ? -ENODEV : 0;
}

void iopmem_loan_unpin(struct dma_buf_attachment *attach)
{
}

#ifdef IOPMEM_HAVE_dma_buf_mapping
static struct sg_table *make_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	struct phys_vec range = { .paddr = iopmem_loan_start(loan), .len = loan->size };
	struct p2pdma_provider *provider;

	provider = pcim_p2pdma_provider(loan->region->idev->pdev, loan->region->bar);
	if (!provider)
		return ERR_PTR(-EOPNOTSUPP);
	return dma_buf_phys_vec_to_sgt(attach, provider, &range, 1, loan->size, direction);
}

static void free_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
		       struct sg_table *table, enum dma_data_direction direction)
{
	dma_buf_free_sgt(attach, table, direction);
}

/* The kernel's helper asks p2pdma, which wants to know the device. */
int iopmem_loan_prepare(struct iopmem_region *region)
{
	return pcim_p2pdma_init(region->idev->pdev);
}
#else
static bool by_bus_address(const struct dma_buf_attachment *attach)
{
	return (unsigned long)attach->priv == IOPMEM_ROUTE_BUS_ADDRESS;
}

/* 0; -EIO the importer's device cannot reach it. */
static int map_piece(struct iopmem_loan *loan, struct dma_buf_attachment *attach, u64 done,
		     size_t n, enum dma_data_direction direction, dma_addr_t *address)
{
	struct iopmem_region *region = loan->region;

	if (!by_bus_address(attach)) {
		*address = dma_map_resource(attach->dev, iopmem_loan_start(loan) + done, n,
					    direction, 0);
		return dma_mapping_error(attach->dev, *address) ? -EIO : 0;
	}
	*address = pci_bus_address(region->idev->pdev, region->bar) + loan->offset + done;
	return 0;
}

/* The first @n entries of a table. */
static void unmap_pieces(struct dma_buf_attachment *attach, struct sg_table *table,
			 unsigned int n, enum dma_data_direction direction)
{
	struct scatterlist *sg;
	unsigned int i;

	if (by_bus_address(attach))
		return;
	for_each_sg(table->sgl, sg, n, i)
		dma_unmap_resource(attach->dev, sg_dma_address(sg), sg_dma_len(sg), direction, 0);
}

/*
 * A table of addresses without pages, as the helper of newer kernels makes it.
 * dma_map_resource() never copies: it fails where the device cannot reach.
 */
static struct sg_table *make_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	size_t most = round_down(min_t(size_t, dma_get_max_seg_size(attach->dev), SZ_1G),
				 PAGE_SIZE);
	struct sg_table *table;
	struct scatterlist *sg;
	unsigned int i;
	u64 done = 0;
	int error;

	if (!most)
		return ERR_PTR(-EOPNOTSUPP);
	table = kzalloc_obj(*table);
	if (!table)
		return ERR_PTR(-ENOMEM);
	error = sg_alloc_table(table, DIV_ROUND_UP_ULL(loan->size, most), GFP_KERNEL);
	if (error)
		goto out_table;
	for_each_sgtable_dma_sg(table, sg, i) {
		size_t n = min_t(u64, most, loan->size - done);
		dma_addr_t address;

		error = map_piece(loan, attach, done, n, direction, &address);
		if (error)
			goto out_pieces;
		sg_set_page(sg, NULL, n, 0);
		sg_dma_address(sg) = address;
		sg_dma_len(sg) = n;
		done += n;
	}
	/* No pages: nobody may walk them. */
	table->orig_nents = 0;
	return table;

out_pieces:
	unmap_pieces(attach, table, i, direction);
	sg_free_table(table);
out_table:
	kfree(table);
	return ERR_PTR(error);
}

static void free_table(struct iopmem_loan *loan, struct dma_buf_attachment *attach,
		       struct sg_table *table, enum dma_data_direction direction)
{
	unmap_pieces(attach, table, table->nents, direction);
	table->orig_nents = table->nents;
	sg_free_table(table);
	kfree(table);
}

int iopmem_loan_prepare(struct iopmem_region *region)
{
	return 0;
}
#endif

/*
 * Do the importer's addresses have enough bits for the memory? Asked beforehand:
 * dma_map_phys() warns of it with a stack trace, and nobody asks of bus addresses.
 * By way of a translating IOMMU it gets others, which that allocates.
 */
static bool reaches(struct iopmem_loan *loan, struct dma_buf_attachment *attach)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(attach->dev);
	bool translated = domain && domain->type != IOMMU_DOMAIN_IDENTITY;

	if (translated && (unsigned long)attach->priv != IOPMEM_ROUTE_BUS_ADDRESS)
		return true;
	return iopmem_loan_start(loan) + loan->size - 1 <= dma_get_mask(attach->dev);
}

struct sg_table *iopmem_loan_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction direction)
{
	struct iopmem_loan *loan = attach->dmabuf->priv;
	struct sg_table *table;

	if (!iopmem_loan_hold(loan))
		return ERR_PTR(-ENODEV);
	if (!reaches(loan, attach)) {
		dev_warn_ratelimited(iopmem_loan_device(loan),
				     "no dma-buf for %s: its DMA mask 0x%llx ends before the memory, at 0x%llx\n",
				     dev_name(attach->dev), dma_get_mask(attach->dev),
				     iopmem_loan_start(loan) + loan->size - 1);
		iopmem_loan_release(loan);
		return ERR_PTR(-EIO);
	}
	table = make_table(loan, attach, direction);
	if (IS_ERR(table)) {
		dev_warn_ratelimited(iopmem_loan_device(loan), "%s cannot map the dma-buf (error %ld)\n",
				     dev_name(attach->dev), PTR_ERR(table));
		iopmem_loan_release(loan);
	}
	return table;
}

void iopmem_loan_unmap(struct dma_buf_attachment *attach, struct sg_table *table,
		       enum dma_data_direction direction)
{
	struct iopmem_loan *loan = attach->dmabuf->priv;

	free_table(loan, attach, table, direction);
	iopmem_loan_release(loan);
}
