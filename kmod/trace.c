// SPDX-License-Identifier: GPL-2.0
/* Where the trace points of trace.h are defined. */
#define CREATE_TRACE_POINTS
#include "trace.h"
