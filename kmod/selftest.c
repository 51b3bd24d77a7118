// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the driver by itself, in builds with IOPMEM_DEBUG=1. They run when the
 * module is loaded, and a wrong result is the reason that it cannot be.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "iopmem.h"

#define CANARY	0x5a

/* What is around a range must stay as it is. */
#define MARGIN	16

struct buffers {
	u8 *ram;
	u8 *bar;
	size_t size;
	bool stream;
};

static int wrong(const char *what, size_t offset, size_t n, size_t at)
{
	pr_err(IOPMEM_DRIVER_NAME ": selftest: %s of %zu bytes at %zu: byte %zu\n", what, n,
	       offset, at);
	return -EINVAL;
}

/* Bytes that differ from their neighbours and from those 256 bytes further. */
static u8 pattern(size_t i, int seed)
{
	return (i * 167 + (i >> 8) * 13 + seed) & 0xff;
}

static void fill(u8 *p, size_t n, int seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = pattern(i, seed);
}

/* @p has @n bytes as filled with @seed from @from on, and the canary around them. */
static int check(const char *what, const u8 *p, size_t offset, size_t n, size_t from, int seed)
{
	size_t i;

	for (i = 0; i < n; i++) {
		u8 wanted = seed < 0 ? 0 : pattern(from + i, seed);

		if (p[offset + i] != wanted)
			return wrong(what, offset, n, i);
	}
	for (i = 0; i < MARGIN; i++) {
		if (p[offset + n + i] != CANARY)
			return wrong(what, offset, n, n + i);
		if (offset >= MARGIN && p[offset - MARGIN + i] != CANARY)
			return wrong(what, offset, n, i - MARGIN);
	}
	return 0;
}

/* Reads take any place and length: RAM at @to, BAR at @from. */
static int try_read(struct buffers *b, size_t to, size_t from, size_t n)
{
	memset(b->ram, CANARY, to + n + MARGIN);
	if (iopmem_copy_from(b->ram + to, b->bar + from, n, b->stream))
		return wrong("the status of a read", from, n, 0);
	return check("a read", b->ram, to, n, from, 7);
}

static int test_reads(struct buffers *b)
{
	static const size_t long_ones[] = { 512, 4096, 4096 + 8, 3 * 4096 + 61 };
	size_t from, to, n, i;
	int error = 0;

	fill(b->bar, b->size, 7);
	for (from = MARGIN; !error && from < MARGIN + 17; from++)
		for (n = 0; !error && n < 200; n++)
			error = try_read(b, MARGIN + (n + from) % 8, from, n);
	for (i = 0; !error && i < ARRAY_SIZE(long_ones); i++)
		for (from = 0; !error && from < 64; from += 8)
			for (to = MARGIN; !error && to < MARGIN + 3; to++)
				error = try_read(b, to, from, long_ones[i]);
	return error;
}

/* Writes take multiples of 8. */
static int test_writes(struct buffers *b)
{
	size_t to, n;
	int error = 0;

	fill(b->ram, b->size, 3);
	for (to = MARGIN; !error && to < MARGIN + 64; to += 8)
		for (n = 0; !error && n <= 2 * 4096; n += n < 256 ? 8 : 504) {
			memset(b->bar, CANARY, to + n + MARGIN);
			iopmem_copy_to(b->bar + to, b->ram, n);
			error = check("a write", b->bar, to, n, 0, 3);
			if (error)
				break;
			iopmem_zero(b->bar + to, n);
			error = check("zeroing", b->bar, to, n, 0, -1);
		}
	return error;
}

/*
 * A load that faults is an error and no oops, whichever load it is: the page
 * behind a vmalloc area is never mapped.
 */
static int test_faults(struct buffers *b)
{
	size_t back, n;
	u64 word;

	if (iopmem_load(&word, (u64 *)(b->bar + b->size)) != -EIO ||
	    iopmem_load_anew(&word, (u64 *)(b->bar + b->size)) != -EIO)
		return wrong("the status of a faulting load", b->size, sizeof(word), 0);
	for (back = 0; back <= 160; back += 8)
		for (n = back + 8; n < back + 4096; n += n < back + 160 ? 8 : 1000)
			if (iopmem_copy_from(b->ram, b->bar + b->size - back, n, b->stream) !=
			    -EIO)
				return wrong("the status of a faulting read", b->size - back, n, 0);
	/* The registers that loads went through are free again. */
	return try_read(b, MARGIN, 0, 4096);
}

/* Both ways to load a word bring the word. */
static int test_loads(struct buffers *b)
{
	const u64 *bar = (const u64 *)b->bar;
	u64 one, other;
	size_t i;

	fill(b->bar, b->size, 7);
	for (i = 0; i < 32; i++)
		if (iopmem_load(&one, bar + i) || iopmem_load_anew(&other, bar + i) ||
		    one != bar[i] || other != bar[i])
			return wrong("a load", i * sizeof(u64), sizeof(u64), 0);
	return 0;
}

/* What tells a device from none. */
static int test_answers(void)
{
	static const struct {
		u64 one, other;
		bool answer;
	} words[] = {
		{ 1, 2, true }, { ~1ULL, 1, true }, { 0, 0, false }, { ~0ULL, ~0ULL, false },
		{ 0, ~0ULL, false }, { 5, 5, false }, { 5, 0, false }, { 5, ~0ULL, false },
		{ 0, 5, false }, { ~0ULL, 5, false },
	};
	static const struct {
		u16 command;
		bool decodes;
	} commands[] = {
		{ 0xffff, false }, { 0, false }, { PCI_COMMAND_MASTER, false },
		{ PCI_COMMAND_MEMORY, true }, { 0xffff & ~PCI_COMMAND_IO, true },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (iopmem_is_answer(words[i].one, words[i].other) != words[i].answer)
			return wrong("whether words are an answer", i, sizeof(u64), 0);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (iopmem_decodes(commands[i].command) != commands[i].decodes)
			return wrong("what a command register says", i, sizeof(u16), 0);
	return 0;
}

/**
 * iopmem_selftest - try what can be tried without a device
 *
 * Return: 0; -EINVAL something is wrong, and the log says what.
 */
int iopmem_selftest(void)
{
	struct buffers b = { .size = 4 * PAGE_SIZE };
	int error = -ENOMEM, turn;

	b.ram = vmalloc(b.size);
	b.bar = vmalloc(b.size);
	if (b.ram && b.bar)
		error = test_answers() ?: test_loads(&b) ?: test_writes(&b);
	for (turn = 0; !error && turn < 2; turn++) {
		b.stream = turn;
		error = test_reads(&b);
		if (!error)
			error = test_faults(&b);
	}
	vfree(b.bar);
	vfree(b.ram);
	if (!error)
		pr_info(IOPMEM_DRIVER_NAME ": selftest passed\n");
	return error;
}
