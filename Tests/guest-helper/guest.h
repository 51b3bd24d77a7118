/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of iopmem-guest share. */
#ifndef IOPMEM_GUEST_H
#define IOPMEM_GUEST_H

#include <sys/types.h>

/* Prints what failed and errno's text to stderr; returns 1, an exit status. */
int fail(const char *what);

/* A file or node, mapped for reading and writing; NULL after a message. */
char *map_shared(const char *path, size_t length, off_t offset);

/* Prints "ok WHAT", or "failed WHAT (errno ...)", which decides what the other one returns. */
void expect(int truth, const char *what);
int expectations_failed(void);

/* The signal that a store gets, or 0; after catch_faults(). */
void catch_faults(void);
int store(volatile char *at, char value);

/* Each returns an exit status and gets what follows its name. */
int sync_command(int argc, char **argv);
int records_command(int argc, char **argv);
int replay_command(int argc, char **argv);
int memory_command(int argc, char **argv);
int faults_command(int argc, char **argv);
int race_command(int argc, char **argv);
int clock_command(int argc, char **argv);
int touch_command(int argc, char **argv);
int churn_command(int argc, char **argv);
int devdax_command(int argc, char **argv);
int p2pmem_command(int argc, char **argv);
int camera_command(int argc, char **argv);
int tcp_command(int argc, char **argv);
int dmabuf_command(int argc, char **argv);
int importer_command(int argc, char **argv);
int path_command(int argc, char **argv);
int judge_command(int argc, char **argv);
int vfio_command(int argc, char **argv);
int kexec_command(int argc, char **argv);

#endif
