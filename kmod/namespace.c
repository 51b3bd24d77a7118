// SPDX-License-Identifier: GPL-2.0
/*
 * Namespaces while they live, and how they end: with one call that does all or
 * nothing.
 *
 * Everything here runs under idev->lock.
 */

#include "iopmem.h"

/* A "change" event; @event is one of the IOPMEM_EVENT=... of the ABI. */
void iopmem_namespace_tell(struct iopmem_namespace *ns, const char *event)
{
	char *environment[2] = { (char *)event };

	kobject_uevent_env(&ns->dev.kobj, KOBJ_CHANGE, environment);
}

/**
 * iopmem_namespace_close_doors - nobody can begin to use it any more
 * @ns:		the namespace
 * @revoke:	even if somebody uses it now
 * @reason:	filled on failure, may be NULL
 *
 * Can be taken back by iopmem_namespace_open_doors(). What p2pdma hands out is
 * the kernel's: it is asked whether it is in use, and closed by the unbind.
 *
 * Return: 0; -EBUSY it is open, or pages of it are pinned.
 */
int iopmem_namespace_close_doors(struct iopmem_namespace *ns, bool revoke, char *reason)
{
	char users[IOPMEM_REASON_LEN / 2];
	unsigned long busy;
	int error = 0;

	if (!revoke && iopmem_p2pdma_busy(ns))
		return iopmem_refuse(reason, -EBUSY,
				     "memory of %s is allocated, by a program that maps %s/p2pmem/allocate or by a driver",
				     dev_name(&ns->dev), pci_name(ns->region->idev->pdev));
	spin_lock(&ns->open_lock);
	if (ns->openers && !revoke)
		error = -EBUSY;
	else
		WRITE_ONCE(ns->state, IOPMEM_DYING);
	spin_unlock(&ns->open_lock);
	if (error) {
		iopmem_users_name(ns, false, users, sizeof(users));
		return iopmem_refuse(reason, error, "%s is open or mounted (%u times, last by %s)",
				     dev_name(&ns->dev), READ_ONCE(ns->openers), users);
	}
	if (revoke)
		return 0;

	/* A pin can outlive the file system through which it was taken. */
	busy = iopmem_busy_pages(ns);
	if (busy) {
		iopmem_namespace_open_doors(ns);
		iopmem_users_name(ns, true, users, sizeof(users));
		return iopmem_refuse(reason, -EBUSY,
				     "%lu pages of %s are pinned (for DMA?); it was used by %s",
				     busy, dev_name(&ns->dev), users[0] ? users : "nobody known");
	}
	return 0;
}

void iopmem_namespace_open_doors(struct iopmem_namespace *ns)
{
	spin_lock(&ns->open_lock);
	WRITE_ONCE(ns->state, IOPMEM_ENABLED);
	spin_unlock(&ns->open_lock);
}

/**
 * iopmem_namespace_withdraw - take a namespace from everybody who lets it go
 * @ns:		whose doors are closed; it must be torn down
 *
 * Who has several to tear down does this to all of them before the first, since
 * a teardown may wait for somebody. Twice is once.
 */
void iopmem_namespace_withdraw(struct iopmem_namespace *ns)
{
	if (ns->withdrawn)
		return;
	ns->withdrawn = true;
	iopmem_namespace_tell(ns, "IOPMEM_EVENT=dying");
	iopmem_dax_kill(ns);
	iopmem_dmabufs_tell(ns->region, ns);
	iopmem_revoke_begin(ns);
}

/*
 * In pieces, each a moment's work. All of it may take minutes, with the device's lock held: it
 * ends early for a card that was pulled out, for a removal that waits for the lock, and for
 * whoever kills the program.
 */
#define IOPMEM_WIPE_PIECE	SZ_16M

static int wipe(struct iopmem_namespace *ns, const struct iopmem_range *range)
{
	struct iopmem_device *idev = ns->region->idev;
	int disturbed = atomic_read(&idev->disturbed);
	u64 done, piece;

	for (done = 0; done < range->length; done += piece) {
		if (READ_ONCE(idev->leaving))
			return -ENODEV;
		if (fatal_signal_pending(current))
			return -EINTR;
		piece = min_t(u64, range->length - done, IOPMEM_WIPE_PIECE);
		iopmem_media_rewrite(ns, range->offset + done, piece);
		iopmem_zero(ns->base + range->offset + done, piece);
		/* A reset swallows stores; a function that answers again does not tell. */
		if (!iopmem_answers(idev) || atomic_read(&idev->disturbed) != disturbed)
			return -EIO;
		/* Alone writes it; sysfs reads it meanwhile. */
		WRITE_ONCE(ns->wiped, ns->wiped + piece);
	}
	return 0;
}

static const char *why_unwiped(int error)
{
	switch (error) {
	case -ENODEV:
		return "the device is taken away";
	case -EINTR:
		return "the program was killed";
	default:
		return "the device was reset or stopped answering";
	}
}

/**
 * iopmem_namespace_teardown - unmake a namespace whose doors are closed
 * @ns:		gone afterwards
 * @wipes:	ranges to zero when nobody can see them any more
 * @nr_wipes:	how many
 *
 * Users that are left get errors and SIGBUS. Waits for pinned pages, and for
 * importers of dma-bufs.
 *
 * Return: 0; else it is gone, but not all of @wipes is known to be zeroed: -EIO
 * the device does not answer, -ENODEV it is being removed, -EINTR the caller is
 * being killed.
 */
int iopmem_namespace_teardown(struct iopmem_namespace *ns, const struct iopmem_range *wipes,
			      unsigned int nr_wipes)
{
	struct iopmem_region *region = ns->region;
	unsigned int i;
	int error = 0;

	iopmem_namespace_withdraw(ns);
	iopmem_revoke(ns);
	WRITE_ONCE(ns->state, IOPMEM_REVOKED);
	if (ns->disk)
		iopmem_block_del(ns);
	iopmem_revoke_finish(ns);

	for (i = 0; !error && i < nr_wipes; i++)
		error = wipe(ns, &wipes[i]);
	if (!error && nr_wipes)
		error = iopmem_flush(ns);

	if (error)
		dev_warn(&ns->dev, "%s: %llu bytes were overwritten, the rest may still be there\n",
			 why_unwiped(error), ns->wiped);
	dev_info(&ns->dev, "destroyed: UUID %pUb\n", &ns->uuid);
	if (ns->disk)
		iopmem_block_put(ns);
	if (ns->inode)
		iopmem_devdax_del(ns);
	else
		device_del(&ns->dev);
	iopmem_unmap(ns);
	iopmem_dax_put(ns);
	if (ns->inode)
		iopmem_devdax_put(ns);
	iopmem_registry_remove(ns);
	mutex_lock(&region->space_lock);
	release_resource(&ns->claim);
	list_del(&ns->entry);
	iopmem_region_update_free(region);
	mutex_unlock(&region->space_lock);
	put_device(&ns->dev);
	return error;
}

/* By number, with the UUID that the caller believes it to have. */
struct iopmem_namespace *iopmem_namespace_find(struct iopmem_region *region, u32 id,
					       const u8 *uuid, char *reason)
{
	struct iopmem_namespace *ns;

	list_for_each_entry(ns, &region->namespaces, entry) {
		if (ns->id != id)
			continue;
		if (memcmp(&ns->uuid, uuid, IOPMEM_UUID_LEN))
			return ERR_PTR(iopmem_refuse(reason, -ESTALE, "%s has another UUID: %pUb",
						     dev_name(&ns->dev), &ns->uuid));
		return ns;
	}
	return ERR_PTR(iopmem_refuse(reason, -ENOENT, "%s has no namespace %u",
				     dev_name(&region->dev), id));
}

int iopmem_namespace_inject(struct iopmem_region *region, struct iopmem_error_injection *arg)
{
	struct iopmem_namespace *ns;
	int error;

	if (arg->flags || arg->reserved)
		return iopmem_refuse(arg->reason, -EINVAL,
				     "flags and reserved fields must be zero");
	if (!arg->length || arg->offset % SECTOR_SIZE || arg->length % SECTOR_SIZE)
		return iopmem_refuse(arg->reason, -EINVAL,
				     "offset %llu and length %llu are not multiples of %d, or the length is 0",
				     arg->offset, arg->length, SECTOR_SIZE);
	error = iopmem_region_usable(region, arg->reason);
	if (error)
		return error;
	ns = iopmem_namespace_find(region, arg->id, arg->uuid, arg->reason);
	if (IS_ERR(ns))
		return PTR_ERR(ns);
	if (arg->offset > ns->size || arg->length > ns->size - arg->offset)
		return iopmem_refuse(arg->reason, -ERANGE,
				     "offset %llu and length %llu reach beyond the %llu bytes of %s",
				     arg->offset, arg->length, ns->size, dev_name(&ns->dev));
	return iopmem_media_inject(ns, arg->offset, arg->length, arg->reason);
}

int iopmem_namespace_destroy(struct iopmem_region *region, struct iopmem_namespace_destroy *arg,
			     const struct iopmem_range *wipes)
{
	const u32 known = IOPMEM_NAMESPACE_DESTROY_F_REVOKE | IOPMEM_NAMESPACE_DESTROY_F_ZERO;
	struct iopmem_range all = {};
	u32 i, nr_wipes = arg->nr_wipes;
	struct iopmem_namespace *ns;
	int error;

	if (arg->flags & ~known)
		return iopmem_refuse(arg->reason, -EINVAL, "unknown flags 0x%x",
				     arg->flags & ~known);
	error = iopmem_region_usable(region, arg->reason);
	if (error)
		return error;
	ns = iopmem_namespace_find(region, arg->id, arg->uuid, arg->reason);
	if (IS_ERR(ns))
		return PTR_ERR(ns);
	if (ns->mode == IOPMEM_MODE_P2PDMA)
		return iopmem_refuse(arg->reason, -EBUSY,
				     "%s goes with the binding: the kernel takes p2pdma memory back only when %s is unbound",
				     dev_name(&ns->dev), pci_name(region->idev->pdev));
	for (i = 0; i < arg->nr_wipes; i++)
		if (wipes[i].offset > ns->size || wipes[i].length > ns->size - wipes[i].offset)
			return iopmem_refuse(arg->reason, -ERANGE,
					     "wipe %u reaches beyond the %llu bytes of %s", i,
					     ns->size, dev_name(&ns->dev));

	if (arg->flags & IOPMEM_NAMESPACE_DESTROY_F_ZERO) {
		all.length = ns->size;
		wipes = &all;
		nr_wipes = 1;
	}
	if (nr_wipes && !iopmem_answers(region->idev))
		return iopmem_refuse(arg->reason, -EIO,
				     "%s does not answer, so that nothing on it can be overwritten",
				     pci_name(region->idev->pdev));

	error = iopmem_namespace_close_doors(ns, arg->flags & IOPMEM_NAMESPACE_DESTROY_F_REVOKE,
					     arg->reason);
	if (error)
		return error;
	error = iopmem_namespace_teardown(ns, wipes, nr_wipes);
	if (error)
		return iopmem_refuse(arg->reason, -EIO,
				     "it is gone, but %s while its memory was overwritten: what was on it may still be there",
				     why_unwiped(error));
	return 0;
}
