// SPDX-License-Identifier: GPL-2.0
// Where C puts the fields of the ABI's structs, for comparison with Swift.
#ifndef CLAYOUT_H
#define CLAYOUT_H

#include <stddef.h>

struct clayout_field {
	// "struct.field", or "struct" alone for the whole of it
	const char *name;
	size_t offset;
	size_t size;
};

// How many there are.
size_t clayout_count(void);
// The one at this index.
struct clayout_field clayout_field(size_t index);

#endif
