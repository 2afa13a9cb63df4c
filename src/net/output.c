/* output.c: what a connection still has to send: a chain of chunks, filled at its end by replies and emptied at its front
 * by the stream. Invariant: `bytes` is the sum of what the chunks hold unsent. */
#include "net/net_internal.h"

#define IOV_COUNT_MAX      64
#define SENDFILE_BYTES_MAX MIB(1)

/* What ten thousand connections are told at once takes a small chunk each, when more are lent than the cache would take back. */
static size_t cap_for(const net_chunk_cache_t *cache, size_t room, bool first)
{
    if (room == 0) return 0;
    if (first && room <= NET_CHUNK_SMALL_BYTES && cache->lent >= NET_CHUNKS_CACHED_MAX) return NET_CHUNK_SMALL_BYTES;
    return MAX(room, (size_t)NET_CHUNK_BYTES);
}

static net_chunk_t *chunk_new(net_chunk_cache_t *cache, size_t room, bool first)
{
    net_chunk_t *chunk = cache->first;
    if (room && room <= NET_CHUNK_BYTES && chunk) {
        cache->first = chunk->next;
        cache->count--;
    } else {
        size_t cap = cap_for(cache, room, first);
        chunk = mem_alloc(sizeof(*chunk) + cap);
        chunk->cap = cap;
    }
    size_t cap = chunk->cap;
    if (cap == NET_CHUNK_BYTES) cache->lent++;
    *chunk = (net_chunk_t){.cap = cap};
    return chunk;
}

static void keep(net_chunk_cache_t *cache, net_chunk_t *chunk)
{
    chunk->next = cache->first;
    cache->first = chunk;
    cache->count++;
}

void net__chunk_free(net_chunk_cache_t *cache, net_chunk_t *chunk)
{
    if (cache->keeps_all) {
        keep(cache, chunk);
        return;
    }
    if (chunk->release) chunk->release(chunk->release_user);
    if (chunk->cap == NET_CHUNK_BYTES && cache->lent > 0) cache->lent--;
    if (chunk->cap == NET_CHUNK_BYTES && cache->count < NET_CHUNKS_CACHED_MAX)
        keep(cache, chunk);
    else
        mem_free(chunk);
}

static net_chunk_t *append_chunk(net_output_t *out, net_chunk_t *chunk)
{
    if (out->last)
        out->last->next = chunk;
    else
        out->first = chunk;
    out->last = chunk;
    return chunk;
}

uint8_t *net__output_reserve(net_output_t *out, net_chunk_cache_t *cache, size_t n)
{
    net_chunk_t *chunk = out->last;
    if (UNLIKELY(!chunk || chunk->cap - chunk->len < n || chunk->cap == 0)) {
        chunk = append_chunk(out, chunk_new(cache, MAX(n, (size_t)1), !chunk));
    }
    return chunk->data + chunk->len;
}

void net__output_add_file(net_output_t *out, net_chunk_cache_t *cache, io_file_t *file, uint64_t offset, size_t n,
                          void (*release)(void *user), void *user)
{
    net_chunk_t *chunk = append_chunk(out, chunk_new(cache, 0, false));
    chunk->file = file;
    chunk->file_offset = offset;
    chunk->len = n;
    chunk->release = release;
    chunk->release_user = user;
    out->bytes += n;
    out->file_bytes += n;
}

void net__output_take(net_output_t *out, net_output_t *from)
{
    if (from->first) {
        if (out->last)
            out->last->next = from->first;
        else
            out->first = from->first;
        out->last = from->last;
    }
    out->bytes += from->bytes;
    out->file_bytes += from->file_bytes;
    *from = (net_output_t){0};
}

static void drop_first(net_output_t *out, net_chunk_cache_t *cache)
{
    net_chunk_t *chunk = out->first;
    out->first = chunk->next;
    if (!out->first) out->last = NULL;
    net__chunk_free(cache, chunk);
}

static void consume(net_output_t *out, net_chunk_cache_t *cache, size_t n)
{
    out->bytes -= n;
    while (out->first) {
        net_chunk_t *chunk = out->first;
        size_t left = chunk->len - chunk->at;
        if (chunk->file) out->file_bytes -= MIN(n, left);
        if (n < left) {
            chunk->at += n;
            return;
        }
        n -= left;
        drop_first(out, cache);
        if (n == 0) return;
    }
    ASSERT(n == 0);
}

/* Whether the bytes of `next` have room in `last`, both of them in their chunks. */
static bool fits(const net_chunk_t *last, const net_chunk_t *next)
{
    return last && next && last->cap && next->cap && last->cap - last->len >= next->len;
}

void net__output_join(net_output_t *out, net_chunk_cache_t *cache, net_output_t *from)
{
    while (fits(out->last, from->first)) {
        net_chunk_t *last = out->last, *next = from->first;
        ASSERT(next->at == 0);
        memcpy(last->data + last->len, next->data, next->len);
        last->len += next->len;
        out->bytes += next->len;
        from->bytes -= next->len;
        drop_first(from, cache);
    }
    net__output_take(out, from);
}

static ssize_t send_memory(net_output_t *out, io_stream_t *stream)
{
    struct iovec iov[IOV_COUNT_MAX];
    int count = 0;
    for (net_chunk_t *c = out->first; c && !c->file && count < IOV_COUNT_MAX; c = c->next) {
        if (c->len > c->at) iov[count++] = (struct iovec){c->data + c->at, c->len - c->at};
    }
    return count ? io_stream_writev(stream, iov, count) : 0;
}

static ssize_t send_file(net_chunk_t *chunk, io_stream_t *stream)
{
    size_t n = MIN(chunk->len - chunk->at, SENDFILE_BYTES_MAX);
    ssize_t sent = io_stream_sendfile(stream, chunk->file, chunk->file_offset + chunk->at, n);
    return sent == 0 ? ERR_CORRUPT : sent; /* the file ends before what was promised to the peer */
}

int net__output_send(net_output_t *out, net_chunk_cache_t *cache, io_stream_t *stream, uint64_t *sent_bytes)
{
    for (size_t bytes = 0; out->bytes;) {
        if (bytes >= NET_SEND_BYTES_MAX) return ERR_AGAIN;
        while (out->first->at == out->first->len) drop_first(out, cache);
        ssize_t n = out->first->file ? send_file(out->first, stream) : send_memory(out, stream);
        if (n < 0) return (int)n;
        *sent_bytes += (uint64_t)n;
        bytes += (size_t)n;
        consume(out, cache, (size_t)n);
    }
    while (out->first) drop_first(out, cache);
    return 0;
}

/* A piece of what comes next; of a file it is read: what is sealed has to pass through the process. */
static ssize_t seal_some(const net_chunk_t *chunk, net_tls_t tls, size_t bytes_max)
{
    size_t n = MIN(chunk->len - chunk->at, bytes_max);
    const uint8_t *data = chunk->data + chunk->at;
    if (chunk->file) {
        uint8_t *memory = tls_workspace_file(tls.workspace);
        ssize_t got = io_file_read(chunk->file, chunk->file_offset + chunk->at, memory, n);
        if (got <= 0) return got ? got : ERR_CORRUPT;
        n = (size_t)got;
        data = memory;
    }
    int err = tls_engine_seal(tls.engine, tls.workspace, data, n);
    return err ? err : (ssize_t)n;
}

/* As much as is sealed before it is written. */
static int seal_batch(net_output_t *out, net_chunk_cache_t *cache, net_tls_t tls)
{
    for (size_t left = TLS_SEAL_BYTES_MAX; left && out->bytes;) {
        while (out->first->at == out->first->len) drop_first(out, cache);
        ssize_t n = seal_some(out->first, tls, left);
        if (n < 0) return (int)n;
        consume(out, cache, (size_t)n);
        left -= (size_t)n;
    }
    return 0;
}

int net__output_send_tls(net_output_t *out, net_chunk_cache_t *cache, net_tls_t tls, io_stream_t *stream,
                         uint64_t *sent_bytes)
{
    for (uint64_t before = *sent_bytes;;) {
        int err = tls_engine_flush(tls.engine, tls.workspace, stream, sent_bytes);
        if (err) return err;
        if (!out->bytes) break;
        if (tls_engine_state(tls.engine) != TLS_OPEN) return 0;
        if (*sent_bytes - before >= NET_SEND_BYTES_MAX) return ERR_AGAIN;
        err = seal_batch(out, cache, tls);
        if (err) return err;
    }
    while (out->first) drop_first(out, cache);
    return 0;
}

void net__output_clear(net_output_t *out, net_chunk_cache_t *cache)
{
    while (out->first) drop_first(out, cache);
    out->bytes = out->file_bytes = 0;
}

void net__chunk_cache_free(net_chunk_cache_t *cache)
{
    while (cache->first) {
        net_chunk_t *next = cache->first->next;
        mem_free(cache->first);
        cache->first = next;
    }
    cache->count = 0;
}
