// SPDX-License-Identifier: GPL-2.0
/* v6.13 "blk-mq: add non_owner variant of start_freeze/unfreeze queue APIs" */
#include <linux/blk-mq.h>

void probe(struct request_queue *q);
void probe(struct request_queue *q)
{
	blk_freeze_queue_start_non_owner(q);
	blk_mq_unfreeze_queue_non_owner(q);
}
