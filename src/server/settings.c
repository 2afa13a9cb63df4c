/* settings.c: from what the command line and the files say to whoever owns each name: the server itself, a door, the wing
 * behind it. */
#include "server/server_internal.h"

#include "base/nearest.h"
#include "base/num.h"
#include "base/slog.h"
#include "bridge/bridge.h"
#include "kafka/kafka.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool parse_int(const char *text, long min, long max, long *ret_value)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < min || value > max) return false;
    *ret_value = value;
    return true;
}

static void replace_string(char **kept, const char *value)
{
    mem_free(*kept);
    *kept = mem_strdup(value);
}

/* ---- [trivet] --------------------------------------------------------------------------------------------------- */

static int set_data(server_t *server, const setting_t *s, char *error)
{
    replace_string(&server->data_dir, s->value);
    return 0;
}

static int set_bind(server_t *server, const setting_t *s, char *error)
{
    replace_string(&server->bind, s->value);
    return 0;
}

static int set_reactors(server_t *server, const setting_t *s, char *error)
{
    long value;
    if (!parse_int(s->value, 1, REACTORS_COUNT_MAX, &value)) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX,
                 "%s: reactors is a number from 1 to %d, not '%s'; threads that only read and write are 'carriers'",
                 s->origin, REACTORS_COUNT_MAX, s->value);
        return ERR_INVALID;
    }
    server->reactors_count = (int)value;
    return 0;
}

static int set_carriers(server_t *server, const setting_t *s, char *error)
{
    long value;
    if (!parse_int(s->value, 0, NET_CARRIERS_MAX, &value)) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: carriers is a number from 0 to %d, not '%s'", s->origin,
                 NET_CARRIERS_MAX, s->value);
        return ERR_INVALID;
    }
    server->carriers_count = (int)value;
    return 0;
}

static int set_produce_codec(server_t *server, const setting_t *s, char *error)
{
    server->produce_codec = kafka_codec_of(s->value);
    if (server->produce_codec >= 0) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX,
             "%s: produce.compression.type is none, gzip, snappy, lz4 or zstd, not '%s'", s->origin, s->value);
    return ERR_INVALID;
}

static int set_log_level(server_t *server, const setting_t *s, char *error)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(s->value, names[i]) != 0) continue;
        slog_set_level((slog_level_t)i);
        return 0;
    }
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: log-level is debug, info, warn or error, not '%s'", s->origin,
             s->value);
    return ERR_INVALID;
}

static int set_outbox_bytes_max(server_t *server, const setting_t *s, char *error)
{
    long value;
    if (!parse_int(s->value, 1, LONG_MAX, &value)) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: outbox-bytes-max is a number of bytes above 0, not '%s'",
                 s->origin, s->value);
        return ERR_INVALID;
    }
    server->outbox_bytes_max = (size_t)value;
    return 0;
}

static int set_memory(const setting_t *s, size_t *ret_bytes, char *error)
{
    uint64_t bytes;
    if (!num_parse_memory(bytes_str(s->value), &bytes) || bytes == 0 || bytes > SIZE_MAX / 4) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: %s is an amount of memory, as 64mb, not '%s'", s->origin, s->name,
                 s->value);
        return ERR_INVALID;
    }
    *ret_bytes = (size_t)bytes;
    return 0;
}

static int set_in_bytes_max(server_t *server, const setting_t *s, char *error)
{
    return set_memory(s, &server->limits.in_bytes_max, error);
}

static int set_out_bytes_max(server_t *server, const setting_t *s, char *error)
{
    return set_memory(s, &server->limits.out_bytes_max, error);
}

static int set_conns_max(server_t *server, const setting_t *s, char *error)
{
    long value;
    if (!parse_int(s->value, 1, INT_MAX, &value)) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: connections-max is a number above 0, not '%s'", s->origin,
                 s->value);
        return ERR_INVALID;
    }
    server->limits.conns_max = (uint32_t)value;
    return 0;
}

static int parse_yes_no(const setting_t *s, bool *ret_yes, char *error)
{
    bool yes = strcmp(s->value, "yes") == 0, no = strcmp(s->value, "no") == 0;
    if (!yes && !no) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: %s.%s is yes or no, not '%s'", s->origin, s->section, s->name,
                 s->value);
        return ERR_INVALID;
    }
    *ret_yes = yes;
    return 0;
}

static int parse_tls(const setting_t *s, server__tls_mode_t *ret_mode, char *error)
{
    int err = server__tls_mode_parse(s->value, ret_mode);
    if (err)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX,
                 "%s: %s.tls is off, allow (TLS and plain text), require or auto, not '%s'", s->origin, s->section,
                 s->value);
    return err;
}

static int set_tls(server_t *server, const setting_t *s, char *error) { return parse_tls(s, &server->tls.mode, error); }

static int set_tls_file(server_t *server, const setting_t *s, char *error)
{
    server__tls_t *tls = &server->tls;
    const struct {
        const char *name;
        char **kept;
    } rows[] = {{"tls-cert-file", &tls->cert_file},
                {"tls-key-file", &tls->key_file},
                {"tls-key-file-pass", &tls->key_pass},
                {"tls-ca-cert-file", &tls->ca_file}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, s->name) == 0) replace_string(rows[i].kept, s->value);
    return 0;
}

static int set_tls_clients(server_t *server, const setting_t *s, char *error)
{
    static const char *const names[] = {
        [TLS_CLIENTS_UNASKED] = "no", [TLS_CLIENTS_OPTIONAL] = "optional", [TLS_CLIENTS_REQUIRED] = "yes"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], s->value) != 0) continue;
        server->tls.clients = (tls_clients_t)i;
        return 0;
    }
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: tls-auth-clients is yes, no or optional, not '%s'", s->origin,
             s->value);
    return ERR_INVALID;
}

/* Of all doors; Redis' own directive of that name means the same. */
static int set_protected_mode(server_t *server, const setting_t *s, char *error)
{
    bool yes;
    char why[300];
    int err = parse_yes_no(s, &yes, error);
    if (err) return err;
    for (int door = 0; door < DOORS_COUNT; door++) server->doors[door].protected = yes;
    return server__redis.configure(server->doors[DOOR_REDIS].wing, "protected-mode", s->value, why, sizeof(why));
}

static int set_feed(server_t *server, const setting_t *s, char *error)
{
    char why[300] = "";
    const char *name = s->name + sizeof(OPTIONS_FEED_PREFIX) - 1;
    int err = bridge_feeds_configure(server->feeds, name, s->value, why, sizeof(why));
    if (err) snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s", s->origin, why);
    return err;
}

/* The setter checks the value; on failure `error` says what would be right. */
typedef struct own {
    const char *name;
    int (*set)(server_t *server, const setting_t *s, char *error);
} own_t;

static const own_t owns[] = {
    {"data", set_data},
    {"bind", set_bind},
    {"reactors", set_reactors},
    {"carriers", set_carriers},
    {"log-level", set_log_level},
    {"produce.compression.type", set_produce_codec},
    {"outbox-bytes-max", set_outbox_bytes_max},
    {"input-bytes-max", set_in_bytes_max},
    {"output-bytes-max", set_out_bytes_max},
    {"connections-max", set_conns_max},
    {"protected-mode", set_protected_mode},
    {"tls", set_tls},
    {"tls-cert-file", set_tls_file},
    {"tls-key-file", set_tls_file},
    {"tls-key-file-pass", set_tls_file},
    {"tls-ca-cert-file", set_tls_file},
    {"tls-auth-clients", set_tls_clients},
};

static int set_own(server_t *server, const setting_t *s, char *error)
{
    char hint[2 * NEAREST_CHARS_MAX];
    nearest_t nearest = nearest_to(s->name);
    if (strncmp(s->name, OPTIONS_FEED_PREFIX, sizeof(OPTIONS_FEED_PREFIX) - 1) == 0) return set_feed(server, s, error);
    for (size_t i = 0; i < ARRAY_LEN(owns); i++) {
        if (strcmp(s->name, owns[i].name) == 0) return owns[i].set(server, s, error);
        nearest_offer(&nearest, owns[i].name);
    }
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.200s: [trivet] has no '%.100s'%s; --help lists what it has", s->origin,
             s->name, nearest_hint(&nearest, hint, sizeof(hint)));
    return ERR_NOT_FOUND;
}

/* ---- doors ------------------------------------------------------------------------------------------------------ */

static int set_port(server__door_t *door, const setting_t *s, char *error)
{
    long port;
    if (!parse_int(s->value, -1, 65535, &port)) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: %s.%s is a port, 0 (any free one) or -1 (off), not '%s'",
                 s->origin, s->section, s->name, s->value);
        return ERR_INVALID;
    }
    door->port = (int)port;
    return 0;
}

/* Where the first of Kafka's listeners for clients, NAME://host:port, listens; the wing is told, too, and opens the others. */
static int set_listeners(server__door_t *door, const setting_t *s, char *error)
{
    const char *at = s->value;
    while (strncmp(at, "CONTROLLER://", 13) == 0 && strchr(at, ',')) at = strchr(at, ',') + 1;
    size_t len = strcspn(at, ",");
    const char *host = memmem(at, len, "://", 3), *colon = host ? memrchr(at, ':', len) : NULL;
    long port;
    char digits[8] = "";
    if (colon && colon > host && len - (size_t)(colon + 1 - at) < sizeof(digits))
        memcpy(digits, colon + 1, len - (size_t)(colon + 1 - at));
    if (!parse_int(digits, 0, 65535, &port)) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: kafka.listeners are NAME://host:port, not '%.200s'", s->origin,
                 s->value);
        return ERR_INVALID;
    }
    door->port = (int)port;
    mem_free(door->bind);
    bytes_t name = bytes_of(host + 3, (size_t)(colon - host) - 3);
    if (name.len > 1 && name.ptr[0] == '[') name = bytes_of(name.ptr + 1, name.len - 2); /* IPv6 */
    door->bind = mem_strndup(name);
    return 0;
}

/* What a door has whatever the wing behind it; some under the wing's own names. ERR_NOT_FOUND: the wing is to be told,
 * as the directive is its own (or its own, too). */
static int set_door(server_t *server, server_door_t at, const setting_t *s, char *error)
{
    server__door_t *door = &server->doors[at];
    bool is_zookeeper = at == DOOR_ZOOKEEPER;
    if (strcmp(s->name, "port") == 0 || (is_zookeeper && strcmp(s->name, "clientPort") == 0))
        return set_port(door, s, error);
    if (strcmp(s->name, "tls") == 0) {
        door->tls_given = true;
        return parse_tls(s, &door->tls_mode, error);
    }
    if (strcmp(s->name, "enabled") == 0) return parse_yes_no(s, &door->enabled, error);
    if (strcmp(s->name, "protected-mode") == 0 && at != DOOR_REDIS) return parse_yes_no(s, &door->protected, error);
    if (strcmp(s->name, "bind") == 0 || (is_zookeeper && strcmp(s->name, "clientPortAddress") == 0)) {
        replace_string(&door->bind, s->value);
        return 0;
    }
    if (at == DOOR_REDIS && strcasecmp(s->name, "unixsocket") == 0) {
        mem_free(door->path);
        door->path = *s->value ? io_absolute(s->value) : NULL;
        return ERR_NOT_FOUND;
    }
    if (at == DOOR_REDIS && strcasecmp(s->name, "io-threads") == 0) {
        long threads; /* the wing says what does not fit */
        if (parse_int(s->value, 1, INT_MAX, &threads)) server->carriers_count = (int)MIN(threads - 1, NET_CARRIERS_MAX);
        return ERR_NOT_FOUND;
    }
    if ((at == DOOR_REDIS && strcasecmp(s->name, "tls-port") == 0) ||
        (is_zookeeper && strcmp(s->name, "secureClientPort") == 0)) {
        long tls_port; /* the wing says what does not fit */
        if (parse_int(s->value, 0, 65535, &tls_port)) door->tls_port = (int)tls_port;
        return ERR_NOT_FOUND;
    }
    if (at == DOOR_KAFKA && strcmp(s->name, "listeners") == 0) {
        int err = set_listeners(door, s, error);
        return err ? err : ERR_NOT_FOUND;
    }
    if (is_zookeeper && strcmp(s->name, "secureClientPortAddress") == 0) {
        replace_string(&door->tls_bind, s->value);
        return 0;
    }
    if (is_zookeeper && strcmp(s->name, "dataDir") == 0) {
        replace_string(&server->tree_dir, s->value);
        return 0;
    }
    if (is_zookeeper && strcmp(s->name, "dataLogDir") == 0) {
        replace_string(&server->tree_log_dir, s->value);
        return 0;
    }
    return ERR_NOT_FOUND;
}

/* Says that there is no such directive, and which of those that every door has is near; false when none is. */
static bool say_unknown(const setting_t *s, char *error)
{
    static const char *const names[] = {"port", "bind", "enabled", "protected-mode", "tls"};
    char hint[2 * NEAREST_CHARS_MAX];
    nearest_t nearest = nearest_to(s->name);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) nearest_offer(&nearest, names[i]);
    (void)nearest_hint(&nearest, hint, sizeof(hint));
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.100s: [%s] has no directive '%.200s'%s", s->origin, s->section, s->name,
             hint);
    return hint[0] != '\0';
}

static int set_wing(server_t *server, server_door_t door, const setting_t *s, char *error)
{
    char why[300] = "";
    const server__wing_t *wing = server__wings[door];
    int err = ERR_NOT_FOUND;
    if (wing->configure) err = wing->configure(server->doors[door].wing, s->name, s->value, why, sizeof(why));
    if (!err) return 0;
    /* The wing's words know its own names. */
    bool said = (err == ERR_NOT_FOUND || !why[0]) && say_unknown(s, error);
    if (why[0] && !said) snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s", s->origin, why);
    return err;
}

/* As there, a zoo.cfg that names the secure port alone opens no other. */
static void close_unasked(server_t *server, const options_t *options)
{
    server__door_t *door = &server->doors[DOOR_ZOOKEEPER];
    if (!options->called_as || door->tls_port <= 0) return;
    if (options_value(options, "zookeeper", "clientPort") || options_value(options, "zookeeper", "port")) return;
    door->port = -1;
}

int server__apply_settings(server_t *server, const options_t *options, char *error)
{
    for (size_t i = 0; i < options->settings_count; i++) {
        const setting_t *s = &options->settings[i];
        int err = ERR_NOT_FOUND;
        if (strcmp(s->section, "trivet") == 0) {
            err = set_own(server, s, error);
        } else {
            for (int door = 0; door < DOORS_COUNT; door++) {
                if (strcmp(s->section, server_door_names[door]) != 0) continue;
                err = set_door(server, (server_door_t)door, s, error);
                if (err == ERR_NOT_FOUND) err = set_wing(server, (server_door_t)door, s, error);
            }
        }
        if (err) return err;
    }
    close_unasked(server, options);
    return 0;
}
