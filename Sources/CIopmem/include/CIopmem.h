// SPDX-License-Identifier: GPL-2.0
// The driver's UAPI header as a Swift module. The header itself is the only
// copy of the ABI and lives with the driver.
#ifndef CIOPMEM_H
#define CIOPMEM_H

#include <signal.h>

#include "../../../kmod/include/uapi/linux/iopmem.h"

// Swift imports macros that are literals; _IO(...) and shifted flags are
// expressions with casts, so they come as constants under the same names in
// lower case. request numbers have the type that ioctl(2) takes.
static const unsigned long iopmem_ioc_get_version = IOPMEM_IOC_GET_VERSION;
static const unsigned long iopmem_ioc_prepare_bind = IOPMEM_IOC_PREPARE_BIND;
static const unsigned long iopmem_ioc_get_bind_result = IOPMEM_IOC_GET_BIND_RESULT;
static const unsigned long iopmem_ioc_retire_device = IOPMEM_IOC_RETIRE_DEVICE;
static const unsigned long iopmem_ioc_create_namespace = IOPMEM_IOC_CREATE_NAMESPACE;
static const unsigned long iopmem_ioc_destroy_namespace = IOPMEM_IOC_DESTROY_NAMESPACE;
static const unsigned long iopmem_ioc_set_label_area = IOPMEM_IOC_SET_LABEL_AREA;
static const unsigned long iopmem_ioc_write_labels = IOPMEM_IOC_WRITE_LABELS;
static const unsigned long iopmem_ioc_inject_error = IOPMEM_IOC_INJECT_ERROR;

static const __u32 iopmem_device_bind_f_force = IOPMEM_DEVICE_BIND_F_FORCE;
static const __u32 iopmem_device_retire_f_revoke = IOPMEM_DEVICE_RETIRE_F_REVOKE;
static const __u32 iopmem_namespace_create_f_offset = IOPMEM_NAMESPACE_CREATE_F_OFFSET;
static const __u32 iopmem_namespace_create_f_id = IOPMEM_NAMESPACE_CREATE_F_ID;
static const __u32 iopmem_namespace_create_f_publish = IOPMEM_NAMESPACE_CREATE_F_PUBLISH;
static const __u32 iopmem_namespace_destroy_f_revoke = IOPMEM_NAMESPACE_DESTROY_F_REVOKE;
static const __u32 iopmem_namespace_destroy_f_zero = IOPMEM_NAMESPACE_DESTROY_F_ZERO;

static const __u64 iopmem_align = IOPMEM_ALIGN;
static const __u64 iopmem_max_label_write = IOPMEM_MAX_LABEL_WRITE;

// Linux calls that Swift's Glibc module does not declare. A negative errno on
// failure; the descriptors are closed on exec.

// memfd_create(2): an empty file in memory, gone with its last descriptor.
int iopmem_anonymous_file(const char *name);

// signalfd(2): readable while one of these signals is waiting.
int iopmem_signal_file(const sigset_t *signals);

#endif
