/* SPDX-License-Identifier: GPL-2.0 */
/* What tests ask of /dev/iopmem-importer. */
#ifndef IOPMEM_IMPORTER_H
#define IOPMEM_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What an importer does when it is told that its mapping goes away. */
#define IMPORTER_OBEDIENT	0	/* it unmaps */
#define IMPORTER_STUBBORN	1	/* it goes on */
#define IMPORTER_OLD		2	/* it cannot be told */

struct importer_attach {
	__s32 fd;
	__u32 kind;
};

/* Bytes of the dma-buf, at most 4096, from one place in it to another. */
struct importer_copy {
	__u64 from;
	__u64 to;
	__u32 length;
	__u32 reserved;
};

/* Bytes of the dma-buf, loaded and stored by the kernel (vmap): each becomes what it was, plus @add. */
struct importer_add {
	__u64 from;
	__u32 length;
	__u32 add;
};

struct importer_state {
	__u64 address;	/* of the first entry, for the device */
	__u32 entries;
	__u32 mapped;
	__u32 told;
	__u32 reserved;
};

#define IMPORTER_ATTACH	_IOW('i', 0, struct importer_attach)
#define IMPORTER_MAP	_IO('i', 1)
#define IMPORTER_COPY	_IOW('i', 2, struct importer_copy)
#define IMPORTER_STATE	_IOR('i', 3, struct importer_state)
#define IMPORTER_DETACH	_IO('i', 4)
#define IMPORTER_ADD	_IOW('i', 5, struct importer_add)

#endif
