// SPDX-License-Identifier: GPL-2.0
/*
 * read(2) and write(2) of a devdax node: by the kernel's own mapping and by
 * accesses that suit the BAR, for dd and hexdump, and to have a second view of
 * what a mapping shows. By way of a page of RAM, because the user's buffer may
 * be in a mapping of this very memory, and its faults must not find the lock
 * taken.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "devdax.h"

/* One page of the memory or less, within a page. Between begin and end. */
static int read_part(struct iopmem_namespace *ns, void *to, u64 offset, size_t n)
{
	if (iopmem_media_bad(ns, offset, n, NULL) ||
	    iopmem_copy_from(to, ns->base + offset, n, ns->region->stream) ||
	    !iopmem_answered(ns, offset, n))
		return -EIO;
	return 0;
}

static void write_part(struct iopmem_namespace *ns, const void *from, u64 offset, size_t n)
{
	iopmem_media_rewrite(ns, offset, n);
	iopmem_copy_to(ns->base + offset, from, n);
	wmb();	/* whoever is told of it, on any CPU, reads what was written */
	iopmem_media_written(ns, offset, n);
}

static int read_chunk(const struct devdax_file *open, void *page, char __user *user, u64 offset,
		      size_t n)
{
	u64 first = round_down(offset, sizeof(u64)), end = round_up(offset + n, sizeof(u64));
	int error = iopmem_devdax_begin(open);

	if (error)
		return error;
	error = read_part(open->ns, page, first, end - first);
	iopmem_devdax_end(open);
	if (!error && copy_to_user(user, page + (offset - first), n))
		error = -EFAULT;
	return error;
}

static int write_chunk(const struct devdax_file *open, void *page, const char __user *user,
		       u64 offset, size_t n)
{
	int error;

	if (copy_from_user(page, user, n))
		return -EFAULT;
	error = iopmem_devdax_begin(open);
	if (error)
		return error;
	write_part(open->ns, page, offset, n);
	iopmem_devdax_end(open);
	return 0;
}

/* Either @to or @from. Bytes that were moved are told, whatever came after them. */
static ssize_t transfer(const struct devdax_file *open, char __user *to, const char __user *from,
			size_t n, loff_t *position)
{
	void *page = (void *)__get_free_page(GFP_KERNEL);
	ssize_t done = 0;
	int error = 0;

	if (!page)
		return -ENOMEM;
	while (done < n) {
		size_t chunk = min(n - done, PAGE_SIZE - offset_in_page(*position));

		if (fatal_signal_pending(current))
			error = -EINTR;
		else if (to)
			error = read_chunk(open, page, to + done, *position, chunk);
		else
			error = write_chunk(open, page, from + done, *position, chunk);
		if (error)
			break;
		done += chunk;
		*position += chunk;
		cond_resched();
	}
	free_page((unsigned long)page);
	return done ?: error;
}

ssize_t iopmem_devdax_read(struct file *file, char __user *user, size_t n, loff_t *position)
{
	const struct devdax_file *open = file->private_data;
	u64 size = open->ns->size;

	if (*position < 0)
		return -EINVAL;
	if (!n || *position >= size)
		return 0;
	return transfer(open, user, NULL, min_t(u64, n, size - *position), position);
}

ssize_t iopmem_devdax_write(struct file *file, const char __user *user, size_t n,
			    loff_t *position)
{
	const struct devdax_file *open = file->private_data;
	u64 size = open->ns->size;

	/* Bytes are not combined with their neighbours: stores are of 8. */
	if (*position < 0 || (*position | n) % sizeof(u64))
		return -EINVAL;
	if (!n)
		return 0;
	if (*position >= size)
		return -ENOSPC;
	return transfer(open, NULL, user, min_t(u64, n, size - *position), position);
}
