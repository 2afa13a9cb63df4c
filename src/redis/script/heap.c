/* heap.c: the memory of the Lua state: counted, limited, and an occasion to ask the host. See script.h.
 *
 * A limit must not be reached by garbage. Big requests that would pass it collect first where that is allowed (script__need_bytes).
 * Lua's operators do not ask so; for them the collector goes faster than Lua's own default, and much faster from a quarter of the
 * limit on. What a run leaves behind is collected in slices when it has ended (script_settle). */
#include "redis/script/script_internal.h"

#define SETTLE_BYTES    MIB(8)
#define SETTLE_STEP_KIB 20 /* a slice: a millisecond, about */
#define SETTLE_CYCLES   2  /* what the first had looked at before it became garbage */
#define BYTES_PER_WORK  4  /* taking and filling memory */
#define TIGHT_PART      4  /* of the limit */

enum { STEP_PERCENT = 5000, PAUSE_PERCENT = 200, STEP_PERCENT_TIGHT = 50000, PAUSE_PERCENT_TIGHT = 125 };

/* Only sets numbers, so it may be called from inside the allocator. */
void script__pace_collector(script_engine_t *engine)
{
    script_heap_t *heap = &engine->heap;
    bool tight = heap->used_bytes > heap->bytes_max / TIGHT_PART;
    if (!engine->lua || tight == heap->tight) return;
    heap->tight = tight;
    lua_gc(engine->lua, LUA_GCSETSTEPMUL, tight ? STEP_PERCENT_TIGHT : STEP_PERCENT);
    lua_gc(engine->lua, LUA_GCSETPAUSE, tight ? PAUSE_PERCENT_TIGHT : PAUSE_PERCENT);
}

/* The script is held here too: an operator such as .. calls no function. */
static bool is_refused(script_engine_t *engine, size_t more)
{
    script_heap_t *heap = &engine->heap;
    if (!heap->limited) return false;
    if (more > heap->bytes_max || heap->used_bytes > heap->bytes_max - more) return true;
    engine->work += more / BYTES_PER_WORK;
    return engine->work >= SCRIPT_WORK_TICK && engine->running && !script__may_go_on(engine);
}

void *script__alloc(void *user, void *ptr, size_t old_bytes, size_t bytes)
{
    script_engine_t *engine = user;
    script_heap_t *heap = &engine->heap;
    if (bytes == 0) {
        heap->used_bytes -= old_bytes;
        mem_free(ptr);
        return NULL;
    }
    if (bytes > old_bytes && is_refused(engine, bytes - old_bytes)) return NULL;
    void *moved = mem_try_realloc(ptr, bytes);
    if (moved) heap->used_bytes += bytes - old_bytes;
    script__pace_collector(engine);
    return moved || bytes > old_bytes ? moved : ptr;
}

int script__out_of_memory(lua_State *lua)
{
    script_heap_t *heap = &script__engine(lua)->heap;
    lua_newuserdata(lua, MIN(heap->bytes_max, SIZE_MAX / 4)); /* cannot be had: raises the error */
    UNREACHABLE();
}

void script__need_bytes(lua_State *lua, size_t bytes)
{
    script_heap_t *heap = &script__engine(lua)->heap;
    if (bytes <= heap->bytes_max && heap->used_bytes <= heap->bytes_max - bytes) return;
    lua_gc(lua, LUA_GCCOLLECT, 0);
    if (bytes > heap->bytes_max || heap->used_bytes > heap->bytes_max - bytes) script__out_of_memory(lua);
}

void script__note_end(script_engine_t *engine)
{
    script_heap_t *heap = &engine->heap;
    if (heap->used_bytes >= heap->settled_bytes + SETTLE_BYTES) heap->cycles_due = SETTLE_CYCLES;
}

bool script_settle(script_engine_t *engine)
{
    script_heap_t *heap = &engine->heap;
    if (engine->running || heap->cycles_due == 0) return true;
    if (lua_gc(engine->lua, LUA_GCSTEP, SETTLE_STEP_KIB)) heap->cycles_due--;
    if (heap->cycles_due) return false;
    heap->settled_bytes = heap->used_bytes;
    return true;
}
