// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "CIopmem.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

int iopmem_anonymous_file(const char *name)
{
	int file = memfd_create(name, MFD_CLOEXEC);

	return file < 0 ? -errno : file;
}

int iopmem_signal_file(const sigset_t *signals)
{
	int file = signalfd(-1, signals, SFD_CLOEXEC);

	return file < 0 ? -errno : file;
}
