// SPDX-License-Identifier: GPL-2.0
/*
 * v6.6 1d024e7a8dab "mm: remove enum page_entry_size": huge_fault() takes an order.
 * To the compiler an enum is as good as an unsigned int, so the function itself
 * would tell nothing; an enum that is there already cannot be defined again.
 */
#include <linux/mm.h>

enum page_entry_size {
	PROBE,
};
