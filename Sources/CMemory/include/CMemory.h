// SPDX-License-Identifier: GPL-2.0
// What Swift cannot say about memory and files on Linux: calls that glibc hides
// behind _GNU_SOURCE or takes as variadic arguments, ioctls whose numbers are
// macros, and accesses that may raise SIGBUS. Nothing here decides anything.
//
// Unless said otherwise a function returns 0, or the positive errno.
#ifndef CMEMORY_H
#define CMEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Memory that may vanish

/// Installs the SIGBUS handler that iopmem_guarded_copy() needs. A SIGBUS from
/// anywhere else still has the effect that it had before.
int iopmem_guard_install(void);

/// Copies n bytes, by the widest accesses that there are, where either side may be a mapping whose file shrinks or whose
/// device goes away. EIO instead of a SIGBUS; some bytes may have been copied.
/// The jump out of the handler stays within this one C function.
int iopmem_guarded_copy(void *to, const void *from, size_t n);

/// Writes back and forgets what the processor's caches hold of a mapping of device memory, for
/// which no system call does it. EIO instead of a SIGBUS; EOPNOTSUPP where this processor has no
/// instruction for it.
int iopmem_guarded_flush(const void *from, size_t n);

// MARK: Files and block devices

/// O_DIRECT, whose value is each architecture's own.
int iopmem_direct_flag(void);

struct iopmem_file_status {
	uint64_t size;			/* bytes; 0 for devices */
	uint32_t mode;			/* st_mode: type and permissions */
	uint32_t dev_major, dev_minor;	/* the file system's device */
	uint32_t rdev_major, rdev_minor;	/* the node's own device */
	bool dax;			/* STATX_ATTR_DAX */
};

/// statx(2) of an open file.
int iopmem_file_status(int fd, struct iopmem_file_status *status);

/// open(2) with O_CLOEXEC. Returns the descriptor, or minus errno.
int iopmem_open(const char *path, bool write, bool create, bool exclusive, bool direct);

/// open(2) with O_PATH: nothing is opened but the name; for iopmem_file_status().
int iopmem_open_path(const char *path);

/// fallocate(2) without any flag: blocks are there, the size is at least end.
int iopmem_allocate(int fd, uint64_t offset, uint64_t length);

/// flock(2), exclusive, without waiting: EWOULDBLOCK if somebody has it.
int iopmem_lock(int fd);

/// fsync(2), again after EINTR.
int iopmem_sync(int fd);

/// posix_fadvise(2) POSIX_FADV_DONTNEED for the whole file.
int iopmem_drop_cache(int fd);

/// BLKGETSIZE64 (bytes), BLKSSZGET (bytes) and BLKROGET.
int iopmem_block_geometry(int fd, uint64_t *size, uint32_t *logical, bool *readonly);

struct iopmem_extent {
	uint64_t logical, physical, length;	/* bytes */
	uint32_t flags;				/* FIEMAP_EXTENT_* */
};

/// FS_IOC_FIEMAP with FIEMAP_FLAG_SYNC. At most capacity extents that touch
/// [start, start + length) are stored, in order; count says how many.
int iopmem_extents(int fd, uint64_t start, uint64_t length,
		   struct iopmem_extent *extents, uint32_t capacity, uint32_t *count);

/// The FIEMAP_EXTENT_* flags that mean "physical is not where the bytes are".
uint32_t iopmem_extent_unusable_flags(void);

/// MADV_POPULATE_WRITE or MADV_POPULATE_READ: page tables filled as if every
/// page had been touched, contents unchanged, errors instead of signals.
int iopmem_populate(void *address, size_t length, bool write);

// MARK: Counting trace events

/// Counts a kernel tracepoint on one CPU, for all processes, where the filter
/// (in the words of trace events, `dev_name == "…"`) holds. Returns the
/// descriptor, or minus errno; read(2) gives the count as a uint64_t.
int iopmem_count_tracepoint(uint64_t id, int cpu, const char *filter);

// MARK: Waiting

/// eventfd(2) at zero, closed on exec. Returns the descriptor, or minus errno.
int iopmem_eventfd(void);

#endif
