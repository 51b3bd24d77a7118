// SPDX-License-Identifier: GPL-2.0
/*
 * Who uses a namespace, as far as can be told: the processes that opened it
 * and those that reached its pages through a file system. For refusals that
 * name the holder, and for the log when a removal has to wait.
 *
 * A mount is closed by another process than the one that opened it, and a pin
 * has no owner that the kernel remembers. So these are candidates, the latest
 * first, and the oldest is forgotten.
 */
#include <linux/sched.h>

#include "iopmem.h"

/* Under open_lock: the entry of the current process, made if need be, comes first. */
static struct iopmem_user *entry_of_current(struct iopmem_namespace *ns)
{
	struct iopmem_user *users = ns->users, found = { .pid = task_tgid_nr(current) };
	int i;

	for (i = 0; i < IOPMEM_USERS - 1; i++)
		if (users[i].pid == found.pid || !users[i].pid)
			break;
	if (users[i].pid == found.pid)
		found = users[i];
	/* A process may rename itself. */
	get_task_comm(found.comm, current);
	memmove(users + 1, users, i * sizeof(*users));
	users[0] = found;
	return users;
}

/* Under open_lock. */
void iopmem_user_opened(struct iopmem_namespace *ns)
{
	entry_of_current(ns)->opens++;
}

/* Under open_lock. */
void iopmem_user_closed(struct iopmem_namespace *ns)
{
	pid_t pid = task_tgid_nr(current);
	int i;

	for (i = 0; i < IOPMEM_USERS; i++) {
		struct iopmem_user *user = &ns->users[i];

		if (user->opens && user->pid == pid)
			user->opens--;
		else if (!ns->openers)
			user->opens = 0;
	}
}

/* The current process reached pages. Called for each fault, so mostly without the lock. */
void iopmem_user_reached(struct iopmem_namespace *ns)
{
	const struct iopmem_user *latest = &ns->users[0];

	if (likely(READ_ONCE(latest->pid) == task_tgid_nr(current) && READ_ONCE(latest->reached)))
		return;
	spin_lock(&ns->open_lock);
	entry_of_current(ns)->reached = true;
	spin_unlock(&ns->open_lock);
}

/**
 * iopmem_users_name - the candidates in words
 * @ns:		the namespace
 * @all:	also those that only reached its pages
 * @buffer:	[out] "mount[312], fio[400]", empty if nobody is known
 * @n:		its size; what does not fit is left out
 *
 * Takes open_lock.
 */
void iopmem_users_name(struct iopmem_namespace *ns, bool all, char *buffer, size_t n)
{
	size_t used = 0;
	int i;

	buffer[0] = '\0';
	spin_lock(&ns->open_lock);
	for (i = 0; i < IOPMEM_USERS; i++) {
		const struct iopmem_user *user = &ns->users[i];

		if (user->opens || (all && user->reached))
			used += scnprintf(buffer + used, n - used, "%s%s[%d]", used ? ", " : "",
					  user->comm, user->pid);
	}
	spin_unlock(&ns->open_lock);
}

/* The latest process that has it open, or NULL. Under open_lock. */
const struct iopmem_user *iopmem_last_opener(const struct iopmem_namespace *ns)
{
	int i;

	for (i = 0; i < IOPMEM_USERS; i++)
		if (ns->users[i].opens)
			return &ns->users[i];
	return NULL;
}

/**
 * iopmem_waits - a removal waits, which the log and sysfs say
 * @region:	whose memory it is
 * @dev:	the region or one of its namespaces
 * @since:	in jiffies
 * @fmt:	for what, and for whom as far as is known
 *
 * Takes waits_lock.
 */
void iopmem_waits(struct iopmem_region *region, struct device *dev, unsigned long since,
		  const char *fmt, ...)
{
	struct va_format text = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	text.va = &args;
	dev_warn(dev, "removal waits since %lu s for %pV\n", (jiffies - since) / HZ, &text);
	va_end(args);

	va_start(args, fmt);
	text.va = &args;
	spin_lock(&region->waits_lock);
	scnprintf(region->waits, sizeof(region->waits), "%s: %pV", dev_name(dev), &text);
	spin_unlock(&region->waits_lock);
	va_end(args);
}

/* Takes waits_lock. */
void iopmem_waits_end(struct iopmem_region *region)
{
	spin_lock(&region->waits_lock);
	region->waits[0] = '\0';
	spin_unlock(&region->waits_lock);
}

/* For sysfs. Takes waits_lock. */
ssize_t iopmem_waits_show(struct iopmem_region *region, char *buf)
{
	char text[IOPMEM_REASON_LEN];

	spin_lock(&region->waits_lock);
	strscpy(text, region->waits, sizeof(text));
	spin_unlock(&region->waits_lock);
	return sysfs_emit(buf, "%s\n", text);
}
