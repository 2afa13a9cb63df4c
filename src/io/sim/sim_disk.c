/* sim_disk.c: the contents of files, as the page cache shows them and as the platter has them.
 *
 * Each file keeps both, and between them the list of changes not yet synced:
 *
 *     durable_data --pending: write, write, truncate, write--> data
 *
 * A sync applies a prefix of the list to durable_data. Power loss applies an arbitrary selection of it, sector by sector,
 * and a failed sync likewise, while the page cache goes on to show `data`. */
#include "io/sim/sim_internal.h"

typedef struct sim_change {
    list_t node;
    uint64_t number; /* 1 + the number of the one before */
    bool is_truncation;
    uint64_t offset; /* of a truncation: the new size */
    size_t bytes;
    uint8_t data[];
} sim_change_t;

/* What becomes of a crash's unsynced sectors; drawn for each file, so that the plain cases are common too. */
typedef enum sim_fate { FATE_ALL_LOST, FATE_ALL_KEPT, FATE_EACH } sim_fate_t;

static void resize(buf_t *b, uint64_t bytes)
{
    if (bytes > b->len) {
        size_t grown = (size_t)bytes - b->len;
        memset(buf_reserve(b, grown), 0, grown);
    }
    b->len = (size_t)bytes;
}

static void put(buf_t *b, uint64_t offset, const void *data, size_t bytes)
{
    if (offset + bytes > b->len) resize(b, offset + bytes);
    if (bytes) memcpy(b->ptr + offset, data, bytes);
}

sim_inode_t *sim__inode_new(sim_disk_t *disk, bool is_dir)
{
    sim_inode_t *inode = mem_zalloc(sizeof(*inode));
    inode->is_dir = is_dir;
    list_init(&inode->pending);
    list_push_back(&disk->inodes, &inode->node);
    return inode;
}

static void drop(sim_change_t *change)
{
    list_remove(&change->node);
    mem_free(change);
}

static void inode_free(sim_inode_t *inode)
{
    LIST_EACH(&inode->pending, change, sim_change_t, node) drop(change);
    sim__names_free(&inode->names);
    sim__names_free(&inode->durable_names);
    buf_deinit(&inode->data);
    buf_deinit(&inode->durable_data);
    list_remove(&inode->node);
    mem_free(inode);
}

void sim__inode_write(sim_inode_t *inode, uint64_t offset, const void *data, size_t bytes)
{
    if (bytes == 0) return;
    put(&inode->data, offset, data, bytes);
    sim_change_t *change = mem_alloc(sizeof(*change) + bytes);
    change->number = ++inode->changes_count;
    change->is_truncation = false;
    change->offset = offset;
    change->bytes = bytes;
    memcpy(change->data, data, bytes);
    list_push_back(&inode->pending, &change->node);
}

void sim__inode_truncate(sim_inode_t *inode, uint64_t bytes)
{
    resize(&inode->data, bytes);
    sim_change_t *change = mem_zalloc(sizeof(*change));
    change->number = ++inode->changes_count;
    change->is_truncation = true;
    change->offset = bytes;
    list_push_back(&inode->pending, &change->node);
}

static void apply(buf_t *data, const sim_change_t *change)
{
    if (change->is_truncation)
        resize(data, change->offset);
    else
        put(data, change->offset, change->data, change->bytes);
}

void sim__inode_flush(sim_inode_t *inode, uint64_t change_last)
{
    LIST_EACH(&inode->pending, change, sim_change_t, node) {
        if (change->number > change_last) break;
        apply(&inode->durable_data, change);
        drop(change);
    }
}

void sim__inode_drop_cache(sim_inode_t *inode)
{
    resize(&inode->data, 0);
    put(&inode->data, 0, inode->durable_data.ptr, inode->durable_data.len);
    LIST_EACH(&inode->pending, change, sim_change_t, node) apply(&inode->data, change);
}

/* Writes back those sectors that a change touched and that make it, as the page cache had them after the change. */
static void write_back(buf_t *durable, const buf_t *cache, const sim_change_t *change, sim_fate_t fate, sim_rng_t *rng)
{
    uint64_t end = change->offset + change->bytes;
    for (uint64_t at = change->offset / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES; at < end; at += SIM_SECTOR_BYTES) {
        bool kept = fate == FATE_ALL_KEPT || (fate == FATE_EACH && sim__below(rng, 2) == 0);
        if (kept) put(durable, at, cache->ptr + at, (size_t)MIN(SIM_SECTOR_BYTES, cache->len - at));
    }
}

/* The length is metadata and changes in order: that after the first `sizes_kept` changes. Data goes its own way, so that
 * holes of zeros, or data cut by an old length, or old data behind a length that was not cut, is what is left. */
static void lose_changes(sim_inode_t *inode, uint64_t change_last, sim_fate_t fate, uint64_t sizes_kept, sim_rng_t *rng)
{
    buf_t *durable = &inode->durable_data;
    buf_t cache = BUF_INIT;
    uint64_t size = durable->len, index = 0;
    put(&cache, 0, durable->ptr, durable->len);
    LIST_EACH(&inode->pending, change, sim_change_t, node) {
        if (change->number > change_last) break;
        bool size_kept = index++ < sizes_kept;
        apply(&cache, change);
        if (!change->is_truncation) write_back(durable, &cache, change, fate, rng);
        if (size_kept) size = cache.len;
        if (size_kept && change->is_truncation) resize(durable, MIN(durable->len, size));
        drop(change);
    }
    resize(durable, size);
    buf_deinit(&cache);
}

/* The first `kept` changes, and of the next one the front. */
static void keep_prefix(sim_inode_t *inode, uint64_t change_last, uint64_t kept, sim_rng_t *rng)
{
    uint64_t index = 0;
    LIST_EACH(&inode->pending, change, sim_change_t, node) {
        if (change->number > change_last) break;
        if (index == kept && !change->is_truncation) change->bytes = (size_t)sim__below(rng, change->bytes);
        if (index < kept || (index == kept && !change->is_truncation)) apply(&inode->durable_data, change);
        index++;
        drop(change);
    }
}

void sim__inode_lose(sim_inode_t *inode, uint64_t change_last, bool ordered, sim_rng_t *rng)
{
    sim_fate_t fate = (sim_fate_t)MIN(sim__below(rng, 4), (uint64_t)FATE_EACH);
    uint64_t count = 0;
    LIST_EACH(&inode->pending, change, sim_change_t, node) count += change->number <= change_last;
    if (count == 0) return;
    uint64_t sizes_kept = fate == FATE_ALL_LOST ? 0 : fate == FATE_ALL_KEPT ? count : sim__below(rng, count + 1);
    if (ordered)
        keep_prefix(inode, change_last, sizes_kept, rng);
    else
        lose_changes(inode, change_last, fate, sizes_kept, rng);
}

void sim__disk_init(sim_disk_t *disk)
{
    list_init(&disk->inodes);
    list_init(&disk->journal);
    disk->used_bytes = 0;
    disk->root = sim__inode_new(disk, true);
}

void sim__disk_deinit(sim_disk_t *disk)
{
    sim__journal_free(disk);
    LIST_EACH(&disk->inodes, inode, sim_inode_t, node) inode_free(inode);
}

/* What the platter has becomes what there is. */
static void reload(sim_disk_t *disk, sim_inode_t *inode)
{
    inode->marked = true;
    if (!inode->is_dir) {
        resize(&inode->data, 0);
        put(&inode->data, 0, inode->durable_data.ptr, inode->durable_data.len);
        disk->used_bytes += inode->data.len;
        return;
    }
    sim__names_free(&inode->names);
    inode->names.cap = inode->names.count = inode->durable_names.count;
    inode->names.entries = mem_zalloc((inode->names.count + 1) * sizeof(sim_entry_t));
    for (size_t i = 0; i < inode->names.count; i++) {
        sim_entry_t *entry = &inode->durable_names.entries[i];
        inode->names.entries[i] = (sim_entry_t){mem_strdup(entry->name), entry->inode};
        if (!entry->inode->marked) reload(disk, entry->inode);
    }
}

void sim__disk_lose_power(sim_disk_t *disk, bool ordered, sim_rng_t *rng)
{
    sim__journal_settle(disk, rng);
    LIST_EACH(&disk->inodes, inode, sim_inode_t, node) {
        sim__inode_lose(inode, UINT64_MAX, ordered, rng);
        inode->marked = false;
    }
    disk->used_bytes = 0;
    reload(disk, disk->root);
    LIST_EACH(&disk->inodes, inode, sim_inode_t, node) {
        if (!inode->marked) inode_free(inode);
    }
}
