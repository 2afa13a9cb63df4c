/* feed_config.c: changefeed.<name>.<setting>: read one by one in any order, then checked together. */
#include "bridge/feed.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

#define SETTINGS_TEXT "topic, databases, patterns and format"

/* ---- one setting ---- */

static void replace(char **kept, const char *value)
{
    mem_free(*kept);
    *kept = mem_strdup(value);
}

static bool is_name(bytes_t name)
{
    if (name.len == 0 || name.len > FEED_NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!fits) return false;
    }
    return true;
}

static feed_t *feed_named(bridge_feeds_t *feeds, bytes_t name)
{
    for (int i = 0; i < feeds->count; i++)
        if (bytes_eq(bytes_str(feeds->at[i]->name), name)) return feeds->at[i];
    if (feeds->count == FEEDS_MAX) return NULL;
    feed_t *feed = mem_zalloc(sizeof(*feed));
    feed->name = mem_strndup(name);
    feeds->at[feeds->count++] = feed;
    return feed;
}

static int set(feed_t *feed, const char *setting, const char *value, char *err, size_t err_bytes)
{
    if (strcmp(setting, "topic") == 0) {
        replace(&feed->topic, value);
    } else if (strcmp(setting, "databases") == 0) {
        replace(&feed->databases, value);
    } else if (strcmp(setting, "patterns") == 0) {
        replace(&feed->patterns, value);
    } else if (strcmp(setting, "format") == 0) {
        bool is_value = strcmp(value, "value") == 0;
        if (!is_value && strcmp(value, "command") != 0) {
            snprintf(err, err_bytes, "changefeed.%s.format is command or value, not '%.100s'", feed->name, value);
            return ERR_INVALID;
        }
        feed->format = is_value ? FEED_VALUE : FEED_COMMAND;
    } else {
        snprintf(err, err_bytes, "a change feed has no '%.100s'; it has " SETTINGS_TEXT, setting);
        return ERR_NOT_FOUND;
    }
    return 0;
}

int bridge_feeds_configure(bridge_feeds_t *feeds, const char *name, const char *value, char *err, size_t err_bytes)
{
    const char *dot = strchr(name, '.');
    bytes_t feed_name = bytes_of(name, dot ? (size_t)(dot - name) : 0);
    if (!dot || !is_name(feed_name)) {
        snprintf(err, err_bytes,
                 "changefeed.%.100s: expected changefeed.NAME.SETTING, with a NAME of letters, digits, - and _; the "
                 "settings are " SETTINGS_TEXT,
                 name);
        return ERR_NOT_FOUND;
    }
    feed_t *feed = feed_named(feeds, feed_name);
    if (feed) return set(feed, dot + 1, value, err, err_bytes);
    snprintf(err, err_bytes, "there can be %d change feeds at most", FEEDS_MAX);
    return ERR_LIMIT;
}

/* ---- all together ---- */

static bool is_gap(char c) { return c == ',' || c == ' ' || c == '\t'; }

/* The words of a list, which stay where they are. -1 = too many. */
static int split(const char *text, bytes_t words[FEED_WORDS_MAX])
{
    int count = 0;
    for (const char *at = text; *at;) {
        const char *from = at;
        while (*at && !is_gap(*at)) at++;
        if (at > from && count == FEED_WORDS_MAX) return -1;
        if (at > from) words[count++] = bytes_of(from, (size_t)(at - from));
        while (is_gap(*at)) at++;
    }
    return count;
}

static int read_databases(feed_t *feed, int database_count, char *err, size_t err_bytes)
{
    bytes_t words[FEED_WORDS_MAX];
    const char *text = feed->databases ? feed->databases : "*";
    int count = split(text, words);
    int64_t n = 0;
    bool valid = count > 0;
    if (count == 1 && bytes_eq(words[0], BYTES_LIT("*"))) return 0;
    for (int i = 0; i < count && valid; i++) {
        valid = num_parse_i64(words[i], &n) && n >= 0 && n < database_count;
        feed->dbs[i] = (int)n;
    }
    feed->dbs_count = count;
    if (valid) return 0;
    snprintf(err, err_bytes,
             "changefeed.%s.databases is * or a list of numbers from 0 to %d (%d at most), not '%.100s'", feed->name,
             database_count - 1, FEED_WORDS_MAX, text);
    return ERR_INVALID;
}

static int read_patterns(feed_t *feed, char *err, size_t err_bytes)
{
    if (!feed->patterns) replace(&feed->patterns, "*");
    feed->globs_count = split(feed->patterns, feed->globs);
    if (feed->globs_count > 0) return 0;
    snprintf(err, err_bytes, "changefeed.%s.patterns is a list of 1 to %d patterns, not '%.100s'", feed->name,
             FEED_WORDS_MAX, feed->patterns);
    return ERR_INVALID;
}

/* A topic that is not there is made with the first record; one that can never be is told of at once. */
static int check_topic(const feed_t *feed, bridge_t *bridge, char *err, size_t err_bytes)
{
    char message[KAFKA_MESSAGE_BYTES_MAX] = "";
    if (!feed->topic) {
        snprintf(err, err_bytes, "changefeed.%s has no topic; set changefeed.%s.topic", feed->name, feed->name);
        return ERR_INVALID;
    }
    kafka_produce_t record = {.topic = bytes_str(feed->topic), .partition = -1, .key = BYTES_LIT("k")};
    kafka_code_t error = kafka_produce_check(bridge->catalog, &record, message);
    if (error == 0 || strcmp(kafka_error_name(error), "INVALID_TOPIC_EXCEPTION") != 0) return 0;
    snprintf(err, err_bytes, "changefeed.%s.topic cannot be '%.100s': %.150s", feed->name, feed->topic, message);
    return ERR_INVALID;
}

int feed__check(bridge_feeds_t *feeds, bridge_t *bridge, char *err, size_t err_bytes)
{
    int error = 0;
    if (feeds->count && !bridge->kafka) {
        snprintf(err, err_bytes, "changefeed.%s needs the Kafka protocol, which is off", feeds->at[0]->name);
        return ERR_STATE;
    }
    for (int i = 0; i < feeds->count && !error; i++) {
        feed_t *feed = feeds->at[i];
        error = check_topic(feed, bridge, err, err_bytes);
        if (!error) error = read_databases(feed, redis_database_count(bridge->redis), err, err_bytes);
        if (!error) error = read_patterns(feed, err, err_bytes);
    }
    return error;
}

/* ---- life ---- */

bridge_feeds_t *bridge_feeds_new(void)
{
    bridge_feeds_t *feeds = mem_zalloc(sizeof(*feeds));
    list_init(&feeds->touched);
    return feeds;
}

void bridge_feeds_free(bridge_feeds_t *feeds)
{
    feed__stop(feeds);
    for (int i = 0; i < feeds->count; i++) {
        feed_t *feed = feeds->at[i];
        mem_free(feed->name);
        mem_free(feed->topic);
        mem_free(feed->databases);
        mem_free(feed->patterns);
        mem_free(feed);
    }
    buf_deinit(&feeds->scratch);
    mem_free(feeds);
}

bool bridge_feeds_any(const bridge_feeds_t *feeds) { return feeds->count > 0; }

int bridge_feeds_start(bridge_feeds_t *feeds, bridge_t *bridge, char *err, size_t err_bytes)
{
    int error = feed__check(feeds, bridge, err, err_bytes);
    if (!error) feed__start(feeds, bridge);
    return error;
}
