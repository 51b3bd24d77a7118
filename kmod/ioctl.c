// SPDX-License-Identifier: GPL-2.0
/*
 * What every ioctl does: its struct comes in, extensible at its end, something
 * is done, and the struct goes back, also when that failed.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "iopmem.h"

/* Write back what the caller has room for. */
static int return_arg(void __user *user, const void *arg, size_t known, u32 size)
{
	return copy_to_user(user, arg, min_t(size_t, size, known)) ? -EFAULT : 0;
}

/**
 * copy_arg - read an ioctl's struct, whose first member is its size
 * @call:	which
 * @arg:	@call->known bytes
 * @user:	where it is
 * @size:	[out] the caller's size
 *
 * The struct is written back once, so that a caller who cannot be told what was
 * done is told before it is done.
 *
 * Return: 0; -EINVAL shorter than when it was first published; -E2BIG something
 * unknown is asked for in the tail; -EFAULT it cannot be read, or not be written.
 */
static int copy_arg(const struct iopmem_call *call, void *arg, void __user *user, u32 *size)
{
	int error;

	if (get_user(*size, (const u32 __user *)user))
		return -EFAULT;
	if (*size < call->first || *size > PAGE_SIZE)
		return *size < call->first ? -EINVAL : -E2BIG;
	error = copy_struct_from_user(arg, call->known, user, *size);
	if (error)
		return error;
	/* Fetched twice: the second value must not differ. */
	*(u32 *)arg = *size;
	if (call->reason)
		memset(arg + call->reason, 0, IOPMEM_REASON_LEN);
	return return_arg(user, arg, call->known, *size);
}

/**
 * iopmem_dispatch - carry out an ioctl
 * @calls:	what the node offers
 * @nr:		how many
 * @cmd:	the one that is asked for
 * @user:	its argument
 * @owner:	what @calls are told that they belong to
 *
 * Return: 0; -ENOTTY not offered; -ENOMEM; what copy_arg() and the call return.
 */
long iopmem_dispatch(const struct iopmem_call *calls, size_t nr, unsigned int cmd,
		     void __user *user, void *owner)
{
	const struct iopmem_call *call = calls;
	int error, fault = 0;
	void *arg;
	u32 size;

	while (call < calls + nr && call->cmd != cmd)
		call++;
	if (call == calls + nr)
		return -ENOTTY;
	arg = kzalloc(call->known, GFP_KERNEL);
	if (!arg)
		return -ENOMEM;
	error = copy_arg(call, arg, user, &size);
	if (!error) {
		error = call->run(owner, arg);
		fault = return_arg(user, arg, call->known, size);
	}
	kfree(arg);
	return error ?: fault;
}
