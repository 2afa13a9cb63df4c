/* engine.h: TLS on one stream: what arrives is opened, what leaves is sealed. Nothing here waits. An engine belongs to the thread
 * that reads and writes its stream, and uses that thread's workspace.
 *
 *   stream --read--> workspace.in --whole records--> OpenSSL --plain text--> the caller's memory
 *   stream <--write-- engine.out <--records-- OpenSSL <--seal-- the caller's output
 *
 * Invariant: whatever was read and makes a whole record has been opened when a read returns, so nothing waits inside for
 * which the stream would not become readable again. */
#ifndef TRIVET_NET_TLS_ENGINE_H
#define TRIVET_NET_TLS_ENGINE_H

#include "base/buf.h"
#include "io/io.h"
#include "net/tls.h"

/* unknown --a first byte that begins no TLS--> plain      (only where plain text is allowed)
 *    |
 *    '--> shaking hands --> open        and from either: --> failed */
typedef enum tls_state { TLS_PLAIN, TLS_UNKNOWN, TLS_SHAKING, TLS_OPEN, TLS_FAILED } tls_state_t;

#define TLS_PLAIN_BYTES_MAX  KIB(16) /* of a record */
#define TLS_RECORD_BYTES_MAX (5 + TLS_PLAIN_BYTES_MAX + 2048)
#define TLS_READ_BYTES_MAX   KIB(256)
#define TLS_SEAL_BYTES_MAX   KIB(64)  /* between two writes */
#define TLS_OUT_BYTES_MAX    KIB(192) /* sealed and not sent; handshakes with long chains are within it */

typedef struct tls_engine tls_engine_t;

/* What the engines of a thread share. */
typedef struct tls_workspace {
    io_loop_t *loop;
    uint8_t *in;       /* TLS_RECORD_BYTES_MAX + TLS_READ_BYTES_MAX; NULL until the first read */
    uint8_t *file;     /* TLS_SEAL_BYTES_MAX, for ranges of files; NULL until there is one */
    buf_t spare;       /* for the next engine's `out` */
    uint64_t turn_ns;  /* the turn that `spent_ns` is of */
    uint64_t spent_ns; /* on handshakes */
} tls_workspace_t;
void tls_workspace_init(tls_workspace_t *workspace, io_loop_t *loop);
void tls_workspace_deinit(tls_workspace_t *workspace);
uint8_t *tls_workspace_file(tls_workspace_t *workspace);

tls_engine_t *tls_engine_new(tls_context_t *context, bool allows_plain); /* keeps a reference */
void tls_engine_free(tls_engine_t *engine);
tls_state_t tls_engine_state(const tls_engine_t *engine);
const char *tls_engine_why(const tls_engine_t *engine); /* it failed; static */

/* Plain text into `out`, of which there are at least TLS_PLAIN_BYTES_MAX. As io_stream_read; ERR_AGAIN when no plain text came, though
 * there may be progress. *ret_more: the stream may have more at once, or its end is known. */
ssize_t tls_engine_read(tls_engine_t *engine, tls_workspace_t *workspace, io_stream_t *stream, uint8_t *out, size_t cap,
                        bool *ret_more);
/* Of an open engine: makes records of all of it, or fails. At most TLS_SEAL_BYTES_MAX between two flushes that end. */
int tls_engine_seal(tls_engine_t *engine, tls_workspace_t *workspace, const uint8_t *data, size_t len) MUST_CHECK;
/* Writes what is sealed. 0 when all is out, and then *sent_bytes has grown by its plain text. */
int tls_engine_flush(tls_engine_t *engine, tls_workspace_t *workspace, io_stream_t *stream, uint64_t *sent_bytes);
size_t tls_engine_sealed(const tls_engine_t *engine); /* plain text whose records are not out */
size_t tls_engine_unsent(const tls_engine_t *engine); /* bytes of records */
size_t tls_engine_held(const tls_engine_t *engine);   /* of a record whose end has not come */
/* Nothing came and something must be said: it is said in plain text, where that is allowed. */
void tls_engine_settle(tls_engine_t *engine);
/* Says goodbye as far as the stream takes it. */
void tls_engine_close(tls_engine_t *engine, tls_workspace_t *workspace, io_stream_t *stream);

struct bio_method_st *tls__engine_bio(void); /* for contexts */

#endif
