/* command_table.h: what a row of schema/redis becomes. The rows themselves are generated (redis_commands.c).
 */
#ifndef TRIVET_REDIS_COMMAND_TABLE_H
#define TRIVET_REDIS_COMMAND_TABLE_H

#include "base/base.h"

struct redis_call;

/* X(NAME, text): command flags, with their names in COMMAND INFO. */
#define CMD_FLAG_MAP(X)                                                                                                \
    X(WRITE, "write")                                                                                                  \
    X(READONLY, "readonly")                                                                                            \
    X(DENYOOM, "denyoom")                                                                                              \
    X(ADMIN, "admin")                                                                                                  \
    X(PUBSUB, "pubsub")                                                                                                \
    X(NOSCRIPT, "noscript")                                                                                            \
    X(BLOCKING, "blocking")                                                                                            \
    X(LOADING, "loading")                                                                                              \
    X(STALE, "stale")                                                                                                  \
    X(SKIP_MONITOR, "skip_monitor")                                                                                    \
    X(SKIP_COMMANDLOG, "skip_commandlog")                                                                              \
    X(ASKING, "asking")                                                                                                \
    X(FAST, "fast")                                                                                                    \
    X(NO_AUTH, "no_auth")                                                                                              \
    X(MAY_REPLICATE, "may_replicate")                                                                                  \
    X(NO_MANDATORY_KEYS, "no_mandatory_keys")                                                                          \
    X(PROTECTED, NULL)                                                                                                 \
    X(NO_ASYNC_LOADING, "no_async_loading")                                                                            \
    X(NO_MULTI, "no_multi")                                                                                            \
    X(ALLOW_BUSY, "allow_busy")                                                                                        \
    X(TOUCHES_ARBITRARY_KEYS, NULL)                                                                                    \
    X(MOVABLEKEYS, "movablekeys")

/* X(NAME, text): ACL categories in the order COMMAND INFO lists them. */
#define CMD_ACL_MAP(X)                                                                                                 \
    X(KEYSPACE, "keyspace")                                                                                            \
    X(READ, "read")                                                                                                    \
    X(WRITE, "write")                                                                                                  \
    X(SET, "set")                                                                                                      \
    X(SORTEDSET, "sortedset")                                                                                          \
    X(LIST, "list")                                                                                                    \
    X(HASH, "hash")                                                                                                    \
    X(STRING, "string")                                                                                                \
    X(BITMAP, "bitmap")                                                                                                \
    X(HYPERLOGLOG, "hyperloglog")                                                                                      \
    X(GEO, "geo")                                                                                                      \
    X(STREAM, "stream")                                                                                                \
    X(PUBSUB, "pubsub")                                                                                                \
    X(ADMIN, "admin")                                                                                                  \
    X(FAST, "fast")                                                                                                    \
    X(SLOW, "slow")                                                                                                    \
    X(BLOCKING, "blocking")                                                                                            \
    X(DANGEROUS, "dangerous")                                                                                          \
    X(CONNECTION, "connection")                                                                                        \
    X(TRANSACTION, "transaction")                                                                                      \
    X(SCRIPTING, "scripting")

/* X(NAME, which): what sets a command apart for the server, beside its flags, and which commands have it. Clients do not see it. */
#define CMD_TRAIT_MAP(X)                                                                                               \
    X(RUNS_QUEUE, "EXEC")                                                                                              \
    X(OPENS_QUEUE, "MULTI")                                                                                            \
    X(IN_MULTI, "runs at once while a transaction is queued")                                                          \
    X(WHILE_SUBSCRIBED, "runs in RESP2's subscribed mode")                                                             \
    X(ENDS_PAUSE, "CLIENT UNPAUSE")                                                                                    \
    X(QUICK, "takes the fast way though it is not called fast: SET")                                                   \
    X(SELECTS_DB, "SELECT")                                                                                            \
    X(DELETES_KEYS, "DEL and its kin: the keys are gone after it")                                                     \
    X(OF_ALL_DBS, "changes all keys of all databases: FLUSHALL")                                                       \
    X(OF_THIS_DB, "changes all keys of the selected one: FLUSHDB")                                                     \
    X(OF_NAMED_DBS, "changes all keys of those whose numbers are its arguments: SWAPDB")                               \
    X(MOVES_KEY, "to the database in argument 2: MOVE")                                                                \
    X(COPIES_KEY, "to the database behind DB, if that is given: COPY")                                                 \
    X(READS_WITH_GET, "reads what was there only with GET: SET")                                                       \
    X(WRITES_WITH_SET, "writes only with SET or INCRBY: BITFIELD")                                                     \
    X(CHANGES_GROUP, "reads the key and changes what lies with it: XREADGROUP")                                        \
    X(BY_SOURCE, "runs a script's text")                                                                               \
    X(BY_SHA, "runs a script by its checksum")                                                                         \
    X(BY_FUNCTION, "runs a function")                                                                                  \
    X(SECRET_ARGS, "all arguments are secret: AUTH")                                                                   \
    X(SECRET_AFTER_AUTH, "two words behind AUTH are secret: HELLO")                                                    \
    X(SECRET_OPTIONS, "what follows its options AUTH and AUTH2 is secret: MIGRATE")                                    \
    X(SECRET_SETTINGS, "values of secret settings are secret: CONFIG SET")                                             \
    X(TYPE_OPTION, "SCAN")                                                                                             \
    X(NOVALUES_OPTION, "HSCAN")                                                                                        \
    X(NOSCORES_OPTION, "ZSCAN")                                                                                        \
    X(FROM_OUTSIDE, "was registered while the server runs")

/* How the change feed tells of a command (changes.c). */
typedef enum redis_change_kind {
    CHANGE_KEYS, /* by the keys that it names */
    CHANGE_PAIRS,
    CHANGE_MEMBER,
    CHANGE_ELEMENT,
    CHANGE_TAIL,
    CHANGE_MOVED,
    CHANGE_COPIED,
    CHANGE_SWAPPED,
    CHANGE_FLUSHED,
    CHANGE_COUNT,
} redis_change_kind_t;

/* X(NAME, text): flags of key specifications, as COMMAND GETKEYSANDFLAGS spells them. */
#define KEY_FLAG_MAP(X)                                                                                                \
    X(RO, "RO")                                                                                                        \
    X(RW, "RW")                                                                                                        \
    X(OW, "OW")                                                                                                        \
    X(RM, "RM")                                                                                                        \
    X(ACCESS, "access")                                                                                                \
    X(UPDATE, "update")                                                                                                \
    X(INSERT, "insert")                                                                                                \
    X(DELETE, "delete")                                                                                                \
    X(NOT_KEY, "not_key")                                                                                              \
    X(INCOMPLETE, "incomplete")                                                                                        \
    X(VARIABLE_FLAGS, "variable_flags")

#define X(name, text) CMD_BIT_##name,
enum { CMD_FLAG_MAP(X) CMD_FLAG_COUNT };
#undef X
#define X(name, text) CMD_##name = 1u << CMD_BIT_##name,
enum { CMD_FLAG_MAP(X) };
#undef X
#define X(name, text) ACL_BIT_##name,
enum { CMD_ACL_MAP(X) ACL_COUNT };
#undef X
#define X(name, text) ACL_##name = 1u << ACL_BIT_##name,
enum { CMD_ACL_MAP(X) };
#undef X
#define X(name, which) TRAIT_BIT_##name,
enum { CMD_TRAIT_MAP(X) TRAIT_COUNT };
#undef X
#define X(name, which) TRAIT_##name = 1u << TRAIT_BIT_##name,
enum { CMD_TRAIT_MAP(X) };
#undef X
#define X(name, text) KEY_BIT_##name,
enum { KEY_FLAG_MAP(X) KEY_FLAG_COUNT };
#undef X
#define X(name, text) KEY_##name = 1u << KEY_BIT_##name,
enum { KEY_FLAG_MAP(X) };
#undef X

/* One key specification: where keys begin, and how they go on. Positions count the command's name as 0. */
typedef struct redis_key_spec {
    uint16_t flags;
    const char *keyword; /* begins behind this word, sought from `index` on; NULL = begins at `index` */
    int16_t index;
    bool keynum;                     /* the number of keys is an argument */
    int16_t last_key, step, limit;   /* !keynum: last_key relative to the beginning, negative from the end */
    int16_t keynum_index, first_key; /* keynum: relative to the beginning (and `step`) */
} redis_key_spec_t;

enum { ARG_OPTIONAL = 1, ARG_MULTIPLE = 2, ARG_MULTIPLE_TOKEN = 4 };

typedef struct redis_arg {
    const char *name, *type, *token, *since, *deprecated, *display;
    int8_t key_spec; /* -1 = none */
    uint8_t flags;
    uint8_t arg_count;
    const struct redis_arg *args;
} redis_arg_t;

typedef struct redis_command {
    uint64_t folded[3]; /* the name for the lookup: see command_find */
    uint8_t name_len;
    int8_t arity; /* with the name; negative = at least */
    int8_t first_key, last_key, key_step;
    uint8_t key_spec_count, subcommand_count, arg_count, tip_count;
    uint16_t id; /* dense over commands and subcommands: index of statistics */
    uint32_t flags, acl, traits;
    uint8_t change; /* redis_change_kind_t */
    void (*handler)(struct redis_call *call);
    const char *name;      /* "config" or, of a subcommand, "get" */
    const char *full_name; /* "config|get" */
    const char *turn_note; /* "redis config|get" */
    const redis_key_spec_t *key_specs;
    const struct redis_command *subcommands;
    const struct redis_command *parent;
    const char *group, *since, *summary, *complexity, *deprecated, *replaced_by, *doc_flags;
    const char *const *tips;
    const redis_arg_t *args;
} redis_command_t;

#define COMMAND_HASH_BITS    12
#define COMMAND_NAME_LEN_MAX 24

/* Generated. */
extern const redis_command_t redis_commands[];
extern const uint16_t redis_command_count;                        /* top level */
extern const uint16_t redis_command_id_count;                     /* with subcommands */
extern const uint16_t redis_command_hash[1 << COMMAND_HASH_BITS]; /* index + 1; 0 = none */
extern const uint64_t redis_command_hash_factor;

/* The name's letters in upper case as three words, overlapping so that nothing outside is read. */
static inline void command_fold(bytes_t name, uint64_t folded[3])
{
    const uint8_t *p = name.ptr;
    size_t n = name.len;
    folded[1] = folded[2] = 0;
    if (n >= 8) {
        folded[0] = load_le64(p);
        folded[1] = load_le64(p + n - 8);
        if (n > 16) folded[2] = load_le64(p + 8);
    } else if (n >= 4) {
        folded[0] = load_le32(p) | (uint64_t)load_le32(p + n - 4) << 32;
    } else {
        folded[0] = n ? p[0] | (uint64_t)p[n >> 1] << 8 | (uint64_t)p[n - 1] << 16 : 0;
    }
    for (int i = 0; i < 3; i++) folded[i] &= 0xdfdfdfdfdfdfdfdfu;
}

/* The row of a command, NULL when there is none. */
static inline const redis_command_t *command_find(bytes_t name)
{
    if (name.len > COMMAND_NAME_LEN_MAX) return NULL;
    uint64_t f[3];
    command_fold(name, f);
    uint64_t h = (f[0] ^ (f[1] * 31) ^ (f[2] * 131) ^ name.len) * redis_command_hash_factor;
    unsigned at = redis_command_hash[h >> (64 - COMMAND_HASH_BITS)];
    if (at == 0) return NULL;
    const redis_command_t *c = &redis_commands[at - 1];
    bool same = c->folded[0] == f[0] && c->folded[1] == f[1] && c->folded[2] == f[2] && c->name_len == name.len;
    return same ? c : NULL;
}

#endif
