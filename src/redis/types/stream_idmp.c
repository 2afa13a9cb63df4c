/* stream_idmp.c: see stream_idmp.h. A message stands in its producer's map and list and in the list of all, each list the
 * oldest first: whoever comes takes away what is too old at the front of the one, or too many at the front of the other. */
#include "redis/types/stream_idmp.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#include <openssl/sha.h>

typedef struct producer {
    map_t seen; /* idempotent ID -> seen_t */
    list_t order;
    bytes_t name; /* its key in the map of producers is another copy */
} producer_t;

typedef struct seen {
    producer_t *producer;
    list_t order_node, all_node;
    stream_id_t id;
    int64_t at_ms;
    uint32_t iid_len;
    uint8_t iid[];
} seen_t;

struct stream_idmp {
    int64_t duration_s, maxsize;
    map_t producers;
    list_t all;
    uint64_t tracked, added, duplicates;
};

static stream_idmp_t *idmp_new(int64_t duration_s, int64_t maxsize)
{
    stream_idmp_t *m = mem_zalloc(sizeof(*m));
    m->duration_s = duration_s;
    m->maxsize = maxsize;
    list_init(&m->all);
    return m;
}

static stream_idmp_t *idmp_of(stream_t *s)
{
    if (!s->idmp) s->idmp = idmp_new(STREAM_IDMP_DURATION_S_DEFAULT, STREAM_IDMP_MAXSIZE_DEFAULT);
    return s->idmp;
}

static bytes_t iid_of(const seen_t *seen) { return bytes_of(seen->iid, seen->iid_len); }

static void forget(stream_idmp_t *m, seen_t *seen)
{
    producer_t *p = seen->producer;
    map_remove(&p->seen, iid_of(seen));
    list_remove(&seen->order_node);
    list_remove(&seen->all_node);
    mem_free(seen);
    m->tracked--;
    if (p->seen.count > 0) return;
    map_remove(&m->producers, p->name);
    map_deinit(&p->seen);
    mem_free((void *)p->name.ptr);
    mem_free(p);
}

static void forget_all(stream_idmp_t *m)
{
    while (!list_empty(&m->all)) forget(m, LIST_FIRST(&m->all, seen_t, all_node));
}

static void forget_old(stream_idmp_t *m, int64_t now_ms)
{
    seen_t *oldest;
    while ((oldest = LIST_FIRST(&m->all, seen_t, all_node)) && now_ms - oldest->at_ms >= m->duration_s * 1000)
        forget(m, oldest);
}

void stream_idmp_free(stream_idmp_t *m)
{
    if (!m) return;
    forget_all(m);
    map_deinit(&m->producers);
    mem_free(m);
}

void stream_idmp_configure(stream_t *s, int64_t duration_s, int64_t maxsize)
{
    stream_idmp_t *m = idmp_of(s);
    forget_all(m);
    if (duration_s) m->duration_s = duration_s;
    if (maxsize) m->maxsize = maxsize;
}

bool stream_idmp_find(stream_t *s, bytes_t producer, bytes_t iid, int64_t now_ms, bool count, stream_id_t *ret_id)
{
    if (!s->idmp) return false;
    forget_old(s->idmp, now_ms);
    const producer_t *p = map_get(&s->idmp->producers, producer);
    const seen_t *seen = p ? map_get(&p->seen, iid) : NULL;
    if (!seen) return false;
    *ret_id = seen->id;
    s->idmp->duplicates += count;
    return true;
}

static producer_t *producer_of(stream_idmp_t *m, bytes_t name)
{
    producer_t *p = map_get(&m->producers, name);
    if (p) return p;
    p = mem_zalloc(sizeof(*p));
    p->name = bytes_of(mem_strndup(name), name.len);
    list_init(&p->order);
    map_put(&m->producers, name, p);
    return p;
}

static void add(stream_idmp_t *m, bytes_t producer, bytes_t iid, stream_id_t id, int64_t at_ms)
{
    producer_t *p = producer_of(m, producer);
    seen_t *seen = mem_alloc(sizeof(*seen) + iid.len);
    *seen = (seen_t){.producer = p, .id = id, .at_ms = at_ms, .iid_len = (uint32_t)iid.len};
    if (iid.len) memcpy(seen->iid, iid.ptr, iid.len);
    list_push_back(&p->order, &seen->order_node);
    list_push_back(&m->all, &seen->all_node);
    map_put(&p->seen, iid, seen);
    m->tracked++;
    if (p->seen.count > (size_t)m->maxsize) forget(m, LIST_FIRST(&p->order, seen_t, order_node));
}

void stream_idmp_add(stream_t *s, bytes_t producer, bytes_t iid, stream_id_t id, int64_t now_ms)
{
    stream_idmp_t *m = idmp_of(s);
    forget_old(m, now_ms);
    add(m, producer, iid, id, now_ms);
    m->added++;
}

stream_idmp_t *stream_idmp_copy(const stream_idmp_t *from)
{
    if (!from) return NULL;
    stream_idmp_t *m = idmp_new(from->duration_s, from->maxsize);
    LIST_EACH((list_t *)&from->all, seen, seen_t, all_node) {
        add(m, seen->producer->name, iid_of(seen), seen->id, seen->at_ms);
    }
    m->added = from->added;
    m->duplicates = from->duplicates;
    return m;
}

/* The lengths go in too, so that what ends one text cannot begin the next. */
void stream_idmp_auto(const stream_fields_in_t *in, uint8_t ret_iid[STREAM_IDMP_AUTO_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    buf_t whole = BUF_INIT;
    for (size_t i = 0; i < in->count * 2; i++) {
        buf_be64(&whole, in->pairs[i].len);
        buf_append(&whole, in->pairs[i].ptr, in->pairs[i].len);
    }
    SHA256(whole.ptr, whole.len, digest);
    buf_deinit(&whole);
    memcpy(ret_iid, digest, STREAM_IDMP_AUTO_BYTES);
}

stream_idmp_info_t stream_idmp_info(const stream_t *s)
{
    const stream_idmp_t *m = s->idmp;
    return (stream_idmp_info_t){m->duration_s, m->maxsize, m->producers.count, m->tracked, m->added, m->duplicates};
}

size_t stream_idmp_memory(const stream_t *s)
{
    const stream_idmp_t *m = s->idmp;
    if (!m) return 0;
    size_t bytes = sizeof(*m) + m->producers.count * sizeof(producer_t);
    LIST_EACH((list_t *)&m->all, seen, seen_t, all_node) {
        bytes += sizeof(*seen) + sizeof(map_entry_t) + 2 * (size_t)seen->iid_len;
    }
    return bytes;
}

void stream_idmp_emit(const stream_t *s, bytes_t key, redis_emitter_t *out)
{
    const stream_idmp_t *m = s->idmp;
    if (!m) return;
    emit_command(out, 6);
    emit_str(out, "XCFGSET");
    emit_bytes(out, key);
    emit_str(out, "IDMP-DURATION");
    emit_i64(out, m->duration_s);
    emit_str(out, "IDMP-MAXSIZE");
    emit_i64(out, m->maxsize);
    LIST_EACH((list_t *)&m->all, seen, seen_t, all_node) {
        char id[STREAM_ID_CHARS_MAX];
        emit_command(out, 5);
        emit_str(out, "XIDMPRECORD");
        emit_bytes(out, key);
        emit_bytes(out, seen->producer->name);
        emit_bytes(out, iid_of(seen));
        emit_bytes(out, bytes_of(id, stream_id_format(id, seen->id)));
    }
}
