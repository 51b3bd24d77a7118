/* SPDX-License-Identifier: GPL-2.0 */
/* Memory of a region as a dma-buf: dmabuf.c; who may ask for one: export.c */
#ifndef _IOPMEM_DMABUF_H
#define _IOPMEM_DMABUF_H

#include <linux/types.h>

struct iopmem_namespace;
struct iopmem_region;

int iopmem_dmabuf_create(struct iopmem_region *region, struct iopmem_namespace *ns, u64 offset,
			 u64 length, u32 flags, char *reason);

#endif
