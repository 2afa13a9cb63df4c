/* hyperloglog.c: PFADD, PFCOUNT, PFMERGE and what tests ask of them. A HyperLogLog is a string whose bytes hll.h explains.
 * A dense one is changed where it lies; a sparse one is copied, changed and stored, for it is short and its length changes. */
#include "redis/exec/state.h"
#include "redis/types/hll.h"
#include "redis_commands.h"

#include "base/num.h"

#include <math.h>
#include <stdlib.h>

static void refuse_corrupt(redis_call_t *call)
{
    reply_error(call->client, "INVALIDOBJ Corrupted HLL object detected");
}

static bool use_vectors(const redis_call_t *call) { return !call->redis->hll_words_only; }

static bytes_t image_of(const redis_entry_t *e) { return entry_string(e); }

/* False after replying that it is no HyperLogLog. */
static bool check_image(redis_call_t *call, const redis_entry_t *e)
{
    if (!e) return true;
    if (e->type != TYPE_STRING) {
        reply_error_wrong_type(call->client);
        return false;
    }
    if (e->encoding != ENC_INT && hll_is_image(image_of(e))) return true;
    reply_error(call->client, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    return false;
}

static bool find_for_write(redis_call_t *call, bytes_t key, redis_entry_t **ret_entry)
{
    *ret_entry = key_write(call, key);
    return check_image(call, *ret_entry);
}

static bool find_for_read(redis_call_t *call, bytes_t key, redis_entry_t **ret_entry)
{
    *ret_entry = key_read(call, key);
    return check_image(call, *ret_entry);
}

/* The image's bytes, to be changed without changing their number. `e` comes from key_write. */
static uint8_t *image_in_place(redis_call_t *call, redis_entry_t *e)
{
    return key_string_resize(call, e, image_of(e).len);
}

static void store(redis_call_t *call, bytes_t key, const hll_t *hll)
{
    redis_entry_t *e = key_set_text(call, key, bytes_of(hll->image, hll->len));
    e->encoding = ENC_RAW; /* as the original has short ones too */
}

/* ---- PFADD ----------------------------------------------------------------------------------------------------------- */

static void add_densely(redis_call_t *call, redis_entry_t *e)
{
    uint8_t *image = image_in_place(call, e);
    for (int i = 2; i < call->argc; i++) call->dirty += hll_dense_raise(image, hll_place(call->argv[i]));
    if (call->dirty) hll_set_stale(image);
}

static bool add_to_copy(redis_call_t *call, const redis_entry_t *e)
{
    hll_t hll;
    uint64_t raised = 0;
    if (!e)
        hll_init(&hll);
    else if (hll_load(&hll, image_of(e)))
        return false;
    for (int i = 2; i < call->argc; i++) {
        bool changed;
        if (hll_raise(&hll, hll_place(call->argv[i]), call->config->hll_sparse_max_bytes, &changed)) return false;
        raised += changed;
    }
    call->dirty += raised + (e == NULL);
    if (call->dirty == 0) return true;
    hll_set_stale(hll.image);
    store(call, call->argv[1], &hll);
    return true;
}

void redis_cmd_pfadd(redis_call_t *call)
{
    redis_entry_t *e;
    if (!find_for_write(call, call->argv[1], &e)) return;
    if (e && hll_is_dense(image_of(e).ptr)) {
        add_densely(call, e);
    } else if (!add_to_copy(call, e)) {
        refuse_corrupt(call);
        return;
    }
    if (call->dirty) key_changed(call, call->argv[1], NOTIFY_STRING, "pfadd");
    reply_int(call->client, call->dirty != 0);
}

/* ---- PFCOUNT --------------------------------------------------------------------------------------------------------- */

/* Merges argv[i] and what follows; false after an error. `ret_dense`: one of them is dense. */
static bool merge_keys(redis_call_t *call, hll_registers_t *registers, bool *ret_dense)
{
    redis_entry_t *e;
    *ret_dense = false;
    for (int i = 1; i < call->argc; i++) {
        if (!find_for_read(call, call->argv[i], &e)) return false;
        if (!e) continue;
        if (hll_merge(registers, image_of(e), use_vectors(call))) {
            refuse_corrupt(call);
            return false;
        }
        *ret_dense |= hll_is_dense(image_of(e).ptr);
    }
    return true;
}

static void count_many(redis_call_t *call)
{
    hll_registers_t registers = {0};
    bool dense;
    if (merge_keys(call, &registers, &dense)) reply_int(call->client, (int64_t)hll_estimate_registers(&registers));
}

/* The estimate is kept in the image, which is a change that nobody is told of. */
static void count_one(redis_call_t *call, redis_entry_t *e)
{
    uint64_t cardinality;
    if (hll_estimate(image_of(e), use_vectors(call), &cardinality)) {
        refuse_corrupt(call);
        return;
    }
    e = key_write(call, call->argv[1]);
    hll_cache(image_in_place(call, e), cardinality);
    key_changed(call, call->argv[1], 0, "pfcount");
    call->dirty++;
    reply_int(call->client, (int64_t)cardinality);
}

void redis_cmd_pfcount(redis_call_t *call)
{
    redis_entry_t *e;
    uint64_t cardinality = 0;
    if (call->argc > 2) {
        count_many(call);
        return;
    }
    if (!find_for_read(call, call->argv[1], &e)) return;
    if (!e || hll_cached(image_of(e).ptr, &cardinality))
        reply_int(call->client, (int64_t)cardinality);
    else
        count_one(call, e);
}

/* ---- PFMERGE --------------------------------------------------------------------------------------------------------- */

/* False when the image is corrupt. */
static bool raise_all(redis_call_t *call, hll_t *hll, const hll_registers_t *registers)
{
    bool raised;
    for (uint32_t i = 0; i < HLL_REGISTERS; i++) {
        if (registers->at[i] == 0) continue;
        hll_place_t place = {i, registers->at[i]};
        if (hll_raise(hll, place, call->config->hll_sparse_max_bytes, &raised)) return false;
    }
    return true;
}

/* What was merged contains what the destination held, so a dense one can be written as a whole. */
static bool write_merged(redis_call_t *call, const redis_entry_t *e, const hll_registers_t *registers, bool dense)
{
    hll_t hll;
    if (!e)
        hll_init(&hll);
    else if (hll_load(&hll, image_of(e)))
        return false;
    if (dense) {
        if (hll_to_dense(&hll)) return false;
        hll_pack(hll.image, registers, use_vectors(call));
    } else if (!raise_all(call, &hll, registers)) {
        return false;
    }
    hll_set_stale(hll.image);
    store(call, call->argv[1], &hll);
    return true;
}

void redis_cmd_pfmerge(redis_call_t *call)
{
    hll_registers_t registers = {0};
    redis_entry_t *e;
    bool dense;
    if (!merge_keys(call, &registers, &dense) || !find_for_write(call, call->argv[1], &e)) return;
    if (!write_merged(call, e, &registers, dense)) {
        refuse_corrupt(call);
        return;
    }
    key_changed(call, call->argv[1], NOTIFY_STRING, "pfadd");
    call->dirty++;
    reply_ok(call->client);
}

/* ---- PFDEBUG --------------------------------------------------------------------------------------------------------- */

static void debug_simd(redis_call_t *call)
{
    if (arg_is(call, 2, "ON")) {
        call->redis->hll_words_only = false;
    } else if (arg_is(call, 2, "OFF")) {
        call->redis->hll_words_only = true;
    } else {
        reply_error(call->client, "ERR Argument must be ON or OFF");
        return;
    }
    reply_simple(call->client, hll_has_vectors() && use_vectors(call) ? "enabled" : "disabled");
}

/* True when the image is dense now; false after an error. */
static bool make_dense(redis_call_t *call, const redis_entry_t *e)
{
    hll_t hll;
    if (hll_is_dense(image_of(e).ptr)) return true;
    if (hll_load(&hll, image_of(e)) || hll_to_dense(&hll)) {
        refuse_corrupt(call);
        return false;
    }
    store(call, call->argv[2], &hll);
    key_changed(call, call->argv[2], 0, "pfdebug");
    call->dirty++;
    return true;
}

static void debug_registers(redis_call_t *call, redis_entry_t *e)
{
    hll_registers_t registers = {0};
    if (!make_dense(call, e)) return;
    int err = hll_merge(&registers, image_of(key_peek(call, call->argv[2])), use_vectors(call));
    ASSERT(!err);
    reply_array(call->client, HLL_REGISTERS);
    for (int i = 0; i < HLL_REGISTERS; i++) reply_int(call->client, registers.at[i]);
}

static void debug_decode(redis_call_t *call, redis_entry_t *e)
{
    buf_t text = BUF_INIT;
    if (hll_is_dense(image_of(e).ptr))
        reply_error(call->client, "ERR HLL encoding is not sparse");
    else if (hll_describe(image_of(e), &text))
        refuse_corrupt(call);
    else
        reply_bulk(call->client, text.len ? buf_bytes(&text) : BYTES_LIT(""));
    buf_deinit(&text);
}

static void debug_encoding(redis_call_t *call, redis_entry_t *e)
{
    reply_simple(call->client, hll_is_dense(image_of(e).ptr) ? "dense" : "sparse");
}

static void debug_to_dense(redis_call_t *call, redis_entry_t *e)
{
    bool was_dense = hll_is_dense(image_of(e).ptr);
    if (make_dense(call, e)) reply_int(call->client, !was_dense);
}

void redis_cmd_pfdebug(redis_call_t *call)
{
    static const struct {
        const char *name;
        void (*run)(redis_call_t *call, redis_entry_t *e);
    } rows[] = {{"GETREG", debug_registers},
                {"DECODE", debug_decode},
                {"ENCODING", debug_encoding},
                {"TODENSE", debug_to_dense}};
    redis_entry_t *e;
    if (arg_is(call, 1, "SIMD")) {
        debug_simd(call);
        return;
    }
    e = key_write(call, call->argv[2]);
    if (!e) {
        reply_error(call->client, "ERR The specified key does not exist");
        return;
    }
    if (!check_image(call, e)) return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!arg_is(call, 1, rows[i].name)) continue;
        rows[i].run(call, e);
        return;
    }
    bytes_t said = call->argv[1];
    reply_errorf(call->client, "ERR Unknown PFDEBUG subcommand '%.*s'", (int)MIN(said.len, (size_t)128), said.ptr);
}

/* ---- PFSELFTEST ------------------------------------------------------------------------------------------------------ */

enum { SELFTEST_ROUNDS = 100, SELFTEST_ELEMENTS_MAX = 1000000, SELFTEST_SPARSE_BYTES = 3000 };

/* Random registers are the same after having been packed. */
static bool selftest_registers(redis_call_t *call, uint8_t *image)
{
    hll_registers_t in, out;
    for (int round = 0; round < SELFTEST_ROUNDS; round++) {
        for (int i = 0; i < HLL_REGISTERS; i++) in.at[i] = redis_random(call->redis) % HLL_RANKS;
        hll_pack(image, &in, use_vectors(call));
        memset(&out, 0, sizeof(out));
        if (hll_merge(&out, bytes_of(image, HLL_DENSE_BYTES), use_vectors(call))) return false;
        for (int i = 0; i < HLL_REGISTERS; i++) {
            if (in.at[i] == out.at[i]) continue;
            reply_errorf(call->client, "ERR TESTFAILED Register %d should be %d but is %d", i, in.at[i], out.at[i]);
            return false;
        }
    }
    return true;
}

static bool selftest_fail(redis_call_t *call, const char *what)
{
    reply_errorf(call->client, "ERR TESTFAILED %s", what);
    return false;
}

/* Six times the standard error is so much that chance hardly ever reaches it; with ten elements one collision is more. */
static bool selftest_error(redis_call_t *call, int64_t elements, uint64_t estimate)
{
    int64_t error = elements - (int64_t)estimate, error_max = (int64_t)ceil(1.04 / 128 * 6 * (double)elements);
    if (llabs(error) <= (elements == 10 ? 1 : error_max)) return true;
    reply_errorf(call->client, "ERR TESTFAILED Too big error. card:%" PRId64 " abserr:%lld", elements, llabs(error));
    return false;
}

static bool selftest_checkpoint(redis_call_t *call, int64_t elements, const uint8_t *dense, const hll_t *hll)
{
    uint64_t one, other;
    if (elements < SELFTEST_SPARSE_BYTES / 2 && hll_is_dense(hll->image))
        return selftest_fail(call, "sparse encoding not used");
    if (hll_estimate(bytes_of(dense, HLL_DENSE_BYTES), use_vectors(call), &one) ||
        hll_estimate(bytes_of(hll->image, hll->len), false, &other) || one != other)
        return selftest_fail(call, "dense/sparse disagree");
    return selftest_error(call, elements, one);
}

static bool selftest_estimates(redis_call_t *call, uint8_t *dense)
{
    hll_t hll;
    uint64_t seed = redis_random(call->redis);
    int64_t checkpoint = 1;
    hll_init(&hll);
    memset(dense + HLL_HEADER_BYTES, 0, HLL_PACKED_BYTES);
    for (int64_t i = 1; i <= SELFTEST_ELEMENTS_MAX; i++) {
        uint64_t element = (uint64_t)i ^ seed;
        bool raised;
        hll_place_t place = hll_place(bytes_of(&element, sizeof(element)));
        (void)hll_dense_raise(dense, place);
        if (hll_raise(&hll, place, SELFTEST_SPARSE_BYTES, &raised)) return selftest_fail(call, "sparse image corrupt");
        if (i != checkpoint) continue;
        if (!selftest_checkpoint(call, i, dense, &hll)) return false;
        checkpoint *= 10;
    }
    return true;
}

void redis_cmd_pfselftest(redis_call_t *call)
{
    uint8_t image[HLL_DENSE_BYTES] = "HYLL";
    if (selftest_registers(call, image) && selftest_estimates(call, image)) reply_ok(call->client);
}
