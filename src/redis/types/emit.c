/* emit.c: see emit.h. */
#include "redis/types/emit.h"

#include "base/num.h"
#include "redis/number.h"

static void emit_header(redis_emitter_t *e, char kind, size_t n)
{
    uint8_t *p = buf_reserve(e->out, NUM_I64_CHARS_MAX + 3);
    size_t digits = num_format_u64((char *)p + 1, n);
    p[0] = (uint8_t)kind;
    memcpy(p + 1 + digits, "\r\n", 2);
    e->out->len += digits + 3;
}

void emit_command(redis_emitter_t *e, size_t argc) { emit_header(e, '*', argc); }

void emit_bytes(redis_emitter_t *e, bytes_t word)
{
    emit_header(e, '$', word.len);
    uint8_t *p = buf_reserve(e->out, word.len + 2);
    if (word.len) memcpy(p, word.ptr, word.len);
    memcpy(p + word.len, "\r\n", 2);
    e->out->len += word.len + 2;
    if (UNLIKELY(e->spill && e->out->len >= EMIT_SPILL_BYTES)) e->spill(e);
}

void emit_i64(redis_emitter_t *e, int64_t word)
{
    char text[NUM_I64_CHARS_MAX];
    emit_bytes(e, bytes_of(text, num_format_i64(text, word)));
}

void emit_double(redis_emitter_t *e, double word)
{
    char text[DOUBLE_CHARS_MAX];
    emit_bytes(e, bytes_of(text, format_double(text, word)));
}

void emit_next_item(emit_items_t *items)
{
    if (items->open == 0) {
        items->open = MIN(items->left, (size_t)EMIT_ITEMS_MAX);
        ASSERT(items->open > 0);
        items->left -= items->open;
        emit_command(items->out, 2 + items->words * items->open);
        emit_str(items->out, items->command);
        emit_bytes(items->out, items->key);
    }
    items->open--;
}
