/* kafka.c: see kafka.h. Primitives first, then the two walks over a shape: decode and encode. Invariants:
 * nothing is read past `end`; nothing is allocated for a count that the remaining bytes could not hold;
 * recursion is as deep as the schema nests, never as the input says. */
#include "wire/kafka.h"

/* ---- primitives ---- */

static uint64_t read_uvarlong(kafka_reader_t *r, int bits)
{
    uint64_t v = 0;
    for (int shift = 0; shift < bits; shift += 7) {
        const uint8_t *p = kafka_read_raw(r, 1);
        if (!p) return 0;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (*p < 0x80) return v;
    }
    if (!r->err) r->err = ERR_INVALID;
    return 0;
}

uint32_t kafka_read_uvarint(kafka_reader_t *r)
{
    if (LIKELY(r->ptr < r->end && *r->ptr < 0x80 && !r->err)) return *r->ptr++;
    return (uint32_t)read_uvarlong(r, 35);
}

int32_t kafka_read_varint(kafka_reader_t *r)
{
    uint32_t v = kafka_read_uvarint(r);
    return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

int64_t kafka_read_varlong(kafka_reader_t *r)
{
    uint64_t v = read_uvarlong(r, 70);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* `len` is -1 for null. */
static bytes_t read_run(kafka_reader_t *r, int64_t len)
{
    if (len < 0) {
        if (len < -1 && !r->err) r->err = ERR_INVALID;
        return BYTES_NULL;
    }
    const uint8_t *p = kafka_read_raw(r, (size_t)len);
    return p ? bytes_of(p, (size_t)len) : BYTES_NULL;
}

bytes_t kafka_read_string(kafka_reader_t *r, bool compact)
{
    int64_t len = compact ? (int64_t)kafka_read_uvarint(r) - 1 : kafka_read_int16(r);
    if (len > INT16_MAX && !r->err) r->err = ERR_INVALID; /* what older versions cannot say, newer ones may not */
    return read_run(r, len);
}

bytes_t kafka_read_bytes(kafka_reader_t *r, bool compact)
{
    return read_run(r, compact ? (int64_t)kafka_read_uvarint(r) - 1 : kafka_read_int32(r));
}

int32_t kafka_read_count(kafka_reader_t *r, bool compact)
{
    int64_t count = compact ? (int64_t)kafka_read_uvarint(r) - 1 : kafka_read_int32(r);
    if (r->err) return 0;
    if (count < -1) r->err = ERR_INVALID;
    if (count > (int64_t)kafka_reader_left(r)) r->err = ERR_TRUNCATED;
    return r->err ? 0 : (int32_t)count;
}

void kafka_skip_tags(kafka_reader_t *r)
{
    uint32_t count = kafka_read_uvarint(r);
    for (uint32_t i = 0; i < count && !r->err; i++) {
        (void)kafka_read_uvarint(r);
        (void)kafka_read_raw(r, kafka_read_uvarint(r));
    }
}

static void write_uvarlong(buf_t *b, uint64_t v)
{
    uint8_t *p = buf_reserve(b, 10);
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    b->len += n;
}

void kafka_write_uvarint(kafka_writer_t *w, uint32_t v) { write_uvarlong(&w->buf, v); }

void kafka_write_varint(kafka_writer_t *w, int32_t v)
{
    write_uvarlong(&w->buf, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

void kafka_write_varlong(kafka_writer_t *w, int64_t v)
{
    write_uvarlong(&w->buf, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void kafka_write_string(kafka_writer_t *w, bytes_t v, bool compact, bool nullable)
{
    bool null = nullable && !v.ptr;
    v.len = MIN(v.len, (size_t)INT16_MAX); /* only messages of our own making can be longer */
    if (compact)
        kafka_write_uvarint(w, null ? 0 : (uint32_t)v.len + 1);
    else
        kafka_write_int16(w, null ? -1 : (int16_t)v.len);
    if (v.len) kafka_write_raw(w, v);
}

static void write_bytes_length(kafka_writer_t *w, size_t len, bool null, bool compact)
{
    ASSERT(len < INT32_MAX);
    if (compact)
        kafka_write_uvarint(w, null ? 0 : (uint32_t)len + 1);
    else
        kafka_write_int32(w, null ? -1 : (int32_t)len);
}

void kafka_write_bytes(kafka_writer_t *w, bytes_t v, bool compact, bool nullable)
{
    write_bytes_length(w, v.len, nullable && !v.ptr, compact);
    if (v.len) kafka_write_raw(w, v);
}

static void write_count(kafka_writer_t *w, int32_t count, bool compact)
{
    if (compact)
        kafka_write_uvarint(w, (uint32_t)(count + 1));
    else
        kafka_write_int32(w, count);
}

/* ---- the writer's splices ---- */

static void add_splice(kafka_writer_t *w, const kafka_records_t *records)
{
    if (w->splices_count == w->splices_cap) {
        w->splices_cap = w->splices_cap ? w->splices_cap * 2 : 4;
        w->splices = mem_realloc(w->splices, sizeof(*w->splices) * (size_t)w->splices_cap);
    }
    w->splices[w->splices_count++] = (kafka_splice_t){w->buf.len, *records};
    w->splices_bytes += records->file_bytes;
}

static void write_records(kafka_writer_t *w, const kafka_records_t *records, bool compact, bool nullable)
{
    bool null = nullable && !records->bytes.ptr && records->file_bytes == 0;
    ASSERT(records->bytes.len == 0 || records->file_bytes == 0);
    write_bytes_length(w, records->bytes.len + records->file_bytes, null, compact);
    if (records->bytes.len) kafka_write_raw(w, records->bytes);
    if (records->file_bytes)
        add_splice(w, records);
    else if (records->release)
        records->release(records->release_user);
}

void kafka_writer_clear(kafka_writer_t *w)
{
    for (int32_t i = 0; i < w->splices_count; i++) {
        kafka_records_t *records = &w->splices[i].records;
        if (records->release) records->release(records->release_user);
    }
    w->splices_count = 0;
    w->splices_bytes = 0;
    buf_clear(&w->buf);
}

void kafka_writer_deinit(kafka_writer_t *w)
{
    kafka_writer_clear(w);
    mem_free(w->splices);
    buf_deinit(&w->buf);
    *w = KAFKA_WRITER_INIT;
}

/* ---- defaults ---- */

static int32_t *count_of(const kafka_field_t *f, const void *message)
{
    return (int32_t *)((uint8_t *)message + f->offset + sizeof(void *));
}

static void init_field(const kafka_field_t *f, void *message)
{
    uint8_t *at = (uint8_t *)message + f->offset;
    if (f->flags & KAFKA_FIELD_ARRAY) {
        *count_of(f, message) = (int32_t)f->default_value;
        return;
    }
    switch ((kafka_type_t)f->type) {
    case KAFKA_TYPE_BOOL:
    case KAFKA_TYPE_INT8: *at = (uint8_t)f->default_value; break;
    case KAFKA_TYPE_INT16:
    case KAFKA_TYPE_UINT16: *(int16_t *)(void *)at = (int16_t)f->default_value; break;
    case KAFKA_TYPE_INT32: *(int32_t *)(void *)at = (int32_t)f->default_value; break;
    case KAFKA_TYPE_INT64: *(int64_t *)(void *)at = f->default_value; break;
    case KAFKA_TYPE_STRUCT:
        if (!(f->flags & KAFKA_FIELD_POINTER)) kafka_init(f->shape, at);
        break;
    case KAFKA_TYPE_UUID:
    case KAFKA_TYPE_STRING:
    case KAFKA_TYPE_BYTES:
    case KAFKA_TYPE_RECORDS: break;
    }
}

void kafka_init(const kafka_shape_t *shape, void *message)
{
    memset(message, 0, shape->bytes);
    if (shape->zero_default) return;
    for (int i = 0; i < shape->fields_count; i++) init_field(&shape->fields[i], message);
}

void *kafka_array_new(const kafka_shape_t *shape, arena_t *arena, int32_t count)
{
    ASSERT(count >= 0);
    uint8_t *items = arena_alloc(arena, (size_t)count * shape->bytes);
    for (int32_t i = 0; i < count; i++) kafka_init(shape, items + (size_t)i * shape->bytes);
    return items;
}

/* ---- decoding ---- */

typedef struct decoder {
    kafka_reader_t *r;
    arena_t *arena;
    int16_t version;
    bool flexible;
} decoder_t;

static const uint8_t scalar_bytes[] = {
    [KAFKA_TYPE_BOOL] = sizeof(bool),
    [KAFKA_TYPE_INT8] = 1,
    [KAFKA_TYPE_INT16] = 2,
    [KAFKA_TYPE_UINT16] = 2,
    [KAFKA_TYPE_INT32] = 4,
    [KAFKA_TYPE_INT64] = 8,
    [KAFKA_TYPE_UUID] = 16,
    [KAFKA_TYPE_STRING] = sizeof(bytes_t),
    [KAFKA_TYPE_BYTES] = sizeof(bytes_t),
    [KAFKA_TYPE_RECORDS] = sizeof(kafka_records_t),
};

static void decode_struct(decoder_t *d, const kafka_shape_t *shape, void *out);

static void fail(kafka_reader_t *r, int err)
{
    if (!r->err) r->err = err;
}

static void decode_scalar(decoder_t *d, kafka_type_t type, bool nullable, void *out)
{
    kafka_reader_t *r = d->r;
    bytes_t run = {0};
    switch (type) {
    case KAFKA_TYPE_BOOL: *(bool *)out = kafka_read_int8(r) != 0; return;
    case KAFKA_TYPE_INT8: *(int8_t *)out = kafka_read_int8(r); return;
    case KAFKA_TYPE_INT16:
    case KAFKA_TYPE_UINT16: *(int16_t *)out = kafka_read_int16(r); return;
    case KAFKA_TYPE_INT32: *(int32_t *)out = kafka_read_int32(r); return;
    case KAFKA_TYPE_INT64: *(int64_t *)out = kafka_read_int64(r); return;
    case KAFKA_TYPE_UUID: {
        const uint8_t *p = kafka_read_raw(r, 16);
        if (p) memcpy(out, p, 16);
        return;
    }
    case KAFKA_TYPE_STRING: run = kafka_read_string(r, d->flexible); break;
    case KAFKA_TYPE_BYTES: run = kafka_read_bytes(r, d->flexible); break;
    case KAFKA_TYPE_RECORDS: run = kafka_read_bytes(r, d->flexible); break;
    case KAFKA_TYPE_STRUCT: UNREACHABLE();
    }
    if (!run.ptr && !nullable) fail(r, ERR_INVALID);
    *(bytes_t *)out = run; /* records begin with their bytes */
}

static void decode_array(decoder_t *d, const kafka_field_t *f, bool nullable, void *message)
{
    int32_t count = kafka_read_count(d->r, d->flexible);
    if (count < 0 && !nullable) fail(d->r, ERR_INVALID);
    if (d->r->err) return;
    *count_of(f, message) = count;
    if (count <= 0) return;
    size_t step = f->shape ? f->shape->bytes : scalar_bytes[f->type];
    uint8_t *items = arena_try_alloc(d->arena, step * (size_t)count);
    if (!items) {
        fail(d->r, ERR_LIMIT);
        return;
    }
    *(void **)(void *)((uint8_t *)message + f->offset) = items;
    for (int32_t i = 0; i < count && !d->r->err; i++, items += step) {
        if (f->shape)
            decode_struct(d, f->shape, items);
        else
            decode_scalar(d, f->type, false, items);
    }
}

static void decode_pointer(decoder_t *d, const kafka_field_t *f, void **out)
{
    if (kafka_read_int8(d->r) < 0 || d->r->err) return; /* null */
    *out = arena_try_alloc(d->arena, f->shape->bytes);
    if (*out)
        decode_struct(d, f->shape, *out);
    else
        fail(d->r, ERR_LIMIT);
}

static void decode_field(decoder_t *d, const kafka_field_t *f, void *message)
{
    void *at = (uint8_t *)message + f->offset;
    bool nullable = d->version >= f->nullable_since;
    if (f->flags & KAFKA_FIELD_ARRAY)
        decode_array(d, f, nullable, message);
    else if (f->flags & KAFKA_FIELD_POINTER)
        decode_pointer(d, f, at);
    else if (f->type == KAFKA_TYPE_STRUCT)
        decode_struct(d, f->shape, at);
    else
        decode_scalar(d, f->type, nullable, at);
}

static bool in_version(const kafka_field_t *f, int16_t version) { return version >= f->since && version <= f->until; }

static const kafka_field_t *find_tag(const kafka_shape_t *shape, uint32_t tag, int16_t version)
{
    for (int i = shape->fields_count - 1; i >= 0 && shape->fields[i].tag >= 0; i--) {
        const kafka_field_t *f = &shape->fields[i];
        if ((uint32_t)f->tag == tag && in_version(f, version)) return f;
    }
    return NULL;
}

static void decode_tags(decoder_t *d, const kafka_shape_t *shape, void *message)
{
    uint32_t count = kafka_read_uvarint(d->r);
    for (uint32_t i = 0; i < count && !d->r->err; i++) {
        const kafka_field_t *f = find_tag(shape, kafka_read_uvarint(d->r), d->version);
        uint32_t size = kafka_read_uvarint(d->r);
        const uint8_t *start = d->r->ptr;
        if (!kafka_read_raw(d->r, size) || !f) continue;
        const uint8_t *end = d->r->end, *next = d->r->ptr;
        d->r->ptr = start;
        d->r->end = next; /* a field cannot read past its own size */
        decode_field(d, f, message);
        d->r->ptr = next;
        d->r->end = end;
    }
}

static void decode_struct(decoder_t *d, const kafka_shape_t *shape, void *out)
{
    kafka_init(shape, out);
    for (int i = 0; i < shape->fields_count; i++) {
        const kafka_field_t *f = &shape->fields[i];
        if (f->tag < 0 && in_version(f, d->version)) decode_field(d, f, out);
    }
    if (d->flexible) decode_tags(d, shape, out);
}

int kafka_decode(kafka_reader_t *r, const kafka_shape_t *shape, int16_t version, arena_t *arena, void *ret_message)
{
    decoder_t d = {r, arena, version, version >= shape->flexible_since};
    decode_struct(&d, shape, ret_message);
    return r->err;
}

/* ---- encoding ---- */

typedef struct encoder {
    kafka_writer_t *w;
    int16_t version;
    bool flexible;
} encoder_t;

static void encode_struct(encoder_t *e, const kafka_shape_t *shape, const void *message);

static void encode_scalar(encoder_t *e, kafka_type_t type, bool nullable, const void *at)
{
    kafka_writer_t *w = e->w;
    switch (type) {
    case KAFKA_TYPE_BOOL: kafka_write_int8(w, *(const bool *)at); break;
    case KAFKA_TYPE_INT8: kafka_write_int8(w, *(const int8_t *)at); break;
    case KAFKA_TYPE_INT16:
    case KAFKA_TYPE_UINT16: kafka_write_int16(w, *(const int16_t *)at); break;
    case KAFKA_TYPE_INT32: kafka_write_int32(w, *(const int32_t *)at); break;
    case KAFKA_TYPE_INT64: kafka_write_int64(w, *(const int64_t *)at); break;
    case KAFKA_TYPE_UUID: kafka_write_raw(w, bytes_of(at, 16)); break;
    case KAFKA_TYPE_STRING: kafka_write_string(w, *(const bytes_t *)at, e->flexible, nullable); break;
    case KAFKA_TYPE_BYTES: kafka_write_bytes(w, *(const bytes_t *)at, e->flexible, nullable); break;
    case KAFKA_TYPE_RECORDS: write_records(w, at, e->flexible, nullable); break;
    case KAFKA_TYPE_STRUCT: UNREACHABLE();
    }
}

static void encode_array(encoder_t *e, const kafka_field_t *f, bool nullable, const void *message)
{
    int32_t count = *count_of(f, message);
    if (count < 0 && !nullable) count = 0;
    write_count(e->w, count, e->flexible);
    const uint8_t *items = *(const void *const *)(const void *)((const uint8_t *)message + f->offset);
    size_t step = f->shape ? f->shape->bytes : scalar_bytes[f->type];
    for (int32_t i = 0; i < count; i++, items += step) {
        if (f->shape)
            encode_struct(e, f->shape, items);
        else
            encode_scalar(e, f->type, false, items);
    }
}

static void encode_field(encoder_t *e, const kafka_field_t *f, const void *message)
{
    const void *at = (const uint8_t *)message + f->offset;
    bool nullable = e->version >= f->nullable_since;
    if (f->flags & KAFKA_FIELD_ARRAY) {
        encode_array(e, f, nullable, message);
    } else if (f->flags & KAFKA_FIELD_POINTER) {
        const void *target = *(const void *const *)at;
        kafka_write_int8(e->w, target ? 1 : -1);
        if (target) encode_struct(e, f->shape, target);
    } else if (f->type == KAFKA_TYPE_STRUCT) {
        encode_struct(e, f->shape, at);
    } else {
        encode_scalar(e, f->type, nullable, at);
    }
}

static bool struct_is_default(const kafka_shape_t *shape, const void *message);

static bool field_is_default(const kafka_field_t *f, const void *message)
{
    const uint8_t *at = (const uint8_t *)message + f->offset;
    if (f->flags & KAFKA_FIELD_ARRAY) return *count_of(f, message) == f->default_value;
    if (f->flags & KAFKA_FIELD_POINTER) return *(const void *const *)(const void *)at == NULL;
    switch ((kafka_type_t)f->type) {
    case KAFKA_TYPE_BOOL: return *(const bool *)(const void *)at == (f->default_value != 0);
    case KAFKA_TYPE_INT8: return *(const int8_t *)at == f->default_value;
    case KAFKA_TYPE_INT16: return *(const int16_t *)(const void *)at == f->default_value;
    case KAFKA_TYPE_UINT16: return *(const uint16_t *)(const void *)at == f->default_value;
    case KAFKA_TYPE_INT32: return *(const int32_t *)(const void *)at == f->default_value;
    case KAFKA_TYPE_INT64: return *(const int64_t *)(const void *)at == f->default_value;
    case KAFKA_TYPE_UUID: return kafka_uuid_is_zero(*(const kafka_uuid_t *)(const void *)at);
    case KAFKA_TYPE_STRING:
    case KAFKA_TYPE_BYTES:
    case KAFKA_TYPE_RECORDS: {
        const bytes_t *run = (const void *)at; /* a nullable one's default is null, else it is empty */
        return f->nullable_since == KAFKA_VERSION_FOREVER ? run->len == 0 : run->ptr == NULL;
    }
    case KAFKA_TYPE_STRUCT: return struct_is_default(f->shape, at);
    }
    UNREACHABLE();
}

static bool struct_is_default(const kafka_shape_t *shape, const void *message)
{
    for (int i = 0; i < shape->fields_count; i++) {
        if (!field_is_default(&shape->fields[i], message)) return false;
    }
    return true;
}

/* The size stands in front of the value, as a varint: the value is written first and moved up by its size. */
static void encode_tagged(encoder_t *e, const kafka_field_t *f, const void *message)
{
    kafka_write_uvarint(e->w, (uint32_t)f->tag);
    buf_t *b = &e->w->buf;
    size_t at = b->len;
    int32_t splices = e->w->splices_count;
    encode_field(e, f, message);
    ASSERT(splices == e->w->splices_count);
    size_t size = b->len - at, width = kafka_uvarint_bytes((uint32_t)size);
    (void)buf_reserve(b, width);
    memmove(b->ptr + at + width, b->ptr + at, size);
    b->len = at;
    kafka_write_uvarint(e->w, (uint32_t)size);
    b->len += size;
}

/* `wanted` is the version's tagged fields that differ from their defaults. */
static void encode_tags(encoder_t *e, const kafka_shape_t *shape, const void *message)
{
    uint64_t wanted = 0;
    for (int i = shape->fields_count - 1; i >= 0 && shape->fields[i].tag >= 0; i--) {
        const kafka_field_t *f = &shape->fields[i];
        if (in_version(f, e->version) && !field_is_default(f, message)) wanted |= UINT64_C(1) << i;
    }
    kafka_write_uvarint(e->w, (uint32_t)__builtin_popcountll(wanted));
    for (; wanted; wanted &= wanted - 1) encode_tagged(e, &shape->fields[__builtin_ctzll(wanted)], message);
}

static void encode_struct(encoder_t *e, const kafka_shape_t *shape, const void *message)
{
    for (int i = 0; i < shape->fields_count; i++) {
        const kafka_field_t *f = &shape->fields[i];
        if (f->tag < 0 && in_version(f, e->version)) encode_field(e, f, message);
    }
    if (e->flexible) encode_tags(e, shape, message);
}

void kafka_encode(kafka_writer_t *w, const kafka_shape_t *shape, int16_t version, const void *message)
{
    encoder_t e = {w, version, version >= shape->flexible_since};
    encode_struct(&e, shape, message);
}

/* ---- encoding in pieces: a pause may come wherever a field of a struct in an array ends ----------------------------------- */

static void enter(kafka_encoding_t *encoding, const kafka_shape_t *shape, const void *items, int32_t count)
{
    ASSERT(encoding->depth < KAFKA_ENCODING_LEVELS && count > 0);
    encoding->levels[encoding->depth++] = (struct kafka_encoding_level){shape, items, count - 1, 0};
}

void kafka_encoding_begin(kafka_encoding_t *encoding, const kafka_shape_t *shape, int16_t version, const void *message)
{
    *encoding = (kafka_encoding_t){.version = version, .flexible = version >= shape->flexible_since};
    enter(encoding, shape, message, 1);
}

/* An array of structs gets a level of its own. */
static void encode_level_field(kafka_encoding_t *encoding, encoder_t *e, const kafka_field_t *f, const void *message)
{
    if (!f->shape || !(f->flags & KAFKA_FIELD_ARRAY)) {
        encode_field(e, f, message);
        return;
    }
    int32_t count = *count_of(f, message);
    if (count < 0 && e->version < f->nullable_since) count = 0;
    write_count(e->w, count, e->flexible);
    const void *items = *(const void *const *)(const void *)((const uint8_t *)message + f->offset);
    if (count > 0) enter(encoding, f->shape, items, count);
}

static void end_struct(kafka_encoding_t *encoding, encoder_t *e, struct kafka_encoding_level *level)
{
    if (e->flexible) encode_tags(e, level->shape, level->message);
    if (level->left-- == 0) {
        encoding->depth--;
        return;
    }
    level->message += level->shape->bytes;
    level->field = 0;
}

bool kafka_encoding_step(kafka_encoding_t *encoding, kafka_writer_t *w, size_t bytes)
{
    encoder_t e = {w, encoding->version, encoding->flexible};
    while (encoding->depth > 0 && w->buf.len < bytes) {
        struct kafka_encoding_level *level = &encoding->levels[encoding->depth - 1];
        if (level->field == level->shape->fields_count) {
            end_struct(encoding, &e, level);
            continue;
        }
        const kafka_field_t *f = &level->shape->fields[level->field++];
        if (f->tag < 0 && in_version(f, e.version)) encode_level_field(encoding, &e, f, level->message);
    }
    return encoding->depth == 0;
}

/* ---- headers, ids ---- */

void kafka_read_header_start(kafka_reader_t *r, kafka_request_header_t *header)
{
    header->api_key = kafka_read_int16(r);
    header->api_version = kafka_read_int16(r);
    header->correlation_id = kafka_read_int32(r);
    header->client_id = BYTES_NULL;
}

void kafka_read_header_rest(kafka_reader_t *r, kafka_request_header_t *header, bool flexible)
{
    header->client_id = kafka_read_string(r, false); /* never compact, so that any broker can read it */
    if (flexible) kafka_skip_tags(r);
}

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void kafka_uuid_format(kafka_uuid_t id, char out[KAFKA_UUID_CHARS + 1])
{
    for (int i = 0; i < KAFKA_UUID_CHARS; i++) {
        int bit = i * 6, byte = bit / 8;
        unsigned pair = (unsigned)id.bytes[byte] << 8 | (byte + 1 < 16 ? id.bytes[byte + 1] : 0);
        out[i] = base64url[pair >> (10 - bit % 8) & 63];
    }
    out[KAFKA_UUID_CHARS] = '\0';
}

bool kafka_uuid_parse(bytes_t text, kafka_uuid_t *ret_id)
{
    if (text.len != KAFKA_UUID_CHARS) return false;
    uint8_t out[18] = {0};
    for (int i = 0; i < KAFKA_UUID_CHARS; i++) {
        const char *at = text.ptr[i] ? strchr(base64url, text.ptr[i]) : NULL;
        if (!at) return false;
        unsigned value = (unsigned)(at - base64url) << (10 - i * 6 % 8);
        out[i * 6 / 8] |= (uint8_t)(value >> 8);
        out[i * 6 / 8 + 1] |= (uint8_t)value;
    }
    memcpy(ret_id->bytes, out, 16);
    return true;
}
