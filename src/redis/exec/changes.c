/* changes.c: what a command changed, key by key. A consumer of changes sees the keys one by one, perhaps from several
 * partitions, so each change must stand alone: it is what happened to this key and needs no other.
 *
 *   one key              the command as it travels
 *   MSET, MSETNX         a SET for each
 *   DEL, UNLINK          each is gone
 *   SMOVE, LMOVE ...     what left the one, what came to the other
 *   all other            each key that was written: gone, or its state after the command (argc 0)
 *
 * Commands that name several keys are told of after they ran, so the state is theirs. */
#include "redis/exec/changes.h"

#include "redis/exec/getkeys.h"
#include "redis/exec/state.h"
#include "redis/glob.h"
#include "redis/persist/aof.h"
#include "redis/persist/data_file.h"
#include "redis/redis.h"
#include "redis/types/emit.h"
#include "redis/types/list.h"
#include "redis_commands.h"

#include "base/num.h"

typedef struct teller {
    redis_db_t *db;
    const redis_command_t *command;
    int argc;
    const bytes_t *argv;
} teller_t;

static void tell(redis_t *redis, const redis_change_t *change)
{
    if (redis->changes.observer->changed(redis->changes.observer->user, change)) redis->changes.open = true;
}

static redis_change_t change_of(const teller_t *t, const redis_db_t *db, bytes_t key)
{
    return (redis_change_t){.db = db->id, .key = key, .command = t->command->full_name, .now_ms = db->keyspace->now_ms};
}

static void tell_as(const teller_t *t, bytes_t key, int argc, const bytes_t *argv)
{
    redis_change_t change = change_of(t, t->db, key);
    change.argc = argc;
    change.argv = argv;
    tell(t->db->redis, &change);
}

/* Gone, or what it is now. */
static void tell_state(const teller_t *t, redis_db_t *db, bytes_t key)
{
    redis_change_t change = change_of(t, db, key);
    change.gone = db__find(db, key) == NULL;
    tell(db->redis, &change);
}

/* ---- commands with a way of their own -------------------------------------------------------------------------------- */

static void tell_mset(const teller_t *t)
{
    for (int i = 1; i + 1 < t->argc; i += 2) {
        bytes_t argv[3] = {BYTES_LIT("SET"), t->argv[i], t->argv[i + 1]};
        tell_as(t, t->argv[i], 3, argv);
    }
}

static void tell_smove(const teller_t *t)
{
    bytes_t left[3] = {BYTES_LIT("SREM"), t->argv[1], t->argv[3]},
            came[3] = {BYTES_LIT("SADD"), t->argv[2], t->argv[3]};
    tell_as(t, t->argv[1], 3, left);
    tell_as(t, t->argv[2], 3, came);
}

/* Of a list onto another; turning one list around needs no other. */
static void tell_moved(const teller_t *t, bool from_head, bool to_head)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t source = t->argv[1], target = t->argv[2];
    if (bytes_eq(source, target)) {
        tell_as(t, source, t->argc, t->argv);
        return;
    }
    const redis_entry_t *e = db__find(t->db, target);
    ASSERT(e && e->type == TYPE_LIST);
    value_t v = value_of(e);
    bytes_t left[2] = {from_head ? BYTES_LIT("LPOP") : BYTES_LIT("RPOP"), source};
    bytes_t came[3] = {to_head ? BYTES_LIT("LPUSH") : BYTES_LIT("RPUSH"), target,
                       rlist_text(to_head ? rlist_first(v) : rlist_last(v), room)};
    tell_as(t, source, 2, left);
    tell_as(t, target, 3, came);
}

static void tell_lmove(const teller_t *t)
{
    tell_moved(t, bytes_eq_nocase(t->argv[3], BYTES_LIT("LEFT")), bytes_eq_nocase(t->argv[4], BYTES_LIT("LEFT")));
}

static void tell_rpoplpush(const teller_t *t) { tell_moved(t, false, true); }

/* `db` when it is no number of one: then the command fails by itself. */
static redis_db_t *db_named(redis_db_t *db, bytes_t number)
{
    int64_t n;
    return num_parse_i64(number, &n) && n >= 0 && n < db->keyspace->db_count ? &db->keyspace->dbs[n] : db;
}

/* Where MOVE and COPY put a key. */
static redis_db_t *target_db(redis_db_t *db, const redis_command_t *command, int argc, const bytes_t *argv)
{
    if (command->traits & TRAIT_MOVES_KEY) return db_named(db, argv[2]);
    for (int i = 3; command->traits & TRAIT_COPIES_KEY && i + 1 < argc; i++)
        if (bytes_eq_nocase(argv[i], BYTES_LIT("DB"))) return db_named(db, argv[i + 1]);
    return db;
}

static void tell_move(const teller_t *t)
{
    tell_state(t, t->db, t->argv[1]);
    tell_state(t, target_db(t->db, t->command, t->argc, t->argv), t->argv[1]);
}

static void tell_copy(const teller_t *t) { tell_state(t, target_db(t->db, t->command, t->argc, t->argv), t->argv[2]); }

typedef struct swap_side {
    const teller_t *t;
    redis_db_t *here, *there;
} swap_side_t;

static void tell_swapped(void *user, void *entry)
{
    const swap_side_t *side = user;
    bytes_t key = entry_key(entry);
    tell_state(side->t, side->here, key);
    if (!db__find(side->there, key)) tell_state(side->t, side->there, key);
}

static void tell_swapdb(const teller_t *t)
{
    redis_db_t *a = db_named(t->db, t->argv[1]), *b = db_named(t->db, t->argv[2]);
    if (a == b) return;
    table_each(&a->keys, tell_swapped, &(swap_side_t){t, a, b});
    table_each(&b->keys, tell_swapped, &(swap_side_t){t, b, a});
}

static void tell_nothing(const teller_t *t) {} /* a flush: on_will_empty told it */

static void (*const own_ways[CHANGE_COUNT])(const teller_t *t) = {
    [CHANGE_PAIRS] = tell_mset,     [CHANGE_MEMBER] = tell_smove,    [CHANGE_ELEMENT] = tell_lmove,
    [CHANGE_TAIL] = tell_rpoplpush, [CHANGE_MOVED] = tell_move,      [CHANGE_COPIED] = tell_copy,
    [CHANGE_SWAPPED] = tell_swapdb, [CHANGE_FLUSHED] = tell_nothing,
};

/* ---- telling --------------------------------------------------------------------------------------------------------- */

/* The command has run, and yet what it names may contradict its specification: PFMERGE without sources. Then the keys up to there
 * are all there are. */
static void tell_written(const teller_t *t)
{
    key_positions_t keys = {0};
    (void)command_get_keys(t->command, t->argc, t->argv, &keys);
    bool alone = keys.count == 1 && !(t->command->traits & TRAIT_DELETES_KEYS);
    for (size_t i = 0; i < keys.count; i++) {
        bytes_t key = t->argv[keys.at[i].index];
        if (keys.at[i].flags & KEY_RO) continue;
        if (alone)
            tell_as(t, key, t->argc, t->argv);
        else
            tell_state(t, t->db, key);
    }
    key_positions_deinit(&keys);
}

/* Of one key, which is the first argument: most commands. */
static bool names_one_key(const redis_command_t *command)
{
    const redis_key_spec_t *s = command->key_specs;
    return command->key_spec_count == 1 && !s->keynum && !s->keyword && s->index == 1 && s->last_key == 0 &&
           !(s->flags & KEY_NOT_KEY);
}

void changes__tell(redis_db_t *db, int argc, const bytes_t *argv)
{
    const redis_command_t *command = command__lookup(db->redis, argv[0]);
    ASSERT(command);
    command = command__resolve(command, argc, argv);
    ASSERT(command);
    teller_t t = {db, command, argc, argv};
    if (command->change != CHANGE_KEYS)
        own_ways[command->change](&t);
    else if (names_one_key(command))
        tell_as(&t, argv[1], argc, argv);
    else
        tell_written(&t);
}

static void on_gone(db_listener_t *self, redis_db_t *db, bytes_t key, db_cause_t cause)
{
    redis_change_t change = {.db = db->id,
                             .key = key,
                             .command = "del",
                             .cause = db_cause_name(cause),
                             .gone = true,
                             .now_ms = db->keyspace->now_ms};
    tell(db->redis, &change);
}

static void on_fields_gone(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    bytes_t argv[2 + DB_FIELDS_MAX] = {BYTES_LIT("HDEL"), key};
    ASSERT(count <= DB_FIELDS_MAX);
    memcpy(argv + 2, fields, sizeof(*fields) * (size_t)count);
    redis_change_t change = {.db = db->id,
                             .key = key,
                             .command = "hdel",
                             .cause = db_cause_name(DB_EXPIRED),
                             .argc = 2 + count,
                             .argv = argv,
                             .now_ms = db->keyspace->now_ms};
    tell(db->redis, &change);
}

typedef struct flushed {
    redis_db_t *db;
    const char *command;
} flushed_t;

static void tell_flushed(void *user, void *entry)
{
    const flushed_t *f = user;
    redis_change_t change = {.db = f->db->id,
                             .key = entry_key(entry),
                             .command = f->command,
                             .gone = true,
                             .now_ms = f->db->keyspace->now_ms};
    tell(f->db->redis, &change);
}

static void on_will_empty(db_listener_t *self, redis_db_t *db, const char *command)
{
    if (command) table_each(&db->keys, tell_flushed, &(flushed_t){db, command});
}

void changes__close(redis_t *redis)
{
    redis->changes.open = false;
    redis->changes.observer->closing(redis->changes.observer->user);
}

/* ---- refusing -------------------------------------------------------------------------------------------------------- */

static const char *refusal_of(const redis_t *redis, const redis_db_t *db, bytes_t key)
{
    return redis->changes.observer->refusal(redis->changes.observer->user, db->id, key);
}

static bool is_named(int argc, const bytes_t *argv, int db)
{
    int64_t n;
    for (int i = 1; i < argc; i++)
        if (num_parse_i64(argv[i], &n) && n == db) return true;
    return false;
}

static bool changes_all_keys(const redis_command_t *command)
{
    return command->traits & (TRAIT_OF_ALL_DBS | TRAIT_OF_THIS_DB | TRAIT_OF_NAMED_DBS);
}

static const char *refusal_of_all(redis_db_t *db, const redis_command_t *command, int argc, const bytes_t *argv)
{
    redis_t *redis = db->redis;
    const char *why = NULL;
    for (int i = 0; i < redis->keyspace.db_count && !why; i++) {
        if (command->traits & TRAIT_OF_THIS_DB && i != db->id) continue;
        if (command->traits & TRAIT_OF_NAMED_DBS && !is_named(argc, argv, i)) continue;
        why = refusal_of(redis, &redis->keyspace.dbs[i], BYTES_NULL);
    }
    return why;
}

/* MOVE takes from the one and puts into the other, COPY only puts. */
static const char *refusal_of_key(redis_db_t *db, const redis_command_t *command, int argc, const bytes_t *argv,
                                  bytes_t key)
{
    redis_db_t *target = target_db(db, command, argc, argv);
    const char *why = refusal_of(db->redis, target, key);
    if (!why && target != db && command->traits & TRAIT_MOVES_KEY) why = refusal_of(db->redis, db, key);
    return why;
}

const char *changes__refusal(redis_db_t *db, const redis_command_t *command, int argc, const bytes_t *argv)
{
    redis_t *redis = db->redis;
    const char *why = NULL;
    if (!redis->changes.observer) return NULL;
    if (changes_all_keys(command)) return refusal_of_all(db, command, argc, argv);
    if (!redis->changes.held || !(command->flags & CMD_WRITE)) return NULL;
    key_positions_t keys = {0};
    (void)command_get_keys(command, argc, argv, &keys); /* as tell_written does; or the command fails by itself */
    for (size_t i = 0; i < keys.count && !why; i++)
        if (!(keys.at[i].flags & KEY_RO) || command->traits & TRAIT_CHANGES_GROUP) /* it changes the group */
            why = refusal_of_key(db, command, argc, argv, argv[keys.at[i].index]);
    key_positions_deinit(&keys);
    return why;
}

/* ---- the observer's side --------------------------------------------------------------------------------------------- */

void changes__init(redis_t *redis)
{
    redis->changes.listener = (db_listener_t){.name = "change feed",
                                              .rank = DB_RANK_FEED,
                                              .gone = on_gone,
                                              .fields_gone = on_fields_gone,
                                              .will_empty = on_will_empty};
    db_listen(&redis->keyspace.announce, &redis->changes.listener);
}

void redis_observe(redis_t *redis, const redis_observer_t *observer)
{
    redis->changes.observer = observer;
    redis->persist.observed = observer != NULL;
    db_want(&redis->keyspace.announce, &redis->changes.listener,
            observer ? DB_GONE | DB_FIELDS_GONE | DB_WILL_EMPTY : 0);
    redis->changes.open = false;
    redis_hold_writes(redis, false);
}

void redis_hold_writes(redis_t *redis, bool hold)
{
    redis->changes.held = hold;
    exec__update_gate(redis);
}

int redis_database_count(const redis_t *redis) { return redis->keyspace.db_count; }

bool redis_glob_match(bytes_t pattern, bytes_t text) { return glob_match(pattern, text, false); }

typedef struct key_visitor {
    void (*each)(void *user, bytes_t key);
    void *user;
} key_visitor_t;

static void visit_key(void *user, void *entry)
{
    const key_visitor_t *visitor = user;
    visitor->each(visitor->user, entry_key(entry));
}

void redis_each_key(redis_t *redis, int db, void (*each)(void *user, bytes_t key), void *user)
{
    table_each(&redis->keyspace.dbs[db].keys, visit_key, &(key_visitor_t){each, user});
}

bool redis_value(redis_t *redis, int db, bytes_t key, redis_value_t *ret_value)
{
    const redis_entry_t *e = db__find(&redis->keyspace.dbs[db], key);
    if (!e) return false;
    ret_value->type = type_name((redis_type_t)e->type);
    ret_value->expire_ms = entry_expire_ms(e);
    ret_value->string = e->type == TYPE_STRING ? string_text(e, ret_value->room) : BYTES_NULL;
    return true;
}

void redis_append_value(redis_t *redis, int db, bytes_t key, buf_t *out)
{
    const redis_entry_t *e = db__find(&redis->keyspace.dbs[db], key);
    redis_emitter_t emitter = {.out = out};
    int selected_db = db;
    if (e) data_file__emit_entry(&emitter, &selected_db, &redis->keyspace.dbs[db], e);
}
