// SPDX-License-Identifier: GPL-2.0
#include "CChecksum.h"

// table[k][b]: what byte b contributes when k more bytes follow it, so that
// eight bytes can be folded in at once.
static uint32_t table[8][256];
static bool hardware;

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
#if defined(__x86_64__)
	__builtin_cpu_init();
	hardware = __builtin_cpu_supports("sse4.2");
#endif
}

bool iopmem_crc32c_has_hardware(void)
{
	return hardware;
}

uint32_t iopmem_crc32c_portable(uint32_t state, const void *data, size_t n)
{
	const unsigned char *p = data;

	for (; n >= 8; n -= 8, p += 8) {
		uint32_t low = state ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 |
					(uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		state = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^
			table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^
			table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	for (; n; n--, p++)
		state = (state >> 8) ^ table[0][(state ^ *p) & 0xff];
	return state;
}
