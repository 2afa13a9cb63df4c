/* migration.c: see migration.h.
 *
 *   connecting --> sending: [AUTH] [SELECT] RESTORE ... --> every reply is there --> OK, or the first error
 *                  replies come meanwhile: each OK deletes its key, unless it was to be copied
 *
 * Invariant: until its key's reply is there the key is held (holds.h), so that what is deleted is what was sent. Payloads are made as
 * the peer takes them, at most FEED_BYTES ahead. A connection that served well is kept for some seconds; when such a one turns
 * out to be dead before its first reply, another is tried, once. */
#include "redis/exec/migration.h"

#include "redis/exec/holds.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/rdb.h"

#include <stdio.h>

#define LINKS_MAX       64
#define LINK_IDLE_MS    10000
#define FEED_BYTES      MIB(1)
#define FEED_AGAIN_MS   1
#define LOOKS           8
#define LINE_BYTES_MAX  1024 /* of a reply */
#define NO_DB           (-1)
#define CANNOT_CONNECT  "IOERR error or timeout connecting to the client"
#define CANNOT_TRANSFER "IOERR error or timeout %s to target instance"

typedef struct migration migration_t;

typedef struct migration_link {
    list_t node;
    migrations_t *all;
    net_conn_t *conn; /* NULL: it has gone */
    char *place;      /* "host port" */
    int64_t db;       /* that it has selected; NO_DB = nobody knows */
    uint64_t idle_since_ms;
    bool open, served;
    migration_t *run; /* NULL: it waits for one */
} migration_link_t;

struct migrations {
    redis_t *redis;
    list_t links, runs;
    size_t link_count;
    io_timer_t tidy;
};

struct migration {
    list_t node;
    migrations_t *all;
    redis_async_t *async;
    migration_link_t *link;
    redis_db_t *db;
    char *host;
    uint16_t port;
    int64_t target_db, timeout_ms;
    bool copy, replace, may_retry, greeted;
    bytes_t user, password;
    bytes_t *keys;
    size_t key_count, next; /* the first that was not looked at */
    size_t *sent_keys;      /* their numbers: of those before `next` some had gone */
    size_t sent, acked;     /* of these, whose replies are there */
    int greetings;          /* replies to AUTH and SELECT that are to come */
    bool refused;           /* one of them was an error */
    char error[LINE_BYTES_MAX + 64];
    io_timer_t patience, feeding;
    size_t unsent_before, acked_before, next_before;
    uint64_t moved_ns; /* when something did */
};

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void release_keys(migration_t *m)
{
    for (size_t i = 0; i < m->key_count; i++) {
        holds__remove(m->all->redis, m->keys[i]);
        mem_free((void *)m->keys[i].ptr);
    }
    m->key_count = 0;
}

static void free_run(migration_t *m)
{
    io_timer_stop(&m->patience);
    io_timer_stop(&m->feeding);
    if (m->link) m->link->run = NULL;
    list_remove(&m->node);
    release_keys(m);
    mem_free(m->keys);
    mem_free(m->sent_keys);
    mem_free(m->host);
    mem_free((void *)m->user.ptr);
    mem_free((void *)m->password.ptr);
    mem_free(m);
}

static void end(migration_t *m)
{
    redis_async_t *async = m->async;
    redis_t *redis = m->all->redis;
    if (m->link) {
        m->link->db = m->error[0] ? NO_DB : m->target_db;
        m->link->idle_since_ms = io_now_ns(redis->loop) / 1000000;
    }
    if (m->error[0])
        redis_reply_error(redis_async_client(async), m->error);
    else
        redis_reply_status(redis_async_client(async), "OK");
    free_run(m);
    redis_async_done(async);
    exec__after_event(redis);
}

static void end_with(migration_t *m, const char *error)
{
    if (!m->error[0]) snprintf(m->error, sizeof(m->error), "%s", error);
    end(m);
}

/* ---- replies --------------------------------------------------------------------------------------------------------- */

static void delete_key(migration_t *m, bytes_t key)
{
    redis_t *redis = m->all->redis;
    redis->keyspace.now_ms = io_wall_ms(redis->loop);
    redis_call_t call = exec__internal_call(redis, m->db);
    if (!key_delete(&call, key)) return;
    key_changed(&call, key, NOTIFY_GENERIC, "del");
    propagate_key(&call, "DEL", key);
    redis->persist.dirty++;
}

static void take_reply(migration_t *m, bytes_t line)
{
    bool error = line.len && line.ptr[0] == '-';
    bool greeting = m->greetings > 0;
    if (greeting)
        m->greetings--;
    else
        m->acked++;
    if (greeting) m->refused |= error;
    if (error && !m->error[0])
        snprintf(m->error, sizeof(m->error), "ERR Target instance replied with error: %.*s", (int)line.len - 1,
                 (const char *)line.ptr + 1);
    if (greeting || m->copy || error || m->refused) return;
    delete_key(m, m->keys[m->sent_keys[m->acked - 1]]);
}

static bool is_done(const migration_t *m)
{
    return m->next == m->key_count && m->acked == m->sent && m->greetings == 0;
}

static ssize_t on_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    migration_link_t *link = net_conn_user(conn);
    size_t done = 0;
    const uint8_t *end_of_line;
    while (link && link->run && (end_of_line = memchr(data + done, '\n', len - done))) {
        migration_t *m = link->run;
        size_t line = (size_t)(end_of_line - data) - done,
               text = line && data[done + line - 1] == '\r' ? line - 1 : line;
        if (m->greetings == 0 && m->acked == m->sent) break; /* nobody asked */
        link->served = true;
        take_reply(m, bytes_of(data + done, MIN(text, (size_t)LINE_BYTES_MAX)));
        done += line + 1;
        if (is_done(m)) end(m);
    }
    if (link && (!link->run || len - done > LINE_BYTES_MAX) && done < len) return ERR_INVALID;
    if (link) exec__after_event(link->all->redis);
    return (ssize_t)done;
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

static void put_greeting(migration_t *m, buf_t *out)
{
    char digits[24];
    if (m->password.ptr) {
        bytes_t argv[3] = {BYTES_LIT("AUTH"), m->user, m->password};
        if (!m->user.ptr) argv[1] = m->password;
        redis_append_command(out, m->user.ptr ? 3 : 2, argv);
        m->greetings++;
    }
    if (m->link->db == m->target_db) return;
    snprintf(digits, sizeof(digits), "%" PRId64, m->target_db);
    redis_append_command(out, 2, (bytes_t[]){BYTES_LIT("SELECT"), bytes_str(digits)});
    m->greetings++;
}

/* A key whose time is over meanwhile is left out. */
static void put_key(migration_t *m, buf_t *out)
{
    char digits[24];
    buf_t payload = BUF_INIT;
    redis_call_t call = exec__internal_call(m->all->redis, m->db);
    bytes_t key = m->keys[m->next++];
    const redis_entry_t *e = key_peek(&call, key);
    int64_t at_ms = e ? entry_expire_ms(e) : -1;
    if (!e || (at_ms >= 0 && at_ms < call.now_ms)) return;
    m->sent_keys[m->sent++] = m->next - 1;
    rdb__dump(e, &payload);
    snprintf(digits, sizeof(digits), "%" PRId64, at_ms < 0 ? 0 : MAX(at_ms - call.now_ms, (int64_t)1));
    bytes_t argv[5] = {BYTES_LIT("RESTORE"), key, bytes_str(digits), buf_bytes(&payload), BYTES_LIT("REPLACE")};
    redis_append_command(out, m->replace ? 5 : 4, argv);
    buf_deinit(&payload);
}

static void feed(migration_t *m)
{
    net_conn_t *conn = m->link->conn;
    buf_t out = BUF_INIT;
    m->all->redis->keyspace.now_ms = io_wall_ms(m->all->redis->loop);
    if (!m->greeted) put_greeting(m, &out);
    m->greeted = true;
    while (m->next < m->key_count && net_conn_out_bytes(conn) + out.len < FEED_BYTES &&
           !io_turn_spent(m->all->redis->loop))
        put_key(m, &out);
    net_write(conn, out.ptr, out.len);
    buf_deinit(&out);
    if (m->next < m->key_count) io_timer_start(&m->feeding, FEED_AGAIN_MS, 0);
}

/* ---- patience -------------------------------------------------------------------------------------------------------- */

/* The peer may be slow; what ends it is that nothing moves. Looked at some times within the timeout. */
static bool has_moved(migration_t *m)
{
    size_t unsent = net_conn_out_bytes(m->link->conn);
    bool moved = unsent < m->unsent_before || m->acked != m->acked_before || m->next != m->next_before;
    m->unsent_before = unsent;
    m->acked_before = m->acked;
    m->next_before = m->next;
    return moved;
}

static void wait_on(migration_t *m)
{
    io_timer_start(&m->patience, MAX((uint64_t)m->timeout_ms / LOOKS, (uint64_t)1), 0);
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

static void start(migration_t *m)
{
    feed(m);
    m->moved_ns = io_now_ns(m->all->redis->loop);
    (void)has_moved(m);
    if (is_done(m)) end(m); /* all keys have gone meanwhile */
}

static int on_open(net_conn_t *conn, void *service)
{
    migration_link_t *link = net_conn_user(conn);
    if (!link) return ERR_STATE;
    link->open = true;
    if (link->run) start(link->run);
    return 0;
}

static void on_close(net_conn_t *conn);

static const net_service_t service = {
    .name = "migrate",
    .on_open = on_open,
    .on_data = on_data,
    .on_close = on_close,
    .limits = {.in_bytes_max = KIB(64), .out_bytes_high = SIZE_MAX / 8},
};

static void free_link(migration_link_t *link)
{
    if (link->run) link->run->link = NULL;
    if (link->conn) {
        net_conn_set_user(link->conn, NULL);
        net_close_now(link->conn);
    }
    list_remove(&link->node);
    link->all->link_count--;
    mem_free(link->place);
    mem_free(link);
}

static char *place_of(const migration_t *m)
{
    buf_t place = BUF_INIT;
    buf_printf(&place, "%s %u", m->host, m->port);
    char *text = mem_strndup(buf_bytes(&place));
    buf_deinit(&place);
    return text;
}

static migration_link_t *find_idle(migrations_t *all, const char *place)
{
    LIST_EACH(&all->links, link, migration_link_t, node)
        if (!link->run && link->open && strcmp(link->place, place) == 0) return link;
    return NULL;
}

/* Makes room when there are too many; false when all are at work. */
static bool drop_idle(migrations_t *all)
{
    LIST_EACH(&all->links, link, migration_link_t, node) {
        if (link->run) continue;
        free_link(link);
        return true;
    }
    return false;
}

static migration_link_t *new_link(migration_t *m)
{
    migrations_t *all = m->all;
    if (all->link_count >= LINKS_MAX && !drop_idle(all)) return NULL;
    migration_link_t *link = mem_zalloc(sizeof(*link));
    if (net_connect(all->redis->net, m->host, m->port, &service, NULL, &link->conn)) {
        mem_free(link);
        return NULL;
    }
    link->all = all;
    link->place = place_of(m);
    link->db = NO_DB;
    net_conn_set_user(link->conn, link);
    list_push_back(&all->links, &link->node);
    all->link_count++;
    return link;
}

static void connect_run(migration_t *m)
{
    char *place = place_of(m);
    m->link = find_idle(m->all, place);
    mem_free(place);
    bool known = m->link != NULL;
    if (!m->link) m->link = new_link(m);
    if (!m->link) { /* not inside the command */
        io_timer_start(&m->patience, 0, 0);
        return;
    }
    m->link->run = m;
    m->link->served = false;
    m->moved_ns = io_now_ns(m->all->redis->loop);
    wait_on(m);
    if (known) start(m);
}

/* What was sent on a connection that is no more and had not served is sent again on another, once. */
static void fail(migration_t *m, bool timed_out)
{
    migration_link_t *link = m->link;
    bool was_open = link->open, again = was_open && !link->served && m->may_retry && !timed_out;
    char text[128];
    bool writing = link->conn && (net_conn_out_bytes(link->conn) > 0 || m->next < m->key_count);
    snprintf(text, sizeof(text), CANNOT_TRANSFER, writing ? "writing" : "reading");
    free_link(link);
    io_timer_stop(&m->feeding);
    if (again) {
        m->may_retry = m->greeted = m->refused = false;
        m->next = m->sent = m->acked = 0;
        m->greetings = 0;
        connect_run(m);
    } else {
        end_with(m, was_open ? text : CANNOT_CONNECT);
    }
}

static void on_close(net_conn_t *conn)
{
    migration_link_t *link = net_conn_user(conn);
    if (!link) return;
    net_conn_set_user(conn, NULL);
    link->conn = NULL;
    if (link->run)
        fail(link->run, false);
    else
        free_link(link);
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */

static void on_patience(io_timer_t *timer)
{
    migration_t *m = CONTAINER_OF(timer, migration_t, patience);
    if (!m->link) {
        end_with(m, CANNOT_CONNECT);
        return;
    }
    uint64_t now_ns = io_now_ns(m->all->redis->loop);
    if (m->link->open && has_moved(m)) m->moved_ns = now_ns;
    if (now_ns - m->moved_ns < (uint64_t)m->timeout_ms * 1000000)
        wait_on(m);
    else
        fail(m, true);
}

static void on_feeding(io_timer_t *timer)
{
    migration_t *m = CONTAINER_OF(timer, migration_t, feeding);
    feed(m);
    if (is_done(m)) end(m); /* those that were left have gone meanwhile */
}

static void on_tidy(io_timer_t *timer)
{
    migrations_t *all = CONTAINER_OF(timer, migrations_t, tidy);
    uint64_t now_ms = io_now_ns(all->redis->loop) / 1000000;
    LIST_EACH(&all->links, link, migration_link_t, node)
        if (!link->run && now_ms - link->idle_since_ms > LINK_IDLE_MS) free_link(link);
    if (list_empty(&all->links)) io_timer_stop(timer);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

migrations_t *migration__new(redis_t *redis)
{
    migrations_t *all = mem_zalloc(sizeof(*all));
    all->redis = redis;
    list_init(&all->links);
    list_init(&all->runs);
    io_timer_init(redis->loop, &all->tidy, on_tidy);
    return all;
}

size_t migration__links(const migrations_t *all) { return all->link_count; }

void migration__free(migrations_t *all)
{
    io_timer_stop(&all->tidy);
    LIST_EACH(&all->runs, m, migration_t, node) {
        redis_async_drop(m->async);
        free_run(m);
    }
    LIST_EACH(&all->links, link, migration_link_t, node) free_link(link);
    mem_free(all);
}

static bytes_t copy_of(bytes_t b) { return b.ptr ? bytes_of(mem_strndup(b), b.len) : BYTES_NULL; }

static migration_t *new_run(migrations_t *all, redis_call_t *call, const migration_order_t *o)
{
    migration_t *m = mem_zalloc(sizeof(*m));
    *m = (migration_t){.all = all,
                       .db = call->db,
                       .host = mem_strndup(o->host),
                       .port = o->port,
                       .target_db = o->db,
                       .timeout_ms = o->timeout_ms,
                       .copy = o->copy,
                       .replace = o->replace,
                       .may_retry = true,
                       .user = copy_of(o->user),
                       .password = copy_of(o->password),
                       .key_count = o->key_count};
    m->keys = mem_alloc(sizeof(bytes_t) * o->key_count);
    m->sent_keys = mem_alloc(sizeof(size_t) * o->key_count);
    for (size_t i = 0; i < o->key_count; i++) {
        m->keys[i] = copy_of(o->keys[i]);
        holds__add(all->redis, m->keys[i]);
    }
    io_timer_init(all->redis->loop, &m->patience, on_patience);
    io_timer_init(all->redis->loop, &m->feeding, on_feeding);
    list_push_back(&all->runs, &m->node);
    return m;
}

void migration__begin(redis_call_t *call, const migration_order_t *order)
{
    migrations_t *all = call->redis->migrations;
    redis_async_t *async = redis_async(call);
    ASSERT(async);
    migration_t *m = new_run(all, call, order);
    m->async = async;
    if (all->tidy.due_ns == 0) io_timer_start(&all->tidy, 1000, 1000);
    connect_run(m);
}
