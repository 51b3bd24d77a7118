// SPDX-License-Identifier: GPL-2.0
#include <string.h>
#include <time.h>

#include "CChecksum.h"

// table[k][b]: what byte b contributes when k more bytes follow it, so that
// eight bytes can be folded in at once.
static uint32_t table[8][256];
// Whether the processor has the instruction, and whether that is the faster way: emulators may
// compute it bit by bit (QEMU 7.2, helper_crc32()).
static bool hardware, hardware_wins;
// The same for fio's crc32, which shifts the other way, and for its crc64.
static uint32_t table32[8][256];
static uint64_t table64[8][256];

// Three streams of so many bytes each are computed side by side: the instruction takes three cycles,
// and one can start in each.
enum { LONG_STREAM = 1024, SHORT_STREAM = 128 };
// after[k][b]: what byte k of a state, being b, becomes when so many zeros follow it.
static uint32_t after_long[4][256], after_short[4][256];

#if defined(__x86_64__)
static uint32_t crc32c_hardware(uint32_t state, const unsigned char *p, size_t n);
#endif

static void prepare_fio(void)
{
	for (unsigned b = 0; b < 256; b++) {
		uint32_t state = (uint32_t)b << 24;
		uint64_t wide = b;

		for (int bit = 0; bit < 8; bit++) {
			state = (state << 1) ^ (state >> 31 ? 0x04c11db7u : 0);
			wide = (wide >> 1) ^ (wide & 1 ? 0x95ac9329ac4bc9b5u : 0);
		}
		table32[0][b] = state;
		table64[0][b] = wide;
	}
	for (int k = 1; k < 8; k++)
		for (unsigned b = 0; b < 256; b++) {
			uint32_t state = table32[k - 1][b];
			uint64_t wide = table64[k - 1][b];

			table32[k][b] = (state << 8) ^ table32[0][state >> 24];
			table64[k][b] = (wide >> 8) ^ table64[0][wide & 0xff];
		}
}

// Of the CRC of a message, what it is when zeros follow: linear in each bit, so a sum over its bytes.
static void prepare_streams(uint32_t after[4][256], size_t zeros)
{
	uint32_t power[32];

	for (int bit = 0; bit < 32; bit++) {
		uint32_t state = 1u << bit;

		for (size_t i = 0; i < zeros; i++)
			state = (state >> 8) ^ table[0][state & 0xff];
		power[bit] = state;
	}
	for (int k = 0; k < 4; k++)
		for (unsigned b = 0; b < 256; b++) {
			uint32_t sum = 0;

			for (int bit = 0; bit < 8; bit++)
				sum ^= b >> bit & 1 ? power[8 * k + bit] : 0;
			after[k][b] = sum;
		}
}

#if defined(__x86_64__)
static uint32_t portable(uint32_t state, const unsigned char *p, size_t n)
{
	return iopmem_crc32c_portable(state, p, n);
}

// Nanoseconds for a KiB, the least of a few tries.
static long time_of(uint32_t (*crc32c)(uint32_t, const unsigned char *, size_t))
{
	static unsigned char data[1024];
	static volatile uint32_t sink;
	long least = 0;

	for (int i = 0; i < 4; i++) {
		struct timespec start, end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		sink = crc32c(sink, data, sizeof(data));
		clock_gettime(CLOCK_MONOTONIC, &end);
		long time = (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec;

		least = i && least < time ? least : time;
	}
	return least;
}
#endif

__attribute__((constructor)) static void prepare(void)
{
	for (unsigned b = 0; b < 256; b++) {
		uint32_t state = b;

		for (int bit = 0; bit < 8; bit++)
			state = (state >> 1) ^ (state & 1 ? 0x82f63b78u : 0);
		table[0][b] = state;
	}
	for (int k = 1; k < 8; k++)
		for (unsigned b = 0; b < 256; b++)
			table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
	prepare_fio();
	prepare_streams(after_long, LONG_STREAM);
	prepare_streams(after_short, SHORT_STREAM);
#if defined(__x86_64__)
	__builtin_cpu_init();
	hardware = __builtin_cpu_supports("sse4.2");
	hardware_wins = hardware && time_of(crc32c_hardware) <= time_of(portable);
#endif
}

bool iopmem_crc32c_has_hardware(void)
{
	return hardware;
}

uint32_t iopmem_crc32c_portable(uint32_t state, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t word;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		word = __builtin_bswap64(word);
#endif
		word ^= state;
		state = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^
			table[5][word >> 16 & 0xff] ^ table[4][word >> 24 & 0xff] ^
			table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
			table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
	}
	for (; n; n--, p++)
		state = (state >> 8) ^ table[0][(state ^ *p) & 0xff];
	return state;
}

#if defined(__x86_64__)
static inline uint32_t skip(uint32_t after[4][256], uint32_t state)
{
	return after[0][state & 0xff] ^ after[1][state >> 8 & 0xff] ^
		after[2][state >> 16 & 0xff] ^ after[3][state >> 24];
}

static inline uint64_t word_at(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

__attribute__((target("sse4.2")))
static uint32_t crc32c_streams(uint32_t state, const unsigned char *p, size_t size,
			       uint32_t after[4][256])
{
	uint64_t first = state, second = 0, third = 0;

	for (size_t i = 0; i < size; i += 8) {
		first = __builtin_ia32_crc32di(first, word_at(p + i));
		second = __builtin_ia32_crc32di(second, word_at(p + size + i));
		third = __builtin_ia32_crc32di(third, word_at(p + 2 * size + i));
	}
	state = skip(after, (uint32_t)first) ^ (uint32_t)second;
	return skip(after, state) ^ (uint32_t)third;
}

__attribute__((target("sse4.2")))
static uint32_t crc32c_hardware(uint32_t state, const unsigned char *p, size_t n)
{
	for (; n >= 3 * LONG_STREAM; n -= 3 * LONG_STREAM, p += 3 * LONG_STREAM)
		state = crc32c_streams(state, p, LONG_STREAM, after_long);
	for (; n >= 3 * SHORT_STREAM; n -= 3 * SHORT_STREAM, p += 3 * SHORT_STREAM)
		state = crc32c_streams(state, p, SHORT_STREAM, after_short);
	uint64_t wide = state;

	for (; n >= 8; n -= 8, p += 8)
		wide = __builtin_ia32_crc32di(wide, word_at(p));
	state = (uint32_t)wide;
	for (; n; n--, p++)
		state = __builtin_ia32_crc32qi(state, *p);
	return state;
}
#endif

uint32_t iopmem_crc32c(uint32_t state, const void *data, size_t n)
{
#if defined(__x86_64__)
	if (hardware_wins)
		return crc32c_hardware(state, data, n);
#endif
	return iopmem_crc32c_portable(state, data, n);
}

uint32_t iopmem_crc32_fio(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint32_t state = 0;

	for (; n >= 8; n -= 8, p += 8) {
		uint32_t high = state ^ ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
					 (uint32_t)p[2] << 8 | (uint32_t)p[3]);

		state = table32[7][high >> 24] ^ table32[6][high >> 16 & 0xff] ^
			table32[5][high >> 8 & 0xff] ^ table32[4][high & 0xff] ^
			table32[3][p[4]] ^ table32[2][p[5]] ^ table32[1][p[6]] ^ table32[0][p[7]];
	}
	for (; n; n--, p++)
		state = (state << 8) ^ table32[0][(state >> 24) ^ *p];
	return state;
}

uint64_t iopmem_crc64_fio(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t state = 0, word;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, sizeof(word));
		word ^= state;
		state = table64[7][word & 0xff] ^ table64[6][word >> 8 & 0xff] ^
			table64[5][word >> 16 & 0xff] ^ table64[4][word >> 24 & 0xff] ^
			table64[3][word >> 32 & 0xff] ^ table64[2][word >> 40 & 0xff] ^
			table64[1][word >> 48 & 0xff] ^ table64[0][word >> 56];
	}
	for (; n; n--, p++)
		state = (state >> 8) ^ table64[0][(state ^ *p) & 0xff];
	return state;
}
