// SPDX-License-Identifier: GPL-2.0
/*
 * iopmem: PCIe memory BARs as DAX block devices.
 *
 * The module.
 */
#include <linux/module.h>

#include "iopmem.h"

/**
 * iopmem_refuse - put a refusal into words
 * @reason:	IOPMEM_REASON_LEN bytes, or NULL if nobody will read it
 * @error:	negative errno
 * @fmt:	what and why, without a full stop
 *
 * Return: @error, so that a refusal is one statement.
 */
int iopmem_refuse(char *reason, int error, const char *fmt, ...)
{
	va_list args;

	if (reason) {
		va_start(args, fmt);
		vscnprintf(reason, IOPMEM_REASON_LEN, fmt, args);
		va_end(args);
	}
	return error;
}

bool iopmem_is_zero(const void *p, size_t n)
{
	return !memchr_inv(p, 0, n);
}

/* Which modes this driver can do on this kernel: bit (1 << IOPMEM_MODE_x) each. */
u32 iopmem_modes(void)
{
	u32 modes = BIT(IOPMEM_MODE_RAW);

	if (iopmem_dax_possible())
		modes |= BIT(IOPMEM_MODE_FSDAX);
	if (iopmem_devdax_possible())
		modes |= BIT(IOPMEM_MODE_DEVDAX);
	if (iopmem_p2pdma_possible())
		modes |= BIT(IOPMEM_MODE_P2PDMA);
	return modes;
}

/* The call of both nodes that needs none of them. */
int iopmem_get_version(void *owner, void *value)
{
	struct iopmem_version *arg = value;

	if (arg->flags)
		return -EINVAL;
	arg->abi = IOPMEM_ABI_VERSION;
	arg->modes = iopmem_modes();
	arg->maps = BIT(IOPMEM_MAP_MEM);
	arg->reserved = 0;
	strscpy_pad(arg->release, IOPMEM_VERSION, sizeof(arg->release));
	return 0;
}

static int __init iopmem_init(void)
{
	int error;

	BUILD_BUG_ON(sizeof(struct iopmem_version) != IOPMEM_VERSION_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_device_bind) != IOPMEM_DEVICE_BIND_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_bind_result) != IOPMEM_BIND_RESULT_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_device_retire) != IOPMEM_DEVICE_RETIRE_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_namespace_create) != IOPMEM_NAMESPACE_CREATE_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_namespace_destroy) != IOPMEM_NAMESPACE_DESTROY_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_label_area) != IOPMEM_LABEL_AREA_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_label_write) != IOPMEM_LABEL_WRITE_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_error_injection) != IOPMEM_ERROR_INJECTION_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_export) != IOPMEM_EXPORT_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_client) != IOPMEM_CLIENT_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_mapping_info) != IOPMEM_MAPPING_INFO_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_mapping_cache) != IOPMEM_MAPPING_CACHE_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_mapping_flush) != IOPMEM_MAPPING_FLUSH_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_mapping_export) != IOPMEM_MAPPING_EXPORT_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct iopmem_pointer_export) != IOPMEM_POINTER_EXPORT_SIZE_VER0);

	error = iopmem_selftest();
	if (error)
		return error;
	error = iopmem_region_init();
	if (error)
		return error;
	error = iopmem_devdax_init();
	if (error)
		goto out_region;
	error = iopmem_control_init();
	if (error)
		goto out_devdax;
	error = iopmem_pci_init();
	if (error)
		goto out_control;
	return 0;

out_control:
	iopmem_control_exit();
out_devdax:
	iopmem_devdax_exit();
out_region:
	iopmem_region_exit();
	return error;
}

static void __exit iopmem_exit(void)
{
	iopmem_pci_exit();
	iopmem_control_exit();
	iopmem_devdax_exit();
	iopmem_region_exit();
}

module_init(iopmem_init);
module_exit(iopmem_exit);

MODULE_DESCRIPTION("PCIe memory BARs as DAX block devices");
MODULE_AUTHOR("The iopmem developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(IOPMEM_VERSION);
