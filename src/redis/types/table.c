/* table.c: see table.h. Invariants: the last slot of a chained bucket is the next bucket and its tag is 0; the last
 * bucket of a chain has at least two entries (else they fit in its parent), unless it is the top one. */
#include "redis/types/table.h"

enum {
    FILL_PERCENT_MAX = 87,     /* grow above: more makes chains common */
    FILL_PERCENT_FORCED = 154, /* grow above, whatever the budget says: more makes chains long */
    FILL_PERCENT_MIN = 15,     /* shrink below */
    MOVE_EMPTY_MAX = 10,       /* empty buckets skipped in one step */
};

static size_t bucket_count(const table_t *t, int which) { return t->buckets[which] ? (size_t)1 << t->bits[which] : 0; }

static table_bucket_t *buckets_new(unsigned bits, void **ret_block)
{
    size_t bytes = sizeof(table_bucket_t) << bits;
    void *block = mem_zalloc(bytes);
    if (((uintptr_t)block & 63) == 0) {
        *ret_block = block;
        return block;
    }
    mem_free(block);
    block = mem_zalloc(bytes + 64); /* an allocator that does not align large sizes */
    *ret_block = block;
    return (table_bucket_t *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
}

void table_init(table_t *t, uint64_t (*hash_of)(const void *entry))
{
    memset(t, 0, sizeof(*t));
    t->hash_of = hash_of;
}

static table_bucket_t *next_bucket(const table_bucket_t *b)
{
    return b->meta & TABLE_CHAINED ? table__ref(b, TABLE_SLOTS - 1) : NULL;
}

static void free_chain(table_t *t, table_bucket_t *top)
{
    table_bucket_t *b = next_bucket(top);
    while (b) {
        table_bucket_t *next = next_bucket(b);
        mem_free(b);
        t->chained_buckets--;
        b = next;
    }
    top->meta = 0;
}

/* `bytes` of the new half are in use now. */
static void fill(table_t *t, size_t bytes)
{
    bytes = MIN(bytes, t->unfilled_bytes);
    t->unfilled_bytes -= bytes;
    if (t->budget) t->budget->unfilled_bytes -= bytes;
}

static void free_half(table_t *t, int which)
{
    if (which == 1) fill(t, t->unfilled_bytes);
    for (size_t i = 0; t->chained_buckets && i < bucket_count(t, which); i++) free_chain(t, &t->buckets[which][i]);
    mem_free(t->blocks[which]);
    t->buckets[which] = NULL;
    t->blocks[which] = NULL;
    t->used[which] = 0;
    t->bits[which] = 0;
}

void table_deinit(table_t *t)
{
    free_half(t, 0);
    free_half(t, 1);
    t->move_next = 0;
}

size_t table_memory_bytes(const table_t *t)
{
    return (bucket_count(t, 0) + bucket_count(t, 1) + t->chained_buckets) * sizeof(table_bucket_t);
}

static int free_slot(const table_bucket_t *b)
{
    unsigned usable = (1u << (b->meta & TABLE_CHAINED ? TABLE_SLOTS - 1 : TABLE_SLOTS)) - 1;
    unsigned free = table__matches(b, 0) & usable;
    return free ? __builtin_ctz(free) : -1;
}

static void put_in_bucket(table_t *t, int which, uint64_t hash, void *entry)
{
    table_bucket_t *b = table__top(t, which, hash);
    int slot;
    while ((slot = free_slot(b)) < 0) {
        if (!(b->meta & TABLE_CHAINED)) {
            table_bucket_t *child = mem_zalloc(sizeof(*child));
            child->tags[0] = b->tags[TABLE_SLOTS - 1];
            table__set_ref(child, 0, table__ref(b, TABLE_SLOTS - 1));
            b->tags[TABLE_SLOTS - 1] = 0;
            table__set_ref(b, TABLE_SLOTS - 1, child);
            b->meta |= TABLE_CHAINED;
            t->chained_buckets++;
        }
        b = next_bucket(b);
    }
    b->tags[slot] = table__tag(hash);
    table__set_ref(b, (unsigned)slot, entry);
    t->used[which]++;
}

static void move_bucket(table_t *t, table_bucket_t *top)
{
    for (table_bucket_t *b = top; b; b = next_bucket(b))
        for (unsigned i = 0; i < TABLE_SLOTS; i++)
            if (b->tags[i]) mem_prefetch(table__ref(b, i));
    for (table_bucket_t *b = top; b; b = next_bucket(b)) {
        for (unsigned i = 0; i < TABLE_SLOTS; i++) {
            if (b->tags[i] == 0) continue;
            void *entry = table__ref(b, i);
            b->tags[i] = 0;
            t->used[0]--;
            put_in_bucket(t, 1, t->hash_of(entry), entry);
        }
    }
    free_chain(t, top);
}

static void finish_move(table_t *t)
{
    fill(t, t->unfilled_bytes);
    mem_free(t->blocks[0]);
    t->buckets[0] = t->buckets[1];
    t->blocks[0] = t->blocks[1];
    t->bits[0] = t->bits[1];
    t->used[0] = t->used[1];
    t->buckets[1] = NULL;
    t->blocks[1] = NULL;
    t->used[1] = 0;
    t->move_next = 0;
}

bool table_move(table_t *t, size_t buckets)
{
    if (!t->buckets[1]) return false;
    if (t->walkers) return true;
    size_t empty_left = buckets * MOVE_EMPTY_MAX, count = bucket_count(t, 0);
    size_t share_bytes = sizeof(table_bucket_t) * bucket_count(t, 1) / count;
    while (buckets && t->used[0] && t->move_next < count) {
        table_bucket_t *top = &t->buckets[0][t->move_next];
        bool empty = top->meta == 0 && table__matches(top, 0) == (1u << TABLE_SLOTS) - 1;
        t->move_next++;
        fill(t, share_bytes);
        if (empty) {
            if (--empty_left == 0) return true;
            continue;
        }
        move_bucket(t, top);
        buckets--;
    }
    if (t->used[0]) return true;
    finish_move(t);
    return false;
}

static void resize(table_t *t, unsigned bits)
{
    if (t->buckets[0] && t->used[0] == 0) free_half(t, 0);
    int which = t->buckets[0] ? 1 : 0;
    t->bits[which] = (uint8_t)bits;
    t->buckets[which] = buckets_new(bits, &t->blocks[which]);
    t->move_next = 0;
    if (which == 0 || !t->budget) return;
    t->unfilled_bytes = sizeof(table_bucket_t) << bits;
    t->budget->unfilled_bytes += t->unfilled_bytes;
}

static bool is_fuller_than(const table_t *t, unsigned percent)
{
    return t->used[0] >= ((size_t)TABLE_SLOTS << t->bits[0]) * percent / 100;
}

static bool may_grow(const table_t *t)
{
    if (!t->budget || t->budget->allows(t->budget, sizeof(table_bucket_t) << (t->bits[0] + 1))) return true;
    return is_fuller_than(t, FILL_PERCENT_FORCED);
}

static unsigned bits_for(size_t count)
{
    unsigned bits = 0;
    while (((size_t)TABLE_SLOTS << bits) * FILL_PERCENT_MAX / 100 < count) bits++;
    return bits;
}

static void make_room(table_t *t)
{
    if (t->buckets[1]) {
        table_move(t, 1);
    } else if (!t->buckets[0]) {
        resize(t, 0);
    } else if (t->bits[0] == 0) {
        if (t->used[0] == TABLE_SLOTS && !t->walkers) resize(t, 1);
    } else if (is_fuller_than(t, FILL_PERCENT_MAX) && !t->walkers && may_grow(t)) {
        resize(t, t->bits[0] + 1u);
    }
}

void table_insert(table_t *t, uint64_t hash, void *entry)
{
    make_room(t);
    put_in_bucket(t, t->buckets[1] ? 1 : 0, hash, entry);
}

/* Gives the last bucket of a chain back when what it holds fits in its parent. */
static void prune_chain(table_t *t, table_bucket_t *top)
{
    table_bucket_t *parent = top, *last = next_bucket(top);
    if (!last) return;
    while (next_bucket(last)) {
        parent = last;
        last = next_bucket(last);
    }
    unsigned held = 0, count = 0;
    for (unsigned i = 0; i < TABLE_SLOTS; i++) {
        if (last->tags[i] == 0) continue;
        held = i;
        count++;
    }
    if (count > 1) return;
    parent->meta &= (uint8_t)~TABLE_CHAINED;
    parent->tags[TABLE_SLOTS - 1] = count ? last->tags[held] : 0;
    table__set_ref(parent, TABLE_SLOTS - 1, count ? table__ref(last, held) : NULL);
    mem_free(last);
    t->chained_buckets--;
}

static bool in_chain(const table_bucket_t *top, const table_bucket_t *bucket)
{
    for (; top; top = next_bucket(top))
        if (top == bucket) return true;
    return false;
}

void table_remove(table_t *t, uint64_t hash, table_pos_t pos)
{
    int which = in_chain(table__top(t, 0, hash), pos.bucket) ? 0 : 1;
    table_bucket_t *top = table__top(t, which, hash);
    pos.bucket->tags[pos.slot] = 0;
    table__set_ref(pos.bucket, pos.slot, NULL);
    t->used[which]--;
    if (top->meta & TABLE_CHAINED) prune_chain(t, top);
    if (t->buckets[1]) {
        /* Not while it grows: what an entry that is driven out gives back would go to the next bucket's place. */
        if (t->bits[1] < t->bits[0] || !t->budget) table_move(t, 1);
    } else if (t->bits[0] > 1 && !t->walkers &&
               t->used[0] < ((size_t)TABLE_SLOTS << t->bits[0]) * FILL_PERCENT_MIN / 100) {
        unsigned bits = bits_for(t->used[0] * 2);
        if (bits < t->bits[0]) resize(t, bits);
    }
}

void table_reserve(table_t *t, size_t count)
{
    unsigned bits = bits_for(count);
    if (t->buckets[1] || t->walkers) return;
    if (!t->buckets[0] || bits > t->bits[0]) resize(t, bits);
}

static void visit_chain(table_bucket_t *b, void (*each)(void *user, void *entry), void *user)
{
    for (; b; b = next_bucket(b))
        for (unsigned i = 0; i < TABLE_SLOTS; i++)
            if (b->tags[i]) each(user, table__ref(b, i));
}

void table_each(table_t *t, void (*each)(void *user, void *entry), void *user)
{
    t->walkers++;
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < bucket_count(t, which); i++) visit_chain(&t->buckets[which][i], each, user);
    t->walkers--;
}

static size_t count_chain(const table_bucket_t *b)
{
    size_t count = 0;
    for (; b; b = next_bucket(b))
        for (unsigned i = 0; i < TABLE_SLOTS; i++) count += b->tags[i] != 0;
    return count;
}

/* The half that is drained is always [0]; `move_next` says how far. What has moved to [1] is no longer there. */
bool table_drain(table_t *t, size_t *budget, void (*each)(void *user, void *entry), void *user)
{
    ASSERT(t->walkers == 0);
    while (*budget > 0) {
        if (t->move_next < bucket_count(t, 0)) {
            table_bucket_t *b = &t->buckets[0][t->move_next++];
            *budget -= MIN(*budget, count_chain(b) + 1);
            visit_chain(b, each, user);
            free_chain(t, b);
            continue;
        }
        if (!t->buckets[1]) {
            table_deinit(t);
            return true;
        }
        finish_move(t);
    }
    return false;
}

static uint64_t reverse_bits(uint64_t v)
{
    v = __builtin_bswap64(v);
    v = ((v >> 4) & 0x0f0f0f0f0f0f0f0fu) | ((v & 0x0f0f0f0f0f0f0f0fu) << 4);
    v = ((v >> 2) & 0x3333333333333333u) | ((v & 0x3333333333333333u) << 2);
    return ((v >> 1) & 0x5555555555555555u) | ((v & 0x5555555555555555u) << 1);
}

/* The next cursor: counts up from the highest bit of the mask, so that what was visited in a table of one
 * size stays visited in a table of another. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask)
{
    cursor |= ~mask;
    return reverse_bits(reverse_bits(cursor) + 1);
}

uint64_t table_scan(table_t *t, uint64_t cursor, void (*each)(void *user, void *entry), void *user)
{
    if (table_count(t) == 0) return 0;
    t->walkers++;
    if (!t->buckets[1]) {
        uint64_t mask = bucket_count(t, 0) - 1;
        visit_chain(&t->buckets[0][cursor & mask], each, user);
        cursor = next_cursor(cursor, mask);
    } else {
        int small = t->bits[0] <= t->bits[1] ? 0 : 1, large = 1 - small;
        uint64_t small_mask = bucket_count(t, small) - 1, large_mask = bucket_count(t, large) - 1;
        visit_chain(&t->buckets[small][cursor & small_mask], each, user);
        do { /* all buckets of the large table that the small one's expands to */
            visit_chain(&t->buckets[large][cursor & large_mask], each, user);
            cursor = next_cursor(cursor, large_mask);
        } while (cursor & (small_mask ^ large_mask));
    }
    t->walkers--;
    return cursor;
}

/* A random bucket is accepted with a chance in proportion to what it holds, so that each entry is as likely.
 */
void *table_random(table_t *t, uint64_t (*random)(void *user), void *user)
{
    enum { HELD_MAX = 24, HELD_FULL_MAX = 40 };
    if (table_count(t) == 0) return NULL;
    unsigned held_max = is_fuller_than(t, 100) ? HELD_FULL_MAX : HELD_MAX;
    size_t left = bucket_count(t, 0), right = bucket_count(t, 1);
    for (;;) {
        size_t at = random(user) % (left + right);
        table_bucket_t *b = at < left ? &t->buckets[0][at] : &t->buckets[1][at - left];
        void *held[HELD_FULL_MAX * 2];
        unsigned count = 0;
        for (; b && count + TABLE_SLOTS <= ARRAY_LEN(held); b = next_bucket(b))
            for (unsigned i = 0; i < TABLE_SLOTS; i++)
                if (b->tags[i]) held[count++] = table__ref(b, i);
        unsigned pick = (unsigned)(random(user) % MAX(count, held_max));
        if (pick < count) return held[pick];
    }
}

/* How many of a chain's entries to pass over, so that its last ones are chosen as often as its first. */
static size_t start_in_chain(const table_bucket_t *b, uint64_t at)
{
    size_t count = 0;
    for (; b; b = next_bucket(b)) count += TABLE_SLOTS - (size_t)__builtin_popcount(table__matches(b, 0));
    return count ? at % count : 0;
}

size_t table_sample(const table_t *t, uint64_t at, size_t max, void **ret_entries)
{
    enum { BUCKETS_PER_ENTRY = 4 };
    size_t left = bucket_count(t, 0), all = left + bucket_count(t, 1), count = 0;
    for (size_t n = 0; n < MIN(all, max * BUCKETS_PER_ENTRY) && count < max; n++) {
        size_t i = (at + n) % all;
        const table_bucket_t *b = i < left ? &t->buckets[0][i] : &t->buckets[1][i - left];
        size_t skip = n == 0 ? start_in_chain(b, at >> 32) : 0;
        for (; b; b = next_bucket(b)) {
            for (unsigned slot = 0; slot < TABLE_SLOTS && count < max; slot++) {
                if (!b->tags[slot]) continue;
                if (skip) {
                    skip--;
                    continue;
                }
                mem_prefetch(table__ref(b, slot));
                ret_entries[count++] = table__ref(b, slot);
            }
        }
    }
    return count;
}
