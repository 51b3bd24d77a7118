// SPDX-License-Identifier: GPL-2.0
/* v6.14 "block: force noio scope in blk_mq_freeze_queue" */
#include <linux/blk-mq.h>

void probe(struct request_queue *q);
void probe(struct request_queue *q)
{
	unsigned int flags = blk_mq_freeze_queue(q);

	blk_mq_unfreeze_queue(q, flags);
}
