/* crc64.h: CRC-64 with Jones' polynomial (0xad93d23594c935a9, reflected, from 0), as RDB files and DUMP payloads end. */
#ifndef TRIVET_BASE_CRC64_H
#define TRIVET_BASE_CRC64_H

#include "base/base.h"

/* Chainable: begin with 0. */
uint64_t crc64(uint64_t crc, const void *data, size_t len);

#endif
