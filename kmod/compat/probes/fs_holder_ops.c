// SPDX-License-Identifier: GPL-2.0
/* v6.5 "block: introduce holder ops", "fs: add a method to shut down the file system" */
#include <linux/blkdev.h>

bool probe(struct block_device *bdev);
bool probe(struct block_device *bdev)
{
	lockdep_assert_held(&bdev->bd_holder_lock);
	return bdev->bd_holder_ops == &fs_holder_ops;
}
