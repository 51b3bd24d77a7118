// SPDX-License-Identifier: GPL-2.0
// Checksums that a processor computes faster than Swift can say them.
#ifndef CCHECKSUM_H
#define CCHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// CRC-32C as a state: polynomial 0x1EDC6F41 reflected (0x82F63B78), without an
/// initial or final inversion, so that calls can be chained. fio's value is the
/// state after the data when it began as 0xffffffff.
uint32_t iopmem_crc32c_portable(uint32_t state, const void *data, size_t n);

/// Whether this processor has the CRC32 instruction (SSE4.2).
bool iopmem_crc32c_has_hardware(void);

/// The faster of the two on this machine, as was measured when the program began.
uint32_t iopmem_crc32c(uint32_t state, const void *data, size_t n);

/// fio's crc32 (crc/crc32.c): polynomial 0x04C11DB7, the highest bit first, from 0, not inverted.
uint32_t iopmem_crc32_fio(const void *data, size_t n);

/// fio's crc64 (crc/crc64.c): polynomial 0x95AC9329AC4BC9B5 as a reflected one, from 0, not inverted.
uint64_t iopmem_crc64_fio(const void *data, size_t n);

/// RFC 1321, 16 bytes.
void iopmem_md5(const void *data, size_t n, void *digest);

/// SHA-1 as fio stores it (crc/sha1.c): five words of 32 bits, little endian where the standard has
/// big endian. 20 bytes.
void iopmem_sha1_fio(const void *data, size_t n, void *digest);

/// What fio calls sha256 (crc/sha256.c), 64 bytes: SHA-256's compression over a message whose length
/// stands at its end in little endian; of each of the eight words of the state the lowest byte, and
/// then the rest of the last block, padding and length included.
void iopmem_sha256_fio(const void *data, size_t n, void *digest);

/// SHA-512 as fio stores it from 3.39 on (crc/sha512.c), 128 bytes: 64 of the digest, and then the
/// second half of the last block, padding and length included.
void iopmem_sha512_fio(const void *data, size_t n, void *digest);

/// What fio before 3.39 stores in its place, since it never finished the computation: 128 bytes of
/// the data themselves, the first ones, under those behind the last whole 128.
void iopmem_sha512_unfinished_fio(const void *data, size_t n, void *digest);

/// XXH32 with fio's seed, 1 (verify.c, fill_xxhash()).
uint32_t iopmem_xxhash_fio(const void *data, size_t n);

#endif
