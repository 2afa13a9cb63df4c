/* bitmap.h: what BITFIELD shares with the commands of single bits. Bit 0 is the highest of byte 0. */
#ifndef TRIVET_REDIS_CMD_BITMAP_H
#define TRIVET_REDIS_CMD_BITMAP_H

#include "redis/exec/key.h"

/* A bit offset within proto-max-bulk-len; `width` > 0 allows "#n", the n-th field of that width. */
bool bitmap__arg_offset(redis_call_t *call, int i, unsigned width, uint64_t *ret_offset) MUST_CHECK;
/* The string at argv[1], made raw and long enough for the bit, to be written to; NULL after replying an error.
 * `ret_grown`: the key is new or longer than it was. */
uint8_t *bitmap__open(redis_call_t *call, uint64_t bit, size_t *ret_len, bool *ret_grown);

#endif
