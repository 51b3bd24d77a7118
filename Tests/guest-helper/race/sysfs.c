// SPDX-License-Identifier: GPL-2.0
// What is done to a card by way of sysfs, and to the module.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "race.h"

static int write_device(const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", race_bdf, file);
	return write_text(path, text);
}

void race_binding(void)
{
	static const char driver[] = "/sys/bus/pci/drivers/iopmem";
	char path[160];

	breathe(300);
	snprintf(path, sizeof(path), "%s/%s", driver, race_bdf);
	if (access(path, F_OK) && !once_in(4)) {
		write_device("driver_override", "iopmem");
		count(write_text("/sys/bus/pci/drivers_probe", race_bdf));
		return;
	}
	switch (below(12)) {
	case 0:
		count(write_device("remove", "1"));
		breathe(100);
		write_text("/sys/bus/pci/rescan", "1");
		write_device("driver_override", "iopmem");
		break;
	case 1:
		write_text("/sys/bus/pci/drivers/iopmem/new_id", "1af4 1110");
		count(write_text("/sys/bus/pci/drivers/iopmem/remove_id", "1af4 1110"));
		break;
	case 2:
		count(write_device("driver_override", once_in(2) ? "\n" : "iopmem"));
		break;
	case 3:
	case 4:
	case 5:
		count(write_device("reset", "1"));
		break;
	case 6:
		write_text("/sys/bus/pci/rescan", "1");
		break;
	case 7:
	case 8:
		snprintf(path, sizeof(path), "%s/bind", driver);
		count(write_text(path, race_bdf));
		break;
	default:
		snprintf(path, sizeof(path), "%s/unbind", driver);
		count(write_text(path, race_bdf));
	}
}

static void read_folder(const char *folder)
{
	DIR *stream = opendir(folder);
	struct dirent *entry;
	char text[4096];

	if (!stream)
		return;
	while ((entry = readdir(stream))) {
		int file;

		if (entry->d_type != DT_REG)
			continue;
		file = openat(dirfd(stream), entry->d_name, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		count(read(file, text, sizeof(text)) >= 0);
		close(file);
	}
	closedir(stream);
}

void race_attributes(void)
{
	char name[64], path[160];

	if (pick("/sys/class/iopmem", "iopmem", -1, name, sizeof(name))) {
		snprintf(path, sizeof(path), "/sys/class/iopmem/%s", name);
		read_folder(path);
	}
	if (pick("/sys/block", "iopmem", -1, name, sizeof(name))) {
		snprintf(path, sizeof(path), "/sys/block/%s", name);
		read_folder(path);
		snprintf(path, sizeof(path), "/sys/block/%s/queue", name);
		read_folder(path);
	}
	breathe(500);
}

static int unload(void)
{
	return !syscall(SYS_delete_module, "iopmem", O_NONBLOCK);
}

void race_module(void)
{
	static unsigned int failures;
	int gone;

	breathe(1500);
	if (once_in(2)) {
		gone = unload();
		if (!gone && failures > UNLUCKY && take_turn()) {
			// udev looks into new disks.
			for (int tries = 0; !(gone = unload()) && tries < 100; tries++)
				usleep(100000);
			end_turn();
		}
		count(gone);
		failures = gone ? 0 : failures + 1;
	}
	if (access("/sys/module/iopmem", F_OK))
		count(!system("modprobe iopmem 2>/dev/null"));
}
