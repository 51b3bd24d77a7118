/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace points: what cannot be seen from outside otherwise.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iopmem

#if !defined(_IOPMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _IOPMEM_TRACE_H

#include <linux/tracepoint.h>

#include "iopmem.h"

/* A flush is over: with status 0, the read back from the device has come back. */
TRACE_EVENT(iopmem_flush,
	    TP_PROTO(const struct iopmem_namespace *ns, int status),
	    TP_ARGS(ns, status),
	    TP_STRUCT__entry(__array(char, dev, DISK_NAME_LEN)
			     __field(s64, flushes)
			     __field(int, status)),
	    TP_fast_assign(strscpy(__entry->dev, dev_name(&ns->dev), DISK_NAME_LEN);
			   __entry->flushes = atomic64_read(&ns->flushes);
			   __entry->status = status;),
	    TP_printk("dev=%s flushes=%lld status=%d", __entry->dev, __entry->flushes,
		      __entry->status)
);

#endif /* _IOPMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
