/* sim_names.c: directories. Like file data they exist twice, with a journal of changes between:
 *
 *     durable_names --journal: set, remove, move--> names
 *
 * io_sync_dir makes durable what the journal says of a directory, and, because a move is atomic, what it says of directories tied to
 * it by earlier moves. Power loss keeps a prefix of each directory's changes. */
#include "io/sim/sim_internal.h"

typedef struct sim_name_change {
    list_t node;
    sim_inode_t *from_dir; /* where a name goes away; NULL = nowhere */
    sim_inode_t *to_dir;   /* where one appears */
    char *from_name;
    char *to_name;
    sim_inode_t *inode; /* what appears */
} sim_name_change_t;

/* ---- sorted names ---- */

static bool names_find(const sim_names_t *names, const char *name, size_t *ret_index)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(names->entries[middle].name, name);
        if (c == 0) {
            *ret_index = middle;
            return true;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return false;
}

sim_inode_t *sim__names_get(const sim_names_t *names, const char *name)
{
    size_t i;
    return names_find(names, name, &i) ? names->entries[i].inode : NULL;
}

static void names_put(sim_names_t *names, const char *name, sim_inode_t *inode)
{
    size_t i;
    if (names_find(names, name, &i)) {
        names->entries[i].inode = inode;
        return;
    }
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 8;
        names->entries = mem_realloc(names->entries, names->cap * sizeof(sim_entry_t));
    }
    memmove(&names->entries[i + 1], &names->entries[i], (names->count - i) * sizeof(sim_entry_t));
    names->entries[i] = (sim_entry_t){mem_strdup(name), inode};
    names->count++;
}

static void names_remove(sim_names_t *names, const char *name)
{
    size_t i;
    if (!names_find(names, name, &i)) return;
    mem_free(names->entries[i].name);
    names->count--;
    memmove(&names->entries[i], &names->entries[i + 1], (names->count - i) * sizeof(sim_entry_t));
}

void sim__names_free(sim_names_t *names)
{
    for (size_t i = 0; i < names->count; i++) mem_free(names->entries[i].name);
    mem_free(names->entries);
    *names = (sim_names_t){0};
}

/* ---- the journal ---- */

static void journal_add(sim_disk_t *disk, sim_inode_t *from_dir, const char *from_name, sim_inode_t *to_dir,
                        const char *to_name, sim_inode_t *inode)
{
    sim_name_change_t *change = mem_zalloc(sizeof(*change));
    change->from_dir = from_dir;
    change->to_dir = to_dir;
    if (from_dir) change->from_name = mem_strdup(from_name);
    if (to_dir) change->to_name = mem_strdup(to_name);
    change->inode = inode;
    list_push_back(&disk->journal, &change->node);
    if (from_dir) names_remove(&from_dir->names, from_name);
    if (to_dir) names_put(&to_dir->names, to_name, inode);
}

static void make_durable(sim_name_change_t *change)
{
    if (change->from_dir) names_remove(&change->from_dir->durable_names, change->from_name);
    if (change->to_dir) names_put(&change->to_dir->durable_names, change->to_name, change->inode);
}

static void drop(sim_name_change_t *change)
{
    list_remove(&change->node);
    mem_free(change->from_name);
    mem_free(change->to_name);
    mem_free(change);
}

void sim__journal_free(sim_disk_t *disk)
{
    LIST_EACH(&disk->journal, change, sim_name_change_t, node) drop(change);
}

static bool is_marked(const sim_inode_t *dir) { return dir && dir->marked; }

static void mark_dirs(sim_name_change_t *change)
{
    if (change->from_dir) change->from_dir->marked = true;
    if (change->to_dir) change->to_dir->marked = true;
}

static bool touches_marked(const sim_name_change_t *change)
{
    return is_marked(change->from_dir) || is_marked(change->to_dir);
}

static void clear_marks(sim_disk_t *disk)
{
    LIST_EACH(&disk->inodes, inode, sim_inode_t, node) inode->marked = false;
}

/* Marked = cut: of this directory nothing later survives. */
void sim__journal_settle(sim_disk_t *disk, sim_rng_t *rng)
{
    clear_marks(disk);
    uint64_t lost_of_8 = sim__below(rng, 3) * 2; /* some crashes lose no name, some nearly all */
    LIST_EACH(&disk->journal, change, sim_name_change_t, node) {
        if (touches_marked(change) || sim__below(rng, 8) < lost_of_8)
            mark_dirs(change);
        else
            make_durable(change);
        drop(change);
    }
}

void sim__sync_names(sim_disk_t *disk, sim_inode_t *dir)
{
    list_t chosen;
    list_init(&chosen);
    clear_marks(disk);
    dir->marked = true;
    for (list_t *at = disk->journal.prev, *before; at != &disk->journal; at = before) {
        before = at->prev;
        sim_name_change_t *change = CONTAINER_OF(at, sim_name_change_t, node);
        if (!touches_marked(change)) continue;
        mark_dirs(change);
        list_remove(&change->node);
        list_push_front(&chosen, &change->node);
    }
    LIST_EACH(&chosen, change, sim_name_change_t, node) {
        make_durable(change);
        drop(change);
    }
}

/* ---- paths ---- */

/* Takes the next component; false at the end. */
static bool next_component(const char **path, char name[SIM_NAME_CHARS_MAX])
{
    size_t n = 0;
    while (**path == '/' || (**path == '.' && ((*path)[1] == '/' || (*path)[1] == '\0'))) (*path)++;
    while (**path && **path != '/') {
        ASSERT(n + 1 < SIM_NAME_CHARS_MAX);
        name[n++] = *(*path)++;
    }
    name[n] = '\0';
    return n > 0;
}

int sim__find_parent(sim_disk_t *disk, const char *path, sim_inode_t **ret_dir, char ret_name[SIM_NAME_CHARS_MAX])
{
    char name[SIM_NAME_CHARS_MAX], following[SIM_NAME_CHARS_MAX];
    sim_inode_t *dir = disk->root;
    if (!next_component(&path, name)) {
        *ret_dir = NULL;
        return 0;
    }
    while (next_component(&path, following)) {
        dir = sim__names_get(&dir->names, name);
        if (!dir) return ERR_NOT_FOUND;
        if (!dir->is_dir) return ERR_IO; /* ENOTDIR has no code of its own */
        strcpy(name, following);
    }
    *ret_dir = dir;
    strcpy(ret_name, name);
    return 0;
}

int sim__find(sim_disk_t *disk, const char *path, sim_inode_t **ret_inode)
{
    char name[SIM_NAME_CHARS_MAX];
    sim_inode_t *dir;
    int err = sim__find_parent(disk, path, &dir, name);
    if (err) return err;
    sim_inode_t *inode = dir ? sim__names_get(&dir->names, name) : disk->root;
    if (!inode) return ERR_NOT_FOUND;
    *ret_inode = inode;
    return 0;
}

int sim__link(sim_disk_t *disk, const char *path, bool is_dir, sim_inode_t **ret_inode)
{
    char name[SIM_NAME_CHARS_MAX];
    sim_inode_t *dir;
    int err = sim__find_parent(disk, path, &dir, name);
    if (err) return err;
    if (!dir || sim__names_get(&dir->names, name)) return ERR_EXISTS;
    sim_inode_t *inode = sim__inode_new(disk, is_dir);
    journal_add(disk, NULL, NULL, dir, name, inode);
    *ret_inode = inode;
    return 0;
}

int sim__unlink(sim_disk_t *disk, const char *path)
{
    char name[SIM_NAME_CHARS_MAX];
    sim_inode_t *dir;
    int err = sim__find_parent(disk, path, &dir, name);
    if (err) return err;
    if (!dir) return ERR_BUSY;
    sim_inode_t *inode = sim__names_get(&dir->names, name);
    if (!inode) return ERR_NOT_FOUND;
    if (inode->is_dir && inode->names.count > 0) return ERR_NOT_EMPTY;
    disk->used_bytes -= inode->data.len;
    journal_add(disk, dir, name, NULL, NULL, NULL);
    return 0;
}

int sim__rename(sim_disk_t *disk, const char *from, const char *to)
{
    char from_name[SIM_NAME_CHARS_MAX], to_name[SIM_NAME_CHARS_MAX];
    sim_inode_t *from_dir, *to_dir;
    int err = sim__find_parent(disk, from, &from_dir, from_name);
    if (!err) err = sim__find_parent(disk, to, &to_dir, to_name);
    if (err) return err;
    if (!from_dir || !to_dir) return ERR_BUSY;
    sim_inode_t *inode = sim__names_get(&from_dir->names, from_name);
    sim_inode_t *replaced = sim__names_get(&to_dir->names, to_name);
    if (!inode) return ERR_NOT_FOUND;
    if (replaced == inode) return 0;
    if (replaced && replaced->is_dir != inode->is_dir) return ERR_IO; /* EISDIR, ENOTDIR */
    if (replaced && replaced->names.count > 0) return ERR_NOT_EMPTY;
    if (replaced) disk->used_bytes -= replaced->data.len;
    journal_add(disk, from_dir, from_name, to_dir, to_name, inode);
    return 0;
}
