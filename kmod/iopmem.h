/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the driver share.
 *
 * Objects, each owning the next:
 *
 *   iopmem_device     a bound PCI function            pci.c, reset.c, power.c
 *     iopmem_region   a memory BAR of it              region.c
 *       iopmem_namespace  a slice of the BAR          namespace.c
 *         create.c how it is made, and registry.c what it is called
 *         block.c  the disk and its bios
 *         dax.c    the pagemap and the dax device
 *         devdax.c the character device, with devdax_map.c and devdax_rw.c
 *         p2pdma.c memory that the kernel's p2pdma code hands out
 *         dmabuf.c memory given out as dma-bufs, with export.c and topology.c;
 *                  dmabuf.h says which file does what
 *         revoke.c taking the pages back from their users
 *
 * Lock order, outermost first:
 *
 *   the driver core's device lock of the PCI function (held around remove)
 *   iopmem_device.lock        everything below one device changes under it
 *     disk->open_mutex        taken by the block layer in add and del
 *     iopmem_region.space_lock   what is where in a region. Never held while
 *                             somebody is waited for, because the end of a
 *                             dma-buf takes it, with nothing else of ours
 *       a dma-buf's dma_resv
 *     invalidate_lock         of an inode whose mapping shows our pages: of a
 *                             file, of a dma-buf, or of the namespace
 *                             (devdax.c). Faults take it shared, with nothing
 *                             of ours held
 *       iopmem_namespace.open_lock   state and openers; a spin lock, leaf
 *     iopmem_registry_lock    names and UUIDs of all namespaces, leaf
 *   iopmem_devices_lock       list of bound devices, leaf: never held while a
 *                             device's lock is taken
 *   iopmem_binds_lock         list of prepared binds, leaf likewise
 *   iopmem_region.waits_lock  what sysfs says of a wait; a spin lock, leaf
 *
 * sysfs show functions take at most space_lock, because device_del() waits for
 * readers while iopmem_device.lock is held.
 */
#ifndef _IOPMEM_H
#define _IOPMEM_H

#include <linux/badblocks.h>
#include <linux/blkdev.h>
#include <linux/cdev.h>
#include <linux/dax.h>
#include <linux/device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/workqueue.h>

#include <linux/iopmem.h>

#define IOPMEM_DRIVER_NAME	"iopmem"
#define IOPMEM_VERSION		"0.1.0"

/* What the file system behind devdax mappings calls itself: "iopm" */
#define IOPMEM_MAGIC		0x696f706d

struct iopmem_region;

/**
 * struct iopmem_device - a PCI function bound to this driver
 * @pdev:	the function; valid while !@dead
 * @ref:	held by the binding, by each region and by a control file that
 *		retired the device
 * @entry:	in the list of bound devices, under iopmem_devices_lock
 * @lock:	serialises everything that changes regions or namespaces
 * @dead:	remove() has begun; under @lock
 * @leaving:	remove() is about to ask for @lock: who has it for long, hurries
 * @disturbed:	how many resets and failures of the link have begun
 * @paused:	being reset: bios wait at their queues, faults at @resumed; written
 *		under @lock
 * @retired_by:	the open control file that is unbinding it; under @lock
 * @resumed:	woken when a reset is over
 * @recovery:	ends the wait for an error recovery, also for one without an end
 * @recovering:	@recovery is to come; under the function's device_lock()
 * @recovered:	the kernel says that the device works again; likewise
 * @noio:	what memory the task that resets the function could reclaim
 * @resetting:	in the list of functions that are being reset
 * @resetter:	who resets it
 * @p2pdma:	the namespace that p2pdma hands out, or NULL; under @lock
 * @regions:	by BAR, NULL where the BAR is none; fixed after probe
 */
struct iopmem_device {
	struct pci_dev *pdev;
	struct kref ref;
	struct list_head entry;
	struct mutex lock;	/* all below this device */
	bool dead;
	bool leaving;
	atomic_t disturbed;
	bool paused;
	const struct file *retired_by;
	wait_queue_head_t resumed;
	struct delayed_work recovery;
	bool recovering;
	bool recovered;
	unsigned int noio;
	struct list_head resetting;
	const struct task_struct *resetter;
	const struct iopmem_namespace *p2pdma;
	struct iopmem_region *regions[IOPMEM_BARS];
};

/**
 * struct iopmem_region - one memory BAR
 * @dev:	/sys/class/iopmem/iopmemN, parent is the PCI function
 * @cdev:	/dev/iopmemN
 * @idev:	owns us
 * @index:	N
 * @bar:	0..5
 * @start:	CPU physical address
 * @size:	bytes, a multiple of IOPMEM_ALIGN
 * @media:	IOPMEM_MEDIA_*
 * @label_size:	bytes at the start that belong to labels; written under
 *		idev->lock and @space_lock
 * @claim:	our claim of the whole BAR in the iomem tree; namespaces are its
 *		children. iomem_is_exclusive() looks at a BAR's first page only,
 *		so an unclaimed head would leave sysfs resourceN open to mmap.
 * @wc:		the whole BAR is reserved as write-combining
 * @stream:	streaming loads read it faster, see copy.c
 * @platform:	cache type that the platform alone would give, see cache.c
 * @namespaces:	sorted by offset; written under idev->lock and @space_lock
 * @loans:	dma-bufs, sorted by offset; new ones come under idev->lock and
 *		@space_lock, they go under @space_lock
 * @space_lock:	see the lock order
 * @available:	free bytes; written under @space_lock, read by sysfs
 * @extent:	largest free extent, likewise
 * @resets:	how often the function was reset under it: contents may be gone
 * @waits_lock:	protects @waits
 * @waits:	for whom a removal waits just now, or empty
 * @dead:	under idev->lock
 */
struct iopmem_region {
	struct device dev;
	struct cdev cdev;
	struct iopmem_device *idev;
	int index;
	int bar;
	phys_addr_t start;
	u64 size;
	u8 media;
	u64 label_size;
	struct resource *claim;
	bool wc;
	bool stream;
	const char *platform;
	struct list_head namespaces;
	struct list_head loans;
	struct mutex space_lock;	/* what is where */
	u64 available;
	u64 extent;
	atomic_t resets;
	spinlock_t waits_lock;	/* the next one */
	char waits[IOPMEM_REASON_LEN];
	bool dead;
};

/*
 * ENABLED -> DYING -> REVOKED, and back from DYING only before anything was
 * torn down. Written under open_lock.
 */
enum iopmem_state {
	IOPMEM_ENABLED,
	IOPMEM_DYING,		/* no new users; I/O fails */
	IOPMEM_REVOKED,		/* mappings are gone; pins may be left */
};

/*
 * File systems that must not go away: while their users' pages are taken back,
 * or while the device is being reset (revoke.c).
 */
struct iopmem_revocation {
	struct list_head supers;
	struct list_head inodes;
};

#define IOPMEM_USERS	8

/**
 * struct iopmem_user - a process that uses a namespace, see users.c
 * @comm:	its name when it last did something
 * @pid:	0 where there is none
 * @opens:	how often it opened the node and did not close it
 * @reached:	it reached pages through a file system
 */
struct iopmem_user {
	char comm[TASK_COMM_LEN];
	pid_t pid;
	unsigned int opens;
	bool reached;
};

/**
 * struct iopmem_namespace - a slice of a region
 * @dev:	/sys/class/iopmem/iopmemNnM, parent is the region
 * @region:	owns us
 * @entry:	in region->namespaces
 * @registered:	in the list of all names and UUIDs
 * @offset:	bytes from the start of the region
 * @size:	bytes
 * @claim:	child of region->claim; in here, so that claiming needs no memory
 *		and can fail for one reason only
 * @base:	kernel mapping of the whole namespace
 * @uncached:	no cache can answer a load from it, see cache.c
 * @witness:	two words that told that the device is there, or NULL; see flush.c
 * @pgmap:	struct pages, for the modes that have them
 * @mapped:	@pgmap is live
 * @dax:	for fsdax
 * @disk:	for the block modes; holds a reference to @dev until it is freed
 * @cdev:	for devdax
 * @inode:	likewise: all mappings of @cdev are in its address_space
 * @open_lock:	protects @state, @openers, @users
 * @openers:	how often the node is open
 * @users:	who they may be, the latest first
 * @flushes:	how many flushes reached the device
 * @wiped:	bytes zeroed by its destruction; read by sysfs
 * @badblocks:	in units of 512 bytes; the disk shows it
 * @held:	file systems that must not go away now
 * @withdrawn:	nobody reaches it any more but those that must be waited for
 */
struct iopmem_namespace {
	struct device dev;
	struct iopmem_region *region;
	struct list_head entry;
	struct list_head registered;
	u32 id;
	u32 mode;
	u32 map;
	u64 offset;
	u64 size;
	uuid_t uuid;
	char name[IOPMEM_NAME_LEN];

	struct resource claim;
	void *base;
	bool uncached;
	const u64 *witness[2];
	struct dev_pagemap pgmap;
	bool mapped;
	struct dax_device *dax;
	struct gendisk *disk;
	struct cdev cdev;
	struct inode *inode;

	spinlock_t open_lock;	/* the next three */
	enum iopmem_state state;
	unsigned int openers;
	struct iopmem_user users[IOPMEM_USERS];

	atomic64_t flushes;
	u64 wiped;
	struct badblocks badblocks;

	struct iopmem_revocation held;
	bool withdrawn;
};

#define to_iopmem_region(d)	container_of(d, struct iopmem_region, dev)
#define to_iopmem_namespace(d)	container_of(d, struct iopmem_namespace, dev)

static inline phys_addr_t iopmem_namespace_start(const struct iopmem_namespace *ns)
{
	return ns->region->start + ns->offset;
}

static inline unsigned long iopmem_namespace_pages(const struct iopmem_namespace *ns)
{
	return ns->size >> PAGE_SHIFT;
}

/* main.c: the words for a refusal, and what we are */
__printf(3, 4)
int iopmem_refuse(char *reason, int error, const char *fmt, ...);
bool iopmem_is_zero(const void *p, size_t n);
u32 iopmem_modes(void);
int iopmem_get_version(void *owner, void *value);

/**
 * struct iopmem_call - an ioctl, see ioctl.c
 * @cmd:	IOPMEM_IOC_*
 * @known:	size of its struct, as this driver knows it
 * @first:	its size when it was first published
 * @reason:	where its reason is, which starts empty; 0 if it has none
 * @run:	does it
 */
struct iopmem_call {
	unsigned int cmd;
	size_t known;
	size_t first;
	size_t reason;
	int (*run)(void *owner, void *value);
};

/* ioctl.c */
long iopmem_dispatch(const struct iopmem_call *calls, size_t nr, unsigned int cmd,
		     void __user *user, void *owner);

/* control.c: the control node, and what it asks of a probe */
void iopmem_bind_asked(struct pci_dev *pdev, struct iopmem_device_bind *arg);
void iopmem_bind_report(struct pci_dev *pdev, const struct iopmem_bind_result *result);
int iopmem_control_init(void);
void iopmem_control_exit(void);

/* pci.c: devices */
struct iopmem_device *iopmem_device_find(u32 domain, u8 bus, u8 devfn);
struct iopmem_device *iopmem_device_find_retired(const struct file *owner);
void iopmem_device_get(struct iopmem_device *idev);
void iopmem_device_put(struct iopmem_device *idev);
void iopmem_device_lock(struct iopmem_device *idev);
int iopmem_pci_init(void);
void iopmem_pci_exit(void);

/* reset.c */
extern const struct pci_error_handlers iopmem_error_handlers;
void iopmem_recovery_init(struct iopmem_device *idev);
void iopmem_recovery_end(struct iopmem_device *idev);

/* power.c */
extern const struct dev_pm_ops iopmem_pm_ops;
void iopmem_shutdown(struct pci_dev *pdev);

/* region.c */
struct iopmem_region *iopmem_region_create(struct iopmem_device *idev, int bar, u8 media,
					   char *reason);
void iopmem_region_withdraw(struct iopmem_region *region);
void iopmem_region_destroy(struct iopmem_region *region);
int iopmem_region_usable(struct iopmem_region *region, char *reason);
int iopmem_region_lock(struct iopmem_region *region, char *reason);
void iopmem_region_unlock(struct iopmem_region *region);
void iopmem_region_update_free(struct iopmem_region *region);
void __iomem *iopmem_region_window(struct iopmem_region *region, u64 offset, u64 n);
int iopmem_region_init(void);
void iopmem_region_exit(void);

/* label.c: ioctls of the region's node */
int iopmem_set_label_area(void *owner, void *value);
int iopmem_write_labels(void *owner, void *value);

/* registry.c */
int iopmem_registry_add(struct iopmem_namespace *ns, char *reason);
void iopmem_registry_remove(struct iopmem_namespace *ns);

/* create.c; under idev->lock */
int iopmem_namespace_create(struct iopmem_region *region, struct iopmem_namespace_create *arg);

/* namespace.c; all under idev->lock */
struct iopmem_namespace *iopmem_namespace_find(struct iopmem_region *region, u32 id,
					       const u8 *uuid, char *reason);
int iopmem_namespace_destroy(struct iopmem_region *region, struct iopmem_namespace_destroy *arg,
			     const struct iopmem_range *wipes);
int iopmem_namespace_close_doors(struct iopmem_namespace *ns, bool revoke, char *reason);
int iopmem_namespace_inject(struct iopmem_region *region, struct iopmem_error_injection *arg);
void iopmem_namespace_tell(struct iopmem_namespace *ns, const char *event);
void iopmem_namespace_open_doors(struct iopmem_namespace *ns);
void iopmem_namespace_withdraw(struct iopmem_namespace *ns);
int iopmem_namespace_teardown(struct iopmem_namespace *ns, const struct iopmem_range *wipes,
			      unsigned int nr_wipes);

/* users.c */
void iopmem_user_opened(struct iopmem_namespace *ns);
void iopmem_user_closed(struct iopmem_namespace *ns);
void iopmem_user_reached(struct iopmem_namespace *ns);
void iopmem_users_name(struct iopmem_namespace *ns, bool all, char *buffer, size_t n);
const struct iopmem_user *iopmem_last_opener(const struct iopmem_namespace *ns);
__printf(4, 5)
void iopmem_waits(struct iopmem_region *region, struct device *dev, unsigned long since,
		  const char *fmt, ...);
void iopmem_waits_end(struct iopmem_region *region);
ssize_t iopmem_waits_show(struct iopmem_region *region, char *buf);

/* block.c */
int iopmem_block_add(struct iopmem_namespace *ns);
void iopmem_block_del(struct iopmem_namespace *ns);
void iopmem_block_put(struct iopmem_namespace *ns);

/* dax.c */
bool iopmem_dax_possible(void);
int iopmem_afford_pages(struct iopmem_namespace *ns, char *reason);
int iopmem_map(struct iopmem_namespace *ns, char *reason);
void iopmem_unmap(struct iopmem_namespace *ns);
int iopmem_dax_add(struct iopmem_namespace *ns);
void iopmem_dax_kill(struct iopmem_namespace *ns);
void iopmem_dax_put(struct iopmem_namespace *ns);
int iopmem_dax_tell_holder(struct iopmem_namespace *ns, u64 offset, u64 n, int flags);
unsigned long iopmem_busy_pages(struct iopmem_namespace *ns);

/* devdax.c */
bool iopmem_devdax_possible(void);
int iopmem_devdax_add(struct iopmem_namespace *ns);
void iopmem_devdax_del(struct iopmem_namespace *ns);
void iopmem_devdax_put(struct iopmem_namespace *ns);
void iopmem_devdax_zap(struct iopmem_namespace *ns, u64 offset, u64 n);
int iopmem_devdax_init(void);
void iopmem_devdax_exit(void);

/* p2pdma.c */
bool iopmem_p2pdma_possible(void);
int iopmem_p2pdma_add(struct iopmem_namespace *ns, bool publish, char *reason);
bool iopmem_p2pdma_busy(const struct iopmem_namespace *ns);

/* dmabuf.c */
void iopmem_dmabufs_tell(struct iopmem_region *region, struct iopmem_namespace *ns);
void iopmem_dmabufs_revoke(struct iopmem_region *region, struct iopmem_namespace *ns);
void iopmem_dmabufs_zap(struct iopmem_namespace *ns, u64 offset, u64 n);
void iopmem_dmabufs_pause(struct iopmem_region *region);
ssize_t iopmem_dmabufs_show(struct iopmem_region *region, char *buffer);
int iopmem_dmabufs_idle(struct iopmem_region *region, char *reason);
bool iopmem_region_unlent(const struct iopmem_region *region, u64 *start, u64 *end);

/* export.c, topology.c: ioctls of the region's node and of devdax nodes */
int iopmem_export_dmabuf(void *owner, void *value);
int iopmem_export_mapping(void *owner, void *value);
int iopmem_export_pointer(void *owner, void *value);
int iopmem_judge_client(void *owner, void *value);

/* revoke.c */
void iopmem_revoke_begin(struct iopmem_namespace *ns);
void iopmem_revoke(struct iopmem_namespace *ns);
void iopmem_revoke_finish(struct iopmem_namespace *ns);
void iopmem_namespace_pause(struct iopmem_namespace *ns);
void iopmem_namespace_unfreeze(struct iopmem_namespace *ns);

/* copy.c: CPU access to the BAR */
void iopmem_copy_to(void *bar, const void *from, size_t n);
int iopmem_copy_from(void *to, const void *bar, size_t n, bool stream);
int iopmem_load(u64 *value, const u64 *bar);
int iopmem_load_anew(u64 *value, const u64 *bar);
bool iopmem_stream_is_faster(const void *bar);
void iopmem_zero(void *bar, size_t n);

/* selftest.c, in builds with IOPMEM_DEBUG=1 */
#ifdef IOPMEM_DEBUG
int iopmem_selftest(void);
#else
static inline int iopmem_selftest(void) { return 0; }
#endif

/* flush.c */
bool iopmem_answers(const struct iopmem_device *idev);
bool iopmem_answered(struct iopmem_namespace *ns, u64 offset, u64 n);
int iopmem_read_back(const struct iopmem_device *idev, const u64 *bar);
int iopmem_flush(struct iopmem_namespace *ns);

/* media.c: bad blocks */
int iopmem_media_init(struct iopmem_namespace *ns);
void iopmem_media_exit(struct iopmem_namespace *ns);
bool iopmem_media_find_bad(struct iopmem_namespace *ns, u64 offset, u64 n, u64 *first);
u64 iopmem_media_good(struct iopmem_namespace *ns);
void iopmem_media_rewrite_bad(struct iopmem_namespace *ns, u64 offset, u64 n);
int iopmem_media_mark(struct iopmem_namespace *ns, u64 offset, u64 n);
void iopmem_media_clear_bad(struct iopmem_namespace *ns, u64 offset, u64 n);
u64 iopmem_media_count(struct iopmem_namespace *ns);
int iopmem_media_inject(struct iopmem_namespace *ns, u64 offset, u64 n, char *reason);

/* Most namespaces have no bad blocks, ever, and each access asks. */
static inline bool iopmem_media_suspect(const struct iopmem_namespace *ns)
{
	return unlikely(READ_ONCE(ns->badblocks.count));
}

/* Is a part of the range bad? See iopmem_media_find_bad(). */
static inline bool iopmem_media_bad(struct iopmem_namespace *ns, u64 offset, u64 n, u64 *first)
{
	return iopmem_media_suspect(ns) && iopmem_media_find_bad(ns, offset, n, first);
}

/* The range is about to be written. */
static inline void iopmem_media_rewrite(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	if (iopmem_media_suspect(ns))
		iopmem_media_rewrite_bad(ns, offset, n);
}

/* The range was written. */
static inline void iopmem_media_written(struct iopmem_namespace *ns, u64 offset, u64 n)
{
	if (iopmem_media_suspect(ns))
		iopmem_media_clear_bad(ns, offset, n);
}

/* What a function's command register says: is somebody there, and decodes memory? */
static inline bool iopmem_decodes(u16 command)
{
	return command != (u16)~0 && command & PCI_COMMAND_MEMORY;
}

/*
 * Can only a device have answered so to loads from two places? Without one, all places answer
 * alike: with all ones on hardware, with zeros in QEMU.
 */
static inline bool iopmem_is_answer(u64 one, u64 other)
{
	return one != other && one && other && ~one && ~other;
}

/* cache.c: what the CPU makes of our mappings */
const char *iopmem_cache_of(const void *addr);
bool iopmem_is_cached(const struct iopmem_namespace *ns);
const char *iopmem_cache_platform(phys_addr_t start);
const char *iopmem_cache_user(const struct iopmem_namespace *ns);

/* sysfs.c */
extern struct class iopmem_class;
extern const struct device_type iopmem_region_type;
extern const struct device_type iopmem_namespace_type;
const char *iopmem_mode_name(u32 mode);

#endif /* _IOPMEM_H */
