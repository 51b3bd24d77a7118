// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/class/iopmem: regions and namespaces, one value a file.
 *
 * Show functions take no lock (iopmem.h says why): what they print is either
 * fixed for the object's life or a single word.
 */
#include <linux/sysfs.h>

#include "iopmem.h"

const char *iopmem_mode_name(u32 mode)
{
	switch (mode) {
	case IOPMEM_MODE_FSDAX:
		return "fsdax";
	case IOPMEM_MODE_DEVDAX:
		return "devdax";
	case IOPMEM_MODE_P2PDMA:
		return "p2pdma";
	case IOPMEM_MODE_RAW:
		return "raw";
	default:
		return "unknown";
	}
}

#define REGION_ATTR(attribute, format, value)						\
static ssize_t region_##attribute##_show(struct device *dev, struct device_attribute *attr,	\
					 char *buf)					\
{											\
	struct iopmem_region *region __maybe_unused = to_iopmem_region(dev);		\
											\
	return sysfs_emit(buf, format "\n", value);					\
}											\
static struct device_attribute region_attr_##attribute =				\
	__ATTR(attribute, 0444, region_##attribute##_show, NULL)

static int region_node(const struct iopmem_region *region)
{
	return dev_to_node(&region->idev->pdev->dev);
}

static bool region_prefetchable(const struct iopmem_region *region)
{
	return pci_resource_flags(region->idev->pdev, region->bar) & IORESOURCE_PREFETCH;
}

REGION_ATTR(bar, "%d", region->bar);
REGION_ATTR(size, "%llu", region->size);
REGION_ATTR(available_size, "%llu", READ_ONCE(region->available));
REGION_ATTR(max_available_extent, "%llu", READ_ONCE(region->extent));
REGION_ATTR(physical_address, "0x%llx", (u64)region->start);
REGION_ATTR(align, "%llu", IOPMEM_ALIGN);
REGION_ATTR(media, "%s", region->media == IOPMEM_MEDIA_PERSISTENT ? "persistent" : "volatile");
REGION_ATTR(label_size, "%llu", READ_ONCE(region->label_size));
REGION_ATTR(prefetchable, "%d", region_prefetchable(region));
REGION_ATTR(cache_platform, "%s", region->platform);
REGION_ATTR(cache_kernel, "%s", region->wc ? "wc" : region->platform);
REGION_ATTR(resets, "%d", atomic_read(&region->resets));
REGION_ATTR(numa_node, "%d", region_node(region));

static ssize_t modes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const u32 modes = iopmem_modes();
	int len = 0;

	for (u32 mode = 0; mode < 32; mode++)
		if (modes & BIT(mode))
			len += sysfs_emit_at(buf, len, "%s%s", len ? " " : "",
					     iopmem_mode_name(mode));
	return len + sysfs_emit_at(buf, len, "\n");
}
static DEVICE_ATTR_RO(modes);

static ssize_t lent_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return iopmem_dmabufs_show(to_iopmem_region(dev), buf);
}
static DEVICE_ATTR_RO(lent);

static ssize_t waits_for_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return iopmem_waits_show(to_iopmem_region(dev), buf);
}
static DEVICE_ATTR_RO(waits_for);

static struct attribute *region_attrs[] = {
	&region_attr_bar.attr,
	&region_attr_size.attr,
	&region_attr_available_size.attr,
	&region_attr_max_available_extent.attr,
	&region_attr_physical_address.attr,
	&region_attr_align.attr,
	&region_attr_media.attr,
	&region_attr_label_size.attr,
	&region_attr_prefetchable.attr,
	&region_attr_cache_platform.attr,
	&region_attr_cache_kernel.attr,
	&region_attr_resets.attr,
	&region_attr_numa_node.attr,
	&dev_attr_modes.attr,
	&dev_attr_lent.attr,
	&dev_attr_waits_for.attr,
	NULL,
};
ATTRIBUTE_GROUPS(region);

#define NAMESPACE_ATTR(attribute, format, value)						\
static ssize_t namespace_##attribute##_show(struct device *dev, struct device_attribute *attr,	\
					    char *buf)					\
{											\
	struct iopmem_namespace *ns __maybe_unused = to_iopmem_namespace(dev);		\
											\
	return sysfs_emit(buf, format "\n", value);					\
}											\
static struct device_attribute namespace_attr_##attribute =				\
	__ATTR(attribute, 0444, namespace_##attribute##_show, NULL)

static const char *state_name(const struct iopmem_namespace *ns)
{
	switch (READ_ONCE(ns->state)) {
	case IOPMEM_ENABLED:
		return "enabled";
	case IOPMEM_DYING:
		return "dying";
	default:
		return "revoked";
	}
}

static const char *map_name(const struct iopmem_namespace *ns)
{
	if (ns->mode == IOPMEM_MODE_RAW)
		return "none";
	return ns->map == IOPMEM_MAP_DEV ? "dev" : "mem";
}

NAMESPACE_ATTR(id, "%u", ns->id);
NAMESPACE_ATTR(uuid, "%pUb", &ns->uuid);
NAMESPACE_ATTR(name, "%s", ns->name);
NAMESPACE_ATTR(offset, "%llu", ns->offset);
NAMESPACE_ATTR(size, "%llu", ns->size);
NAMESPACE_ATTR(align, "%llu", IOPMEM_ALIGN);
NAMESPACE_ATTR(physical_address, "0x%llx", (u64)iopmem_namespace_start(ns));
NAMESPACE_ATTR(numa_node, "%d", region_node(ns->region));
NAMESPACE_ATTR(mode, "%s", iopmem_mode_name(ns->mode));
NAMESPACE_ATTR(map, "%s", map_name(ns));
NAMESPACE_ATTR(state, "%s", state_name(ns));
NAMESPACE_ATTR(cache_kernel, "%s", iopmem_cache_of(ns->base));
NAMESPACE_ATTR(cache_user, "%s", iopmem_cache_user(ns));
NAMESPACE_ATTR(openers, "%u", READ_ONCE(ns->openers));
NAMESPACE_ATTR(flushes, "%lld", atomic64_read(&ns->flushes));
NAMESPACE_ATTR(wiped, "%llu", READ_ONCE(ns->wiped));
NAMESPACE_ATTR(bad_blocks, "%llu", iopmem_media_count(ns));

static ssize_t last_opener_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct iopmem_namespace *ns = to_iopmem_namespace(dev);
	const struct iopmem_user *opener;
	struct iopmem_user user = {};

	spin_lock(&ns->open_lock);
	opener = iopmem_last_opener(ns);
	if (opener)
		user = *opener;
	spin_unlock(&ns->open_lock);
	return user.pid ? sysfs_emit(buf, "%s[%d]\n", user.comm, user.pid) : sysfs_emit(buf, "\n");
}
static DEVICE_ATTR_RO(last_opener);

static struct attribute *namespace_attrs[] = {
	&namespace_attr_id.attr,
	&namespace_attr_uuid.attr,
	&namespace_attr_name.attr,
	&namespace_attr_offset.attr,
	&namespace_attr_size.attr,
	&namespace_attr_align.attr,
	&namespace_attr_physical_address.attr,
	&namespace_attr_numa_node.attr,
	&namespace_attr_mode.attr,
	&namespace_attr_map.attr,
	&namespace_attr_state.attr,
	&namespace_attr_cache_kernel.attr,
	&namespace_attr_cache_user.attr,
	&namespace_attr_openers.attr,
	&namespace_attr_flushes.attr,
	&namespace_attr_wiped.attr,
	&namespace_attr_bad_blocks.attr,
	&dev_attr_last_opener.attr,
	NULL,
};

/* A raw namespace has no pages that a user could map. */
static umode_t namespace_attr_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	struct iopmem_namespace *ns = to_iopmem_namespace(kobj_to_dev(kobj));

	if (attr == &namespace_attr_cache_user.attr && ns->mode == IOPMEM_MODE_RAW)
		return 0;
	return attr->mode;
}

static const struct attribute_group namespace_group = {
	.attrs		= namespace_attrs,
	.is_visible	= namespace_attr_visible,
};
__ATTRIBUTE_GROUPS(namespace);

static int namespace_uevent(iopmem_const struct device *dev, struct kobj_uevent_env *env)
{
	const struct iopmem_namespace *ns = container_of(dev, struct iopmem_namespace, dev);

	return add_uevent_var(env, "IOPMEM_UUID=%pUb", &ns->uuid) ?:
	       add_uevent_var(env, "IOPMEM_NAME=%s", ns->name) ?:
	       add_uevent_var(env, "IOPMEM_MODE=%s", iopmem_mode_name(ns->mode)) ?:
	       add_uevent_var(env, "IOPMEM_OPENERS=%u", READ_ONCE(ns->openers));
}

/* A region's node creates and destroys: for root alone. */
static char *class_devnode(iopmem_const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return NULL;
}

struct class iopmem_class = {
	.name		= "iopmem",
	.devnode	= class_devnode,
};

static void region_release(struct device *dev)
{
	struct iopmem_region *region = to_iopmem_region(dev);

	iopmem_device_put(region->idev);
	kfree(region);
}

static void namespace_release(struct device *dev)
{
	struct iopmem_namespace *ns = to_iopmem_namespace(dev);

	iopmem_media_exit(ns);
	put_device(&ns->region->dev);
	kfree(ns);
}

/*
 * The node is called iopdax0n1, the namespace iopmem0n1. This may not fail: the
 * kernel would make a node of the device's own name (device_get_devnode()), not find
 * it when the namespace goes, and so keep the next disk of that name from its node.
 */
static char *namespace_devnode(iopmem_const struct device *dev, umode_t *mode, kuid_t *uid,
			       kgid_t *gid)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL | __GFP_NOFAIL, "iopdax%s",
			 dev_name(dev) + strlen(IOPMEM_DRIVER_NAME));
}

const struct device_type iopmem_region_type = {
	.name		= "region",
	.groups		= region_groups,
	.release	= region_release,
};

const struct device_type iopmem_namespace_type = {
	.name		= "namespace",
	.groups		= namespace_groups,
	.uevent		= namespace_uevent,
	.devnode	= namespace_devnode,
	.release	= namespace_release,
};
