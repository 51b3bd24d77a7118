// SPDX-License-Identifier: GPL-2.0
/* Until v6.16; gone with v6.17 21aa65bf82a7 "mm: remove callers of pfn_t functionality" */
#include <linux/dax.h>
#include <linux/pfn_t.h>

static long access(struct dax_device *dax, pgoff_t pgoff, long nr, enum dax_access_mode mode,
		   void **kaddr, pfn_t *pfn)
{
	return 0;
}

const struct dax_operations probe = { .direct_access = access };
