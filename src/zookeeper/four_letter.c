/* four_letter.c: the administrator's words: four letters on a fresh connection, text back, closed. */
#include "base/buf.h"
#include "zookeeper/zookeeper_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#define VERSION_LINE ZK_VERSION "-trivet-" TRIVET_VERSION ", built on " TRIVET_BUILT " UTC"

typedef struct command {
    char word[5];
    void (*print)(zookeeper_t *zk, buf_t *out);
} command_t;

static double ms(uint64_t ns) { return (double)ns / 1e6; }

static double average_ms(const zk_latency_t *l) { return l->count == 0 ? 0 : ms(l->total_ns) / (double)l->count; }

/* As Java prints a double of few digits: "0.0", "1.25". */
static void print_average(buf_t *out, const zk_latency_t *l)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%.4f", average_ms(l));
    while (n > 3 && text[n - 1] == '0' && text[n - 2] != '.') text[--n] = '\0';
    buf_printf(out, "%s", text);
}

static void print_conn(const zk_conn_t *conn, buf_t *out, bool brief)
{
    buf_printf(out, " /%s[%d](queued=%u,recved=%" PRIu64 ",sent=%" PRIu64, net_conn_peer(conn->net),
               conn->connected ? 1 : 0, conn->pending, conn->received, conn->sent);
    if (!brief && conn->session_id != 0) {
        buf_printf(out, ",sid=0x%" PRIx64 ",lop=%s,est=%" PRId64 ",to=%d", (uint64_t)conn->session_id, conn->last_op,
                   conn->established_ms, conn->timeout_ms);
        if (conn->last_cxid >= 0) buf_printf(out, ",lcxid=0x%" PRIx64, (uint64_t)conn->last_cxid);
        buf_printf(out, ",lzxid=0x%" PRIx64 ",lresp=%" PRId64 ",llat=%.0f,minlat=%.0f,avglat=%.0f,maxlat=%.0f",
                   (uint64_t)conn->last_zxid, conn->last_response_ms, ms(conn->last_latency_ns),
                   ms(conn->latency.min_ns), average_ms(&conn->latency), ms(conn->latency.max_ns));
    }
    buf_printf(out, ")\n");
}

static void print_conns(zookeeper_t *zk, buf_t *out, bool brief)
{
    LIST_EACH(&zk->conns, conn, zk_conn_t, node) print_conn(conn, out, brief);
    buf_printf(out, "\n");
}

static void print_server(zookeeper_t *zk, buf_t *out)
{
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    buf_printf(out, "Latency min/avg/max: %.0f/", ms(zk->latency.min_ns));
    print_average(out, &zk->latency);
    buf_printf(out, "/%.0f\nReceived: %" PRIu64 "\nSent: %" PRIu64 "\nConnections: %u\n", ms(zk->latency.max_ns),
               zk->received, zk->sent, zk->conns_count);
    buf_printf(out, "Outstanding: %" PRIu64 "\nZxid: 0x%" PRIx64 "\nMode: %s\nNode count: %" PRIu64 "\n",
               zk->outstanding, (uint64_t)coord_last_zxid(zk->coord),
               f.voters > 1 ? f.leader ? "leader" : "follower" : "standalone", zk__znode_count(&f));
}

static void ruok(zookeeper_t *zk, buf_t *out) { buf_printf(out, "imok"); }
static void isro(zookeeper_t *zk, buf_t *out) { buf_printf(out, "rw"); }
static void gtmk(zookeeper_t *zk, buf_t *out) { buf_printf(out, "%" PRId64, zk->trace_mask); }

static void srvr(zookeeper_t *zk, buf_t *out)
{
    buf_printf(out, "Zookeeper version: " VERSION_LINE "\n");
    print_server(zk, out);
}

static void stat_word(zookeeper_t *zk, buf_t *out)
{
    buf_printf(out, "Zookeeper version: " VERSION_LINE "\nClients:\n");
    print_conns(zk, out, true);
    print_server(zk, out);
}

static void cons(zookeeper_t *zk, buf_t *out) { print_conns(zk, out, false); }

static void srst(zookeeper_t *zk, buf_t *out)
{
    zk->latency = zk->read_latency = zk->update_latency = (zk_latency_t){0};
    zk->received = zk->sent = 0;
    buf_printf(out, "Server stats reset.\n");
}

static void crst(zookeeper_t *zk, buf_t *out)
{
    LIST_EACH(&zk->conns, conn, zk_conn_t, node) {
        conn->latency = (zk_latency_t){0};
        conn->received = conn->sent = conn->last_latency_ns = 0;
        conn->last_cxid = -1;
        conn->last_zxid = conn->last_response_ms = 0;
        conn->last_op = "NA";
    }
    buf_printf(out, "Connection stats reset.\n");
}

static void conf(zookeeper_t *zk, buf_t *out)
{
    const zookeeper_config_t *c = &zk->config;
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    buf_printf(out, "clientPort=%u\nsecureClientPort=%d\ndataDir=%s\ndataDirSize=%" PRIu64 "\n", zk->port,
               c->secure_port ? c->secure_port : -1, coord_dir(zk->coord), f.snapshot_bytes);
    buf_printf(out, "dataLogDir=%s\ndataLogSize=%" PRIu64 "\ntickTime=%d\nmaxClientCnxns=%d\n",
               coord_log_dir(zk->coord), f.log_bytes, c->tick_time_ms, c->conns_per_ip_max);
    buf_printf(out, "minSessionTimeout=%d\nmaxSessionTimeout=%d\nclientPortListenBacklog=-1\nserverId=0\n",
               c->session_timeout_ms_min, c->session_timeout_ms_max);
}

static void dirs(zookeeper_t *zk, buf_t *out)
{
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    buf_printf(out, "datadir_size: %" PRIu64 "\nlogdir_size: %" PRIu64 "\n", f.snapshot_bytes, f.log_bytes);
}

static void envi(zookeeper_t *zk, buf_t *out)
{
    struct utsname os;
    char host[ZK_STRING_CHARS_MAX] = "<NA>", dir[ZK_STRING_CHARS_MAX * 4] = "<NA>";
    const char *user = getenv("USER"), *home = getenv("HOME");
    uname(&os);
    (void)!gethostname(host, sizeof(host) - 1);
    (void)!getcwd(dir, sizeof(dir));
    buf_printf(out, "Environment:\nzookeeper.version=" VERSION_LINE "\nhost.name=%s\n", host);
    buf_printf(out,
               "java.version=<NA>\njava.vendor=<NA>\njava.home=<NA>\njava.class.path=<NA>\njava.library.path=<NA>\n"
               "java.io.tmpdir=/tmp\njava.compiler=<NA>\n");
    buf_printf(out, "os.name=%s\nos.arch=%s\nos.version=%s\nuser.name=%s\nuser.home=%s\nuser.dir=%s\n", os.sysname,
               os.machine, os.release, user ? user : "<NA>", home ? home : "<NA>", dir);
    size_t mib = mem_used() >> 20, max = (size_t)(io_memory_bytes() >> 20);
    buf_printf(out, "os.memory.free=%zuMB\nos.memory.max=%zuMB\nos.memory.total=%zuMB\n", max - MIN(mib, max), max,
               mib);
}

static void put(buf_t *out, const char *key, uint64_t value) { buf_printf(out, "zk_%s\t%" PRIu64 "\n", key, value); }
static void put_signed(buf_t *out, const char *key, int64_t value)
{
    buf_printf(out, "zk_%s\t%" PRId64 "\n", key, value);
}

static void put_average(buf_t *out, const char *key, const zk_latency_t *latency)
{
    buf_printf(out, "zk_%s\t", key);
    print_average(out, latency);
    buf_printf(out, "\n");
}

/* What the original's metrics call a summary. */
static void put_summary(buf_t *out, const char *name, const zk_latency_t *l)
{
    char key[64];
    snprintf(key, sizeof(key), "avg_%s", name);
    put_average(out, key, l);
    buf_printf(out, "zk_min_%s\t%.0f\nzk_max_%s\t%.0f\n", name, ms(l->min_ns), name, ms(l->max_ns));
    buf_printf(out, "zk_cnt_%s\t%" PRIu64 "\nzk_sum_%s\t%.0f\n", name, l->count, name, ms(l->total_ns));
}

static void put_traffic(const zookeeper_t *zk, buf_t *out)
{
    put(out, "num_alive_connections", zk->conns_count);
    put(out, "non_mtls_local_conn_count", 0); /* as with the original's NIO: its Netty alone counts these two */
    put(out, "non_mtls_remote_conn_count", 0);
    put(out, "outstanding_requests", zk->outstanding);
    put(out, "packets_received", zk->received);
    put(out, "packets_sent", zk->sent);
    put(out, "bytes_received_count", net_service_stats(zk->net, &zk->service).in_bytes);
    put_signed(out, "last_client_response_size", zk->response_last);
    put_signed(out, "max_client_response_size", zk->response_max);
    put_signed(out, "min_client_response_size", zk->response_min);
    put(out, "connection_rejected", zk->connection_rejected);
    put(out, "auth_failed_count", zk->auth_failed);
}

static void put_tree(const zookeeper_t *zk, const coord_figures_t *f, buf_t *out)
{
    zk_latency_t syncs = {f->syncs, f->sync_ns_total, f->sync_ns_min, f->sync_ns_max};
    put(out, "ephemerals_count", f->ephemerals);
    put(out, "znode_count", zk__znode_count(f));
    put(out, "watch_count", f->watches[COORD_WATCH_DATA] + f->watches[COORD_WATCH_CHILDREN]);
    put(out, "approximate_data_size", f->data_bytes);
    put(out, "global_sessions", zk__session_count(zk, f));
    put(out, "local_sessions", 0); /* every session is the ensemble's */
    put(out, "snap_count", f->snapshots);
    put_summary(out, "fsynctime", &syncs);
    if (f->voters > 1) put(out, "quorum_size", f->voters);
}

static void mntr(zookeeper_t *zk, buf_t *out)
{
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    const char *state = f.voters > 1 ? f.leader ? "leader" : "follower" : "standalone";
    buf_printf(out, "zk_version\t" VERSION_LINE "\nzk_server_state\t%s\n", state);
    put(out, "uptime", (io_now_ns(zk->loop) - zk->started_ns) / 1000000);
    put_average(out, "avg_latency", &zk->latency);
    buf_printf(out, "zk_max_latency\t%.0f\nzk_min_latency\t%.0f\n", ms(zk->latency.max_ns), ms(zk->latency.min_ns));
    put(out, "open_file_descriptor_count", io_descriptors_open());
    put(out, "max_file_descriptor_count", io_descriptors_max());
    put_traffic(zk, out);
    put_tree(zk, &f, out);
    put_summary(out, "readlatency", &zk->read_latency);
    put_summary(out, "updatelatency", &zk->update_latency);
}

/* ---- watches and sessions ------------------------------------------------------------------------------------------------ */

static void wchs(zookeeper_t *zk, buf_t *out)
{
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    uint32_t watching = 0;
    LIST_EACH(&zk->conns, conn, zk_conn_t, node) watching += !list_empty(&conn->watcher.watches[COORD_WATCH_DATA]);
    buf_printf(out, "%u connections watching %" PRIu64 " paths\nTotal watches:%" PRIu64 "\n", watching,
               f.watched_paths[COORD_WATCH_DATA], f.watches[COORD_WATCH_DATA]);
}

typedef struct watch_print {
    buf_t *out;
    bytes_t path; /* the path printed last */
} watch_print_t;

/* Of these there may be hundreds of thousands: a format string would cost most of the time. */
static void put_line(buf_t *out, const char *before, bytes_t text)
{
    size_t n = strlen(before);
    uint8_t *at = buf_reserve(out, n + text.len + 1);
    memcpy(at, before, n);
    if (text.len > 0) memcpy(at + n, text.ptr, text.len);
    at[n + text.len] = '\n';
    out->len += n + text.len + 1;
}

static void put_session_line(buf_t *out, int64_t id)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t text[16], *at = text + sizeof(text);
    uint64_t left = (uint64_t)id;
    do *--at = (uint8_t)digits[left & 15];
    while ((left >>= 4) != 0);
    put_line(out, "\t0x", bytes_of(at, (size_t)(text + sizeof(text) - at)));
}

static void print_path_watch(void *user, bytes_t path, const coord_watcher_t *watcher)
{
    watch_print_t *p = user;
    if (!bytes_eq(p->path, path)) put_line(p->out, "", path);
    p->path = path;
    put_session_line(p->out, watcher->session_id);
}

static void wchp(zookeeper_t *zk, buf_t *out)
{
    watch_print_t print = {out, BYTES_NULL};
    coord_watch_each(zk->coord, COORD_WATCH_DATA, print_path_watch, &print);
    buf_printf(out, "\n");
}

static void print_session_path(void *user, bytes_t path) { put_line(user, "\t", path); }

static void wchc(zookeeper_t *zk, buf_t *out)
{
    LIST_EACH(&zk->conns, conn, zk_conn_t, node) {
        if (list_empty(&conn->watcher.watches[COORD_WATCH_DATA])) continue;
        buf_printf(out, "0x%" PRIx64 "\n", (uint64_t)conn->session_id);
        coord_watcher_each(&conn->watcher, COORD_WATCH_DATA, print_session_path, out);
    }
    buf_printf(out, "\n");
}

typedef struct dump {
    buf_t *out;
    zookeeper_t *zk;
    uint32_t with_ephemerals;
} dump_t;

static void dump_session(void *user, int64_t session_id, int32_t timeout_ms, int64_t expires_in_ms, uint32_t ephemerals)
{
    dump_t *dump = user;
    buf_printf(dump->out, "0x%" PRIx64 "\t%dms\n", (uint64_t)session_id, timeout_ms);
    dump->with_ephemerals += ephemerals > 0;
}

static void dump_path(void *user, bytes_t path) { put_line(user, "\t", path); }

static void dump_ephemerals(void *user, int64_t session_id, int32_t timeout_ms, int64_t expires_in_ms,
                            uint32_t ephemerals)
{
    dump_t *dump = user;
    if (ephemerals == 0) return;
    buf_printf(dump->out, "0x%" PRIx64 ":\n", (uint64_t)session_id);
    coord_read_ephemerals(dump->zk->coord, session_id, dump_path, dump->out);
}

static void dump_word(zookeeper_t *zk, buf_t *out)
{
    dump_t dump = {out, zk, 0};
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    buf_printf(out, "SessionTracker dump:\nGlobal Sessions(%" PRIu64 "):\n", f.sessions);
    coord_session_each(zk->coord, dump_session, &dump);
    buf_printf(out, "ephemeral nodes dump:\nSessions with Ephemerals (%u):\n", dump.with_ephemerals);
    coord_session_each(zk->coord, dump_ephemerals, &dump);
    buf_printf(out, "Connections dump:\nConnections Sets (%u)\n", zk->conns_count);
}

static const command_t
    commands
        [] =
            {
                {"ruok", ruok}, {"srvr", srvr}, {"stat", stat_word}, {"mntr", mntr}, {"conf", conf},
                {"isro", isro}, {"envi", envi}, {"cons", cons},      {"dirs", dirs}, {"wchs", wchs},
                {"wchp", wchp}, {"wchc", wchc}, {"dump", dump_word}, {"crst", crst}, {"srst", srst},
                {"gtmk", gtmk}, {"stmk", gtmk}, /* behind its mask: see zk__command */
};

static const command_t *find(const uint8_t word[4])
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (memcmp(commands[i].word, word, 4) == 0) return &commands[i];
    }
    return NULL;
}

static bool enabled(const zookeeper_t *zk, const char *word)
{
    const char *list = zk->config.commands;
    if (!list) return false;
    while (*list != '\0') {
        size_t n = strcspn(list, ", ");
        if ((n == 1 && *list == '*') || (n == 4 && memcmp(list, word, 4) == 0)) return true;
        list += n + strspn(list + n, ", ");
    }
    return false;
}

bool zk__is_command(const uint8_t word[4]) { return find(word) != NULL; }

static bool is_stmk(const uint8_t *word) { return memcmp(word, "stmk", 4) == 0; }

size_t zk__command_bytes(const zookeeper_t *zk, const uint8_t word[4])
{
    return is_stmk(word) && enabled(zk, "stmk") ? 4 + sizeof(zk->trace_mask) : 4;
}

void zk__command(zk_conn_t *conn, const uint8_t *word)
{
    const command_t *command = find(word);
    buf_t out = BUF_INIT;
    if (!enabled(conn->zookeeper, command->word)) {
        buf_printf(&out, "%s is not executed because it is not in the whitelist.\n", command->word);
    } else {
        if (is_stmk(word)) conn->zookeeper->trace_mask = (int64_t)load_be64(word + 4);
        command->print(conn->zookeeper, &out);
    }
    net_write(conn->net, out.ptr, out.len);
    buf_deinit(&out);
}

void zk__refuse_word(zk_conn_t *conn)
{
    static const char words[] =
        "Trivet is in protected mode: it is bound beyond loopback, and until it has users it serves its own machine "
        "alone. Start it with --zookeeper.protected-mode no to let everybody in.\n";
    net_write(conn->net, words, sizeof(words) - 1);
    net_refuse_stranger(conn->net);
}
