// SPDX-License-Identifier: GPL-2.0
/*
 * v6.2 ff4c25f26a71 "driver core: make struct class.devnode() take a const *",
 * v6.3 23680f0b7d7f "driver core: make struct class.dev_uevent() take a const *"
 */
#include <linux/device.h>

static char *devnode(const struct device *dev, umode_t *mode)
{
	return NULL;
}

static int uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	return 0;
}

struct class probe = { .name = "probe", .devnode = devnode, .dev_uevent = uevent };
