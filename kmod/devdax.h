/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an open devdax node is, for those who reach its memory:
 *
 *   devdax.c       the node: open, ioctls, fsync; its coming and going
 *   devdax_map.c   mmap(2) and the faults of mappings
 *   devdax_rw.c    read(2) and write(2)
 */
#ifndef _IOPMEM_DEVDAX_H
#define _IOPMEM_DEVDAX_H

#include <linux/fs.h>

#include "iopmem.h"

/**
 * struct devdax_file - an open node
 * @ns:		held by the cdev, which the file holds
 * @mapping:	of all mappings; the file holds its inode
 * @cache:	IOPMEM_CACHE_*, of mappings that are made from now on
 * @writable:	opened for writing
 */
struct devdax_file {
	struct iopmem_namespace *ns;
	struct address_space *mapping;
	u32 cache;
	bool writable;
};

int iopmem_devdax_begin(const struct devdax_file *open);
void iopmem_devdax_end(const struct devdax_file *open);

int iopmem_devdax_mmap(struct file *file, struct vm_area_struct *vma);
ssize_t iopmem_devdax_read(struct file *file, char __user *user, size_t n, loff_t *position);
ssize_t iopmem_devdax_write(struct file *file, const char __user *user, size_t n,
			    loff_t *position);

#endif
