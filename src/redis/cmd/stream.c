/* stream.c: adding to a stream, trimming it and deleting of it: all that needs no group. */
#include "redis/cmd/stream.h"

#include "redis/types/stream_idmp.h"
#include "redis_commands.h"

#define TRIM_LIMIT_NODES   100     /* without LIMIT: an approximate trim looks at so many nodes */
#define TRIM_LIMIT_DEFAULT 10000   /* entries, when nodes have no limit of entries */
#define TRIM_LIMIT_MAX     1000000 /* entries, however many a node may have */
#define WORDS_ON_STACK     32

/* ---- the options of XADD and XTRIM ----------------------------------------------------------------------------------- */

typedef struct add_options {
    stream_trim_t trim;
    int trim_index; /* of the threshold among the arguments */
    bool limit_given;
    bool only_existing;
    int id_index;
    bool id_given;  /* not `*` */
    bool seq_given; /* not `ms-*` */
    stream_id_t id;
    bytes_t producer, iid; /* IDMP; ptr NULL: not given */
    int idmp_index;        /* of the option among the arguments */
    uint8_t auto_iid[STREAM_IDMP_AUTO_BYTES];
} add_options_t;

static bool is_word(const redis_call_t *call, int i, char c)
{
    return call->argv[i].len == 1 && call->argv[i].ptr[0] == (uint8_t)c;
}

/* MAXLEN or MINID at argument *i, which moves on to the threshold. */
static bool parse_strategy(redis_call_t *call, int *i, add_options_t *o)
{
    bool maxlen = arg_is(call, *i, "MAXLEN");
    int64_t count = 0;
    if (o->trim.by != STREAM_TRIM_NOT) {
        reply_error(call->client, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    o->trim.approximate = *i + 2 < call->argc && is_word(call, *i + 1, '~');
    *i += *i + 2 < call->argc && (o->trim.approximate || is_word(call, *i + 1, '=')) ? 2 : 1;
    if (!maxlen && !stream__id(call, *i, 0, &o->trim.minid)) return false;
    if (maxlen && !arg_i64(call, *i, &count)) return false;
    if (count < 0) {
        reply_error(call->client, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    o->trim.maxlen = (uint64_t)count;
    o->trim.by = maxlen ? STREAM_TRIM_MAXLEN : STREAM_TRIM_MINID;
    o->trim_index = *i;
    return true;
}

static bool parse_limit(redis_call_t *call, int i, add_options_t *o)
{
    int64_t limit;
    if (!arg_i64(call, i, &limit)) return false;
    if (limit < 0) {
        reply_error(call->client, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    o->trim.limit = (uint64_t)limit;
    o->limit_given = true;
    return true;
}

/* An ID, `ms-*` too. */
static bool parse_new_id(redis_call_t *call, int i, add_options_t *o)
{
    bytes_t text = call->argv[i];
    bool open = text.len > 2 && memcmp(text.ptr + text.len - 2, "-*", 2) == 0;
    if (open && memchr(text.ptr, '-', text.len) == text.ptr + text.len - 2) {
        bytes_t ms = bytes_of(text.ptr, text.len - 2);
        o->id_given = stream_id_parse(ms, 0, &o->id);
        if (o->id_given) return true;
    }
    o->id_given = o->seq_given = true;
    return stream__id(call, i, 0, &o->id);
}

/* IDMP producer iid, or IDMPAUTO producer. */
static bool parse_idmp(redis_call_t *call, int *i, add_options_t *o)
{
    bool by_hand = arg_is(call, *i, "IDMP");
    bool whole = *i + (by_hand ? 2 : 1) < call->argc && !o->producer.ptr;
    o->idmp_index = *i;
    if (whole) o->producer = call->argv[++*i];
    if (whole && by_hand) o->iid = call->argv[++*i];
    if (whole && o->producer.len && (!by_hand || o->iid.len)) return true;
    reply_error_syntax(call->client);
    return false;
}

/* One option; XADD's ID, which ends them, sets o->id_index. */
static bool parse_option(redis_call_t *call, int *i, bool adds, add_options_t *o)
{
    bool more = *i + 1 < call->argc;
    if (adds && is_word(call, *i, '*')) {
        o->id_index = *i;
        return true;
    }
    if (more && (arg_is(call, *i, "MAXLEN") || arg_is(call, *i, "MINID"))) return parse_strategy(call, i, o);
    if (more && arg_is(call, *i, "LIMIT")) return parse_limit(call, ++*i, o);
    if (stream__refs(call, *i, &o->trim.refs)) return true;
    if (adds && (arg_is(call, *i, "IDMP") || arg_is(call, *i, "IDMPAUTO"))) return parse_idmp(call, i, o);
    if (adds && arg_is(call, *i, "NOMKSTREAM")) {
        o->only_existing = true;
        return true;
    }
    if (adds) {
        o->id_index = *i;
        return parse_new_id(call, *i, o);
    }
    reply_error_syntax(call->client);
    return false;
}

/* How much an approximate trim may do. What is replayed does what was done. */
static bool settle_limit(redis_call_t *call, add_options_t *o)
{
    if (call->flags & CALL_LOADING) {
        o->trim.limit = 0;
    } else if (o->limit_given && !o->trim.approximate) {
        reply_error(call->client, "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    } else if (!o->limit_given && o->trim.approximate) {
        uint64_t entries = call->config->stream_node_max_entries;
        o->trim.limit = entries > TRIM_LIMIT_MAX ? TRIM_LIMIT_MAX : TRIM_LIMIT_NODES * entries;
        if (o->trim.limit == 0) o->trim.limit = TRIM_LIMIT_DEFAULT;
        o->trim.limit = MIN(o->trim.limit, (uint64_t)TRIM_LIMIT_MAX);
    }
    return true;
}

static bool parse_options(redis_call_t *call, bool adds, add_options_t *o)
{
    *o = (add_options_t){0};
    for (int i = 2; i < call->argc && o->id_index == 0; i++)
        if (!parse_option(call, &i, adds, o)) return false;
    if (o->trim.limit && o->trim.by == STREAM_TRIM_NOT) {
        reply_error(call->client, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
        return false;
    }
    if (!adds && o->trim.by == STREAM_TRIM_NOT) {
        reply_error(call->client, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    return settle_limit(call, o);
}

/* ---- what travels: what was done, not what was asked ----------------------------------------------------------------- */

/* Another trim may see other nodes, so an approximate one travels as one that is exact: of the length, or from the first
 * ID, that was left. What groups protect stays in the middle, and then only the length tells what went. */
static void write_outcome(const add_options_t *o, const stream_t *s, bytes_t *argv, char threshold[STREAM_ID_CHARS_MAX])
{
    if (o->trim.by == STREAM_TRIM_NOT || !o->trim.approximate) return;
    bool by_length = o->trim.by == STREAM_TRIM_MAXLEN || o->trim.refs == STREAM_REFS_ACKED;
    size_t n = by_length ? num_format_u64(threshold, s->length) : stream_id_format(threshold, stream_first_kept(s));
    if (by_length) argv[o->trim_index - 2] = BYTES_LIT("MAXLEN");
    argv[o->trim_index - 1] = BYTES_LIT("=");
    argv[o->trim_index] = bytes_of(threshold, n);
}

/* The words of a message with an ID of its own go: that it was sent is told by a command of its own, for when this is read
 * again, the time in which it is a duplicate may be over, and it must be added all the same. */
static int leave_out_idmp(const add_options_t *o, bytes_t *argv, int argc)
{
    if (!o->producer.ptr) return argc;
    int from = o->idmp_index, words = bytes_eq_nocase(argv[from], BYTES_LIT("IDMP")) ? 3 : 2;
    memmove(argv + from, argv + from + words, (size_t)(argc - from - words) * sizeof(*argv));
    return argc - words;
}

static void propagate_message(redis_call_t *call, const add_options_t *o, const stream_t *s)
{
    char id[STREAM_ID_CHARS_MAX];
    bytes_t argv[] = {BYTES_LIT("XIDMPRECORD"), call->argv[1], o->producer, o->iid,
                      bytes_of(id, stream_id_format(id, s->last_id))};
    if (o->producer.ptr) propagate(call, ARRAY_LEN(argv), argv);
}

static void propagate_outcome(redis_call_t *call, const add_options_t *o, const stream_t *s)
{
    char id[STREAM_ID_CHARS_MAX], threshold[STREAM_ID_CHARS_MAX];
    bytes_t few[WORDS_ON_STACK], *argv = few;
    bool exact = o->trim.by == STREAM_TRIM_NOT || !o->trim.approximate;
    if (exact && !o->producer.ptr && (o->id_index == 0 || (o->id_given && o->seq_given)))
        return; /* as it was received */
    if (call->argc > WORDS_ON_STACK) argv = mem_alloc((size_t)call->argc * sizeof(*argv));
    memcpy(argv, call->argv, (size_t)call->argc * sizeof(*argv));
    if (o->id_index) argv[o->id_index] = bytes_of(id, stream_id_format(id, s->last_id));
    write_outcome(o, s, argv, threshold);
    propagate(call, leave_out_idmp(o, argv, call->argc), argv);
    propagate_message(call, o, s);
    if (argv != few) mem_free(argv);
}

/* ---- XADD ------------------------------------------------------------------------------------------------------------ */

/* The ID that the entry is to have: 0-0 when none is left. */
static stream_id_t next_id(const redis_call_t *call, const add_options_t *o, const stream_t *s)
{
    stream_id_t id = o->id;
    if (o->id_given && (o->seq_given || id.ms != s->last_id.ms)) return id;
    if (o->id_given) return s->last_id.seq == UINT64_MAX ? STREAM_ID_LEAST : (stream_id_t){id.ms, s->last_id.seq + 1};
    if ((uint64_t)call->now_ms > s->last_id.ms) return (stream_id_t){(uint64_t)call->now_ms, 0};
    id = s->last_id;
    stream_id_increment(&id);
    return id;
}

static stream_fields_in_t fields_from(const redis_call_t *call, int first)
{
    stream_fields_in_t in = {.pairs = call->argv + first, .count = (size_t)(call->argc - first) / 2};
    for (int i = first; i < call->argc; i++) in.bytes += call->argv[i].len;
    return in;
}

static bool append(redis_call_t *call, const add_options_t *o, stream_t *s)
{
    if (stream_id_eq(s->last_id, STREAM_ID_GREATEST)) {
        reply_error(call->client, "ERR The stream has exhausted the last possible ID, unable to add more items");
        return false;
    }
    stream_id_t id = next_id(call, o, s);
    if (stream_id_cmp(id, s->last_id) <= 0) {
        reply_error(call->client, "ERR The ID specified in XADD is equal or smaller than the target stream top item");
        return false;
    }
    stream_fields_in_t in = fields_from(call, o->id_index + 1);
    if (stream_append(s, id, &in, call->config) != 0) {
        reply_error(call->client, "ERR Elements are too large to be stored");
        return false;
    }
    return true;
}

/* True when the stream has the message: the reply is the ID that it got then. */
static bool is_duplicate(redis_call_t *call, add_options_t *o, stream_t *s)
{
    stream_id_t id;
    if (!o->producer.ptr) return false;
    if (!o->iid.ptr) {
        stream_fields_in_t in = fields_from(call, o->id_index + 1);
        stream_idmp_auto(&in, o->auto_iid);
        o->iid = bytes_of(o->auto_iid, sizeof(o->auto_iid));
    }
    if (!stream_idmp_find(s, o->producer, o->iid, call->now_ms, true, &id)) return false;
    stream__reply_id(call->client, id);
    return true;
}

static void added(redis_call_t *call, const add_options_t *o, stream_t *s)
{
    bytes_t key = call->argv[1];
    stream__reply_id(call->client, s->last_id);
    call->dirty++;
    if (o->producer.ptr) stream_idmp_add(s, o->producer, o->iid, s->last_id, call->now_ms);
    key_changed(call, key, NOTIFY_STREAM, "xadd");
    if (stream_trim(s, &o->trim)) key_event(call, key, NOTIFY_STREAM, "xtrim");
    propagate_outcome(call, o, s);
    key_grew(call, key, TYPE_STREAM);
}

void redis_cmd_xadd(redis_call_t *call)
{
    add_options_t o;
    redis_entry_t *entry;
    if (!parse_options(call, true, &o)) return;
    int words = call->argc - o.id_index - 1;
    if (o.id_index == 0 || words < 2 || words % 2 == 1) {
        reply_error(call->client, "ERR wrong number of arguments for 'xadd' command");
        return;
    }
    if (o.id_given && o.seq_given && stream_id_is_least(o.id)) {
        reply_error(call->client, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    if (!key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    if (!entry && o.only_existing) {
        reply_null(call->client);
        return;
    }
    stream_t *s = entry ? entry_value(entry) : stream_new();
    if (is_duplicate(call, &o, s)) return;
    bool done = append(call, &o, s);
    if (!entry && done) key_add(call, call->argv[1], TYPE_STREAM, ENC_STREAM, s);
    if (!entry && !done) stream_free(s);
    if (done) added(call, &o, s);
}

/* ---- XTRIM, XDEL, XSETID --------------------------------------------------------------------------------------------- */

void redis_cmd_xtrim(redis_call_t *call)
{
    add_options_t o;
    redis_entry_t *entry;
    if (!parse_options(call, false, &o)) return;
    if (!key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    uint64_t removed = entry ? stream_trim(entry_value(entry), &o.trim) : 0;
    reply_int(call->client, (int64_t)removed);
    if (removed == 0) return;
    call->dirty += removed;
    key_changed(call, call->argv[1], NOTIFY_STREAM, "xtrim");
    propagate_outcome(call, &o, entry_value(entry));
}

void redis_cmd_xdel(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    if (!entry) {
        reply_int(call->client, 0);
        return;
    }
    stream_id_t *ids = stream__ids(call, 2);
    if (!ids) return;
    int64_t deleted = 0;
    for (int i = 2; i < call->argc; i++) deleted += stream_delete(entry_value(entry), ids[i - 2]);
    mem_free(ids);
    if (deleted) key_changed(call, call->argv[1], NOTIFY_STREAM, "xdel");
    call->dirty += (uint64_t)deleted;
    reply_int(call->client, deleted);
}

typedef struct setid {
    stream_id_t id, max_deleted_id;
    int64_t entries_added; /* -1: not given */
} setid_t;

static bool parse_setid_option(redis_call_t *call, int i, setid_t *x)
{
    if (arg_is(call, i, "ENTRIESADDED") && i + 1 < call->argc) {
        if (!arg_i64(call, i + 1, &x->entries_added)) return false;
        if (x->entries_added >= 0) return true;
        reply_error(call->client, "ERR entries_added must be positive");
        return false;
    }
    if (arg_is(call, i, "MAXDELETEDID") && i + 1 < call->argc) {
        if (!stream__id(call, i + 1, 0, &x->max_deleted_id)) return false;
        if (stream_id_cmp(x->id, x->max_deleted_id) >= 0) return true;
        reply_error(call->client, "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
        return false;
    }
    reply_error_syntax(call->client);
    return false;
}

/* Why the stream cannot be set so; NULL = it can. */
static const char *setid_problem(const stream_t *s, const setid_t *x)
{
    stream_id_t last;
    if (stream_id_cmp(x->id, s->max_deleted_id) < 0)
        return "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    if (!stream_last_live(s, &last)) return NULL;
    if (stream_id_cmp(x->id, last) < 0)
        return "ERR The ID specified in XSETID is smaller than the target stream top item";
    if (x->entries_added != -1 && s->length > (uint64_t)x->entries_added)
        return "ERR The entries_added specified in XSETID is smaller than the target stream length";
    return NULL;
}

void redis_cmd_xsetid(redis_call_t *call)
{
    redis_entry_t *entry;
    setid_t x = {.entries_added = -1};
    if (!stream__id(call, 2, 0, &x.id)) return;
    for (int i = 3; i < call->argc; i += 2)
        if (!parse_setid_option(call, i, &x)) return;
    if (!key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    if (!entry) {
        reply_error_no_such_key(call->client);
        return;
    }
    stream_t *s = entry_value(entry);
    const char *problem = setid_problem(s, &x);
    if (problem) {
        reply_error(call->client, problem);
        return;
    }
    s->last_id = x.id;
    if (x.entries_added != -1) s->entries_added = (uint64_t)x.entries_added;
    if (!stream_id_is_least(x.max_deleted_id)) s->max_deleted_id = x.max_deleted_id;
    reply_ok(call->client);
    call->dirty++;
    key_event(call, call->argv[1], NOTIFY_STREAM, "xsetid");
}
