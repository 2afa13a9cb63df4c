/* listen_test.c: who hears which announcements, in which order; and that a keyspace announces every change: a listener that
 * keeps a copy of each key's digest by nothing but the announcements ends up with what the keyspace holds, whatever commands ran. */
#include "redis/db/listen.h"

#include "redis/db/digest.h"
#include "redis/exec/state.h"
#include "redis/redis.h"

#include "redis/types/hash.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- listeners alone ------------------------------------------------------------------------------------------------- */

typedef struct ear {
    db_listener_t listener;
    char letter, *heard;
} ear_t;

static void note_changed(db_listener_t *self, redis_db_t *db, bytes_t key)
{
    ear_t *e = CONTAINER_OF(self, ear_t, listener);
    size_t len = strlen(e->heard);
    e->heard[len] = e->letter;
    e->heard[len + 1] = '\0';
}

static ear_t ear_of(char letter, int rank, char *heard)
{
    return (ear_t){{.name = "ear", .rank = rank, .changed = note_changed}, letter, heard};
}

static void test_listeners_hear_what_they_want_in_the_order_of_ranks(void **state)
{
    char heard[16] = "";
    db_listeners_t all = {0};
    ear_t late = ear_of('l', 30, heard), early = ear_of('e', 10, heard), middle = ear_of('m', 20, heard);
    db_listen(&all, &late.listener);
    db_listen(&all, &early.listener);
    db_listen(&all, &middle.listener);
    assert_false(listen__is_wanted(&all, DB_CHANGED));
    listen__changed(&all, NULL, BYTES_LIT("k"));
    assert_string_equal(heard, "");
    db_want(&all, &late.listener, DB_CHANGED);
    db_want(&all, &early.listener, DB_CHANGED);
    assert_true(listen__is_wanted(&all, DB_CHANGED));
    assert_false(listen__is_wanted(&all, DB_GONE));
    listen__changed(&all, NULL, BYTES_LIT("k"));
    assert_string_equal(heard, "el");
    db_want(&all, &middle.listener, DB_CHANGED);
    db_unlisten(&all, &early.listener);
    listen__changed(&all, NULL, BYTES_LIT("k"));
    assert_string_equal(heard, "elml");
    db_want(&all, &middle.listener, 0);
    db_want(&all, &late.listener, 0);
    assert_false(listen__is_wanted(&all, DB_CHANGED));
}

/* ---- the keyspace announces all it does ------------------------------------------------------------------------------ */

enum { DBS = 2, KEYS = 12 };

/* What is known of a key from announcements alone. */
typedef struct known {
    bool there, told, warned; /* the latter two: of this command */
    uint8_t digest[DIGEST_BYTES];
} known_t;

typedef struct shadow {
    db_listener_t listener;
    redis_t *redis;
    known_t keys[DBS][KEYS];
    const char *line; /* the command under way */
} shadow_t;

static int key_number(bytes_t key)
{
    assert_int_equal(key.len, 2);
    assert_in_range(key.ptr[1], 'a', 'a' + KEYS - 1);
    return key.ptr[1] - 'a';
}

static void add_time(void *user, const hash_item_t *item)
{
    uint8_t *digest = user;
    uint64_t mark = hash_bytes(item->field.ptr, item->field.len) * 31 + (uint64_t)item->at_ms;
    for (size_t i = 0; i < sizeof(mark); i++) digest[i] ^= (uint8_t)(mark >> (8 * i));
}

/* What is there, and which field expires when. */
static void fingerprint(const redis_entry_t *e, uint8_t out[DIGEST_BYTES])
{
    digest_value(e, HASH_ALL, out);
    if (e->type != TYPE_HASH) return;
    hash_each_item(value_of(e), add_time, out);
}

static void shadow_will_change(db_listener_t *self, redis_db_t *db, redis_entry_t *entry)
{
    shadow_t *s = CONTAINER_OF(self, shadow_t, listener);
    known_t *k = &s->keys[db->id][key_number(entry_key(entry))];
    uint8_t now[DIGEST_BYTES];
    fingerprint(entry, now);
    if (!k->told && !k->warned && k->there && memcmp(now, k->digest, DIGEST_BYTES) != 0)
        fail_msg("%s: the key has changed before it was said that it would", s->line);
    k->warned = true;
}

static void shadow_changed(db_listener_t *self, redis_db_t *db, bytes_t key)
{
    CONTAINER_OF(self, shadow_t, listener)->keys[db->id][key_number(key)].told = true;
}

static void shadow_gone(db_listener_t *self, redis_db_t *db, bytes_t key, db_cause_t cause)
{
    CONTAINER_OF(self, shadow_t, listener)->keys[db->id][key_number(key)].told = true;
}

static void shadow_fields_gone(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    CONTAINER_OF(self, shadow_t, listener)->keys[db->id][key_number(key)].told = true;
}

static void shadow_will_empty(db_listener_t *self, redis_db_t *db, const char *command)
{
    shadow_t *s = CONTAINER_OF(self, shadow_t, listener);
    for (int i = 0; i < KEYS; i++) s->keys[db->id][i].told = s->keys[db->id][i].warned = true;
}

static void shadow_will_swap(db_listener_t *self, redis_db_t *a, redis_db_t *b)
{
    shadow_will_empty(self, a, NULL);
    shadow_will_empty(self, b, NULL);
}

/* Compares what is there with what was announced since the last look. */
static void look(shadow_t *s)
{
    for (int db = 0; db < DBS; db++)
        for (int i = 0; i < KEYS; i++) {
            known_t *k = &s->keys[db][i];
            uint8_t now[DIGEST_BYTES] = {0};
            char name[3] = {'k', (char)('a' + i), '\0'};
            redis_entry_t *e = db__find(&s->redis->keyspace.dbs[db], bytes_str(name));
            if (e) fingerprint(e, now);
            bool same = k->there == (e != NULL) && memcmp(now, k->digest, DIGEST_BYTES) == 0;
            if (!same && !k->told) fail_msg("%s: nobody was told that %s has changed", s->line, name);
            if (!same && k->there && !k->warned) fail_msg("%s: nobody was told that %s would change", s->line, name);
            k->there = e != NULL;
            k->told = k->warned = false;
            memcpy(k->digest, now, DIGEST_BYTES);
        }
}

static uint64_t draw(uint64_t *state, uint64_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % bound;
}

/* % stands for a key, # for a small number, @ for a member. */
static const char *const forms[] = {
    "SET % @",
    "SET % #",
    "SET % @ KEEPTTL",
    "SET % @ PX 1",
    "SET % @ EX 100",
    "SETEX % 100 @",
    "GETSET % @",
    "GETDEL %",
    "GETEX % PERSIST",
    "GETEX % PX 1",
    "APPEND % @",
    "SETRANGE % # @",
    "INCR %",
    "INCRBYFLOAT % 1.5",
    "MSET % # % @",
    "MSETNX % # % @",
    "SETBIT % # 1",
    "BITOP NOT % %",
    "BITFIELD % SET u8 # 7",
    "DEL % %",
    "UNLINK %",
    "RENAME % %",
    "RENAMENX % %",
    "COPY % % REPLACE",
    "COPY % % DB 1",
    "MOVE % 1",
    "EXPIRE % 100",
    "PEXPIRE % 1",
    "EXPIRE % -1",
    "PERSIST %",
    "LPUSH % @ @",
    "RPUSH % #",
    "LPUSHX % @",
    "LPOP % #",
    "RPOP %",
    "LSET % 0 @",
    "LINSERT % BEFORE @ @",
    "LREM % 0 @",
    "LTRIM % 0 #",
    "LMOVE % % LEFT RIGHT",
    "RPOPLPUSH % %",
    "LMPOP 2 % % LEFT",
    "SORT % ALPHA STORE %",
    "SADD % @ # @",
    "SREM % @",
    "SPOP %",
    "SPOP % #",
    "SMOVE % % @",
    "SUNIONSTORE % % %",
    "SINTERSTORE % % %",
    "SDIFFSTORE % % %",
    "HSET % @ # @ @",
    "HDEL % @",
    "HINCRBY % @ #",
    "HINCRBYFLOAT % @ 2.5",
    "HSETNX % @ @",
    "HSETEX % PX 1 FIELDS 1 @ @",
    "HSETEX % EX 100 FIELDS 2 @ # @ @",
    "HSETEX % KEEPTTL FIELDS 1 @ @",
    "HSETEX % PXAT 1 FIELDS 1 @ @",
    "HGETEX % PX # FIELDS 1 @",
    "HGETEX % PERSIST FIELDS 1 @",
    "HGETDEL % FIELDS 1 @",
    "HPEXPIRE % # FIELDS 2 @ @",
    "HEXPIRE % 100 NX FIELDS 1 @",
    "HPERSIST % FIELDS 2 @ @",
    "ZADD % # @ # @",
    "ZADD % XX # @",
    "ZINCRBY % # @",
    "ZREM % @",
    "ZPOPMIN %",
    "ZMPOP 2 % % MAX",
    "ZREMRANGEBYRANK % 0 #",
    "ZREMRANGEBYSCORE % 0 #",
    "ZUNIONSTORE % 2 % %",
    "ZRANGESTORE % % 0 #",
    "ZDIFFSTORE % 2 % %",
    "PFADD % @ #",
    "PFMERGE % % %",
    "GEOADD % 1 2 @",
    "XADD % * @ @",
    "XADD % MAXLEN 2 * @ @",
    "XTRIM % MAXLEN #",
    "XDEL % 1-1",
    "XADD % 1-1 @ @",
    "XGROUP CREATE % g 0 MKSTREAM",
    "XSETID % 9999999999999-1",
    "DELIFEQ % @",
    "SELECT 0",
    "SELECT 1",
    "SWAPDB 0 1",
    "FLUSHDB",
    "GET %",
    "TYPE %",
};

static const char *member(uint64_t *state, char room[8])
{
    snprintf(room, 8, "m%d", (int)draw(state, 6));
    return room;
}

/* FLUSHDB and SWAPDB rarely, or there is little to change. */
static const char *choose(uint64_t *state)
{
    const char *form = forms[draw(state, ARRAY_LEN(forms))];
    bool rare = strcmp(form, "FLUSHDB") == 0 || strcmp(form, "SWAPDB 0 1") == 0;
    return rare && draw(state, 10) ? "GET %" : form;
}

static void make_line(uint64_t *state, char line[256])
{
    size_t len = 0;
    for (const char *p = choose(state); *p; p++) {
        char room[8] = {*p, '\0'};
        if (*p == '%') snprintf(room, sizeof(room), "k%c", (char)('a' + draw(state, KEYS)));
        if (*p == '#') snprintf(room, sizeof(room), "%d", (int)draw(state, 5));
        if (*p == '@') member(state, room);
        len += (size_t)snprintf(line + len, 256 - len, "%s", room);
    }
}

/* Runs the line, after which the shadow is compared. */
static void run(shadow_t *s, char *line)
{
    bytes_t argv[16];
    int argc = 0;
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = bytes_str(word);
    s->line = line;
    redis_execute(s->redis, argv, argc, NULL);
    look(s);
}

static shadow_t shadow_of(redis_t *redis)
{
    return (shadow_t){.listener = {.name = "shadow",
                                   .rank = DB_RANK_TRACKING,
                                   .will_change = shadow_will_change,
                                   .changed = shadow_changed,
                                   .gone = shadow_gone,
                                   .fields_gone = shadow_fields_gone,
                                   .will_empty = shadow_will_empty,
                                   .will_swap = shadow_will_swap},
                      .redis = redis,
                      .line = ""};
}

static void run_many(shadow_t *s, sim_t *sim, uint64_t state, int count)
{
    char line[256];
    for (int i = 0; i < count; i++) {
        make_line(&state, line);
        run(s, line);
        if (draw(&state, 50) == 0) sim_run_for(sim, 2); /* keys expire, some by themselves */
    }
}

static void test_every_change_of_a_key_is_announced(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        char err[256] = "";
        sim_t *sim = sim_new(seed);
        io_loop_t *loop = sim_node_loop(sim_node_new(sim, "10.0.0.1"));
        net_t *net = net_new(loop);
        redis_config_t *config = redis_config_new();
        redis_t *redis = redis_new(loop, net, "/data/redis", config);
        redis_config_free(config);
        assert_int_equal(redis_load(redis, err, sizeof(err)), 0);
        shadow_t s = shadow_of(redis);
        db_listen(&redis->keyspace.announce, &s.listener);
        db_want(&redis->keyspace.announce, &s.listener,
                DB_WILL_CHANGE | DB_CHANGED | DB_GONE | DB_FIELDS_GONE | DB_WILL_EMPTY | DB_WILL_SWAP);
        run_many(&s, sim, seed * 0x9e3779b97f4a7c15u, 3000);
        db_unlisten(&redis->keyspace.announce, &s.listener);
        redis_free(redis);
        net_free(net);
        sim_free(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listeners_hear_what_they_want_in_the_order_of_ranks),
        cmocka_unit_test(test_every_change_of_a_key_is_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
