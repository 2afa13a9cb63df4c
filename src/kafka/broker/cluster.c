/* cluster.c: see cluster.h. One broker is always its own controller; it takes the controller's seat in the
 * tree all the same, with an epoch that grows, so that whoever looks there finds what a cluster would show.
 */
#include "kafka/broker/cluster.h"

#include "base/slog.h"
#include "kafka/broker/connection.h"
#include "kafka/broker/listeners.h"
#include "kafka/topics/topics.h"
#include "kafka/topics/tree_change.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define META_BYTES_MAX KIB(4)
#define PATH_CHARS_MAX 400

/* ---- meta.properties ---- */

/* The value of a line `name=value`; in the arena, NULL when there is none. */
static char *property(bytes_t text, const char *name, arena_t *arena)
{
    size_t name_len = strlen(name);
    while (text.len) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        if (len > name_len && memcmp(text.ptr, name, name_len) == 0 && text.ptr[name_len] == '=') {
            size_t value_len = len - name_len - 1 - (text.ptr[len - 1] == '\r');
            return arena_strdup(arena, bytes_of(text.ptr + name_len + 1, value_len));
        }
        text = bytes_of(text.ptr + len, text.len - len);
        if (end) text = bytes_of(end + 1, text.len - 1);
    }
    return NULL;
}

static void new_id(kafka_t *kafka, char out[KAFKA_UUID_CHARS + 1])
{
    kafka_uuid_t id;
    io_random(kafka->loop, id.bytes, sizeof(id.bytes));
    kafka_uuid_format(id, out);
}

/* {"version":"1","id":"..."} */
static bool cluster_id_in_tree(const kafka_t *kafka, char out[KAFKA_UUID_CHARS + 1])
{
    bytes_t data;
    static const char key[] = "\"id\":\"";
    if (mirror_get(kafka->tree, "/cluster/id", &data, NULL) != ZOK || data.len == 0) return false;
    const uint8_t *at = memmem(data.ptr, data.len, key, strlen(key));
    if (!at || (size_t)(data.ptr + data.len - at) < strlen(key) + KAFKA_UUID_CHARS) return false;
    memcpy(out, at + strlen(key), KAFKA_UUID_CHARS);
    out[KAFKA_UUID_CHARS] = '\0';
    return true;
}

/* What a start that does not trust the file advises. */
#define META_ADVICE                                                                                                    \
    "Put back the one that belongs here, or remove it: without one, a start takes the partitions for its own and "     \
    "writes it anew"

/* The number of the first line (from 1) that is neither empty, a comment, nor name=value; 0 = none. */
static int bad_line(bytes_t text)
{
    for (int number = 1; text.len; number++) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        bool blank = len == 0 || text.ptr[0] == '#' || (len == 1 && text.ptr[0] == '\r');
        const uint8_t *equals = blank ? NULL : memchr(text.ptr, '=', len);
        if (memchr(text.ptr, 0, len) || (!blank && (!equals || equals == text.ptr))) return number;
        text = bytes_of(text.ptr + len, text.len - len);
        if (end) text = bytes_of(end + 1, text.len - 1);
    }
    return 0;
}

/* Of version 0 (the node's name was broker.id then) or 1; *ret_node is the name of the node's line. */
static int check_meta(const char *path, bytes_t text, arena_t *arena, const char **ret_node, char *err,
                      size_t err_bytes)
{
    const char *version = property(text, "version", arena);
    int line = bad_line(text);
    if (line) {
        snprintf(err, err_bytes, "%s: line %d is not name=value. " META_ADVICE, path, line);
        return ERR_CORRUPT;
    }
    if (!version || (strcmp(version, "0") != 0 && strcmp(version, "1") != 0)) {
        snprintf(err, err_bytes, "%s is of version %s; this broker knows versions 0 and 1. " META_ADVICE, path,
                 version ? version : "(none)");
        return ERR_UNSUPPORTED;
    }
    *ret_node = version[0] == '0' ? "broker.id" : "node.id";
    return 0;
}

static bool is_number(const char *text, int32_t number)
{
    char *end;
    long value = strtol(text, &end, 10);
    return end != text && *end == '\0' && value == number;
}

static int check_identity(kafka_t *kafka, const char *node, const char *cluster, char *err, size_t err_bytes)
{
    char in_tree[KAFKA_UUID_CHARS + 1];
    if (!is_number(node, kafka->broker_id)) {
        snprintf(err, err_bytes, "%s/meta.properties belongs to node.id %s, but the configuration says %" PRId32,
                 kafka->data_dir, node, kafka->broker_id);
        return ERR_STATE;
    }
    if (strlen(cluster) != KAFKA_UUID_CHARS || (cluster_id_in_tree(kafka, in_tree) && strcmp(in_tree, cluster) != 0)) {
        snprintf(err, err_bytes, "%s/meta.properties belongs to cluster %s, but the tree is another cluster's",
                 kafka->data_dir, cluster);
        return ERR_STATE;
    }
    memcpy(kafka->cluster_id, cluster, KAFKA_UUID_CHARS + 1);
    return 0;
}

static int write_meta(kafka_t *kafka, const char *path)
{
    char directory_id[KAFKA_UUID_CHARS + 1];
    buf_t text = BUF_INIT;
    new_id(kafka, directory_id);
    if (!cluster_id_in_tree(kafka, kafka->cluster_id)) new_id(kafka, kafka->cluster_id);
    buf_printf(&text, "#\nversion=1\ncluster.id=%s\nnode.id=%" PRId32 "\ndirectory.id=%s\n", kafka->cluster_id,
               kafka->broker_id, directory_id);
    int err = io_replace_whole(kafka->loop, path, buf_bytes(&text));
    buf_deinit(&text);
    return err;
}

int cluster_identify(kafka_t *kafka, char *err, size_t err_bytes)
{
    char path[PATH_CHARS_MAX];
    uint8_t *data = NULL;
    size_t bytes = 0;
    kafka->broker_id = (int32_t)kafka->config.node_id;
    snprintf(path, sizeof(path), "%s/meta.properties", kafka->data_dir);
    int result = io_read_whole(kafka->loop, path, META_BYTES_MAX, &data, &bytes);
    if (result == ERR_NOT_FOUND) {
        result = write_meta(kafka, path);
        if (result) snprintf(err, err_bytes, "cannot write %s: %s", path, err_text(result));
        return result;
    }
    if (result) {
        snprintf(err, err_bytes, "cannot read %s: %s", path, err_text(result));
        return result;
    }
    arena_t arena;
    arena_init(&arena, 0);
    bytes_t text = bytes_of(data, bytes);
    const char *node_name = NULL;
    result = check_meta(path, text, &arena, &node_name, err, err_bytes);
    const char *node = result ? NULL : property(text, node_name, &arena);
    const char *cluster = result ? NULL : property(text, "cluster.id", &arena);
    if (!result) result = check_identity(kafka, node ? node : "(none)", cluster ? cluster : "(none)", err, err_bytes);
    arena_deinit(&arena);
    mem_free(data);
    return result;
}

/* ---- registration ---- */

/* Persistent paths that Kafka makes when it starts. */
static const char *const base_paths[] = {
    "/consumers",
    "/brokers/ids",
    "/brokers/topics",
    "/config/changes",
    "/admin/delete_topics",
    "/brokers/seqid",
    "/isr_change_notification",
    "/latest_producer_id_block",
    "/log_dir_event_notification",
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
};

static void put_ephemeral(tree_change_t *change, const char *path, bytes_t data)
{
    if (mirror_exists(change->kafka->tree, path)) tree_change_delete(change, path); /* from this process's last life */
    tree_change_create_ephemeral(change, path, data);
}

/* The i-th listener's name, protocol and the address that its clients are told; false at the end. */
static bool endpoint_at(tree_change_t *change, int i, const char **ret_name, const char **ret_host, int32_t *ret_port,
                        bool *ret_secure)
{
    const listeners_spec_t *spec = listeners_at(change->kafka, i);
    bytes_t host;
    if (!spec) return false;
    char *local = arena_printf(&change->arena, "%s:%u", spec->host, spec->port);
    connection__advertised(change->kafka, spec->name, local, &host, ret_port);
    *ret_host = arena_strdup(&change->arena, host);
    *ret_name = spec->name;
    *ret_secure = spec->is_secure;
    return true;
}

static void put_broker(tree_change_t *change)
{
    kafka_t *kafka = change->kafka;
    arena_t *arena = &change->arena;
    const char *protocols = "", *endpoints = "", *name, *host, *first_host = "";
    int32_t port, first_port = -1;
    bool secure;
    for (int i = 0; endpoint_at(change, i, &name, &host, &port, &secure); i++) {
        const char *comma = i ? "," : "";
        protocols = arena_printf(arena, "%s%s\"%s\":\"%s\"", protocols, comma, name, secure ? "SSL" : "PLAINTEXT");
        endpoints = arena_printf(arena, "%s%s\"%s://%s:%" PRId32 "\"", endpoints, comma, name, host, port);
        if (i == 0) first_host = host;
        if (i == 0) first_port = port;
    }
    const char *text = arena_printf(arena,
                                    "{\"features\":{},\"listener_security_protocol_map\":{%s},\"endpoints\":[%s],"
                                    "\"jmx_port\":-1,\"port\":%" PRId32
                                    ",\"host\":\"%s\",\"version\":5,\"timestamp\":\"%" PRId64 "\"}",
                                    protocols, endpoints, first_port, first_host, io_wall_ms(kafka->loop));
    put_ephemeral(change, arena_printf(arena, "/brokers/ids/%" PRId32, kafka->broker_id), bytes_str(text));
}

static void put_controller(tree_change_t *change)
{
    kafka_t *kafka = change->kafka;
    bytes_t data;
    int32_t epoch = 0;
    if (mirror_get(kafka->tree, ZNODES_CONTROLLER_EPOCH, &data, NULL) == ZOK)
        epoch = znode_parse_controller_epoch(data);
    put_ephemeral(change, "/controller",
                  bytes_str(arena_printf(&change->arena,
                                         "{\"version\":2,\"brokerid\":%" PRId32 ",\"timestamp\":\"%" PRId64
                                         "\",\"kraftControllerEpoch\":-1}",
                                         kafka->broker_id, io_wall_ms(kafka->loop))));
    tree_change_put(change, ZNODES_CONTROLLER_EPOCH, bytes_str(arena_printf(&change->arena, "%" PRId32, epoch + 1)));
}

static void registered(tree_change_t *change, coord_zerr_t err, int failed_index)
{
    kafka_t *kafka = change->kafka;
    char path[PATH_CHARS_MAX];
    coord_stat_t stat;
    if (err == ZCONNECTION_LOSS) return; /* the server is closing already, and has said why */
    if (err != ZOK) {
        slog(SLOG_ERROR, "kafka", "the broker cannot be registered in the tree", "error=%d path=%s", err,
             failed_index >= 0 && failed_index < change->ops_count ? change->ops[failed_index].path : "?");
        return;
    }
    snprintf(path, sizeof(path), "/brokers/ids/%" PRId32, kafka->broker_id);
    bytes_t data;
    if (mirror_get(kafka->tree, path, &data, &stat) == ZOK) kafka->broker_epoch = stat.czxid;
    kafka->ready = true;
    connection__resume_all(kafka);
}

void cluster_register(kafka_t *kafka)
{
    tree_change_t *change = tree_change_new(kafka);
    for (size_t i = 0; i < ARRAY_LEN(base_paths); i++) {
        if (!mirror_exists(kafka->tree, base_paths[i])) tree_change_create(change, base_paths[i], BYTES_NULL);
    }
    if (!mirror_exists(kafka->tree, "/cluster/id"))
        tree_change_create(
            change, "/cluster/id",
            bytes_str(arena_printf(&change->arena, "{\"version\":\"1\",\"id\":\"%s\"}", kafka->cluster_id)));
    put_broker(change);
    put_controller(change);
    tree_change_submit(change, registered, NULL);
}

/* ---- strays: partitions whose topic is not in the tree. Those of an older topic of the same name are told
 * by their partition.metadata when they are opened. ---- */

#define STRAY_CHARS_MAX 4096

typedef struct stray_scan {
    kafka_t *kafka;
    int err;
} stray_scan_t;

/* Splits "orders-12" at its last '-'; false when that is not a partition's directory. */
static bool split_directory(const char *name, bytes_t *ret_topic)
{
    const char *dash = strrchr(name, '-');
    if (!dash || dash == name || !dash[1]) return false;
    for (const char *p = dash + 1; *p; p++) {
        if (!isdigit((unsigned char)*p)) return false;
    }
    *ret_topic = bytes_of(name, (size_t)(dash - name));
    return true;
}

static void each_directory(void *user, const char *name, bool is_dir)
{
    stray_scan_t *scan = user;
    bytes_t topic;
    if (scan->err || !is_dir || !split_directory(name, &topic)) return;
    char path[STRAY_CHARS_MAX], to[STRAY_CHARS_MAX + 64], id[KAFKA_UUID_CHARS + 1];
    snprintf(path, sizeof(path), ZNODES_TOPICS "/%.*s", (int)topic.len, (const char *)topic.ptr);
    if (mirror_exists(scan->kafka->tree, path)) return;
    new_id(scan->kafka, id);
    snprintf(path, sizeof(path), "%s/%s", scan->kafka->data_dir, name);
    snprintf(to, sizeof(to), "%s.%s-stray", path, id);
    slog(SLOG_WARN, "kafka", "a partition of a topic that is not in the tree is put aside",
         "directory=%s as=%s undo=\"stop the server, rename it back, and make /brokers/topics/%.*s as its "
         "partition.metadata "
         "says\"",
         path, to, (int)topic.len, (const char *)topic.ptr);
    scan->err = io_rename(scan->kafka->loop, path, to);
}

int cluster_remove_strays(kafka_t *kafka)
{
    stray_scan_t scan = {.kafka = kafka};
    int err = io_list_dir(kafka->loop, kafka->data_dir, each_directory, &scan);
    return err ? err : scan.err;
}
