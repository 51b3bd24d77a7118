// SPDX-License-Identifier: GPL-2.0
// Starts another kernel in place of this one.
//
//   iopmem-guest kexec KERNEL INITRD COMMAND-LINE
//       A second later, so that whoever asks for it is told: no process is asked to
//       end and no file system to unmount, as systemd does before.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

int kexec_command(int argc, char **argv)
{
	int kernel, initrd;

	if (argc != 4) {
		fprintf(stderr, "iopmem-guest: wrong arguments\n");
		return 64;
	}
	kernel = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (kernel < 0)
		return fail(argv[1]);
	initrd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (initrd < 0)
		return fail(argv[2]);
	/* The length counts the zero at the end: kexec_file_load(2). */
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0))
		return fail("kexec_file_load");
	switch (fork()) {
	case -1:
		return fail("fork");
	case 0:
		sleep(1);
		reboot(LINUX_REBOOT_CMD_KEXEC);
		return fail("reboot");
	}
	return 0;
}
