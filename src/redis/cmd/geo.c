/* geo.c: GEOADD, GEODIST, GEOHASH and GEOPOS. Places are members of a sorted set: geohash.h tells how their scores are made. */
#include "redis/cmd/geo.h"

#include <math.h>
#include <stdio.h>

#include "redis/types/zset.h"
#include "redis_commands.h"

/* ---- arguments and replies ----------------------------------------------------------------------------------------- */

bool geo__arg_point(redis_call_t *call, int i, geo_point_t *ret_point)
{
    geo_point_t p;
    if (!arg_double(call, i, &p.longitude) || !arg_double(call, i + 1, &p.latitude)) return false;
    if (!geo_is_point(p)) {
        reply_errorf(call->client, "ERR invalid longitude,latitude pair %f,%f", p.longitude, p.latitude);
        return false;
    }
    *ret_point = p;
    return true;
}

bool geo__arg_unit(redis_call_t *call, int i, double *ret_unit_m)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"M", 1}, {"KM", 1000}, {"FT", 0.3048}, {"MI", 1609.34}};
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        if (!arg_is(call, i, units[u].name)) continue;
        *ret_unit_m = units[u].metres;
        return true;
    }
    reply_error(call->client, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

bool geo__arg_length(redis_call_t *call, int i, const char *no_number, const char *negative, double *ret)
{
    double v;
    if (!parse_double(call->argv[i], &v)) {
        reply_error(call->client, no_number);
        return false;
    }
    if (v < 0) {
        reply_error(call->client, negative);
        return false;
    }
    *ret = v;
    return true;
}

void geo__reply_point(redis_client_t *c, geo_point_t p)
{
    char text[DEGREES_CHARS_MAX];
    reply_array(c, 2);
    reply_decimal(c, bytes_of(text, format_degrees(text, p.longitude)));
    reply_decimal(c, bytes_of(text, format_degrees(text, p.latitude)));
}

void geo__reply_distance(redis_client_t *c, double distance)
{
    enum { DECIMALS_SCALE = 10000 };
    long long scaled = llrint(distance * DECIMALS_SCALE);
    reply_bulk_f(c, "%lld.%04lld", scaled / DECIMALS_SCALE, scaled % DECIMALS_SCALE);
}

/* ---- GEOADD ---------------------------------------------------------------------------------------------------------- */

/* The index of the first longitude. */
static int skip_options(const redis_call_t *call, bool *ret_contradict)
{
    bool nx = false, xx = false;
    int i = 2;
    for (; i < call->argc; i++) {
        if (arg_is(call, i, "NX"))
            nx = true;
        else if (arg_is(call, i, "XX"))
            xx = true;
        else if (!arg_is(call, i, "CH"))
            break;
    }
    *ret_contradict = nx && xx;
    return i;
}

typedef struct score_text {
    char text[NUM_I64_CHARS_MAX];
} score_text_t;

/* ZADD's words for the places from argv[first] on; false after an error. */
static bool fill_scores(redis_call_t *call, int first, bytes_t *argv, score_text_t *scores)
{
    for (int i = first; i < call->argc; i += 3, scores++) {
        geo_point_t p;
        if (!geo__arg_point(call, i, &p)) return false;
        *argv++ = bytes_of(scores->text, num_format_u64(scores->text, geohash_of(p)));
        *argv++ = call->argv[i + 2];
    }
    return true;
}

/* Runs, and travels, as the ZADD that it is. */
static void add_as_zadd(redis_call_t *call, int argc, const bytes_t *argv)
{
    int argc_sent = call->argc;
    const bytes_t *argv_sent = call->argv;
    call->argc = argc;
    call->argv = argv;
    redis_cmd_zadd(call);
    call->argc = argc_sent;
    call->argv = argv_sent;
    if (call->dirty) propagate(call, argc, argv);
}

void redis_cmd_geoadd(redis_call_t *call)
{
    bool contradict;
    int first = skip_options(call, &contradict), places = (call->argc - first) / 3, argc = first + places * 2;
    if ((call->argc - first) % 3 || contradict) {
        reply_error_syntax(call->client);
        return;
    }
    bytes_t *argv = mem_alloc(sizeof(*argv) * (size_t)argc);
    score_text_t *scores = mem_alloc(sizeof(*scores) * (size_t)MAX(places, 1));
    memcpy(argv, call->argv, sizeof(*argv) * (size_t)first);
    argv[0] = BYTES_LIT("ZADD");
    if (fill_scores(call, first, argv + first, scores)) add_as_zadd(call, argc, argv);
    mem_free(scores);
    mem_free(argv);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool point_of(const redis_entry_t *e, bytes_t member, geo_point_t *ret_point)
{
    double score;
    if (!e || !zset_score(value_of(e), member, &score)) return false;
    *ret_point = geohash_point(score);
    return true;
}

void redis_cmd_geohash(redis_call_t *call)
{
    redis_entry_t *e;
    geo_point_t p;
    char text[GEOHASH_CHARS];
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &e)) return;
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) {
        if (point_of(e, call->argv[i], &p)) {
            geohash_text(p, text);
            reply_bulk(call->client, bytes_of(text, GEOHASH_CHARS));
        } else {
            reply_null(call->client);
        }
    }
}

void redis_cmd_geopos(redis_call_t *call)
{
    redis_entry_t *e;
    geo_point_t p;
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &e)) return;
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) {
        if (point_of(e, call->argv[i], &p))
            geo__reply_point(call->client, p);
        else
            reply_null_array(call->client);
    }
}

void redis_cmd_geodist(redis_call_t *call)
{
    redis_entry_t *e;
    geo_point_t a, b;
    double unit_m = 1;
    if (call->argc > 5) {
        reply_error_syntax(call->client);
        return;
    }
    if (call->argc == 5 && !geo__arg_unit(call, 4, &unit_m)) return;
    if (!key_read_type(call, call->argv[1], TYPE_ZSET, &e)) return;
    if (point_of(e, call->argv[2], &a) && point_of(e, call->argv[3], &b))
        geo__reply_distance(call->client, geo_distance_m(a, b) / unit_m);
    else
        reply_null(call->client);
}
