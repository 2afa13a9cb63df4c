/* net_internal.h: the connection as net.c (life, input) and output.c (what is still to be sent) share it. */
#ifndef TRIVET_NET_NET_INTERNAL_H
#define TRIVET_NET_NET_INTERNAL_H

#include "base/buf.h"
#include "net/net.h"

#define NET_CHUNK_BYTES KIB(16)
#define NET_CHUNKS_CACHED_MAX 64
#define NET_SCRATCH_BYTES KIB(256)
#define NET_LINGER_MS 1000

/* A piece of output: bytes inside the chunk, malloc'd bytes it owns, or a range of a file. */
typedef struct net_chunk {
    struct net_chunk *next;
    size_t at;  /* sent so far */
    size_t len; /* filled */
    size_t cap; /* room in data; 0 when the bytes are elsewhere */
    uint8_t *owned;
    io_file_t *file;
    uint64_t file_offset;
    void (*release)(void *user);
    void *release_user;
    uint8_t data[];
} net_chunk_t;

typedef struct net_output {
    net_chunk_t *first;
    net_chunk_t *last;
    size_t bytes; /* unsent */
} net_output_t;

/* Chunks of the usual size that wait for their next use. */
typedef struct net_chunk_cache {
    net_chunk_t *first;
    uint32_t count;
} net_chunk_cache_t;

uint8_t *net__output_reserve(net_output_t *out, net_chunk_cache_t *cache, size_t n);
void net__output_add_owned(net_output_t *out, net_chunk_cache_t *cache, void *data, size_t n);
void net__output_add_file(net_output_t *out, net_chunk_cache_t *cache, io_file_t *file, uint64_t offset, size_t n,
                          void (*release)(void *user), void *user);
/* Sends what the stream takes. 0 when all is out, ERR_AGAIN when the stream is full, another error when it is gone. */
int net__output_send(net_output_t *out, net_chunk_cache_t *cache, io_stream_t *stream, uint64_t *sent_bytes);
void net__output_clear(net_output_t *out, net_chunk_cache_t *cache);
void net__chunk_cache_free(net_chunk_cache_t *cache);

#endif
