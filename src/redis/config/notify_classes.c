/* notify_classes.c: see notify_classes.h. */
#include "redis/config/notify_classes.h"

static const struct {
    char letter;
    uint32_t bit;
} letters[] = {
    {'g', NOTIFY_GENERIC},  {'$', NOTIFY_STRING},   {'l', NOTIFY_LIST},     {'s', NOTIFY_SET},    {'h', NOTIFY_HASH},
    {'z', NOTIFY_ZSET},     {'x', NOTIFY_EXPIRED},  {'e', NOTIFY_EVICTED},  {'t', NOTIFY_STREAM}, {'d', NOTIFY_MODULE},
    {'K', NOTIFY_KEYSPACE}, {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_KEY_MISS}, {'n', NOTIFY_NEW},
};

uint32_t notify_classes__parse(const char *text, bool *ret_ok)
{
    uint32_t classes = 0;
    *ret_ok = true;
    for (; *text; text++) {
        uint32_t bit = *text == 'A' ? NOTIFY_ALL : 0;
        for (size_t i = 0; i < ARRAY_LEN(letters); i++)
            if (letters[i].letter == *text) bit = letters[i].bit;
        if (bit == 0) *ret_ok = false;
        classes |= bit;
    }
    return classes;
}

void notify_classes__format(uint32_t classes, char out[NOTIFY_CLASSES_CHARS_MAX])
{
    char *p = out;
    bool all = (classes & NOTIFY_ALL) == NOTIFY_ALL;
    if (all) *p++ = 'A';
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (classes & letters[i].bit && !(all && NOTIFY_ALL & letters[i].bit)) *p++ = letters[i].letter;
    *p = '\0';
}
