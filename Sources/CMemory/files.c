// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "CMemory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

int iopmem_file_status(int fd, struct iopmem_file_status *status)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st))
		return errno;
	*status = (struct iopmem_file_status){
		.size = st.stx_size,
		.mode = st.stx_mode,
		.dev_major = st.stx_dev_major,
		.dev_minor = st.stx_dev_minor,
		.rdev_major = st.stx_rdev_major,
		.rdev_minor = st.stx_rdev_minor,
		.dax = st.stx_attributes & STATX_ATTR_DAX,
	};
	return 0;
}

int iopmem_open(const char *path, bool write, bool create, bool exclusive, bool direct)
{
	int flags = O_CLOEXEC | O_NOCTTY;
	int fd;

	flags |= write ? O_RDWR : O_RDONLY;
	flags |= create ? O_CREAT : 0;
	flags |= exclusive ? O_EXCL : 0;
	flags |= direct ? O_DIRECT : 0;
	do
		fd = open(path, flags, 0644);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int iopmem_direct_flag(void)
{
	return O_DIRECT;
}

int iopmem_open_path(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int iopmem_allocate(int fd, uint64_t offset, uint64_t length)
{
	int result;

	do
		result = fallocate(fd, 0, (off_t)offset, (off_t)length);
	while (result && errno == EINTR);
	return result ? errno : 0;
}

int iopmem_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) ? errno : 0;
}

int iopmem_sync(int fd)
{
	int result;

	do
		result = fsync(fd);
	while (result && errno == EINTR);
	return result ? errno : 0;
}

int iopmem_drop_cache(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int iopmem_block_geometry(int fd, uint64_t *size, uint32_t *logical, bool *readonly)
{
	int sector = 0, ro = 0;

	if (ioctl(fd, BLKGETSIZE64, size) || ioctl(fd, BLKSSZGET, &sector) ||
	    ioctl(fd, BLKROGET, &ro))
		return errno;
	*logical = (uint32_t)sector;
	*readonly = ro;
	return 0;
}

int iopmem_extents(int fd, uint64_t start, uint64_t length,
		   struct iopmem_extent *extents, uint32_t capacity, uint32_t *count)
{
	struct fiemap *map;
	int error = 0;

	map = calloc(1, sizeof(*map) + capacity * sizeof(map->fm_extents[0]));
	if (!map)
		return ENOMEM;
	map->fm_start = start;
	map->fm_length = length;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = capacity;
	if (ioctl(fd, FS_IOC_FIEMAP, map)) {
		error = errno;
	} else {
		*count = map->fm_mapped_extents;
		for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
			extents[i] = (struct iopmem_extent){
				.logical = map->fm_extents[i].fe_logical,
				.physical = map->fm_extents[i].fe_physical,
				.length = map->fm_extents[i].fe_length,
				.flags = map->fm_extents[i].fe_flags,
			};
		}
	}
	free(map);
	return error;
}

uint32_t iopmem_extent_unusable_flags(void)
{
	return FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |
	       FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE |
	       FIEMAP_EXTENT_DATA_TAIL;
}

int iopmem_populate(void *address, size_t length, bool write)
{
	int result;

	do
		result = madvise(address, length,
				 write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	while (result && errno == EINTR);
	return result ? errno : 0;
}

int iopmem_count_tracepoint(uint64_t id, int cpu, const char *filter)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl((int)fd, PERF_EVENT_IOC_SET_FILTER, filter)) {
		int error = errno;

		close((int)fd);
		return -error;
	}
	return (int)fd;
}

int iopmem_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
