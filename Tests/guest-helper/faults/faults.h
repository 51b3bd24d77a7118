/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of "iopmem-guest faults" share; faults.c says what they are for. */
#ifndef FAULTS_H
#define FAULTS_H

#include <dirent.h>

#include "../../../kmod/include/uapi/linux/iopmem.h"

/* One whose allocations fail, one after the other. */
struct call {
	const char *name;
	void (*prepare)(void);
	/* 0 or an errno. Says more about it in faults_reason. */
	int (*make)(void);
	/* Looks closer at what it returned. */
	void (*check)(int error);
	/* What remains is cleaned up after it succeeded, or failed. */
	void (*undo)(void);
	void (*cancel)(void);
};

/* Each ends with one that has no name. The function is bound, or is not, while they are made. */
extern const struct call namespace_calls[], lending_calls[], unbinding_calls[], binding_calls[];

extern const char *faults_bdf;
extern char faults_reason[IOPMEM_REASON_LEN];
extern void *faults_buffer;

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);

/* snapshot.c: names and claims, as text of at most so many bytes. */
#define SNAPSHOT_SIZE (1 << 16)
void snapshot(char *copy);
/* For scandir(3): begins with our name. */
int is_ours(const struct dirent *entry);

/* namespaces.c */
extern struct iopmem_namespace_create made;
int create(__u32 mode);
void surely_create(void);
void surely_destroy(void);
/* /dev/iopmem0n1 */
void made_path(char *path, size_t size);

/* binding.c */
extern int faults_region;
extern char region_path[], region_name[];
void find_driver(void);
void find_region(void);
void forget_region(void);
void surely_bind(void);
int unbind(void);
int open_path(const char *path);
void close_opened(void);

#endif
