// SPDX-License-Identifier: GPL-2.0
// What can be done to mapped pages besides reading and writing them:
//
//   iopmem-guest poison FILE OFFSET
//       Has the kernel treat a page of the file as if the hardware had found it
//       bad (MADV_HWPOISON). Prints "poisoned".
//   iopmem-guest load FILE OFFSET
//       Reads one byte through a mapping. Prints its value, or "SIGBUS".
//   iopmem-guest pin FILE
//       Pins the file's first page (vmsplice into a pipe), unmaps and closes the
//       file, prints "pinned", and keeps the page until it is killed.
//   iopmem-guest spin FILE [uc]
//       Writes to the first page of a file or devdax node, on processor 0 and until
//       it is killed; with uc, by an uncached mapping of a node. Prints where the
//       page is, in hexadecimal digits.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

static const size_t page = 4096;
static sigjmp_buf before_the_fault;

static void bus_error(int number)
{
	(void)number;
	siglongjmp(before_the_fault, 1);
}

static void catch_bus_errors(void)
{
	struct sigaction action = { .sa_handler = bus_error };

	sigaction(SIGBUS, &action, NULL);
}

static unsigned char *map_page(const char *file, const char *offset)
{
	int fd = open(file, O_RDWR);
	void *address;

	if (fd < 0)
		return NULL;
	address = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)strtoull(offset, NULL, 0));
	close(fd);
	return address == MAP_FAILED ? NULL : address;
}

static int poison(const char *file, const char *offset)
{
	unsigned char *address = map_page(file, offset);

	if (!address)
		return fail(file);
	catch_bus_errors();
	// The kernel may tell us at once, as one who has the page mapped.
	if (!sigsetjmp(before_the_fault, 1)) {
		*(volatile unsigned char *)address;
		if (madvise(address, page, MADV_HWPOISON))
			return fail("madvise");
	}
	puts("poisoned");
	return 0;
}

static int load(const char *file, const char *offset)
{
	unsigned char *address = map_page(file, offset);

	if (!address)
		return fail(file);
	catch_bus_errors();
	if (sigsetjmp(before_the_fault, 1))
		puts("SIGBUS");
	else
		printf("%u\n", *(volatile unsigned char *)address);
	return 0;
}

static int pin(const char *file)
{
	struct iovec part = { .iov_len = page };
	unsigned char *address = map_page(file, "0");
	int ends[2];

	if (!address || pipe(ends))
		return fail(file);
	part.iov_base = address;
	if (vmsplice(ends[1], &part, 1, 0) != (ssize_t)page)
		return fail("vmsplice");
	munmap(address, page);
	puts("pinned");
	fflush(stdout);
	for (;;)
		pause();
}

static int spin(const char *path, int uncached)
{
	struct iopmem_mapping_cache cache = { .size = sizeof(cache), .cache = IOPMEM_CACHE_UC };
	int file = open(path, O_RDWR | O_CLOEXEC);
	volatile unsigned char *address;
	cpu_set_t processors;

	if (file < 0)
		return fail(path);
	if (uncached && ioctl(file, IOPMEM_IOC_SET_MAPPING_CACHE, &cache))
		return fail("IOPMEM_IOC_SET_MAPPING_CACHE");
	CPU_ZERO(&processors);
	CPU_SET(0, &processors);
	if (sched_setaffinity(0, sizeof(processors), &processors))
		return fail("sched_setaffinity");
	address = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (address == MAP_FAILED)
		return fail("mmap");
	*address = 1;
	printf("%lx\n", (unsigned long)address);
	fflush(stdout);
	for (;;)
		++*address;
}

int memory_command(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[0], "poison"))
		return poison(argv[1], argv[2]);
	if (argc == 3 && !strcmp(argv[0], "load"))
		return load(argv[1], argv[2]);
	if (argc == 2 && !strcmp(argv[0], "pin"))
		return pin(argv[1]);
	if ((argc == 2 || argc == 3) && !strcmp(argv[0], "spin"))
		return spin(argv[1], argc == 3 && !strcmp(argv[2], "uc"));
	fprintf(stderr,
		"iopmem-guest: poison FILE OFFSET, load FILE OFFSET, pin FILE, or spin FILE [uc]\n");
	return 64;
}
