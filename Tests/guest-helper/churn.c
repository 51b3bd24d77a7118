// SPDX-License-Identifier: GPL-2.0
// iopmem-guest churn REGION OFFSET LENGTH
//     Makes a namespace of each mode in turn there, and destroys it, over and
//     over. Prints "churning" once there was one of each, and in the end the
//     errno's name: ENODEV when the region is gone; any other is exit status 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

static const struct {
	__u32 mode, map;
} kinds[] = {
	{ IOPMEM_MODE_RAW, 0 },
	{ IOPMEM_MODE_FSDAX, IOPMEM_MAP_MEM },
	{ IOPMEM_MODE_DEVDAX, IOPMEM_MAP_MEM },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

// Makes the call again while somebody else is busy with it; 0, or an errno.
static int persist(int region, unsigned long request, void *call)
{
	while (ioctl(region, request, call)) {
		if (errno != EBUSY)
			return errno;
		usleep(1000);
	}
	return 0;
}

int churn_command(int argc, char **argv)
{
	struct iopmem_namespace_create create = {
		.size = sizeof(create), .flags = IOPMEM_NAMESPACE_CREATE_F_OFFSET,
		.uuid = "a churned one",
	};
	struct iopmem_namespace_destroy destroy = { .size = sizeof(destroy) };
	int region, error;

	if (argc != 3)
		return 64;
	region = open(argv[0], O_RDWR | O_CLOEXEC);
	if (region < 0)
		return fail(argv[0]);
	create.offset = strtoull(argv[1], NULL, 0);
	create.length = strtoull(argv[2], NULL, 0);
	memcpy(destroy.uuid, create.uuid, sizeof(destroy.uuid));
	for (unsigned long round = 0;; round++) {
		if (round == KINDS) {
			puts("churning");
			fflush(stdout);
		}
		create.mode = kinds[round % KINDS].mode;
		create.map = kinds[round % KINDS].map;
		create.id = 0;
		error = persist(region, IOPMEM_IOC_CREATE_NAMESPACE, &create);
		if (error)
			break;
		destroy.id = create.id;
		error = persist(region, IOPMEM_IOC_DESTROY_NAMESPACE, &destroy);
		// A removal may have taken it away before us.
		if (error && error != ENOENT)
			break;
	}
	puts(strerrorname_np(error));
	if (error == ENODEV)
		return 0;
	fprintf(stderr, "iopmem-guest: %s%s\n", (char *)create.reason, (char *)destroy.reason);
	return 1;
}
