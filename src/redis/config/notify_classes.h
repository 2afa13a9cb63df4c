/* notify_classes.h: the classes of keyspace events, which notify-keyspace-events names by letters. */
#ifndef TRIVET_REDIS_NOTIFY_CLASSES_H
#define TRIVET_REDIS_NOTIFY_CLASSES_H

#include "base/base.h"

/* Keyspace event classes, as in notify-keyspace-events. */
enum {
    NOTIFY_KEYSPACE = 1 << 0,
    NOTIFY_KEYEVENT = 1 << 1,
    NOTIFY_GENERIC = 1 << 2,
    NOTIFY_STRING = 1 << 3,
    NOTIFY_LIST = 1 << 4,
    NOTIFY_SET = 1 << 5,
    NOTIFY_HASH = 1 << 6,
    NOTIFY_ZSET = 1 << 7,
    NOTIFY_EXPIRED = 1 << 8,
    NOTIFY_EVICTED = 1 << 9,
    NOTIFY_STREAM = 1 << 10,
    NOTIFY_KEY_MISS = 1 << 11,
    NOTIFY_MODULE = 1 << 13,
    NOTIFY_NEW = 1 << 14,
    NOTIFY_ALL = NOTIFY_GENERIC | NOTIFY_STRING | NOTIFY_LIST | NOTIFY_SET | NOTIFY_HASH | NOTIFY_ZSET |
                 NOTIFY_EXPIRED | NOTIFY_EVICTED | NOTIFY_STREAM | NOTIFY_MODULE,
};

#define NOTIFY_CLASSES_CHARS_MAX 32

/* The classes that the letters of `text` name; `ret_ok` is false if one of them names none. */
uint32_t notify_classes__parse(const char *text, bool *ret_ok);
void notify_classes__format(uint32_t classes, char out[NOTIFY_CLASSES_CHARS_MAX]);

#endif
