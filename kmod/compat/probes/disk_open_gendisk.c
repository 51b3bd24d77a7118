// SPDX-License-Identifier: GPL-2.0
/*
 * v6.5 d32e2bf83791 "block: pass a gendisk to ->open",
 *      ae220766d87c "block: remove the unused mode argument to ->release"
 */
#include <linux/blkdev.h>

static int open(struct gendisk *disk, blk_mode_t mode)
{
	return 0;
}

static void release(struct gendisk *disk)
{
}

const struct block_device_operations probe = { .open = open, .release = release };
