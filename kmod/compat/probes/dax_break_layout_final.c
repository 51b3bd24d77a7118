// SPDX-License-Identifier: GPL-2.0
/*
 * v6.15 d5b3afea2202 "fs/dax: create a common implementation to break DAX layouts",
 *       38607c62b34b "fs/dax: properly refcount fs dax pages": an idle page counts 0
 */
#include <linux/dax.h>

bool probe(struct inode *inode, struct page *page);
bool probe(struct inode *inode, struct page *page)
{
	dax_break_layout_final(inode);
	return dax_page_is_idle(page);
}
