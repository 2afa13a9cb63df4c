/* monitor.c: MONITOR. Each command that was run is told, as a line, to every client that asked for it; what may hold
 * secrets is left out or blackened. A client that does not read is closed, as a subscriber is. */
#include "redis/conn/push.h"
#include "redis/exec/secrets.h"
#include "redis/exec/state.h"
#include "redis_commands.h"

#include <ctype.h>
#include <stdio.h>

void redis_cmd_monitor(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (call->flags & (CALL_IN_EXEC | CALL_LOADING) || !c->conn) {
        reply_error(c, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if (!(c->flags & CLIENT_MONITOR)) {
        c->flags |= CLIENT_MONITOR;
        list_push_back(&call->redis->monitors, &c->monitor_node);
    }
    reply_ok(c);
}

void monitor__forget(redis_client_t *c)
{
    if (!(c->flags & CLIENT_MONITOR)) return;
    c->flags &= ~(uint32_t)CLIENT_MONITOR;
    list_remove(&c->monitor_node);
}

/* ---- the line ---------------------------------------------------------------------------- */

static void put_word(buf_t *line, bytes_t word)
{
    static const char plain[] = "\\\"\n\r\t\a\b", letters[] = "\\\"nrtab";
    buf_u8(line, '"');
    for (size_t i = 0; i < word.len; i++) {
        uint8_t byte = word.ptr[i];
        const char *known = byte ? strchr(plain, byte) : NULL;
        if (known)
            buf_printf(line, "\\%c", letters[known - plain]);
        else if (isprint(byte))
            buf_u8(line, byte);
        else
            buf_printf(line, "\\x%02x", byte);
    }
    buf_u8(line, '"');
}

static void put_line(const redis_call_t *call, buf_t *line)
{
    const redis_client_t *c = call->client;
    int64_t us = io_wall_us(call->redis->loop);
    buf_printf(line, "+%" PRId64 ".%06" PRId64 " [%d %s]", us / 1000000, us % 1000000, c->db->id,
               c->conn ? net_conn_peer(c->conn) : "lua");
    secrets_t secrets = secrets__find(call->command, call->argc, call->argv);
    for (int i = 0; i < call->argc; i++) {
        buf_u8(line, ' ');
        put_word(line, secrets__shown(secrets, call->argv, i));
    }
    buf_append(line, "\r\n", 2);
}

void monitor__tell(const redis_call_t *call)
{
    if (call->flags & CALL_LOADING) return;
    buf_t line = BUF_INIT;
    put_line(call, &line);
    LIST_EACH(&call->redis->monitors, c, redis_client_t, monitor_node)
        if (push__may_receive(c)) reply_raw(c, line.ptr, line.len);
    buf_deinit(&line);
}
