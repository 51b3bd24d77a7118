// SPDX-License-Identifier: GPL-2.0
/*
 * Names and UUIDs are unique on the machine, not only on a device: udev links
 * are made of them.
 */
#include "iopmem.h"

static DEFINE_MUTEX(iopmem_registry_lock);
static LIST_HEAD(iopmem_registry);

/**
 * iopmem_registry_add - claim a namespace's name and UUID
 * @ns:		the namespace
 * @reason:	filled on failure
 *
 * Return: 0; -EEXIST another namespace has one of them.
 */
int iopmem_registry_add(struct iopmem_namespace *ns, char *reason)
{
	struct iopmem_namespace *other;
	int error = 0;

	mutex_lock(&iopmem_registry_lock);
	list_for_each_entry(other, &iopmem_registry, registered) {
		if (uuid_equal(&other->uuid, &ns->uuid))
			error = iopmem_refuse(reason, -EEXIST, "UUID %pUb is %s's", &ns->uuid,
					      dev_name(&other->dev));
		else if (ns->name[0] && !strcmp(other->name, ns->name))
			error = iopmem_refuse(reason, -EEXIST, "name %s is %s's", ns->name,
					      dev_name(&other->dev));
		if (error)
			break;
	}
	if (!error)
		list_add_tail(&ns->registered, &iopmem_registry);
	mutex_unlock(&iopmem_registry_lock);
	return error;
}

void iopmem_registry_remove(struct iopmem_namespace *ns)
{
	mutex_lock(&iopmem_registry_lock);
	list_del(&ns->registered);
	mutex_unlock(&iopmem_registry_lock);
}
