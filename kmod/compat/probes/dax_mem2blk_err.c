// SPDX-License-Identifier: GPL-2.0
/* v6.6, 1ea7ca1b0901 "dax: enable dax fault handler to report VM_FAULT_HWPOISON" */
#include <linux/dax.h>

int probe(void);
int probe(void)
{
	return dax_mem2blk_err(-EHWPOISON);
}
