/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of a region as a dma-buf. Who may ask for one is in export.c; then:
 *
 *   dmabuf.c          a loan: made, told to its users, taken back
 *   dmabuf_import.c   importers: who may attach, and addresses for their devices
 *   dmabuf_cpu.c      the kernel's loads and stores (vmap), and programs' (mmap)
 */
#ifndef _IOPMEM_DMABUF_H
#define _IOPMEM_DMABUF_H

#include <linux/dma-buf.h>
#include <linux/iosys-map.h>
#include <linux/kref.h>
#include <linux/sched.h>

#include "iopmem.h"

/**
 * struct iopmem_loan - what is given out as one dma-buf
 * @ref:	the dma-buf's, and that of who takes it back
 * @entry:	in region->loans, by offset; empty when it was taken back
 * @region:	held by us
 * @ns:		held by us; NULL for free space of the region
 * @offset:	from the start of the region
 * @size:	bytes, whole pages
 * @claim:	of free space, child of region->claim
 * @any:	importers need not have declared that they do without pages
 * @dmabuf:	holds us; there while we are in the list, under space_lock
 * @inode:	of the dma-buf's file, with the mappings of programs; held by us. Not
 *		by way of the file: a dma-buf ends with its dentry, and that can be
 *		kept longer than the file (open(2) with O_PATH in /proc/PID/fd)
 * @comm:	who asked for it
 * @pid:	likewise
 * @window:	the kernel's mapping of free space, while an importer has it
 * @lock:	protects the next two
 * @revoked:	nobody new may reach the memory
 * @users:	who reaches it now: mappings for devices and for the kernel
 * @idle:	woken when @users comes to 0
 */
struct iopmem_loan {
	struct kref ref;
	struct list_head entry;
	struct iopmem_region *region;
	struct iopmem_namespace *ns;
	u64 offset;
	u64 size;
	struct resource claim;
	bool any;
	struct dma_buf *dmabuf;
	struct inode *inode;
	char comm[TASK_COMM_LEN];
	pid_t pid;
	void __iomem *window;

	spinlock_t lock;	/* the next two */
	bool revoked;
	unsigned int users;
	wait_queue_head_t idle;
};

static inline phys_addr_t iopmem_loan_start(const struct iopmem_loan *loan)
{
	return loan->region->start + loan->offset;
}

static inline struct device *iopmem_loan_device(const struct iopmem_loan *loan)
{
	return loan->ns ? &loan->ns->dev : &loan->region->dev;
}

bool iopmem_loan_hold(struct iopmem_loan *loan);
void iopmem_loan_release(struct iopmem_loan *loan);

int iopmem_dmabuf_create(struct iopmem_region *region, struct iopmem_namespace *ns, u64 offset,
			 u64 length, u32 flags, char *reason);

/* dmabuf_import.c: dma_buf_ops */
int iopmem_loan_prepare(struct iopmem_region *region);
int iopmem_loan_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach);
int iopmem_loan_pin(struct dma_buf_attachment *attach);
void iopmem_loan_unpin(struct dma_buf_attachment *attach);
struct sg_table *iopmem_loan_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction direction);
void iopmem_loan_unmap(struct dma_buf_attachment *attach, struct sg_table *table,
		       enum dma_data_direction direction);

/* dmabuf_cpu.c: dma_buf_ops */
int iopmem_loan_vmap(struct dma_buf *dmabuf, struct iosys_map *map);
void iopmem_loan_vunmap(struct dma_buf *dmabuf, struct iosys_map *map);
int iopmem_loan_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
int iopmem_loan_begin_access(struct dma_buf *dmabuf, enum dma_data_direction direction);
int iopmem_loan_end_access(struct dma_buf *dmabuf, enum dma_data_direction direction);

#endif
