// SPDX-License-Identifier: GPL-2.0
/*
 * v6.7 0ede61d8589c "file: convert to SLAB_TYPESAFE_BY_RCU"
 */
#include <linux/fs.h>

struct file *probe(struct file **file);
struct file *probe(struct file **file)
{
	return get_file_active(file);
}
