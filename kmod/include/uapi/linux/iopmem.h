/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * iopmem: PCIe memory BARs as DAX block devices - the interface to user space.
 *
 * This is the only copy of the ABI; the driver and iopmemctl read the same
 * file.
 *
 * Objects
 *   device     a PCI function bound to the iopmem driver
 *   region     one memory BAR of it          /dev/iopmem0, class "iopmem"
 *   namespace  a slice of a region           /dev/iopmem0n1, class "iopmem"
 *
 * What can be read is in sysfs (/sys/class/iopmem/NAME/, one value per file).
 * What changes something is an ioctl, on one of two nodes that only root can
 * open:
 *
 *   /dev/iopmem-control   the driver as a whole: binding and unbinding
 *   /dev/iopmemN          a region: its namespaces.  read(2) and pread(2)
 *                         return the region's bytes, so that a tool can look
 *                         for file systems before it puts a namespace there.
 *
 * Conventions, the same for every ioctl (after iommufd's):
 *   - The number carries no size: _IO(IOPMEM_IOC_MAGIC, nr).  Unknown numbers
 *     fail with ENOTTY.
 *   - Each struct begins with __u32 size, which the caller sets to the size of
 *     the struct that it was compiled with.  Smaller than the first published
 *     size (..._SIZE_VER0): EINVAL, nothing is written back.  Larger than the
 *     driver knows: fine while the unknown tail is zero, else E2BIG.
 *   - Then __u32 flags.  Unknown flags and non-zero reserved fields are
 *     refused with EINVAL, never ignored.
 *   - Fields are marked [in], [out] or [in/out].
 *   - reason is [out] on every ioctl that can be refused: one line of text in
 *     English without a full stop or newline, NUL-terminated, empty on
 *     success.  It names the object and says why.  The errno is the machine
 *     readable half and is listed with each ioctl.
 *   - An ioctl that fails has changed nothing.
 *
 * All sizes and offsets are in bytes.
 */
#ifndef _UAPI_LINUX_IOPMEM_H
#define _UAPI_LINUX_IOPMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Raised when a change would break a caller; additions do not raise it. */
#define IOPMEM_ABI_VERSION	1

/* Start and size of every namespace: the kernel's subsection (2 MiB). */
#define IOPMEM_ALIGN		(2ULL * 1024 * 1024)

#define IOPMEM_REASON_LEN	192	/* with the NUL */
#define IOPMEM_NAME_LEN		64	/* with the NUL */
#define IOPMEM_UUID_LEN		16	/* RFC 9562 byte order */
#define IOPMEM_BARS		6	/* standard BARs of a type 0 header */
#define IOPMEM_MAX_ID		4095	/* namespaces of a region: 1..4095 */
#define IOPMEM_MAX_WIPES	64
#define IOPMEM_MAX_LABEL_WRITE	(64 * 1024)	/* bytes */

#define IOPMEM_IOC_MAGIC	0xBA

/* How a namespace's pages can be reached. */
#define IOPMEM_MODE_FSDAX	1	/* MEMORY_DEVICE_FS_DAX, block node */
#define IOPMEM_MODE_DEVDAX	2	/* MEMORY_DEVICE_GENERIC, char node */
#define IOPMEM_MODE_P2PDMA	3	/* MEMORY_DEVICE_PCI_P2PDMA */
#define IOPMEM_MODE_RAW		4	/* no struct pages, block node */

/* Where the struct pages live. */
#define IOPMEM_MAP_MEM		1	/* system RAM */
#define IOPMEM_MAP_DEV		2	/* the BAR itself (altmap) */

/* What happens to a region's contents without power. */
#define IOPMEM_MEDIA_VOLATILE	0
#define IOPMEM_MEDIA_PERSISTENT	1

/**
 * struct iopmem_version - IOPMEM_IOC_GET_VERSION, on both nodes
 * @size:	[in]  sizeof(struct iopmem_version)
 * @flags:	[in]  must be 0
 * @abi:	[out] IOPMEM_ABI_VERSION of the driver
 * @modes:	[out] bit (1 << IOPMEM_MODE_x) for each mode that this driver can
 *		create on this kernel
 * @maps:	[out] bit (1 << IOPMEM_MAP_x) likewise
 * @reserved:	[out] 0
 * @release:	[out] the driver's version, as in /sys/module/iopmem/version
 *
 * Errors: EINVAL, E2BIG, EFAULT.
 */
struct iopmem_version {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 modes;
	__u32 maps;
	__u32 reserved;
	__u8  release[32];
};

#define IOPMEM_VERSION_SIZE_VER0	56
#define IOPMEM_IOC_GET_VERSION	_IO(IOPMEM_IOC_MAGIC, 0x00)

/* Accept BARs that are not prefetchable: reads may have side effects. */
#define IOPMEM_DEVICE_BIND_F_FORCE	(1U << 0)

/**
 * struct iopmem_device_bind - IOPMEM_IOC_PREPARE_BIND, on the control node
 * @size:	[in]  sizeof(struct iopmem_device_bind)
 * @flags:	[in]  IOPMEM_DEVICE_BIND_F_*
 * @domain:	[in]  PCI segment
 * @bus:	[in]
 * @devfn:	[in]  (device << 3) | function
 * @media:	[in]  IOPMEM_MEDIA_*
 * @bar_mask:	[in]  bit (1 << n): BAR n may become a region.  A BAR in a mask
 *		that is not all ones must become one, or the probe fails.
 * @reserved:	[in]  must be 0
 * @reason:	[out] why not
 *
 * Says how the next probe of this function shall go.  The order is: this
 * ioctl, driver_override, drivers_probe, IOPMEM_IOC_GET_BIND_RESULT.  One
 * preparation belongs to one open file; it is used by one probe and forgotten
 * when the file is closed, so that it can never meet another card.
 * A function that is probed without a preparation gets the defaults: every
 * eligible BAR, volatile, no force.
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENODEV no such function; EALREADY it is bound
 * to iopmem; EBUSY another open file has prepared it.
 */
struct iopmem_device_bind {
	__u32 size;
	__u32 flags;
	__u32 domain;
	__u8  bus;
	__u8  devfn;
	__u8  media;
	__u8  bar_mask;
	__u32 reserved[4];
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_DEVICE_BIND_SIZE_VER0	224
#define IOPMEM_BAR_MASK_ALL	0xff
#define IOPMEM_IOC_PREPARE_BIND	_IO(IOPMEM_IOC_MAGIC, 0x01)

/**
 * struct iopmem_bar_verdict - what the driver said to one BAR
 * @error:	0 it is a region; a positive errno why it is not:
 *		ENXIO not implemented by the device; ENOTTY I/O ports;
 *		EADDRNOTAVAIL no address assigned; EFBIG smaller than
 *		IOPMEM_ALIGN; ENOTUNIQ holds the MSI-X table or PBA;
 *		EPERM not prefetchable (force accepts it); EREMOTE bus address
 *		differs from CPU address; ERANGE outside the addresses for which
 *		the kernel can make struct pages; EBUSY claimed by somebody
 *		else; ECANCELED left out by bar_mask; EOPNOTSUPP cannot be
 *		mapped by the CPU
 * @region:	number of the region, -1 if none
 * @reason:	in words
 */
struct iopmem_bar_verdict {
	__u32 error;
	__s32 region;
	__u8  reason[IOPMEM_REASON_LEN];
};

/**
 * struct iopmem_bind_result - IOPMEM_IOC_GET_BIND_RESULT, on the control node
 * @size:	[in]  sizeof(struct iopmem_bind_result)
 * @flags:	[in]  must be 0
 * @error:	[out] 0 the function is bound; else a positive errno
 * @reserved:	[out] 0
 * @reason:	[out] why the probe failed, empty if it did not
 * @bars:	[out] the verdict for each BAR
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENOENT nothing was prepared with this open
 * file; EAGAIN the function has not been probed since.
 */
struct iopmem_bind_result {
	__u32 size;
	__u32 flags;
	__u32 error;
	__u32 reserved;
	__u8  reason[IOPMEM_REASON_LEN];
	struct iopmem_bar_verdict bars[IOPMEM_BARS];
};

#define IOPMEM_BIND_RESULT_SIZE_VER0	1408
#define IOPMEM_IOC_GET_BIND_RESULT	_IO(IOPMEM_IOC_MAGIC, 0x02)

/* Take held namespaces away from their users, who get EIO and SIGBUS. */
#define IOPMEM_DEVICE_RETIRE_F_REVOKE	(1U << 0)

/**
 * struct iopmem_device_retire - IOPMEM_IOC_RETIRE_DEVICE, on the control node
 * @size:	[in]  sizeof(struct iopmem_device_retire)
 * @flags:	[in]  IOPMEM_DEVICE_RETIRE_F_*
 * @domain:	[in]  PCI segment
 * @bus:	[in]
 * @devfn:	[in]  (device << 3) | function
 * @reserved0:	[in]  must be 0
 * @destroyed:	[out] how many namespaces went
 * @reason:	[out] why not; names the first held namespace
 *
 * The half of an unbind that can be refused: destroys every namespace of the
 * device, or none if one is held.  Until the file is closed or the device is
 * unbound, no namespace can be created on it.
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENODEV no such function, or not bound to
 * iopmem; EBUSY a namespace is held; EINTR a signal came first.
 */
struct iopmem_device_retire {
	__u32 size;
	__u32 flags;
	__u32 domain;
	__u8  bus;
	__u8  devfn;
	__u16 reserved0;
	__u32 destroyed;
	__u32 reserved;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_DEVICE_RETIRE_SIZE_VER0	216
#define IOPMEM_IOC_RETIRE_DEVICE	_IO(IOPMEM_IOC_MAGIC, 0x03)

/* Take @length bytes at exactly @offset; else the first fitting extent. */
#define IOPMEM_NAMESPACE_CREATE_F_OFFSET	(1U << 0)
/* Take number @id; else the lowest free one. */
#define IOPMEM_NAMESPACE_CREATE_F_ID		(1U << 1)
/* IOPMEM_MODE_P2PDMA: other drivers may allocate from it. */
#define IOPMEM_NAMESPACE_CREATE_F_PUBLISH	(1U << 2)

/**
 * struct iopmem_namespace_create - IOPMEM_IOC_CREATE_NAMESPACE, on a region
 * @size:	[in]  sizeof(struct iopmem_namespace_create)
 * @flags:	[in]  IOPMEM_NAMESPACE_CREATE_F_*
 * @mode:	[in]  IOPMEM_MODE_*
 * @map:	[in]  IOPMEM_MAP_*; 0 for IOPMEM_MODE_RAW
 * @offset:	[in/out] from the start of the region; a multiple of IOPMEM_ALIGN
 * @length:	[in]  a multiple of IOPMEM_ALIGN, not 0
 * @id:		[in/out] 1..IOPMEM_MAX_ID
 * @reserved:	[in]  must be 0
 * @uuid:	[in]  not nil, unique among all namespaces of the machine
 * @name:	[in]  NUL-terminated, may be empty; [A-Za-z0-9][A-Za-z0-9._-]*,
 *		unique, and not of the form of a kernel name (iopmem[0-9]...)
 * @reason:	[out] why not
 *
 * When it returns, the namespace stands in sysfs and its node in devtmpfs.
 *
 * A device has at most one namespace of IOPMEM_MODE_P2PDMA, because the kernel
 * has one allocator for each. It has no way to take memory back from it either,
 * so the namespace goes with the binding and cannot be destroyed before.
 *
 * Errors: EINVAL bad flag, alignment, mode, name, nil UUID; E2BIG; EFAULT;
 * ENOSPC no free extent is large enough; ERANGE @offset + @length is outside
 * the region; EBUSY the range overlaps a namespace or is claimed by somebody
 * else, or the device is being unbound; EEXIST the number, name or UUID is
 * taken; EOPNOTSUPP this driver or kernel cannot do the mode or map, or
 * the device has its namespace of IOPMEM_MODE_P2PDMA; ENOMEM;
 * ENODEV the region is gone; EINTR a signal came first.
 */
struct iopmem_namespace_create {
	__u32 size;
	__u32 flags;
	__u32 mode;
	__u32 map;
	__u64 offset;
	__u64 length;
	__u32 id;
	__u32 reserved;
	__u8  uuid[IOPMEM_UUID_LEN];
	__u8  name[IOPMEM_NAME_LEN];
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_NAMESPACE_CREATE_SIZE_VER0	312
#define IOPMEM_IOC_CREATE_NAMESPACE	_IO(IOPMEM_IOC_MAGIC, 0x10)

/* Take it away from its users, who get EIO and SIGBUS. */
#define IOPMEM_NAMESPACE_DESTROY_F_REVOKE	(1U << 0)
/* Overwrite all of it with zeros before the space becomes free. */
#define IOPMEM_NAMESPACE_DESTROY_F_ZERO		(1U << 1)

/* struct iopmem_range - bytes within a namespace */
struct iopmem_range {
	__u64 offset;
	__u64 length;
};

/**
 * struct iopmem_namespace_destroy - IOPMEM_IOC_DESTROY_NAMESPACE, on a region
 * @size:	[in]  sizeof(struct iopmem_namespace_destroy)
 * @flags:	[in]  IOPMEM_NAMESPACE_DESTROY_F_*
 * @id:		[in]  the number
 * @nr_wipes:	[in]  how many of @wipes, at most IOPMEM_MAX_WIPES
 * @uuid:	[in]  must be the namespace's, so that a number which was given
 *		anew in the meantime is not mistaken for the old one
 * @wipes:	[in]  pointer to struct iopmem_range: bytes to zero once it is
 *		certain that the namespace goes, and before the space is free.
 *		File-system signatures, found by the caller.
 * @reason:	[out] why not; names the last opener
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENOENT no such number; ESTALE it has another
 * UUID; ERANGE a wipe is outside the namespace; EBUSY it is open, mounted or
 * mapped, or of IOPMEM_MODE_P2PDMA; EIO the function does not answer, so that nothing
 * can be overwritten; or it stopped answering on the way, and the namespace is gone;
 * ENODEV the region is gone; EINTR a signal came first.
 */
struct iopmem_namespace_destroy {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 nr_wipes;
	__u8  uuid[IOPMEM_UUID_LEN];
	__u64 wipes;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_NAMESPACE_DESTROY_SIZE_VER0	232
#define IOPMEM_IOC_DESTROY_NAMESPACE	_IO(IOPMEM_IOC_MAGIC, 0x11)

/**
 * struct iopmem_label_area - IOPMEM_IOC_SET_LABEL_AREA, on a region
 * @size:	[in]  sizeof(struct iopmem_label_area)
 * @flags:	[in]  must be 0
 * @length:	[in]  IOPMEM_ALIGN: the region's first bytes are labels, and no
 *		namespace can be there; 0: they are not
 * @reason:	[out] why not
 *
 * The driver does not read labels. User space does, through the region's node,
 * and says with this ioctl that there are some. Holds until the device is
 * unbound.
 *
 * Errors: EINVAL; E2BIG; EFAULT; EBUSY a namespace is there; ENODEV the region
 * is gone; EINTR a signal came first.
 */
struct iopmem_label_area {
	__u32 size;
	__u32 flags;
	__u64 length;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_LABEL_AREA_SIZE_VER0	208
#define IOPMEM_IOC_SET_LABEL_AREA	_IO(IOPMEM_IOC_MAGIC, 0x12)

/**
 * struct iopmem_label_write - IOPMEM_IOC_WRITE_LABELS, on a region
 * @size:	[in]  sizeof(struct iopmem_label_write)
 * @flags:	[in]  must be 0
 * @offset:	[in]  from the start of the region; a multiple of 8
 * @length:	[in]  a multiple of 8, not 0, at most IOPMEM_MAX_LABEL_WRITE
 * @data:	[in]  pointer to @length bytes
 * @reason:	[out] why not
 *
 * Writes within the label area and nowhere else. When it returns 0, the bytes
 * are on the device, as after a flush of a namespace; so two calls are never
 * seen in another order than made. After an error, any part of them may be.
 *
 * Errors: EINVAL; E2BIG; EFAULT; ERANGE outside the label area, or the region
 * has none; EIO the device does not answer; ENOMEM; EBUSY the function is being
 * reset; ENODEV the region is gone; EINTR a signal came first.
 */
struct iopmem_label_write {
	__u32 size;
	__u32 flags;
	__u64 offset;
	__u64 length;
	__u64 data;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_LABEL_WRITE_SIZE_VER0	224
#define IOPMEM_IOC_WRITE_LABELS	_IO(IOPMEM_IOC_MAGIC, 0x13)

/**
 * struct iopmem_error_injection - IOPMEM_IOC_INJECT_ERROR, on a region
 * @size:	[in]  sizeof(struct iopmem_error_injection)
 * @flags:	[in]  must be 0
 * @id:		[in]  the namespace's number
 * @reserved:	[in]  must be 0
 * @uuid:	[in]  must be the namespace's
 * @offset:	[in]  from the start of the namespace; a multiple of 512
 * @length:	[in]  a multiple of 512, not 0
 * @reason:	[out] why not
 *
 * Makes blocks bad, as if the hardware had reported them. Writing to them makes
 * them good again. Only in drivers built with IOPMEM_DEBUG=1.
 *
 * Errors: EINVAL; E2BIG; EFAULT; EOPNOTSUPP not a debug build; ENOENT no such
 * number; ESTALE it has another UUID; ERANGE outside the namespace; ENOSPC the
 * list of bad blocks is full; ENODEV the region is gone; EINTR a signal came
 * first.
 */
struct iopmem_error_injection {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 reserved;
	__u8  uuid[IOPMEM_UUID_LEN];
	__u64 offset;
	__u64 length;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_ERROR_INJECTION_SIZE_VER0	240
#define IOPMEM_IOC_INJECT_ERROR	_IO(IOPMEM_IOC_MAGIC, 0x20)

/*
 * Importers too that have not declared that they do without struct pages
 * (dma_buf_attach() without allow_peer2peer): they get DMA addresses alone.
 */
#define IOPMEM_EXPORT_F_ANY_IMPORTER	(1U << 0)

/**
 * struct iopmem_export - IOPMEM_IOC_EXPORT_DMABUF, on a region
 * @size:	[in]  sizeof(struct iopmem_export)
 * @flags:	[in]  IOPMEM_EXPORT_F_*
 * @id:		[in]  the namespace's number; 0: space that belongs to none
 * @fd:		[out] a dma-buf, close-on-exec
 * @uuid:	[in]  must be the namespace's; all zeros with an @id of 0
 * @offset:	[in]  from the start of the namespace, or of the region; a multiple
 *		of the page size
 * @length:	[in]  a multiple of the page size, not 0
 * @reason:	[out] why not
 *
 * A dma-buf of the bytes themselves, for importers that do DMA to them, map
 * them into the kernel (vmap) or into a program (mmap, cached as devdax's). An
 * importer is refused when it attaches if it is no PCI function, or cannot reach
 * the device; the kernel's log says why. DMA_BUF_IOCTL_SYNC with
 * DMA_BUF_SYNC_END after writing flushes the device.
 *
 * While the dma-buf is open, its namespace is held as by an open node. Free space
 * is claimed, and no namespace can be created there. When the namespace or the
 * device is taken away, importers are told to let go (invalidate_mappings,
 * move_notify on older kernels) and mappings answer with SIGBUS; an importer that
 * cannot be told is waited for.
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENOENT no such number; ESTALE it has another
 * UUID; ERANGE outside the namespace or region; EBUSY the range is no free
 * space, or the function is being reset; EOPNOTSUPP a namespace of
 * IOPMEM_MODE_P2PDMA, whose memory others allocate; ENOMEM;
 * EMFILE; ENODEV the region is gone; EINTR a signal came first.
 */
struct iopmem_export {
	__u32 size;
	__u32 flags;
	__u32 id;
	__s32 fd;
	__u8  uuid[IOPMEM_UUID_LEN];
	__u64 offset;
	__u64 length;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_EXPORT_SIZE_VER0	240
#define IOPMEM_IOC_EXPORT_DMABUF	_IO(IOPMEM_IOC_MAGIC, 0x14)

/* What a client's DMA to a region needs. */
#define IOPMEM_ROUTE_NONE		0	/* it cannot get there */
#define IOPMEM_ROUTE_BUS_ADDRESS	1	/* below one bridge: the bus address */
#define IOPMEM_ROUTE_HOST_BRIDGE	2	/* by the root complex: a DMA mapping */

/**
 * struct iopmem_client - IOPMEM_IOC_JUDGE_CLIENT, on a region
 * @size:	[in]  sizeof(struct iopmem_client)
 * @flags:	[in]  must be 0
 * @domain:	[in]  PCI segment of the client
 * @bus:	[in]
 * @devfn:	[in]  (device << 3) | function
 * @reserved:	[in]  must be 0
 * @verdict:	[out] IOPMEM_ROUTE_*
 * @distance:	[out] hops between the two, as pci_p2pdma_distance() counts them
 * @kernel_distance: [out] what that says itself, negative if it refuses;
 *		-EOPNOTSUPP on kernels without CONFIG_PCI_P2PDMA
 * @reserved1:	[out] 0
 * @reason:	[out] why it cannot get there, empty if it can; or why the call
 *		failed
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENODEV no such function, or the region is gone;
 * EINTR a signal came first.
 */
struct iopmem_client {
	__u32 size;
	__u32 flags;
	__u32 domain;
	__u8  bus;
	__u8  devfn;
	__u16 reserved;
	__u32 verdict;
	__u32 distance;
	__s32 kernel_distance;
	__u32 reserved1;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_CLIENT_SIZE_VER0	224
#define IOPMEM_IOC_JUDGE_CLIENT	_IO(IOPMEM_IOC_MAGIC, 0x15)

/* How a mapping of a devdax namespace is cached. */
#define IOPMEM_CACHE_WC	1	/* write-combining: the default */
#define IOPMEM_CACHE_UC	2	/* uncached */

/**
 * struct iopmem_mapping_info - IOPMEM_IOC_DESCRIBE_MAPPING, on a devdax node
 * @size:	[in]  sizeof(struct iopmem_mapping_info)
 * @flags:	[in]  must be 0
 * @cache:	[out] IOPMEM_CACHE_* of mappings that this open file makes
 * @media:	[out] IOPMEM_MEDIA_*
 * @length:	[out] bytes that can be mapped, from offset 0
 * @align:	[out] what offsets and lengths of mappings are multiples of
 * @huge_align:	[out] address, offset and length that are multiples of this are
 *		mapped by large pages, where it is not @align
 * @flushes:	[out] how many flushes reached the device
 * @uuid:	[out] the namespace's
 * @dev:	[out] the namespace's name, as in /sys/class/iopmem/
 *
 * For a program that was given the open file and knows nothing else of it.
 *
 * Errors: EINVAL; E2BIG; EFAULT.
 */
struct iopmem_mapping_info {
	__u32 size;
	__u32 flags;
	__u32 cache;
	__u32 media;
	__u64 length;
	__u64 align;
	__u64 huge_align;
	__u64 flushes;
	__u8  uuid[IOPMEM_UUID_LEN];
	__u8  dev[32];
};

#define IOPMEM_MAPPING_INFO_SIZE_VER0	96
#define IOPMEM_IOC_DESCRIBE_MAPPING	_IO(IOPMEM_IOC_MAGIC, 0x30)

/**
 * struct iopmem_mapping_cache - IOPMEM_IOC_SET_MAPPING_CACHE, on a devdax node
 * @size:	[in]  sizeof(struct iopmem_mapping_cache)
 * @flags:	[in]  must be 0
 * @cache:	[in]  IOPMEM_CACHE_*
 * @reserved:	[in]  must be 0
 * @reason:	[out] why not
 *
 * How mappings are cached that this open file makes from now on; those that
 * stand stay as they are. On kernels that look up the type reserved for the BAR
 * (before v6.17), uncached mappings are made of 4 KiB pages alone.
 *
 * Errors: EINVAL; E2BIG; EFAULT.
 */
struct iopmem_mapping_cache {
	__u32 size;
	__u32 flags;
	__u32 cache;
	__u32 reserved;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_MAPPING_CACHE_SIZE_VER0	208
#define IOPMEM_IOC_SET_MAPPING_CACHE	_IO(IOPMEM_IOC_MAGIC, 0x31)

/**
 * struct iopmem_mapping_flush - IOPMEM_IOC_FLUSH_MAPPING, on a devdax node
 * @size:	[in]  sizeof(struct iopmem_mapping_flush)
 * @flags:	[in]  must be 0
 * @reason:	[out] why not
 *
 * When it returns 0, everything that the caller stored before has reached the
 * device: combining buffers are drained and a read from the device is back.
 * fsync(2) of the node and msync(2) with MS_SYNC of its mappings do the same.
 *
 * Errors: EINVAL; E2BIG; EFAULT; ENXIO the namespace is gone; EIO the device
 * does not answer; EINTR a signal came first.
 */
struct iopmem_mapping_flush {
	__u32 size;
	__u32 flags;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_MAPPING_FLUSH_SIZE_VER0	200
#define IOPMEM_IOC_FLUSH_MAPPING	_IO(IOPMEM_IOC_MAGIC, 0x32)

/**
 * struct iopmem_mapping_export - IOPMEM_IOC_EXPORT_MAPPING, on a devdax node
 * @size:	[in]  sizeof(struct iopmem_mapping_export)
 * @flags:	[in]  IOPMEM_EXPORT_F_*
 * @offset:	[in]  from the start of the namespace; a multiple of the page size
 * @length:	[in]  a multiple of the page size, not 0
 * @fd:		[out] a dma-buf, close-on-exec
 * @reserved:	[in]  must be 0
 * @reason:	[out] why not
 *
 * As IOPMEM_IOC_EXPORT_DMABUF, for whoever could map the same bytes: the node
 * must be open for writing.
 *
 * Errors: as there; and EACCES the node is open for reading alone.
 */
struct iopmem_mapping_export {
	__u32 size;
	__u32 flags;
	__u64 offset;
	__u64 length;
	__s32 fd;
	__u32 reserved;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_MAPPING_EXPORT_SIZE_VER0	224
#define IOPMEM_IOC_EXPORT_MAPPING	_IO(IOPMEM_IOC_MAGIC, 0x33)

/**
 * struct iopmem_pointer_export - IOPMEM_IOC_EXPORT_POINTER, on a devdax node
 * @size:	[in]  sizeof(struct iopmem_pointer_export)
 * @flags:	[in]  IOPMEM_EXPORT_F_*
 * @address:	[in]  in a mapping of this node's namespace, of the caller
 * @length:	[in]  bytes from there, not 0
 * @offset:	[out] where in the dma-buf @address is
 * @fd:		[out] a dma-buf of the pages that the range touches, close-on-exec
 * @reserved:	[in]  must be 0
 * @reason:	[out] why not
 *
 * The way back from a pointer: programs that were given an address, and not the
 * offset in a node, get what an importer takes. The mapping must be one that may
 * be written.
 *
 * Errors: as IOPMEM_IOC_EXPORT_MAPPING; and EFAULT the range is not, or not all
 * of it, in mappings of this namespace that follow each other.
 */
struct iopmem_pointer_export {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u64 length;
	__u64 offset;
	__s32 fd;
	__u32 reserved;
	__u8  reason[IOPMEM_REASON_LEN];
};

#define IOPMEM_POINTER_EXPORT_SIZE_VER0	232
#define IOPMEM_IOC_EXPORT_POINTER	_IO(IOPMEM_IOC_MAGIC, 0x34)

/*
 * sysfs, /sys/class/iopmem/
 *
 * iopmemN (DEVTYPE=region, parent: the PCI function)
 *   bar size available_size max_available_extent physical_address align
 *   media                 volatile | persistent
 *   label_size            bytes at its start that belong to labels, 0 if none
 *   lent                  free space that is exported as dma-bufs: words of the
 *                         form OFFSET+LENGTH, as many as fit into a page
 *   prefetchable          0 | 1
 *   cache_platform        wb | wt | wc | uc- | uc: what the platform alone
 *                         (the MTRRs) would make of a cached mapping
 *   cache_kernel          what the driver reserved for its own mappings
 *   resets                how often the function was reset; contents may be gone
 *   numa_node
 *   modes                 what namespaces can be on this kernel, in words
 *
 * iopmemNnM (DEVTYPE=namespace, parent: iopmemN)
 *   id uuid name offset size align physical_address numa_node
 *   mode                  fsdax | devdax | p2pdma | raw
 *   map                   mem | dev | none
 *   state                 enabled | dying | revoked
 *   cache_kernel          read back from the kernel's page table
 *   cache_user            what a user's mapping of its pages gets, absent
 *                         where there are none
 *   openers               how often its node is open
 *   last_opener           "COMM[PID]" of the latest open, empty if never
 *   flushes               how many flushes reached the device
 *   bad_blocks            how many 512-byte blocks are known to be bad; which
 *                         ones is in the disk's badblocks
 *   iopmemNnM             the disk, for the block modes
 *
 * Values are decimal numbers, except physical_address (0x...).  A namespace's
 * uevents carry IOPMEM_UUID, IOPMEM_NAME, IOPMEM_MODE, IOPMEM_OPENERS (how often
 * its node is open), and a "change" carries IOPMEM_EVENT=reset after a reset of
 * the function, =resume after system sleep (the contents may be gone after
 * both), =dying when it is being taken away, =media-error when a block was found
 * bad.
 */

#endif /* _UAPI_LINUX_IOPMEM_H */
