// SPDX-License-Identifier: GPL-2.0
// Checksums that a processor computes faster than Swift can say them.
#ifndef CCHECKSUM_H
#define CCHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/// CRC-32C as a state: polynomial 0x1EDC6F41 reflected (0x82F63B78), without an
/// initial or final inversion, so that calls can be chained. fio's value is the
/// state after the data when it began as 0xffffffff.
uint32_t iopmem_crc32c_portable(uint32_t state, const void *data, size_t n);

/// Whether this processor has the CRC32 instruction (SSE4.2).
bool iopmem_crc32c_has_hardware(void);

#if defined(__x86_64__)
/// The same with the CRC32 instruction; call it only where there is one.
///
/// The instruction takes three cycles and one can start in each, so three
/// independent streams would be faster; a single one already outruns any BAR.
__attribute__((target("sse4.2")))
static inline uint32_t iopmem_crc32c_hardware(uint32_t state, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t wide = state, word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	state = (uint32_t)wide;
	for (; n; n--, p++)
		state = __builtin_ia32_crc32qi(state, *p);
	return state;
}
#endif

/// The faster of the two that this machine can run.
static inline uint32_t iopmem_crc32c(uint32_t state, const void *data, size_t n)
{
#if defined(__x86_64__)
	if (iopmem_crc32c_has_hardware())
		return iopmem_crc32c_hardware(state, data, n);
#endif
	return iopmem_crc32c_portable(state, data, n);
}

#endif
