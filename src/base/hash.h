/* hash.h: checksums and hashes. */
#ifndef TRIVET_BASE_HASH_H
#define TRIVET_BASE_HASH_H

#include "base/base.h"

/* CRC-32C (Castagnoli), as Kafka's record batches use it: crc32c(0, data, len), chainable. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* SipHash-1-3: whoever does not know the key cannot find inputs that meet more often than chance has it, as far as is known
 * after years in the tables of several languages' libraries. Safe against chosen keys once hash_seed() was called. */
uint64_t hash_bytes(const void *data, size_t len);
/* Sets the process's hash key. Call once, before any table exists. */
void hash_seed(const uint8_t seed[16]);
/* A keyed hash so wide that two keys which meet in it need not be thought of, whoever chose them, while `key` is secret:
 * for tables that do not keep their keys. */
void hash_128(const uint8_t key[16], const void *data, size_t len, uint64_t ret_hash[2]);
/* murmur2 as Kafka's default partitioner computes it (seed 0x9747b28c). */
uint32_t murmur2(const void *data, size_t len);

#endif
