/* health.c: see health.h. */
#include "base/health.h"

#include "base/slog.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct trouble {
    list_t node;
    const char *what;
    char text[HEALTH_TEXT_CHARS_MAX];
} trouble_t;

void health_init(health_t *health, const char *wing)
{
    *health = (health_t){.wing = wing};
    list_init(&health->troubles);
}

void health_deinit(health_t *health)
{
    LIST_EACH(&health->troubles, trouble, trouble_t, node) mem_free(trouble);
    list_init(&health->troubles);
    health->troubles_count = 0;
}

static trouble_t *find(const health_t *health, const char *what)
{
    LIST_EACH(&health->troubles, trouble, trouble_t, node)
        if (strcmp(trouble->what, what) == 0) return trouble;
    return NULL;
}

static trouble_t *add(health_t *health, const char *what)
{
    ASSERT(health->troubles_count < HEALTH_TROUBLES_MAX);
    trouble_t *trouble = mem_zalloc(sizeof(*trouble));
    trouble->what = what;
    list_push_back(&health->troubles, &trouble->node);
    health->troubles_count++;
    return trouble;
}

void health_raise(health_t *health, const char *what, const char *fmt, ...)
{
    char text[HEALTH_TEXT_CHARS_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    trouble_t *trouble = find(health, what);
    if (trouble && strcmp(trouble->text, text) == 0) return;
    if (!trouble) trouble = add(health, what);
    memcpy(trouble->text, text, sizeof(text));
    slog(SLOG_ERROR, health->wing, text, "trouble=%s", what);
}

void health_clear(health_t *health, const char *what)
{
    trouble_t *trouble = find(health, what);
    if (!trouble) return;
    slog(SLOG_INFO, health->wing, "well again", "trouble=%s was=\"%s\"", what, trouble->text);
    list_remove(&trouble->node);
    health->troubles_count--;
    mem_free(trouble);
}

const char *health_text(const health_t *health, const char *what)
{
    const trouble_t *trouble = find(health, what);
    return trouble ? trouble->text : NULL;
}

void health_each(const health_t *health, void (*each)(void *user, const char *what, const char *text), void *user)
{
    LIST_EACH(&health->troubles, trouble, trouble_t, node) each(user, trouble->what, trouble->text);
}
