/* getkeys.c: see getkeys.h. */
#include "redis/exec/getkeys.h"

#include "base/num.h"
#include "redis_commands.h"

void key_positions_deinit(key_positions_t *keys) { mem_free(keys->at); }

static void add(key_positions_t *keys, int index, uint32_t flags)
{
    if (keys->count == keys->cap) {
        keys->cap = keys->cap ? keys->cap * 2 : 16;
        keys->at = mem_realloc(keys->at, keys->cap * sizeof(*keys->at));
    }
    keys->at[keys->count++] = (key_position_t){index, flags & ~(uint32_t)KEY_INCOMPLETE};
}

/* Where the specification's keys begin; 0 = nowhere in this command line. */
static int beginning(const redis_key_spec_t *s, int argc, const bytes_t *argv)
{
    if (!s->keyword) return s->index;
    int step = s->index < 0 ? -1 : 1, from = s->index < 0 ? argc + s->index : s->index;
    for (int i = from; i > 0 && i < argc; i += step)
        if (bytes_eq_nocase(argv[i], bytes_str(s->keyword)) && i + 1 < argc) return i + 1;
    return 0;
}

static bool add_counted(const redis_key_spec_t *s, int begin, int argc, const bytes_t *argv, key_positions_t *keys)
{
    int64_t n;
    int at = begin + s->keynum_index;
    if (at >= argc || !num_parse_i64(argv[at], &n) || n < 0) return false;
    int64_t first = begin + s->first_key, last = first + (n - 1) * s->step;
    if (n > argc || last >= argc) return false;
    for (int64_t i = first; n-- > 0; i += s->step) add(keys, (int)i, s->flags);
    return true;
}

/* None at all is well too: PFMERGE with no sources. */
static bool add_range(const redis_key_spec_t *s, int begin, int argc, key_positions_t *keys)
{
    int last = s->last_key >= 0 ? begin + s->last_key : argc + s->last_key;
    if (s->last_key == -1 && s->limit > 1) last = begin + (argc - begin) / s->limit + s->last_key;
    if (last >= argc) return false;
    for (int i = begin; i <= last; i += s->step) add(keys, i, s->flags);
    return true;
}

/* SET reads what was there only with GET, BITFIELD writes only with SET or INCRBY; of the others the key is what its
 * specification says. */
static uint32_t judged_flags(const redis_command_t *command, uint32_t flags, int argc, const bytes_t *argv)
{
    bool reads = false, writes = false;
    for (int i = 2; i < argc; i++) {
        reads |= i > 2 && bytes_eq_nocase(argv[i], BYTES_LIT("GET"));
        writes |= bytes_eq_nocase(argv[i], BYTES_LIT("SET")) || bytes_eq_nocase(argv[i], BYTES_LIT("INCRBY"));
    }
    if (command->traits & TRAIT_READS_WITH_GET) return reads ? KEY_RW | KEY_ACCESS | KEY_UPDATE : KEY_OW | KEY_UPDATE;
    if (!(command->traits & TRAIT_WRITES_WITH_SET)) return flags & ~(uint32_t)KEY_VARIABLE_FLAGS;
    return writes ? KEY_RW | KEY_ACCESS | KEY_UPDATE : KEY_RO | KEY_ACCESS;
}

/* MIGRATE's list of keys stands in place of a key that is empty. */
static bool replaces_first(const redis_key_spec_t *s, const key_positions_t *keys)
{
    return s->keyword && s->last_key == -1 && s->flags & KEY_INCOMPLETE && keys->count == 1;
}

bool command_get_keys(const redis_command_t *command, int argc, const bytes_t *argv, key_positions_t *keys)
{
    for (unsigned k = 0; k < command->key_spec_count; k++) {
        const redis_key_spec_t *s = &command->key_specs[k];
        if (s->flags & KEY_NOT_KEY) continue;
        int begin = beginning(s, argc, argv);
        if (begin == 0) continue;
        if (replaces_first(s, keys)) {
            bool replaced = argv[keys->at[0].index].len == 0;
            keys->count = 0;
            if (!replaced) return true; /* a syntax error, and nothing is a key */
        }
        size_t before = keys->count;
        bool ok = s->keynum ? add_counted(s, begin, argc, argv, keys) : add_range(s, begin, argc, keys);
        if (!ok) return false;
        if (s->flags & KEY_VARIABLE_FLAGS)
            for (size_t i = before; i < keys->count; i++)
                keys->at[i].flags = judged_flags(command, s->flags, argc, argv);
    }
    if (command->key_spec_count == 0 && command->first_key > 0) {
        int last = command->last_key >= 0 ? command->last_key : argc + command->last_key;
        for (int i = command->first_key; i <= last && i < argc; i += command->key_step)
            add(keys, i, KEY_RW | KEY_ACCESS | KEY_UPDATE);
    }
    return true;
}
