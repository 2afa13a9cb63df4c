/* geo_search.c: GEOSEARCH, GEORADIUS and their kin: what is asked for, the search, and the answer.
 *
 * The search looks at the members of up to nine ranges of scores (geo_area.h). What it finds are cursors into the set, which
 * nothing changes before the answer is complete. With COUNT and an order only the best so many are kept, in a heap whose root
 * is the worst of them. Members at one distance stay in the order in which they were found. */
#include "redis/cmd/geo.h"
#include "redis/cmd/zset.h"
#include "redis_commands.h"

#include <stdlib.h>

typedef enum { ORDER_NONE, ORDER_ASC, ORDER_DESC } geo_order_t;

enum { WITH_DISTANCE = 1, WITH_HASH = 2, WITH_POINT = 4 };

typedef struct geo_found {
    double distance_m, score;
    size_t nth; /* found */
    geo_point_t at;
    zset_cursor_t cursor;
} geo_found_t;

typedef struct geo_search {
    redis_call_t *call;
    redis_entry_t *entry; /* NULL: the key is not there */
    bool by_options;      /* GEOSEARCH: center and area are options */
    bool may_store;       /* GEORADIUS: STORE and STOREDIST are options */
    bytes_t store_at;     /* ptr NULL: reply */
    bool store_distance;
    bool has_member, has_point, has_area;
    unsigned with;
    geo_order_t order;
    int64_t count; /* 0: all */
    bool any;
    geo_area_t area;
    geo_point_t *vertices;
    geo_found_t *found;
    size_t found_count, found_room, found_total;
} geo_search_t;

/* ---- what is asked for ----------------------------------------------------------------------------------------------- */

static bool syntax_error(geo_search_t *s)
{
    reply_error_syntax(s->call->client);
    return false;
}

static bool center_at_member(geo_search_t *s, int i)
{
    double score;
    if (!s->entry) return true; /* all the rest is checked nevertheless */
    if (!zset_score(value_of(s->entry), s->call->argv[i], &score)) {
        bytes_t member = s->call->argv[i];
        reply_errorf(s->call->client, "ERR member %.*s does not exist", (int)member.len, (const char *)member.ptr);
        return false;
    }
    s->area.center = geohash_point(score);
    return true;
}

static bool read_circle(geo_search_t *s, int i)
{
    s->area.kind = GEO_CIRCLE;
    s->has_area = true;
    return geo__arg_length(s->call, i, "ERR need numeric radius", "ERR radius cannot be negative", &s->area.radius) &&
           geo__arg_unit(s->call, i + 1, &s->area.unit_m);
}

/* Both are numbers before one is judged. */
static bool read_box(geo_search_t *s, int i)
{
    static const char negative[] = "ERR height or width cannot be negative";
    double height;
    s->area.kind = GEO_BOX;
    s->has_area = true;
    if (parse_double(s->call->argv[i], &s->area.width) && !parse_double(s->call->argv[i + 1], &height)) {
        reply_error(s->call->client, "ERR need numeric height");
        return false;
    }
    return geo__arg_length(s->call, i, "ERR need numeric width", negative, &s->area.width) &&
           geo__arg_length(s->call, i + 1, "ERR need numeric height", negative, &s->area.height) &&
           geo__arg_unit(s->call, i + 2, &s->area.unit_m);
}

/* argv[*i] is the number of vertices; moves behind the last. */
static bool read_polygon(geo_search_t *s, int *i)
{
    enum { VERTICES_MIN = 3 };
    int64_t count;
    redis_call_t *call = s->call;
    if (!arg_i64_in(call, *i, INT64_MIN, INT64_MAX, "ERR invalid number of vertices", &count)) return false;
    if (count < VERTICES_MIN || count > (call->argc - 1 - *i) / 2) {
        reply_error(call->client, "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
        return false;
    }
    mem_free(s->vertices);
    s->vertices = mem_alloc((size_t)count * sizeof(*s->vertices));
    for (int64_t n = 0; n < count; n++) {
        if (!geo__arg_point(call, *i + 1 + (int)n * 2, &s->vertices[n])) return false;
    }
    *i += (int)count * 2;
    s->area.kind = GEO_POLYGON;
    s->area.vertices = s->vertices;
    s->area.vertex_count = (size_t)count;
    s->area.unit_m = 1;
    s->has_area = true;
    return true;
}

static bool has_polygon(const geo_search_t *s) { return s->has_area && s->area.kind == GEO_POLYGON; }

/* The options of GEOSEARCH about the area; `*ret_known` when argv[*i] is one of them. */
static bool read_area_option(geo_search_t *s, int *i, bool *ret_known)
{
    redis_call_t *call = s->call;
    int more = call->argc - 1 - *i, at = *i;
    bool box = s->has_area && s->area.kind == GEO_BOX, circle = s->has_area && s->area.kind == GEO_CIRCLE;
    *ret_known = true;
    if (more >= 1 && arg_is(call, at, "FROMMEMBER") && !s->has_point && !has_polygon(s)) {
        s->has_member = true;
        *i += 1;
        return center_at_member(s, at + 1);
    }
    if (more >= 2 && arg_is(call, at, "FROMLONLAT") && !s->has_member && !has_polygon(s)) {
        s->has_point = true;
        *i += 2;
        return geo__arg_point(call, at + 1, &s->area.center);
    }
    if (more >= 2 && arg_is(call, at, "BYRADIUS") && !box && !has_polygon(s)) {
        *i += 2;
        return read_circle(s, at + 1);
    }
    if (more >= 3 && arg_is(call, at, "BYBOX") && !circle && !has_polygon(s)) {
        *i += 3;
        return read_box(s, at + 1);
    }
    if (more >= 1 && arg_is(call, at, "BYPOLYGON") && !circle && !box && !s->has_member && !s->has_point) {
        *i += 1;
        return read_polygon(s, i);
    }
    *ret_known = false;
    return true;
}

static bool read_count(geo_search_t *s, int i)
{
    if (!arg_i64(s->call, i, &s->count)) return false;
    if (s->count > 0) return true;
    reply_error(s->call->client, "ERR COUNT must be > 0");
    return false;
}

/* Options that are one word. */
static bool read_word(geo_search_t *s, int i)
{
    const redis_call_t *call = s->call;
    if (arg_is(call, i, "WITHDIST"))
        s->with |= WITH_DISTANCE;
    else if (arg_is(call, i, "WITHHASH"))
        s->with |= WITH_HASH;
    else if (arg_is(call, i, "WITHCOORD"))
        s->with |= WITH_POINT;
    else if (arg_is(call, i, "ANY"))
        s->any = true;
    else if (arg_is(call, i, "ASC"))
        s->order = ORDER_ASC;
    else if (arg_is(call, i, "DESC"))
        s->order = ORDER_DESC;
    else if (s->by_options && s->store_at.ptr && arg_is(call, i, "STOREDIST"))
        s->store_distance = true;
    else
        return false;
    return true;
}

static bool read_store(geo_search_t *s, int i)
{
    bool distance = arg_is(s->call, i, "STOREDIST");
    if (!s->may_store || i + 1 >= s->call->argc || !(distance || arg_is(s->call, i, "STORE"))) return false;
    s->store_at = s->call->argv[i + 1];
    s->store_distance = distance;
    return true;
}

static bool read_options(geo_search_t *s, int from)
{
    redis_call_t *call = s->call;
    for (int i = from; i < call->argc; i++) {
        bool known = false;
        if (read_word(s, i)) continue;
        if (i + 1 < call->argc && arg_is(call, i, "COUNT")) {
            if (!read_count(s, ++i)) return false;
            continue;
        }
        if (read_store(s, i)) {
            i++;
            continue;
        }
        if (s->by_options && !read_area_option(s, &i, &known)) return false;
        if (!known) return syntax_error(s);
    }
    return true;
}

static bool refuse_choice(geo_search_t *s, const char *choice)
{
    bytes_t said = s->call->argv[0];
    int len = (int)MIN(said.len, (size_t)COMMAND_NAME_LEN_MAX);
    reply_errorf(s->call->client, "ERR exactly one of %s can be specified for %.*s", choice, len, said.ptr);
    return false;
}

static bool options_agree(geo_search_t *s)
{
    if (s->store_at.ptr && s->with) {
        reply_errorf(s->call->client, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                     s->by_options ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
        return false;
    }
    if (s->by_options && !s->has_member && !s->has_point && !has_polygon(s))
        return refuse_choice(s, "FROMMEMBER or FROMLONLAT");
    if (s->by_options && !s->has_area) return refuse_choice(s, "BYRADIUS, BYBOX and BYPOLYGON");
    if (s->any && s->count == 0) {
        reply_error(s->call->client, "ERR the ANY argument requires COUNT argument");
        return false;
    }
    if (s->count && s->order == ORDER_NONE && !s->any) s->order = ORDER_ASC;
    return true;
}

/* ---- the search ------------------------------------------------------------------------------------------------------ */

/* The order of the answer. */
static bool comes_after(const geo_search_t *s, const geo_found_t *a, const geo_found_t *b)
{
    if (a->distance_m == b->distance_m || s->order == ORDER_NONE) return a->nth > b->nth;
    return s->order == ORDER_ASC ? a->distance_m > b->distance_m : a->distance_m < b->distance_m;
}

static void sift_down(geo_search_t *s, size_t i, size_t count)
{
    geo_found_t moving = s->found[i];
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && comes_after(s, &s->found[child + 1], &s->found[child])) child++;
        if (!comes_after(s, &s->found[child], &moving)) break;
        s->found[i] = s->found[child];
    }
    s->found[i] = moving;
}

static void build_heap(geo_search_t *s)
{
    for (size_t i = s->found_count / 2; i-- > 0;) sift_down(s, i, s->found_count);
}

/* From a heap to the order of the answer. */
static void sort_heap(geo_search_t *s)
{
    for (size_t end = s->found_count; end-- > 1;) {
        geo_found_t worst = s->found[0];
        s->found[0] = s->found[end];
        s->found[end] = worst;
        sift_down(s, 0, end);
    }
}

static bool is_full(const geo_search_t *s) { return s->count && s->found_count == (size_t)s->count; }

static void keep(geo_search_t *s, const geo_found_t *f)
{
    if (is_full(s)) { /* a heap, unless nothing more is sought */
        if (comes_after(s, f, &s->found[0])) return;
        s->found[0] = *f;
        sift_down(s, 0, s->found_count);
        return;
    }
    if (s->found_count == s->found_room) {
        s->found_room = MAX(s->found_room * 2, (size_t)16);
        s->found = mem_realloc(s->found, s->found_room * sizeof(*s->found));
    }
    s->found[s->found_count++] = *f;
    if (is_full(s)) build_heap(s);
}

/* False when enough is found. */
static bool search_range(geo_search_t *s, value_t v, geo_range_t range)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    ztree_bound_t from = {.kind = ZBOUND_SCORE_GE, .score = (double)range.min};
    size_t rank = zset_seek(v, &from);
    if (rank == zset_length(v)) return true;
    geo_found_t f = {.cursor = zset_at(v, rank)};
    for (; zset_get(&f.cursor, room, &member, &f.score) && f.score < (double)range.max; zset_next(&f.cursor)) {
        f.at = geohash_point(f.score);
        if (!geo_area_contains(&s->area, f.at, &f.distance_m)) continue;
        f.nth = s->found_total++;
        keep(s, &f);
        if (s->any && is_full(s)) return false;
    }
    return true;
}

static void search(geo_search_t *s)
{
    geo_range_t ranges[GEO_RANGES_MAX];
    geo_area_prepare(&s->area);
    size_t count = geo_area_ranges(&s->area, ranges);
    for (size_t i = 0; i < count && search_range(s, value_of(s->entry), ranges[i]); i++) continue;
    bool heap = is_full(s);
    if (!heap && s->order == ORDER_NONE) return;
    if (!heap) build_heap(s);
    sort_heap(s);
}

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

/* As x86 converts: a score may be any number. */
static int64_t hash_of_score(double score) { return score >= -0x1p63 && score < 0x1p63 ? (int64_t)score : INT64_MIN; }

static void reply_found(const geo_search_t *s, const geo_found_t *f)
{
    redis_client_t *c = s->call->client;
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    bool there = zset_get(&f->cursor, room, &member, NULL);
    ASSERT(there);
    if (s->with) reply_array(c, 1 + (size_t)__builtin_popcount(s->with));
    reply_bulk(c, member);
    if (s->with & WITH_DISTANCE) geo__reply_distance(c, f->distance_m / s->area.unit_m);
    if (s->with & WITH_HASH) reply_int(c, hash_of_score(f->score));
    if (s->with & WITH_POINT) geo__reply_point(c, f->at);
}

static void store_found(const geo_search_t *s)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    bool added;
    zset_t *built = zset_begin();
    for (size_t i = 0; i < s->found_count; i++) {
        const geo_found_t *f = &s->found[i];
        bool there = zset_get(&f->cursor, room, &member, NULL);
        ASSERT(there);
        zset_accumulate(built, member, s->store_distance ? f->distance_m / s->area.unit_m : f->score, &added);
    }
    zset__store(s->call, s->store_at, built, s->by_options ? "geosearchstore" : "georadiusstore");
}

static void answer(const geo_search_t *s)
{
    if (s->store_at.ptr) {
        store_found(s);
        return;
    }
    reply_array(s->call->client, s->found_count);
    for (size_t i = 0; i < s->found_count; i++) reply_found(s, &s->found[i]);
}

/* ---- commands -------------------------------------------------------------------------------------------------------- */

/* False after an error. */
static bool read_center(geo_search_t *s, bool by_member)
{
    if (s->by_options) return true;
    if (!by_member) return geo__arg_point(s->call, 2, &s->area.center) && read_circle(s, 4);
    if (!s->entry) return true; /* the original does not look at the radius then */
    return center_at_member(s, 2) && read_circle(s, 3);
}

static void run(geo_search_t *s, bytes_t key, bool by_member, int options)
{
    if (!key_read_type(s->call, key, TYPE_ZSET, &s->entry)) return;
    if (read_center(s, by_member) && read_options(s, options) && options_agree(s)) {
        if (s->entry) search(s);
        answer(s);
    }
    mem_free(s->vertices);
    mem_free(s->found);
}

static void radius(redis_call_t *call, bool by_member, bool may_store)
{
    geo_search_t s = {.call = call, .may_store = may_store};
    run(&s, call->argv[1], by_member, by_member ? 5 : 6);
}

void redis_cmd_georadius(redis_call_t *call) { radius(call, false, true); }
void redis_cmd_georadius_ro(redis_call_t *call) { radius(call, false, false); }
void redis_cmd_georadiusbymember(redis_call_t *call) { radius(call, true, true); }
void redis_cmd_georadiusbymember_ro(redis_call_t *call) { radius(call, true, false); }

void redis_cmd_geosearch(redis_call_t *call)
{
    geo_search_t s = {.call = call, .by_options = true};
    run(&s, call->argv[1], false, 2);
}

void redis_cmd_geosearchstore(redis_call_t *call)
{
    geo_search_t s = {.call = call, .by_options = true, .store_at = call->argv[1]};
    run(&s, call->argv[2], false, 3);
}
