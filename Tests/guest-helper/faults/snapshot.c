// SPDX-License-Identifier: GPL-2.0
// What there is of iopmem in the system, as text that can be compared.
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"

static char state[SNAPSHOT_SIZE];

static void note(char **end, const char *text)
{
	size_t room = state + sizeof(state) - *end;

	*end += snprintf(*end, room, "%s\n", text);
	if (*end >= state + sizeof(state))
		die("there is too much to remember");
}

int is_ours(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "iopmem", 6) || !strncmp(entry->d_name, "iopdax", 6);
}

static void note_folder(char **end, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_ours, alphasort);

	note(end, path);
	for (int i = 0; i < n; i++) {
		note(end, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static void note_attribute(char **end, const char *name)
{
	char path[128], line[512];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/iopmem/%s/%s", region_name, name);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(line, sizeof(line), file))
		note(end, line);
	fclose(file);
}

// Names and claims: of regions, namespaces, disks, nodes, memory; who drives the
// function.
void snapshot(char *copy)
{
	char *end = state, line[512], link[512];
	FILE *iomem = fopen("/proc/iomem", "re");
	ssize_t n;

	note_folder(&end, "/sys/class/iopmem");
	note_folder(&end, "/sys/block");
	note_folder(&end, "/sys/class/bdi");
	note_folder(&end, "/sys/bus/dax/devices");
	note_folder(&end, "/dev");
	while (iomem && fgets(line, sizeof(line), iomem))
		if (strstr(line, "iopmem"))
			note(&end, line);
	if (iomem)
		fclose(iomem);
	snprintf(line, sizeof(line), "/sys/bus/pci/devices/%s/driver", faults_bdf);
	n = readlink(line, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	note(&end, link);
	note_attribute(&end, "available_size");
	note_attribute(&end, "lent");
	strcpy(copy, state);
}
