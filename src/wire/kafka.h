/* kafka.h: Kafka's wire primitives, and the interpreter of the message shapes that tools/gen/kafka.py makes.
 *
 * A shape is a table of fields; decoding walks it over a request, encoding walks it over a struct. Decoding
 * copies nothing: strings and bytes point into the input, arrays are made in an arena whose bound also bounds
 * hostile counts (a count above the bytes that are left is refused before anything is allocated). Reading is
 * sticky: after the first fault every read gives zeroes and `err` says what happened, so that callers check
 * once.
 *
 * Integers are big-endian. From a message's first flexible version on, strings and arrays have
 * unsigned-varint lengths plus one, and every struct ends with tagged fields (KIP-482). */
#ifndef TRIVET_WIRE_KAFKA_H
#define TRIVET_WIRE_KAFKA_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* ---- reading ---- */

typedef struct kafka_reader {
    const uint8_t *ptr;
    const uint8_t *end;
    int err; /* 0, ERR_TRUNCATED, ERR_INVALID, ERR_LIMIT */
} kafka_reader_t;

typedef struct kafka_uuid {
    uint8_t bytes[16];
} kafka_uuid_t;

static inline kafka_reader_t kafka_reader(bytes_t data) { return (kafka_reader_t){data.ptr, bytes_end(data), 0}; }
static inline size_t kafka_reader_left(const kafka_reader_t *r) { return (size_t)(r->end - r->ptr); }
/* The next `n` bytes, or NULL (and `err`) when there are fewer. */
static inline const uint8_t *kafka_read_raw(kafka_reader_t *r, size_t n)
{
    if (UNLIKELY(r->err || kafka_reader_left(r) < n)) {
        if (!r->err) r->err = ERR_TRUNCATED;
        return NULL;
    }
    const uint8_t *p = r->ptr;
    r->ptr += n;
    return p;
}
static inline int8_t kafka_read_int8(kafka_reader_t *r)
{
    const uint8_t *p = kafka_read_raw(r, 1);
    return p ? (int8_t)*p : 0;
}
static inline int16_t kafka_read_int16(kafka_reader_t *r)
{
    const uint8_t *p = kafka_read_raw(r, 2);
    return p ? (int16_t)load_be16(p) : 0;
}
static inline int32_t kafka_read_int32(kafka_reader_t *r)
{
    const uint8_t *p = kafka_read_raw(r, 4);
    return p ? (int32_t)load_be32(p) : 0;
}
static inline int64_t kafka_read_int64(kafka_reader_t *r)
{
    const uint8_t *p = kafka_read_raw(r, 8);
    return p ? (int64_t)load_be64(p) : 0;
}
uint32_t kafka_read_uvarint(kafka_reader_t *r);
int32_t kafka_read_varint(kafka_reader_t *r);  /* zigzag */
int64_t kafka_read_varlong(kafka_reader_t *r); /* zigzag */
/* int16 length, -1 = null; compact: uvarint length + 1, 0 = null. Never above INT16_MAX (ERR_INVALID). */
bytes_t kafka_read_string(kafka_reader_t *r, bool compact);
/* int32 length, -1 = null; compact as above. */
bytes_t kafka_read_bytes(kafka_reader_t *r, bool compact);
/* Count of an array whose elements take at least one byte each; -1 = null. */
int32_t kafka_read_count(kafka_reader_t *r, bool compact);
void kafka_skip_tags(kafka_reader_t *r);

/* ---- writing ---- */

struct io_file;

/* Record batches: bytes in memory, or a stretch of a file which is not read but sent (`file_bytes` > 0).
 * `release`, when set, runs once the stretch is no longer needed. bytes.ptr NULL without a file = null. */
typedef struct kafka_records {
    bytes_t bytes;
    struct io_file *file;
    uint64_t file_position;
    size_t file_bytes;
    void (*release)(void *release_user);
    void *release_user;
} kafka_records_t;

/* A place in the output where a stretch of a file belongs. */
typedef struct kafka_splice {
    size_t at; /* after so many bytes of the writer's buffer */
    kafka_records_t records;
} kafka_splice_t;

typedef struct kafka_writer {
    buf_t buf;
    kafka_splice_t *splices;
    int32_t splices_count, splices_cap;
    size_t splices_bytes; /* in files, not in `buf` */
} kafka_writer_t;

#define KAFKA_WRITER_INIT ((kafka_writer_t){BUF_INIT, NULL, 0, 0, 0})

/* Frees the buffer; releases splices that nobody took over. */
void kafka_writer_deinit(kafka_writer_t *w);
/* As deinit, keeping memory for the next message. */
void kafka_writer_clear(kafka_writer_t *w);
static inline size_t kafka_writer_bytes(const kafka_writer_t *w) { return w->buf.len + w->splices_bytes; }

static inline void kafka_write_int8(kafka_writer_t *w, int8_t v) { buf_u8(&w->buf, (uint8_t)v); }
static inline void kafka_write_int16(kafka_writer_t *w, int16_t v) { buf_be16(&w->buf, (uint16_t)v); }
static inline void kafka_write_int32(kafka_writer_t *w, int32_t v) { buf_be32(&w->buf, (uint32_t)v); }
static inline void kafka_write_int64(kafka_writer_t *w, int64_t v) { buf_be64(&w->buf, (uint64_t)v); }
static inline void kafka_write_raw(kafka_writer_t *w, bytes_t v) { buf_append(&w->buf, v.ptr, v.len); }
void kafka_write_uvarint(kafka_writer_t *w, uint32_t v);
void kafka_write_varint(kafka_writer_t *w, int32_t v);
void kafka_write_varlong(kafka_writer_t *w, int64_t v);
/* ptr NULL writes null where `nullable`, else the empty string. A string is cut at INT16_MAX. */
void kafka_write_string(kafka_writer_t *w, bytes_t v, bool compact, bool nullable);
void kafka_write_bytes(kafka_writer_t *w, bytes_t v, bool compact, bool nullable);

static inline size_t kafka_uvarint_bytes(uint32_t v) { return 1 + (size_t)(31 - __builtin_clz(v | 1)) / 7; }
static inline size_t kafka_uvarlong_bytes(uint64_t v) { return 1 + (size_t)(63 - __builtin_clzll(v | 1)) / 7; }
static inline size_t kafka_varint_bytes(int32_t v)
{
    return kafka_uvarint_bytes(((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}
static inline size_t kafka_varlong_bytes(int64_t v)
{
    return kafka_uvarlong_bytes(((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* ---- shapes ---- */

typedef enum kafka_type {
    KAFKA_TYPE_BOOL,
    KAFKA_TYPE_INT8,
    KAFKA_TYPE_INT16,
    KAFKA_TYPE_UINT16,
    KAFKA_TYPE_INT32,
    KAFKA_TYPE_INT64,
    KAFKA_TYPE_UUID,
    KAFKA_TYPE_STRING,
    KAFKA_TYPE_BYTES,
    KAFKA_TYPE_RECORDS,
    KAFKA_TYPE_STRUCT,
} kafka_type_t;

enum {
    KAFKA_FIELD_ARRAY = 1,   /* `T *name; int32_t name_count`; a count of -1 is null */
    KAFKA_FIELD_POINTER = 2, /* a struct that may be null: `T *name` */
};

#define KAFKA_VERSION_FOREVER 127

typedef struct kafka_shape kafka_shape_t;

typedef struct kafka_field {
    const char *name;
    const kafka_shape_t *shape; /* of a struct */
    int64_t default_value;      /* arrays and pointers: -1 = null */
    uint16_t offset;
    uint8_t type;  /* kafka_type_t */
    uint8_t flags; /* KAFKA_FIELD_ */
    int8_t since, until;
    int8_t nullable_since;
    int8_t tag; /* -1 = none; tagged fields are last, ascending */
} kafka_field_t;

struct kafka_shape {
    const char *name;
    const kafka_field_t *fields;
    uint16_t bytes; /* of the C struct */
    uint16_t fields_count;
    int8_t flexible_since;
    bool zero_default; /* all-zero is the default value */
};

typedef struct kafka_api {
    int16_t key;
    int16_t version_min, version_max, flexible_since;
    const char *name, *turn_note; /* "Fetch", "kafka Fetch" */
    const kafka_shape_t *request, *response;
} kafka_api_t;

typedef struct kafka_message {
    const kafka_shape_t *shape;
    int16_t version_min, version_max;
} kafka_message_t;

/* Sets the defaults. */
void kafka_init(const kafka_shape_t *shape, void *message);
/* `count` elements with their defaults set. Cannot fail: for sizes that are ours. */
void *kafka_array_new(const kafka_shape_t *shape, arena_t *arena, int32_t count);
/* ERR_TRUNCATED, ERR_INVALID (null where it may not be, bad length), ERR_LIMIT (the arena's bound). Fields
 * that the version lacks get their defaults; unknown tagged fields are skipped; bytes behind the message are
 * left unread. */
int kafka_decode(kafka_reader_t *r, const kafka_shape_t *shape, int16_t version, arena_t *arena,
                 void *ret_message) MUST_CHECK;
/* Cannot fail. Records that refer to files become splices, whose release is then the writer's affair. */
void kafka_encode(kafka_writer_t *w, const kafka_shape_t *shape, int16_t version, const void *message);

/* The same in pieces. The message lies still until all of it is written. */
#define KAFKA_ENCODING_LEVELS 8 /* arrays of structs within one another */
typedef struct kafka_encoding {
    int16_t version;
    bool flexible;
    int depth; /* levels in use; 0 = all is written */
    struct kafka_encoding_level {
        const kafka_shape_t *shape;
        const uint8_t *message; /* the struct that is being written */
        int32_t left;           /* structs of its array behind it */
        uint16_t field;         /* the next one of it */
    } levels[KAFKA_ENCODING_LEVELS];
} kafka_encoding_t;
void kafka_encoding_begin(kafka_encoding_t *encoding, const kafka_shape_t *shape, int16_t version, const void *message);
/* Writes until about so many bytes are in the writer's buffer; true when it was the last piece. */
bool kafka_encoding_step(kafka_encoding_t *encoding, kafka_writer_t *w, size_t bytes) MUST_CHECK;

/* ---- headers of requests and responses ---- */

typedef struct kafka_request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    bytes_t client_id; /* may be null */
} kafka_request_header_t;

/* Reads key, version and correlation id; the client id is the second half (it may be absent in garbage).
 * `flexible` says whether tagged fields follow: known once key and version are. */
void kafka_read_header_start(kafka_reader_t *r, kafka_request_header_t *header);
void kafka_read_header_rest(kafka_reader_t *r, kafka_request_header_t *header, bool flexible);

/* Kafka's form of a topic id: URL-safe base 64 of the 16 bytes, without padding. */
#define KAFKA_UUID_CHARS 22
void kafka_uuid_format(kafka_uuid_t id, char out[KAFKA_UUID_CHARS + 1]);
bool kafka_uuid_parse(bytes_t text, kafka_uuid_t *ret_id);
static inline bool kafka_uuid_eq(kafka_uuid_t a, kafka_uuid_t b) { return memcmp(a.bytes, b.bytes, 16) == 0; }
static inline bool kafka_uuid_is_zero(kafka_uuid_t a) { return kafka_uuid_eq(a, (kafka_uuid_t){{0}}); }

#endif
