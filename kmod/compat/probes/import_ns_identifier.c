// SPDX-License-Identifier: GPL-2.0
/*
 * v6.13 cdd30ebb1b9f "module: Convert symbol namespace to string literal"
 */
#include <linux/module.h>

MODULE_IMPORT_NS(DMA_BUF);
