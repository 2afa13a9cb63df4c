/* config.c: zoo.cfg's names, their types, bounds and defaults, as one table. */
#include "base/slog.h"
#include "zookeeper/zookeeper_internal.h"

#include "base/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

typedef enum setting_type { SETTING_INT, SETTING_BOOL, SETTING_STRING } setting_type_t;

typedef struct setting {
    const char *name;
    setting_type_t type;
    size_t offset;
    int32_t min, max, preset;
    const char *text; /* the default of a string */
} setting_t;

#define INT_SETTING(name, field, min, max, preset)                                                                     \
    {                                                                                                                  \
        name, SETTING_INT, offsetof(zookeeper_config_t, field), min, max, preset, NULL                                 \
    }
#define BOOL_SETTING(name, field, preset)                                                                              \
    {                                                                                                                  \
        name, SETTING_BOOL, offsetof(zookeeper_config_t, field), 0, 1, preset, NULL                                    \
    }
#define STRING_SETTING(name, field, preset)                                                                            \
    {                                                                                                                  \
        name, SETTING_STRING, offsetof(zookeeper_config_t, field), 0, 0, 0, preset                                     \
    }

static const setting_t settings[] = {
    INT_SETTING("tickTime", tick_time_ms, 1, 3600000, 2000),
    INT_SETTING("minSessionTimeout", session_timeout_ms_min, -1, INT32_MAX, -1),
    INT_SETTING("maxSessionTimeout", session_timeout_ms_max, -1, INT32_MAX, -1),
    INT_SETTING("maxClientCnxns", conns_per_ip_max, 0, INT32_MAX, 60),
    INT_SETTING("maxCnxns", conns_max, 0, INT32_MAX, 0),
    INT_SETTING("jute.maxbuffer", frame_bytes_max, 0, 0x4000000, 0xfffff),
    INT_SETTING("globalOutstandingLimit", outstanding_max, 1, 1000000, 1000),
    INT_SETTING("snapCount", snapshot_entries, 2, INT32_MAX, 100000),
    INT_SETTING("znode.container.checkIntervalMs", container_check_ms, 1, INT32_MAX, 60000),
    INT_SETTING("initLimit", init_limit, 1, 100000, 10),
    INT_SETTING("syncLimit", sync_limit, 1, 100000, 5),
    BOOL_SETTING("forceSync", force_sync, true),
    BOOL_SETTING("skipACL", skip_acl, false),
    BOOL_SETTING("enforceQuota", enforce_quota, false),
    BOOL_SETTING("extendedTypesEnabled", extended_types, true),
    BOOL_SETTING("reconfigEnabled", reconfig, false),
    BOOL_SETTING("client.portUnification", port_unification, false),
    INT_SETTING("secureClientPort", secure_port, 0, 65535, 0),
    STRING_SETTING("ssl.keyStore.location", key_store, NULL),
    STRING_SETTING("ssl.keyStore.password", key_store_pass, NULL),
    STRING_SETTING("ssl.keyStore.type", key_store_type, NULL),
    STRING_SETTING("ssl.trustStore.location", trust_store, NULL),
    STRING_SETTING("ssl.trustStore.password", trust_store_pass, NULL),
    STRING_SETTING("ssl.trustStore.type", trust_store_type, NULL),
    STRING_SETTING("ssl.clientAuth", client_auth, "need"),
    STRING_SETTING("ssl.enabledProtocols", protocols, NULL),
    STRING_SETTING("DigestAuthenticationProvider.superDigest", super_digest, NULL),
    /* The cheap ones that show no data; the original's own default is srvr alone. */
    STRING_SETTING("4lw.commands.whitelist", commands,
                   "ruok,srvr,stat,mntr,conf,isro,envi,cons,dirs,wchs,crst,srst,gtmk,stmk"),
};

/* What means something to the original that does not exist here, and whose absence harms nothing: taken, and said in the log. */
typedef struct idle_setting {
    const char *name; /* ends with '.': every name that begins so */
    bool is_bool;     /* else a number; a group takes any value, and so does a name of a class */
    const char *why;
} idle_setting_t;

static const idle_setting_t idle_settings[] = {
    {"autopurge.snapRetainCount", false,
     "the newest snapshot and the log behind it are kept, and the rest goes by itself"},
    {"autopurge.purgeInterval", false,
     "the newest snapshot and the log behind it are kept, and the rest goes by itself"},
    {"standaloneEnabled", true, "one server is a standalone one here"},
    {"preAllocSize", false, "the log makes room ahead by itself"},
    {"readonlymode.enabled", true, "one server is never without its quorum, and so never read-only"},
    {"serverCnxnFactory", false, "TLS needs no other way to take connections"},
    {"authProvider.", false, "certificates of clients are not users yet"},
    {"ssl.quorum.", false, "there is one server"},
    {"sslQuorum", true, "there is one server"},
    {"admin.", false, "there is no AdminServer; the four-letter words and /metrics of the HTTP port tell the same"},
};

#define FIELD(config, setting, type) ((type *)(void *)((char *)(config) + (setting)->offset))

void zookeeper_config_init(zookeeper_config_t *config)
{
    *config = (zookeeper_config_t){0};
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const setting_t *s = &settings[i];
        if (s->type == SETTING_INT) *FIELD(config, s, int32_t) = s->preset;
        if (s->type == SETTING_BOOL) *FIELD(config, s, bool) = s->preset != 0;
        if (s->type == SETTING_STRING) *FIELD(config, s, char *) = s->text != NULL ? mem_strdup(s->text) : NULL;
    }
}

void zookeeper_config_deinit(zookeeper_config_t *config)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (settings[i].type == SETTING_STRING) mem_free(*FIELD(config, &settings[i], char *));
    *config = (zookeeper_config_t){0};
}

void zookeeper_config_copy(zookeeper_config_t *to, const zookeeper_config_t *from)
{
    *to = *from;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (settings[i].type != SETTING_STRING) continue;
        char **text = FIELD(to, &settings[i], char *);
        *text = *text ? mem_strdup(*text) : NULL;
    }
    if (to->session_timeout_ms_min == -1) to->session_timeout_ms_min = to->tick_time_ms * 2;
    if (to->session_timeout_ms_max == -1) to->session_timeout_ms_max = to->tick_time_ms * 20;
}

static int set_int(zookeeper_config_t *config, const setting_t *s, const char *value, char *err, size_t err_bytes)
{
    char *end;
    errno = 0;
    long v = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || v < s->min || v > s->max) {
        snprintf(err, err_bytes, "%s: '%s' is not a whole number from %d to %d", s->name, value, s->min, s->max);
        return ERR_INVALID;
    }
    *FIELD(config, s, int32_t) = (int32_t)v;
    return 0;
}

static int set_bool(zookeeper_config_t *config, const setting_t *s, const char *value, char *err, size_t err_bytes)
{
    bool yes = strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0;
    if (!yes && strcasecmp(value, "false") != 0 && strcasecmp(value, "no") != 0) {
        snprintf(err, err_bytes, "%s: '%s' is not true, false, yes or no", s->name, value);
        return ERR_INVALID;
    }
    *FIELD(config, s, bool) = yes;
    return 0;
}

static bool names(const idle_setting_t *s, const char *name)
{
    size_t len = strlen(s->name);
    return s->name[len - 1] == '.' ? strncmp(name, s->name, len) == 0 : strcmp(name, s->name) == 0;
}

static bool is_bool(const char *value)
{
    return strcasecmp(value, "true") == 0 || strcasecmp(value, "false") == 0 || strcasecmp(value, "yes") == 0 ||
           strcasecmp(value, "no") == 0;
}

static bool is_number(const char *value)
{
    char *end;
    (void)strtoll(value, &end, 10);
    return end != value && *end == '\0';
}

static int take_idle(const idle_setting_t *s, const char *name, const char *value, char *err, size_t err_bytes)
{
    bool group = s->name[strlen(s->name) - 1] == '.' || strcmp(s->name, "serverCnxnFactory") == 0;
    if (!group && !(s->is_bool ? is_bool(value) : is_number(value))) {
        snprintf(err, err_bytes, "%s: '%s' is not %s", name, value, s->is_bool ? "true, false, yes or no" : "a number");
        return ERR_INVALID;
    }
    slog(SLOG_INFO, "zookeeper", "a setting is without effect here", "setting=%s why=\"%s\"", name, s->why);
    return 0;
}

static void say_unknown(const char *name, char *err, size_t err_bytes)
{
    char hint[2 * NEAREST_CHARS_MAX];
    nearest_t nearest = nearest_to(name);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) nearest_offer(&nearest, settings[i].name);
    snprintf(err, err_bytes, "unknown setting '%.100s'%s", name, nearest_hint(&nearest, hint, sizeof(hint)));
}

int zookeeper_configure(zookeeper_config_t *config, const char *name, const char *value, char *err, size_t err_bytes)
{
    if (strncmp(name, "zookeeper.", 10) == 0) name += 10; /* as the system properties are spelt */
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const setting_t *s = &settings[i];
        if (strcmp(s->name, name) != 0) continue;
        if (s->type == SETTING_INT) return set_int(config, s, value, err, err_bytes);
        if (s->type == SETTING_BOOL) return set_bool(config, s, value, err, err_bytes);
        mem_free(*FIELD(config, s, char *));
        *FIELD(config, s, char *) = mem_strdup(value);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(idle_settings); i++)
        if (names(&idle_settings[i], name)) return take_idle(&idle_settings[i], name, value, err, err_bytes);
    say_unknown(name, err, err_bytes);
    return ERR_NOT_FOUND;
}

void zookeeper_config_coord(const zookeeper_config_t *config, coord_options_t *options)
{
    options->tick_time_ms = (uint32_t)config->tick_time_ms;
    options->snapshot_entries = (uint32_t)config->snapshot_entries;
    options->container_check_ms = (uint32_t)config->container_check_ms;
    options->extended_types = config->extended_types;
    options->force_sync = config->force_sync;
    options->skip_acl = config->skip_acl;
    options->enforce_quota = config->enforce_quota;
}
