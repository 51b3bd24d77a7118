/* SPDX-License-Identifier: GPL-2.0 */
/* What the processes of "iopmem-guest race" share; race.c says what they are for. */
#ifndef RACE_H
#define RACE_H

#include <linux/types.h>
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Who fails more often than this has a turn. */
#define UNLUCKY 3

/* The function that all is done to, and a drive that does DMA. */
extern const char *race_bdf, *race_drive;
extern volatile int *race_over;

/* Chance: a number below the limit; true once in so many times. */
__u64 race_chance(void);
__u64 below(__u64 limit);
int once_in(unsigned int n);

/* Others need a window, too: less than so many milliseconds, more in a slow machine. */
void breathe(unsigned int milliseconds);
void count(int worked);

/*
 * One of the names in a folder that begin like this, at random. with_n: regions have no "n"
 * after their number (0), namespaces have one (1); all that begin like this (-1).
 */
int pick(const char *folder, const char *prefix, int with_n, char *name, size_t size);
int write_text(const char *path, const char *text);
int read_uuid(const char *name, __u8 *uuid);

/* Touches some bytes of a mapping; 0 if it was taken away meanwhile. */
int touch(volatile char *memory, size_t length);

/*
 * Waits until all others have ended their step and closed their files; 0 if somebody else
 * has a turn, or the time is over.
 */
int take_turn(void);
void end_turn(void);

/* ioctls.c */
void open_nodes(void);
void close_nodes(void);
/* A region's node or the control node, open until close_nodes(); or -1. */
int some_node(void);
/* An ioctl with arguments that are sensible, or nearly; memory is some mapping or NULL. */
void call_node(int node, unsigned int nr, const void *memory);

/* Steps, one of which each process goes on with. */
void race_ioctls(void);
void race_node(void);
void race_binding(void);
void race_attributes(void);
void race_module(void);
void race_disk(void);
void race_mount(void);
void race_mapping(void);
void race_lend(void);

/* lend.c: what can be done with a dma-buf for a moment. */
void use_dmabuf(int dmabuf);

#endif
