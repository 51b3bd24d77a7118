// SPDX-License-Identifier: GPL-2.0
#include "CLayout.h"

#include "../../kmod/include/uapi/linux/iopmem.h"

#define WHOLE(type) { #type, 0, sizeof(struct type) }
#define FIELD(type, field) \
	{ #type "." #field, offsetof(struct type, field), sizeof(((struct type *)0)->field) }

static const struct clayout_field fields[] = {
	WHOLE(iopmem_version),
	FIELD(iopmem_version, size),
	FIELD(iopmem_version, flags),
	FIELD(iopmem_version, abi),
	FIELD(iopmem_version, modes),
	FIELD(iopmem_version, maps),
	FIELD(iopmem_version, reserved),
	FIELD(iopmem_version, release),
	WHOLE(iopmem_device_bind),
	FIELD(iopmem_device_bind, size),
	FIELD(iopmem_device_bind, flags),
	FIELD(iopmem_device_bind, domain),
	FIELD(iopmem_device_bind, bus),
	FIELD(iopmem_device_bind, devfn),
	FIELD(iopmem_device_bind, media),
	FIELD(iopmem_device_bind, bar_mask),
	FIELD(iopmem_device_bind, reserved),
	FIELD(iopmem_device_bind, reason),
	WHOLE(iopmem_bar_verdict),
	FIELD(iopmem_bar_verdict, error),
	FIELD(iopmem_bar_verdict, region),
	FIELD(iopmem_bar_verdict, reason),
	WHOLE(iopmem_bind_result),
	FIELD(iopmem_bind_result, size),
	FIELD(iopmem_bind_result, flags),
	FIELD(iopmem_bind_result, error),
	FIELD(iopmem_bind_result, reserved),
	FIELD(iopmem_bind_result, reason),
	FIELD(iopmem_bind_result, bars),
	WHOLE(iopmem_device_retire),
	FIELD(iopmem_device_retire, size),
	FIELD(iopmem_device_retire, flags),
	FIELD(iopmem_device_retire, domain),
	FIELD(iopmem_device_retire, bus),
	FIELD(iopmem_device_retire, devfn),
	FIELD(iopmem_device_retire, reserved0),
	FIELD(iopmem_device_retire, destroyed),
	FIELD(iopmem_device_retire, reserved),
	FIELD(iopmem_device_retire, reason),
	WHOLE(iopmem_namespace_create),
	FIELD(iopmem_namespace_create, size),
	FIELD(iopmem_namespace_create, flags),
	FIELD(iopmem_namespace_create, mode),
	FIELD(iopmem_namespace_create, map),
	FIELD(iopmem_namespace_create, offset),
	FIELD(iopmem_namespace_create, length),
	FIELD(iopmem_namespace_create, id),
	FIELD(iopmem_namespace_create, reserved),
	FIELD(iopmem_namespace_create, uuid),
	FIELD(iopmem_namespace_create, name),
	FIELD(iopmem_namespace_create, reason),
	WHOLE(iopmem_range),
	FIELD(iopmem_range, offset),
	FIELD(iopmem_range, length),
	WHOLE(iopmem_namespace_destroy),
	FIELD(iopmem_namespace_destroy, size),
	FIELD(iopmem_namespace_destroy, flags),
	FIELD(iopmem_namespace_destroy, id),
	FIELD(iopmem_namespace_destroy, nr_wipes),
	FIELD(iopmem_namespace_destroy, uuid),
	FIELD(iopmem_namespace_destroy, wipes),
	FIELD(iopmem_namespace_destroy, reason),
	WHOLE(iopmem_label_area),
	FIELD(iopmem_label_area, size),
	FIELD(iopmem_label_area, flags),
	FIELD(iopmem_label_area, length),
	FIELD(iopmem_label_area, reason),
	WHOLE(iopmem_label_write),
	FIELD(iopmem_label_write, size),
	FIELD(iopmem_label_write, flags),
	FIELD(iopmem_label_write, offset),
	FIELD(iopmem_label_write, length),
	FIELD(iopmem_label_write, data),
	FIELD(iopmem_label_write, reason),
	WHOLE(iopmem_error_injection),
	FIELD(iopmem_error_injection, size),
	FIELD(iopmem_error_injection, flags),
	FIELD(iopmem_error_injection, id),
	FIELD(iopmem_error_injection, reserved),
	FIELD(iopmem_error_injection, uuid),
	FIELD(iopmem_error_injection, offset),
	FIELD(iopmem_error_injection, length),
	FIELD(iopmem_error_injection, reason),
};

size_t clayout_count(void)
{
	return sizeof(fields) / sizeof(fields[0]);
}

struct clayout_field clayout_field(size_t index)
{
	return fields[index];
}
