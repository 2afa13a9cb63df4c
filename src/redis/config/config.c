/* config.c: the struct of all settings: made, copied, freed, and set by name. */
#include "redis/config/config_table.h"

#include "base/nearest.h"
#include "redis/redis.h"

#include <stdio.h>

static const directive_t *find_in(const directive_t *rows, size_t count, bytes_t name)
{
    for (size_t i = 0; i < count; i++) {
        const directive_t *d = &rows[i];
        if (bytes_eq_nocase(bytes_str(d->name), name) || (d->alias && bytes_eq_nocase(bytes_str(d->alias), name)))
            return d;
    }
    return NULL;
}

const directive_t *directive_find(bytes_t name)
{
    const directive_t *d = find_in(redis_directives, redis_directive_count, name);
    return d ? d : find_in(redis_kept_directives, redis_kept_directive_count, name);
}

const directive_t *directive_at(size_t i)
{
    if (i < redis_directive_count) return &redis_directives[i];
    i -= redis_directive_count;
    return i < redis_kept_directive_count ? &redis_kept_directives[i] : NULL;
}

void *directive_field(redis_config_t *config, const directive_t *d)
{
    if (d->flags & DIRECTIVE_KEPT) return &config->kept[d - redis_kept_directives];
    return (char *)config + d->offset;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

redis_config_t *redis_config_new(void)
{
    redis_config_t *config = mem_zalloc(sizeof(*config));
    const directive_t *d;
    char why[128];
    for (size_t i = 0; (d = directive_at(i)); i++) {
        int err = directive_set(config, d, bytes_str(d->initial), why, sizeof(why));
        ASSERT(!err);
    }
    return config;
}

void redis_config_free(redis_config_t *config)
{
    const directive_t *d;
    if (!config) return;
    for (size_t i = 0; (d = directive_at(i)); i++) {
        void *field = directive_field(config, d);
        if (d->kind == KIND_STRING) mem_free(*(char **)field);
        if (d->kind == KIND_BYTES) mem_free((void *)((bytes_t *)field)->ptr);
    }
    mem_free(config);
}

redis_config_t *config_copy(const redis_config_t *from)
{
    redis_config_t *to = mem_zalloc(sizeof(*to));
    const directive_t *d;
    *to = *from;
    for (size_t i = 0; (d = directive_at(i)); i++) {
        void *field = directive_field(to, d);
        char **text = field;
        bytes_t *bytes = field;
        if (d->kind == KIND_STRING && *text) *text = mem_strdup(*text);
        if (d->kind == KIND_BYTES) bytes->ptr = (const uint8_t *)mem_strndup(*bytes);
    }
    return to;
}

static void say_unknown(const char *name, char *err, size_t err_bytes)
{
    char hint[2 * NEAREST_CHARS_MAX];
    nearest_t nearest = nearest_to(name);
    for (size_t i = 0; directive_at(i); i++) nearest_offer(&nearest, directive_at(i)->name);
    snprintf(err, err_bytes, "unknown directive '%.100s'%s", name, nearest_hint(&nearest, hint, sizeof(hint)));
}

int redis_configure(redis_config_t *config, const char *name, const char *value, char *err, size_t err_bytes)
{
    const directive_t *d = directive_find(bytes_str(name));
    if (!d) {
        say_unknown(name, err, err_bytes);
        return ERR_NOT_FOUND;
    }
    char why[256];
    bool adds = d->kind == KIND_SAVE_POINTS; /* each line of a file is one more */
    int rc = adds ? save_points_add(&config->save, value, why, sizeof(why))
                  : directive_set(config, d, bytes_str(value), why, sizeof(why));
    if (rc) snprintf(err, err_bytes, "%s '%s': %s", name, value, why);
    return rc;
}
