// SPDX-License-Identifier: GPL-2.0
#ifndef CCHECKSUM_H
#define CCHECKSUM_H
#endif
