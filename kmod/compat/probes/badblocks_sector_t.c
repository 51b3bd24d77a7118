// SPDX-License-Identifier: GPL-2.0
/* v6.15, "badblocks: use sector_t instead of int to avoid truncation of badblocks length" */
#include <linux/badblocks.h>

bool probe(struct badblocks *bb, sector_t *first, sector_t *bad);
bool probe(struct badblocks *bb, sector_t *first, sector_t *bad)
{
	return badblocks_check(bb, 0, 1, first, bad);
}
