/* push.c: see push.h. */
#include "redis/conn/push.h"
#include "redis/conn/clients.h"
#include "redis/conn/out.h"
#include "redis/conn/out_limits.h"

/* A client that does not read is closed rather than remembered without limit. */
bool push__may_receive(redis_client_t *c)
{
    if (c->flags & CLIENT_CLOSING) return false;
    if (!c->conn || !out_limits__exceeds(c)) return true;
    out_limits__close(c);
    return false;
}

static uint32_t speak_up(redis_client_t *c)
{
    uint32_t silence = c->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
    if (LIKELY(!silence)) return 0;
    out__flush(c);
    c->flags &= ~silence;
    return silence;
}

static void fall_silent(redis_client_t *c, uint32_t silence)
{
    if (LIKELY(!silence)) return;
    out__flush(c);
    c->flags |= silence;
}

push_t push__begin_reply(redis_client_t *c) { return (push_t){.to = c, .client = c, .silence = speak_up(c)}; }

push_t push__begin(redis_client_t *c)
{
    if (!c->clients->host->is_running(c)) return push__begin_reply(c);
    redis_client_t *writer = client__new_internal(c->clients, &c->pushed_to_self);
    writer->resp = c->resp;
    return (push_t){.to = writer, .client = c};
}

void push__end(push_t *p)
{
    if (p->to == p->client) {
        fall_silent(p->client, p->silence);
        return;
    }
    out__flush(p->to);
    client__free(p->to);
}

void push__give_own(redis_client_t *c)
{
    uint32_t silence = speak_up(c);
    reply_raw(c, c->pushed_to_self.ptr, c->pushed_to_self.len);
    fall_silent(c, silence);
    buf_deinit(&c->pushed_to_self);
}
