/* lazyfree.c: see lazyfree.h. Invariant: `pending` and `bytes` are the sums over the parts; the timer is armed while there are parts. */
#include "redis/db/lazyfree.h"

#include "redis/types/entry_alloc.h"

#define SLICE_NS         1000000ull /* of a turn */
#define SLICE_ELEMENTS   256        /* between two looks at the clock */
#define ESTIMATE_SAMPLES 16

typedef struct part {
    list_t node;
    bool is_table;
    table_t table; /* of redis_entry_t */
    void *value;
    uint8_t type, encoding;
    size_t bytes, bytes_a_step; /* what it holds, estimated; how much of that goes with SLICE_ELEMENTS */
} part_t;

/* As the original reckons it: how much there is to free. */
static size_t effort_of(const redis_entry_t *e)
{
    if (e->type == TYPE_STRING) return 1;
    if (e->encoding == ENC_LISTPACK || e->encoding == ENC_INTSET) return 1;
    return type_ops((redis_type_t)e->type)->length(entry_value(e), (redis_encoding_t)e->encoding);
}

static void add_part(lazyfree_t *lazy, part_t *part, size_t elements)
{
    part->bytes_a_step = part->bytes / (elements / SLICE_ELEMENTS + 1) + 1;
    list_push_back(&lazy->parts, &part->node);
    lazy->bytes += part->bytes;
    if (lazy->timer.due_ns == 0) io_timer_start(&lazy->timer, 0, 0);
}

static void free_later(lazyfree_t *lazy, const redis_entry_t *e, size_t effort)
{
    const redis_type_ops_t *ops = type_ops((redis_type_t)e->type);
    part_t *part = mem_zalloc(sizeof(*part));
    part->value = entry_value(e);
    part->type = (uint8_t)e->type;
    part->encoding = (uint8_t)e->encoding;
    part->bytes = ops->memory_bytes(part->value, (redis_encoding_t)e->encoding, ESTIMATE_SAMPLES);
    lazy->pending++;
    add_part(lazy, part, effort);
}

void lazyfree__value(lazyfree_t *lazy, redis_entry_t *e, bool later)
{
    size_t effort = later && (e->flags & ENTRY_WORD) ? effort_of(e) : 1;
    if (effort >= LAZYFREE_ELEMENTS_MIN)
        free_later(lazy, e, effort);
    else
        entry__free_value(e);
}

void lazyfree__entry(lazyfree_t *lazy, redis_entry_t *e, bool later)
{
    lazyfree__value(lazy, e, later);
    entry__release(e);
}

void lazyfree__table(lazyfree_t *lazy, table_t *keys)
{
    size_t count = table_count(keys);
    part_t *part = mem_zalloc(sizeof(*part));
    part->is_table = true;
    part->table = *keys;
    part->bytes = table_memory_bytes(keys);
    lazy->pending += count;
    add_part(lazy, part, count);
    table_init(keys, part->table.hash_of);
    if (part->table.budget) table_limit(keys, part->table.budget);
}

/* ---- freeing --------------------------------------------------------------------------------------------------------- */

static void count_freed(lazyfree_t *lazy)
{
    ASSERT(lazy->pending > 0);
    lazy->pending--;
    lazy->freed++;
}

static void free_of_table(void *user, void *entry)
{
    lazyfree_t *lazy = user;
    count_freed(lazy);
    uint64_t pending = lazy->pending;
    lazyfree__entry(lazy, entry, true);
    lazy->freed -= lazy->pending - pending; /* it is counted when it has gone */
}

static bool drain(lazyfree_t *lazy, part_t *part, size_t *budget)
{
    if (part->is_table) return table_drain(&part->table, budget, free_of_table, lazy);
    if (!type_ops((redis_type_t)part->type)->drain(part->value, (redis_encoding_t)part->encoding, budget)) return false;
    count_freed(lazy);
    return true;
}

static void step(lazyfree_t *lazy)
{
    part_t *part = LIST_FIRST(&lazy->parts, part_t, node);
    size_t budget = SLICE_ELEMENTS, bytes = MIN(part->bytes, part->bytes_a_step);
    bool gone = drain(lazy, part, &budget);
    if (gone) bytes = part->bytes;
    part->bytes -= bytes;
    lazy->bytes -= bytes;
    if (!gone) return;
    list_remove(&part->node);
    mem_free(part);
}

static void on_turn(io_timer_t *timer)
{
    lazyfree_t *lazy = CONTAINER_OF(timer, lazyfree_t, timer);
    uint64_t until_ns = io_hrtime_ns(timer->loop) + SLICE_NS;
    io_turn_note(timer->loop, "redis: memory is freed");
    while (!list_empty(&lazy->parts) && io_hrtime_ns(timer->loop) < until_ns) step(lazy);
    if (!list_empty(&lazy->parts)) io_timer_start(timer, 0, 0);
}

void lazyfree__init(lazyfree_t *lazy, io_loop_t *loop)
{
    *lazy = (lazyfree_t){0};
    list_init(&lazy->parts);
    io_timer_init(loop, &lazy->timer, on_turn);
}

void lazyfree__deinit(lazyfree_t *lazy)
{
    io_timer_stop(&lazy->timer);
    while (!list_empty(&lazy->parts)) step(lazy);
}
