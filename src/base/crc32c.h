/* crc32c.h: the ways in which CRC-32C is computed, each by name, so that a test can hold them against each other. Whoever needs a
 * checksum calls crc32c (hash.h), which takes the first one that this machine has. */
#ifndef TRIVET_BASE_CRC32C_H
#define TRIVET_BASE_CRC32C_H

#include "base/base.h"

typedef struct crc32c_way {
    const char *name;
    bool (*usable)(void);
    /* Without the inversion before and after. */
    uint32_t (*run)(uint32_t crc, const uint8_t *p, size_t len);
} crc32c_way_t;

/* The fastest first; the last one is usable everywhere. */
extern const crc32c_way_t crc32c_ways[];
extern const size_t crc32c_ways_count;

#endif
