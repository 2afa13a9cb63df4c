/* string_if.c: comparing before changing: DELEX, DELIFEQ and DIGEST, and the conditions of SET. A digest is XXH3's of 64 bits,
 * so that a client may compute it for what it has. */
#include "redis/cmd/string_if.h"

#include "base/num.h"
#include "redis_commands.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define DIGEST_CHARS 16

static uint64_t digest_of(const redis_entry_t *e)
{
    char scratch[NUM_I64_CHARS_MAX];
    bytes_t text = string_text(e, scratch);
    return XXH3_64bits(text.ptr, text.len);
}

/* ---- conditions ------------------------------------------------------------------------------------------------------ */

bool string_if__read(const redis_call_t *call, int i, string_if_t *ret_condition)
{
    static const struct {
        const char *name;
        string_if_kind_t kind;
    } kinds[] = {{"IFEQ", IF_EQUAL}, {"IFNE", IF_OTHER}, {"IFDEQ", IF_DIGEST}, {"IFDNE", IF_OTHER_DIGEST}};
    for (size_t k = 0; k < ARRAY_LEN(kinds) && i + 1 < call->argc; k++) {
        if (!arg_is(call, i, kinds[k].name)) continue;
        *ret_condition = (string_if_t){kinds[k].kind, call->argv[i + 1]};
        return true;
    }
    return false;
}

static bool by_digest(const string_if_t *condition)
{
    return condition->kind == IF_DIGEST || condition->kind == IF_OTHER_DIGEST;
}

static bool parse_digest(bytes_t text, uint64_t *ret_digest)
{
    uint64_t digest = 0;
    if (text.len != DIGEST_CHARS) return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            digest = digest << 4 | (uint64_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f')
            digest = digest << 4 | (uint64_t)(letter - 'a' + 10);
        else
            return false;
    }
    *ret_digest = digest;
    return true;
}

bool string_if__check(redis_call_t *call, const string_if_t *condition)
{
    uint64_t digest;
    if (!by_digest(condition) || parse_digest(condition->operand, &digest)) return true;
    reply_error(call->client, "ERR digest must be exactly 16 hexadecimal characters");
    return false;
}

static bool is_like(const string_if_t *condition, const redis_entry_t *e)
{
    uint64_t digest;
    char scratch[NUM_I64_CHARS_MAX];
    if (!e) return false;
    if (by_digest(condition)) return parse_digest(condition->operand, &digest) && digest_of(e) == digest;
    return bytes_eq(string_text(e, scratch), condition->operand);
}

bool string_if__holds(const string_if_t *condition, const redis_entry_t *e)
{
    switch (condition->kind) {
    case IF_ALWAYS: return true;
    case IF_EQUAL:
    case IF_DIGEST: return is_like(condition, e);
    case IF_OTHER:
    case IF_OTHER_DIGEST: return !is_like(condition, e);
    }
    UNREACHABLE();
}

/* ---- commands -------------------------------------------------------------------------------------------------------- */

void redis_cmd_digest(redis_call_t *call)
{
    redis_entry_t *e;
    if (!key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    if (e)
        reply_bulk_f(call->client, "%016" PRIx64, digest_of(e));
    else
        reply_null(call->client);
}

static void delete_and_reply(redis_call_t *call, bool holds)
{
    bytes_t key = call->argv[1];
    bool deleted = holds && key_delete(call, key);
    if (deleted) {
        key_changed(call, key, NOTIFY_GENERIC, "del");
        propagate_key(call, "DEL", key);
        call->dirty++;
    }
    reply_int(call->client, deleted);
}

static void delete_if(redis_call_t *call, const string_if_t *condition)
{
    redis_entry_t *e;
    if (!string_if__check(call, condition) || !key_write_type(call, call->argv[1], TYPE_STRING, &e)) return;
    delete_and_reply(call, e && string_if__holds(condition, e));
}

void redis_cmd_delifeq(redis_call_t *call) { delete_if(call, &(string_if_t){IF_EQUAL, call->argv[2]}); }

/* Without a condition a key of any type goes. */
void redis_cmd_delex(redis_call_t *call)
{
    string_if_t condition;
    if (call->argc == 2)
        delete_and_reply(call, true);
    else if (call->argc == 4 && string_if__read(call, 2, &condition))
        delete_if(call, &condition);
    else
        reply_error_syntax(call->client);
}
