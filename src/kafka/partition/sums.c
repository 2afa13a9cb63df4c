/* sums.c: checksums of those checkpoints in which a wrong digit would do harm: a log's start that is too high hides
 * records, and the files, being Kafka's, have no room for one. They stand in a file of ours beside them:
 *
 *   log-start-offset-checkpoint 9a3c11f0 00c2d4e7       of what is being written, and of what was there before
 *
 * It is written first, so that a crash leaves a file that one of the two fits. A file that neither fits is damaged, or another
 * broker's: it counts for nothing, and the logs are read in its place. */
#include "kafka/partition/partition_internal.h"

#include "base/hash.h"

#include <stdio.h>

#define SUMS_BYTES_MAX KIB(1)

static void sums_path(const partition_store_t *store, char out[PARTITION_PATH_CHARS_MAX])
{
    int n = snprintf(out, PARTITION_PATH_CHARS_MAX, "%s/" PARTITION_SUMS_NAME, store->kafka->data_dir);
    ASSERT(n > 0 && n < PARTITION_PATH_CHARS_MAX);
}

static const char *const names[PARTITION_SUMS] = {"recovery-point-offset-checkpoint", "log-start-offset-checkpoint"};

void partition__sums_read(partition_store_t *store)
{
    char path[PARTITION_PATH_CHARS_MAX];
    uint8_t *text;
    size_t bytes;
    sums_path(store, path);
    if (io_read_whole(store->kafka->loop, path, SUMS_BYTES_MAX, &text, &bytes) != 0) return;
    for (size_t i = 0; i < PARTITION_SUMS; i++) {
        const char *at = strstr((const char *)text, names[i]);
        partition_sum_t *sum = &store->sums[i];
        sum->known = at && sscanf(at + strlen(names[i]), "%" SCNx32 " %" SCNx32, &sum->now, &sum->before) == 2;
    }
    mem_free(text);
}

bool partition__sums_fit(const partition_store_t *store, const char *name, bytes_t data)
{
    for (size_t i = 0; i < PARTITION_SUMS; i++) {
        const partition_sum_t *sum = &store->sums[i];
        if (strcmp(name, names[i]) != 0 || !sum->known) continue;
        uint32_t crc = crc32c(0, data.ptr, data.len);
        return crc == sum->now || crc == sum->before;
    }
    return true;
}

void partition__sums_next(const partition_store_t *store, bytes_t recovery_points, bytes_t log_starts,
                          partition_sum_t ret_sums[PARTITION_SUMS], buf_t *ret_text)
{
    const bytes_t files[PARTITION_SUMS] = {recovery_points, log_starts};
    buf_clear(ret_text);
    for (size_t i = 0; i < PARTITION_SUMS; i++) {
        const partition_sum_t *sum = &store->sums[i];
        uint32_t crc = crc32c(0, files[i].ptr, files[i].len);
        bool changed = crc != sum->now || !sum->known;
        ret_sums[i] = changed ? (partition_sum_t){true, crc, sum->known ? sum->now : crc} : *sum;
        buf_printf(ret_text, "%s %08" PRIx32 " %08" PRIx32 "\n", names[i], ret_sums[i].now, ret_sums[i].before);
    }
}

void partition__sums_keep(partition_store_t *store, const partition_sum_t sums[PARTITION_SUMS])
{
    memcpy(store->sums, sums, sizeof(store->sums));
}
