/* disk.c: what the tree does when its disk is full. A reserve (io.h) takes the entry that found it full, and so the tree goes
 * on; from then on what is new is refused before it is proposed, until the reserve is whole again:
 *
 *   closing a session      as long as anything is left, so that sessions end and their ephemeral nodes go
 *   opening one            while more than half is left, so that who comes can read; also the broker's own nodes
 *   every other write      refused with ZSYSTEM_ERROR: nothing was done, and no client repeats that by itself
 *
 * A batch larger than the reserve asks the disk first. So the log only fails to be written, which ends the process, when somebody
 * else takes the room between the question and the write. */
#include "coord/service/coord_internal.h"

#include "base/slog.h"

#define TRY_EVERY_MS 1000
#define SLACK_BYTES  KIB(16)

static void note_low(coord_t *coord)
{
    health_raise(&coord->health, "disk", "no space left on device for the tree's log in %.150s; writes are refused",
                 coord->log_dir);
    if (coord->disk_timer.due_ns == 0) io_timer_start(&coord->disk_timer, TRY_EVERY_MS, TRY_EVERY_MS);
}

static void try_again(io_timer_t *timer)
{
    coord_t *coord = CONTAINER_OF(timer, coord_t, disk_timer);
    (void)!io_reserve_fill(&coord->reserve); /* `low` says whether it is whole */
    if (coord->reserve.low) return;
    io_timer_stop(timer);
    health_clear(&coord->health, "disk");
}

void coord__disk_open(coord_t *coord)
{
    io_timer_init(coord->loop, &coord->disk_timer, try_again);
    io_reserve_init(&coord->reserve, coord->loop, coord->log_dir, coord->options.reserve_bytes);
    int err = io_reserve_fill(&coord->reserve);
    coord__disk_check(coord);
    if (err && err != ERR_NOSPACE)
        slog(SLOG_WARN, "coord", "no room is kept for a full disk", "file=%s error=\"%s\"", coord->reserve.path,
             err_text(err));
}

void coord__disk_close(coord_t *coord)
{
    io_timer_stop(&coord->disk_timer);
    io_reserve_deinit(&coord->reserve);
}

void coord__disk_check(coord_t *coord)
{
    if (UNLIKELY(coord->reserve.low)) note_low(coord);
}

bool coord__disk_allows_opening(const coord_t *coord)
{
    return !coord->reserve.low || coord->reserve.bytes > coord->reserve.bytes_wanted / 2;
}

bool coord__disk_allows_closing(const coord_t *coord) { return !coord->reserve.low || coord->reserve.bytes > 0; }

bool coord__disk_allows(const coord_t *coord, int32_t type)
{
    if (LIKELY(!coord->reserve.low)) return true;
    return type == ZK_OP_CLOSE_SESSION && coord__disk_allows_closing(coord);
}

bool coord__disk_allows_batch(coord_t *coord, size_t bytes)
{
    uint64_t free_bytes, total_bytes;
    if (LIKELY(bytes + SLACK_BYTES <= coord->reserve.bytes || coord->reserve.bytes_max == 0)) return true;
    if (io_disk_space(coord->loop, coord->log_dir, &free_bytes, &total_bytes) != 0)
        return true; /* the write will tell */
    if (free_bytes + coord->reserve.bytes > bytes + bytes / 4 + SLACK_BYTES) return true;
    coord->reserve.low = true;
    note_low(coord);
    return false;
}
