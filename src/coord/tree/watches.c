/* watches.c: see watches.h. Called from apply (state.c) to fire and from the ZooKeeper wing to add and remove. */
#include "coord/tree/watches.h"

typedef struct watch_path {
    list_t watches;
    bytes_t path; /* `text` */
    char text[];
} watch_path_t;

typedef struct watch {
    list_t in_path;
    list_t in_watcher;
    coord_watcher_t *watcher;
    watch_path_t *path;
    int modes;
} watch_t;

void watches_init(watches_t *watches)
{
    *watches = (watches_t){.trigger = 0};
    for (int kind = 0; kind < COORD_WATCH_KINDS; kind++) watches->tables[kind].kind = (coord_watch_kind_t)kind;
}

void coord_watcher_init(coord_watcher_t *watcher,
                        void (*event)(coord_watcher_t *watcher, coord_event_t type, bytes_t path, int64_t zxid))
{
    *watcher = (coord_watcher_t){.event = event};
    for (int kind = 0; kind < COORD_WATCH_KINDS; kind++) list_init(&watcher->watches[kind]);
}

static bytes_t normal(bytes_t path) { return path.len == 0 ? BYTES_LIT("/") : path; }

static void free_watch(watch_table_t *table, watch_t *watch)
{
    watch_path_t *path = watch->path;
    if (watch->modes & COORD_WATCH_RECURSIVE) table->recursive_count--;
    list_remove(&watch->in_path);
    list_remove(&watch->in_watcher);
    mem_free(watch);
    table->count--;
    if (list_empty(&path->watches)) {
        map_remove(&table->paths, path->path);
        mem_free(path);
    }
}

void watches_deinit(watches_t *watches)
{
    for (int kind = 0; kind < COORD_WATCH_KINDS; kind++) {
        watch_table_t *table = &watches->tables[kind];
        for (size_t cursor = 0; table->count > 0; cursor = 0) {
            watch_path_t *path = map_next(&table->paths, &cursor)->value;
            free_watch(table, CONTAINER_OF(path->watches.next, watch_t, in_path));
        }
        map_deinit(&table->paths);
    }
}

static watch_path_t *path_for(watch_table_t *table, bytes_t path)
{
    watch_path_t *found = map_get(&table->paths, path);
    if (found) return found;
    found = mem_alloc(sizeof(*found) + path.len);
    list_init(&found->watches);
    memcpy(found->text, path.ptr, path.len);
    found->path = bytes_of(found->text, path.len);
    map_put(&table->paths, path, found);
    return found;
}

/* Both lists are walked at once, for the shorter one decides: many clients with a watch each on one node, and one client with
 * many watches, are what there is. */
static watch_t *find_watch(const watch_table_t *table, const coord_watcher_t *watcher, bytes_t path)
{
    watch_path_t *at = map_get(&table->paths, normal(path));
    if (!at) return NULL;
    const list_t *of_path = &at->watches, *of_watcher = &watcher->watches[table->kind], *p = of_path, *w = of_watcher;
    while ((p = p->next) != of_path && (w = w->next) != of_watcher) {
        watch_t *there = CONTAINER_OF(p, watch_t, in_path), *own = CONTAINER_OF(w, watch_t, in_watcher);
        if (there->watcher == watcher) return there;
        if (own->path == at) return own;
    }
    return NULL;
}

void watches_add(watches_t *watches, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode)
{
    watch_table_t *table = &watches->tables[kind];
    watch_t *watch = find_watch(table, watcher, path);
    if (!watch) {
        watch = mem_alloc(sizeof(*watch));
        *watch = (watch_t){.watcher = watcher, .path = path_for(table, normal(path))};
        list_push_back(&watch->path->watches, &watch->in_path);
        list_push_back(&watcher->watches[kind], &watch->in_watcher);
        table->count++;
    }
    if ((mode & COORD_WATCH_RECURSIVE) && !(watch->modes & COORD_WATCH_RECURSIVE)) table->recursive_count++;
    watch->modes |= mode;
}

bool watches_has(const watches_t *watches, const coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path,
                 int mode)
{
    watch_t *watch = find_watch(&watches->tables[kind], watcher, path);
    return watch != NULL && (mode == 0 || (watch->modes & mode));
}

bool watches_remove(watches_t *watches, coord_watcher_t *watcher, coord_watch_kind_t kind, bytes_t path, int mode)
{
    watch_table_t *table = &watches->tables[kind];
    watch_t *watch = find_watch(table, watcher, path);
    if (!watch || (mode != 0 && !(watch->modes & mode))) return false;
    int left = mode == 0 ? 0 : watch->modes & ~mode;
    if (left == 0) {
        free_watch(table, watch);
        return true;
    }
    if (mode & COORD_WATCH_RECURSIVE) table->recursive_count--;
    watch->modes = left;
    return true;
}

bool watches_drop(watches_t *watches, coord_watcher_t *watcher, size_t count)
{
    for (int kind = 0; kind < COORD_WATCH_KINDS; kind++) {
        while (!list_empty(&watcher->watches[kind])) {
            if (count-- == 0) return false;
            free_watch(&watches->tables[kind], CONTAINER_OF(watcher->watches[kind].next, watch_t, in_watcher));
        }
    }
    return true;
}

void watches_each(const watches_t *watches, coord_watch_kind_t kind,
                  void (*each)(void *user, bytes_t path, const coord_watcher_t *watcher), void *user)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&watches->tables[kind].paths, &cursor));) {
        watch_path_t *path = e->value;
        LIST_EACH(&path->watches, watch, watch_t, in_path) each(user, path->path, watch->watcher);
    }
}

void coord_watcher_each(const coord_watcher_t *watcher, coord_watch_kind_t kind, void (*each)(void *user, bytes_t path),
                        void *user)
{
    LIST_EACH(&watcher->watches[kind], watch, watch_t, in_watcher) each(user, watch->path->path);
}

/* ---- firing ------------------------------------------------------------------------------------------------------ */

typedef struct firing {
    watch_table_t *table;
    coord_event_t type;
    bytes_t path;
    int64_t zxid;
    const acl_t *acl;
    uint64_t trigger;
    uint64_t suppressed; /* watchers told by this trigger hear nothing */
} firing_t;

static void tell(const firing_t *f, coord_watcher_t *watcher)
{
    if (watcher->told == f->trigger || (f->suppressed != 0 && watcher->told == f->suppressed)) return;
    watcher->told = f->trigger;
    if (f->acl && !acl_allows(f->acl, ACL_READ, watcher->who)) return;
    watcher->event(watcher, f->type, f->path, f->zxid);
}

static void fire_here(const firing_t *f)
{
    watch_path_t *at = map_get(&f->table->paths, f->path);
    if (!at) return;
    size_t left = 0;
    LIST_EACH(&at->watches, counted, watch_t, in_path) left++;
    /* free_watch may free `at` with its last watch: count, do not look back. */
    for (list_t *next = at->watches.next; left > 0; left--) {
        watch_t *watch = CONTAINER_OF(next, watch_t, in_path);
        next = next->next;
        tell(f, watch->watcher);
        watch->modes &= ~COORD_WATCH_STANDARD;
        if (watch->modes == 0) free_watch(f->table, watch);
    }
}

static void fire_above(const firing_t *f)
{
    bytes_t path = f->path;
    while (path.len > 1) {
        const uint8_t *slash = memrchr(path.ptr, '/', path.len);
        if (!slash) return;
        path.len = slash == path.ptr ? 1 : (size_t)(slash - path.ptr);
        watch_path_t *at = map_get(&f->table->paths, path);
        if (!at) continue;
        LIST_EACH(&at->watches, watch, watch_t, in_path) {
            if (watch->modes & COORD_WATCH_RECURSIVE) tell(f, watch->watcher);
        }
    }
}

static uint64_t fire(watches_t *watches, coord_watch_kind_t kind, coord_event_t type, bytes_t path, int64_t zxid,
                     const acl_t *acl, uint64_t suppressed)
{
    watch_table_t *table = &watches->tables[kind];
    if (table->count == 0) return 0;
    firing_t f = {table, type, normal(path), zxid, acl, ++watches->trigger, suppressed};
    fire_here(&f);
    if (table->recursive_count > 0) fire_above(&f);
    return f.trigger;
}

void watches_created(watches_t *watches, bytes_t path, bytes_t parent, int64_t zxid, const acl_t *acl,
                     const acl_t *parent_acl)
{
    fire(watches, COORD_WATCH_DATA, COORD_EVENT_CREATED, path, zxid, acl, 0);
    fire(watches, COORD_WATCH_CHILDREN, COORD_EVENT_CHILDREN_CHANGED, parent, zxid, parent_acl, 0);
}

void watches_deleted(watches_t *watches, bytes_t path, bytes_t parent, int64_t zxid, const acl_t *acl,
                     const acl_t *parent_acl)
{
    uint64_t told = fire(watches, COORD_WATCH_DATA, COORD_EVENT_DELETED, path, zxid, acl, 0);
    fire(watches, COORD_WATCH_CHILDREN, COORD_EVENT_DELETED, path, zxid, acl, told);
    fire(watches, COORD_WATCH_CHILDREN, COORD_EVENT_CHILDREN_CHANGED, parent, zxid, parent_acl, 0);
}

void watches_data_changed(watches_t *watches, bytes_t path, int64_t zxid, const acl_t *acl)
{
    fire(watches, COORD_WATCH_DATA, COORD_EVENT_DATA_CHANGED, path, zxid, acl, 0);
}
