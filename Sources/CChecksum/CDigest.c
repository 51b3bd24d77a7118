// SPDX-License-Identifier: GPL-2.0
// What fio stores as digests. OpenSSL's functions for one algorithm each do without looking the
// algorithm up for every block; that they are deprecated in favour of those that do is known.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <xxhash.h>

#include <string.h>

#include "CChecksum.h"

void iopmem_md5(const void *data, size_t n, void *digest)
{
	MD5_CTX state;

	MD5_Init(&state);
	MD5_Update(&state, data, n);
	MD5_Final(digest, &state);
}

void iopmem_sha1_fio(const void *data, size_t n, void *digest)
{
	unsigned char bytes[SHA_DIGEST_LENGTH];
	unsigned char *to = digest;
	SHA_CTX state;

	SHA1_Init(&state);
	SHA1_Update(&state, data, n);
	SHA1_Final(bytes, &state);
	for (int i = 0; i < SHA_DIGEST_LENGTH; i++)
		to[i] = bytes[i ^ 3];
}

// The last block of a message: what of it does not fill a block, the bit that ends it, and room for
// its length. Returns whether those need a block before that, which `before` then is.
static bool pad(const unsigned char *data, size_t n, size_t size, size_t room,
		unsigned char *before, unsigned char *last)
{
	size_t tail = n % size;
	bool two = tail + 1 + room > size;
	unsigned char *first = two ? before : last;

	memset(before, 0, size);
	memset(last, 0, size);
	memcpy(first, data + n - tail, tail);
	first[tail] = 0x80;
	return two;
}

void iopmem_sha256_fio(const void *data, size_t n, void *digest)
{
	unsigned char before[SHA256_CBLOCK], last[SHA256_CBLOCK];
	uint64_t bits = (uint64_t)n << 3;
	unsigned char *to = digest;
	SHA256_CTX state;

	SHA256_Init(&state);
	SHA256_Update(&state, data, n - n % SHA256_CBLOCK);
	if (pad(data, n, SHA256_CBLOCK, sizeof(bits), before, last))
		SHA256_Transform(&state, before);
	memcpy(last + SHA256_CBLOCK - sizeof(bits), &bits, sizeof(bits));
	SHA256_Transform(&state, last);
	memcpy(to, last, SHA256_CBLOCK);
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)state.h[i];
}

void iopmem_sha512_fio(const void *data, size_t n, void *digest)
{
	unsigned char before[SHA512_CBLOCK], last[SHA512_CBLOCK];
	uint64_t bits = __builtin_bswap64((uint64_t)n << 3);
	unsigned char *to = digest;

	pad(data, n, SHA512_CBLOCK, 16, before, last);
	memcpy(last + SHA512_CBLOCK - sizeof(bits), &bits, sizeof(bits));
	SHA512(data, n, to);
	memcpy(to + SHA512_DIGEST_LENGTH, last + SHA512_DIGEST_LENGTH,
	       SHA512_CBLOCK - SHA512_DIGEST_LENGTH);
}

void iopmem_sha512_unfinished_fio(const void *data, size_t n, void *digest)
{
	const unsigned char *from = data;
	unsigned char *to = digest;
	size_t tail = n % SHA512_CBLOCK;

	if (n < SHA512_CBLOCK) {
		memset(to, 0, SHA512_CBLOCK);
		memcpy(to, from, n);
		return;
	}
	memcpy(to, from, SHA512_CBLOCK);
	memcpy(to, from + n - tail, tail);
}

uint32_t iopmem_xxhash_fio(const void *data, size_t n)
{
	return XXH32(data, n, 1);
}
