/* crc64.c: eight bytes a step, by eight tables. tables[k][b] is what byte b does to the checksum when k bytes follow it. */
#include "base/crc64.h"

#include <pthread.h>

#define POLYNOMIAL_REFLECTED 0x95ac9329ac4bc9b5u

static uint64_t tables[8][256];

static uint64_t of_byte(uint8_t byte)
{
    uint64_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (POLYNOMIAL_REFLECTED & (0 - (crc & 1)));
    return crc;
}

static void fill_tables(void)
{
    for (int b = 0; b < 256; b++) tables[0][b] = of_byte((uint8_t)b);
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++) {
            uint64_t before = tables[k - 1][b];
            tables[k][b] = tables[0][before & 0xff] ^ (before >> 8);
        }
}

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_tables);
    const uint8_t *p = data;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word = crc ^ load_le64(p);
        crc = 0;
        for (int k = 0; k < 8; k++) crc ^= tables[7 - k][(word >> (8 * k)) & 0xff];
    }
    for (; len; p++, len--) crc = tables[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
    return crc;
}
