/* groups_load.c: reads __consumer_offsets back, a piece a turn of the loop so that other clients are served
 * meanwhile. The last record of each key wins; a group without a record of its own exists when it has
 * offsets. */
#include "kafka/coordinator/groups_internal.h"

#include "base/slog.h"
#include "kafka_schema.h"

#define LOAD_STEP_BYTES  MIB(1)  /* read in one turn */
#define LOAD_BATCH_BYTES MIB(64) /* most that one batch may take when opened */

static group_entry_t *entry_of(kafka_groups_t *groups, bytes_t group_id)
{
    group_entry_t *entry = map_get(&groups->entries, group_id);
    return entry ? entry : groups__entry_new(groups, group_id);
}

static void reset_group(kafka_groups_t *groups, group_entry_t *entry)
{
    group_t *fresh = groups__group_new(groups, entry, entry->group->id);
    group_free(entry->group);
    entry->group = fresh;
}

static int replay_group(kafka_groups_t *groups, const group_record_t *record)
{
    group_entry_t *entry = entry_of(groups, record->group_id);
    reset_group(groups, entry);
    return record->tombstone ? 0 : group_record_load(entry->group, record->group);
}

static void replay_offset(kafka_groups_t *groups, const group_record_t *record)
{
    if (record->tombstone) {
        group_entry_t *entry = map_get(&groups->entries, record->group_id);
        if (entry) group_offsets_remove(&entry->offsets, record->topic, record->partition);
        return;
    }
    group_entry_t *entry = entry_of(groups, record->group_id);
    group_offsets_put(&entry->offsets, record->topic, record->partition, &record->offset);
}

static int replay_consumer(kafka_groups_t *groups, const record_t *stored, arena_t *arena)
{
    cgroup_record_kind_t kind;
    bytes_t group_id;
    int err = cgroup_record_group(stored->key, &kind, &group_id);
    if (err) return err == ERR_NOT_FOUND ? 0 : err; /* of a kind that this broker does not keep */
    group_entry_t *entry = map_get(&groups->entries, group_id);
    if (!stored->value.ptr && (!entry || !entry->cgroup)) return 0;
    if (!stored->value.ptr && kind == CGROUP_RECORD_EPOCH) {
        cgroup_free(entry->cgroup);
        entry->cgroup = NULL;
        return 0;
    }
    if (!entry) entry = groups__entry_new(groups, group_id);
    if (!entry->cgroup) entry->cgroup = groups__cgroup_new(entry);
    return cgroup_record_load(entry->cgroup, stored->key, stored->value, arena);
}

static int replay(kafka_groups_t *groups, const record_t *stored, arena_t *arena)
{
    arena_reset(arena);
    group_record_t record;
    int err = group_record_decode(stored->key, stored->value, arena, &record);
    if (err) return err;
    if (record.kind == GROUP_RECORD_GROUP) return replay_group(groups, &record);
    if (record.kind == GROUP_RECORD_OTHER) return replay_consumer(groups, stored, arena);
    replay_offset(groups, &record);
    return 0;
}

/* Transaction markers and transactional commits are no offsets yet; this broker writes neither. */
static bool is_plain(const log_batch_t *batch)
{
    return !(batch->attributes & (RECORD_CONTROL | RECORD_TRANSACTIONAL));
}

static int replay_batch(kafka_groups_t *groups, bytes_t bytes, arena_t *arena)
{
    record_iter_t iter;
    int err = record_iter_init(&iter, bytes, LOAD_BATCH_BYTES);
    if (err) return err;
    record_t record;
    while ((err = record_iter_next(&iter, &record)) == 0) {
        if ((err = replay(groups, &record, arena))) break;
    }
    record_iter_deinit(&iter);
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int replay_batches(kafka_groups_t *groups, bytes_t data)
{
    arena_t arena;
    arena_init(&arena, LOAD_BATCH_BYTES);
    int err = 0;
    while (!err && data.len > 0) {
        log_batch_t batch;
        if ((err = log_batch_parse(data, &batch))) break;
        size_t bytes = log_batch_bytes(&batch);
        if (bytes > data.len) break; /* cut off: it comes whole with the next piece */
        if (is_plain(&batch)) err = replay_batch(groups, bytes_of(data.ptr, bytes), &arena);
        data = bytes_of(data.ptr + bytes, data.len - bytes);
    }
    arena_deinit(&arena);
    return err;
}

/* ---- one partition after the other ------------------------------------------------------------------ */

static bool is_nothing(const group_entry_t *entry)
{
    const group_t *g = entry->group;
    return entry->offsets.count == 0 && !entry->cgroup && !g->protocol_type.ptr && g->generation == 0;
}

/* The groups of a loaded partition start to live; those of which only tombstones were left go. */
static void activate(kafka_groups_t *groups, int32_t index)
{
    group_entry_t **mine = mem_alloc(sizeof(*mine) * (groups->entries.count + 1));
    size_t count = 0, cursor = 0;
    for (group_entry_t *e; (e = groups_next(groups, &cursor));) {
        if (e->partition == index) mine[count++] = e;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_nothing(mine[i])) {
            groups_remove(mine[i]);
            continue;
        }
        group_load_end(mine[i]->group, groups_now(groups));
        if (mine[i]->cgroup) cgroup_load_end(mine[i]->cgroup, groups_now(groups));
        groups_settle(mine[i]);
    }
    mem_free(mine);
}

static void finish(kafka_groups_t *groups, int32_t index, int16_t error)
{
    groups->partitions[index].state = error == KAFKA_NONE ? GROUPS_ACTIVE : GROUPS_FAILED;
    groups->partitions_loading--;
    if (error == KAFKA_NONE) {
        activate(groups, index);
    } else {
        slog(SLOG_ERROR, "kafka", "consumer groups of a partition cannot be loaded", "partition=%s-%d error=%s",
             GROUPS_TOPIC, (int)index, kafka_error_name(error));
        kafka_topic_altered(groups->topic);
    }
}

/* Reads on; true when the partition is done, one way or the other. */
static bool load_step(kafka_groups_t *groups, int32_t index)
{
    groups_partition_t *p = &groups->partitions[index];
    partition_t *partition;
    int16_t error = kafka_topic_partition_get(groups->topic, index, &partition);
    if (error == KAFKA_NONE) {
        p->next_offset = MAX(p->next_offset, partition_log_start_offset(partition));
        if (p->next_offset >= partition_high_watermark(partition)) {
            finish(groups, index, KAFKA_NONE);
            return true;
        }
        buf_clear(&groups->load_buf);
        error = partition_read(partition, p->next_offset, LOAD_STEP_BYTES, &groups->load_buf, &p->next_offset);
    }
    if (error == KAFKA_NONE && replay_batches(groups, buf_bytes(&groups->load_buf))) error = KAFKA_CORRUPT_MESSAGE;
    if (error == KAFKA_NONE) return false;
    finish(groups, index, error);
    return true;
}

/* Empty partitions cost nothing and are done with at once; one piece of one that is not ends the turn. */
static void load(kafka_groups_t *groups)
{
    for (int32_t i = 0; i < groups->partitions_count; i++) {
        if (groups->partitions[i].state != GROUPS_LOADING || load_step(groups, i)) continue;
        io_timer_start(&groups->load_timer, 0, 0);
        return;
    }
    buf_deinit(&groups->load_buf);
}

static void on_load_timer(io_timer_t *timer) { load(CONTAINER_OF(timer, kafka_groups_t, load_timer)); }

void groups__load_start(kafka_groups_t *groups)
{
    groups->partitions_loading = groups->partitions_count;
    io_timer_init(groups->kafka->loop, &groups->load_timer, on_load_timer);
    load(groups);
}

void groups__load_again(kafka_groups_t *groups, int32_t index)
{
    if (index >= groups->partitions_count || groups->partitions[index].state != GROUPS_FAILED) return;
    groups->partitions[index] = (groups_partition_t){.state = GROUPS_LOADING};
    groups->partitions_loading++;
    kafka_topic_altered(groups->topic);
    io_timer_start(&groups->load_timer, 0, 0);
}

void groups__load_stop(kafka_groups_t *groups)
{
    if (groups->partitions) io_timer_stop(&groups->load_timer);
    buf_deinit(&groups->load_buf);
    groups->partitions_loading = 0;
}
