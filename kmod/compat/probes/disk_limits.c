// SPDX-License-Identifier: GPL-2.0
/*
 * v6.9  74fa8f9c553f "block: pass a queue_limits argument to blk_alloc_disk"
 * v6.11 1122c0c1cc71 "block: move cache control settings out of queue->flags"
 */
#include <linux/blkdev.h>

struct gendisk *probe(void);
struct gendisk *probe(void)
{
	struct queue_limits lim = {
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA | BLK_FEAT_DAX,
	};

	return blk_alloc_disk(&lim, NUMA_NO_NODE);
}
