// SPDX-License-Identifier: GPL-2.0
// The driver's UAPI header as a Swift module. The header itself is the only
// copy of the ABI and lives with the driver.
#ifndef CIOPMEM_H
#define CIOPMEM_H

#include "../../../kmod/include/uapi/linux/iopmem.h"

#endif
