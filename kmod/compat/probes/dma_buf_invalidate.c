// SPDX-License-Identifier: GPL-2.0
/*
 * After v6.12, by v7.2: dma_buf_move_notify() is called dma_buf_invalidate_mappings()
 */
#include <linux/dma-buf.h>

void probe(struct dma_buf *dmabuf);
void probe(struct dma_buf *dmabuf)
{
	dma_buf_invalidate_mappings(dmabuf);
}
