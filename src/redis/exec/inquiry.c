/* inquiry.c: some commands must know something that another reactor knows (does this member of a consumer group still belong to
 * it?), and a command cannot wait in its middle. So it is asked before the command runs, and of all commands of a transaction
 * before EXEC runs:
 *
 *   request, checked ─> asks ─> all answered at once ───────────────────────────────────────────> runs ─> questions end
 *                        └─> client paused: its input stays unread ─> answered: the request comes again ─^
 *
 * The request is checked anew when it comes again, so it may also be refused, and EXEC may find that a watched key has changed.
 * Whatever happens, each question ends once: then what was kept for it elsewhere is given up. A script's call leaves the script
 * until the answer is there (scripts.c). */
#include "redis/exec/inquiry.h"
#include "redis/exec/state.h"

#include "redis_commands.h"

struct inquiry {
    list_t questions;
    size_t unanswered;
    void (*known)(void *user);
    void *user;
};

/* ---- questions ------------------------------------------------------------------------------------------------------- */

inquiry_t *inquiry__new(void (*known)(void *user), void *user)
{
    inquiry_t *inquiry = mem_zalloc(sizeof(*inquiry));
    list_init(&inquiry->questions);
    inquiry->known = known;
    inquiry->user = user;
    return inquiry;
}

void inquiry__free(inquiry_t *inquiry)
{
    LIST_EACH(&inquiry->questions, q, redis_question_t, node) {
        list_remove(&q->node);
        q->inquiry = NULL;
        q->end(q);
    }
    mem_free(inquiry);
}

redis_question_t *inquiry__add(inquiry_t *inquiry, const redis_command_t *command, int argc, const bytes_t *argv)
{
    redis_question_t *q = exec__ask(command, argc, argv);
    if (!q) return NULL;
    list_push_back(&inquiry->questions, &q->node);
    q->inquiry = inquiry;
    if (!q->answered) inquiry->unanswered++;
    return q;
}

bool inquiry__is_known(const inquiry_t *inquiry) { return inquiry->unanswered == 0; }

void redis_question_answered(redis_question_t *q)
{
    inquiry_t *inquiry = q->inquiry;
    ASSERT(!q->answered);
    q->answered = true;
    if (inquiry && --inquiry->unanswered == 0) inquiry->known(inquiry->user);
}

redis_question_t *redis_call_question(const redis_call_t *call) { return call->redis->question; }

/* ---- of a client's request ------------------------------------------------------------------------------------------- */

static void on_known(void *user) { client__resume(user); }

static bool asks(const redis_client_t *c, const redis_command_t *command)
{
    if (!(command->traits & TRAIT_RUNS_QUEUE)) return exec__asks(command);
    return c->queue_asks && !(c->flags & (CLIENT_DIRTY_CAS | CLIENT_DIRTY_EXEC));
}

static void ask_queue(redis_client_t *c)
{
    for (size_t i = 0; i < c->queue_len; i++) {
        saved_command_t *s = c->queue[i];
        s->question = exec__asks(s->command) ? inquiry__add(c->inquiry, s->command, s->argc, s->argv) : NULL;
    }
}

bool inquiry__must_wait(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv)
{
    if (LIKELY(!asks(c, command))) return false;
    if (!c->inquiry) {
        c->inquiry = inquiry__new(on_known, c);
        if (command->traits & TRAIT_RUNS_QUEUE)
            ask_queue(c);
        else
            c->question = inquiry__add(c->inquiry, command, argc, argv);
    }
    if (inquiry__is_known(c->inquiry)) return false;
    if (!c->conn) {
        inquiry__drop(c); /* nobody who could wait: the command finds no answer, and says so */
        return false;
    }
    client__pause(c);
    return true;
}

void inquiry__drop(redis_client_t *c)
{
    if (LIKELY(!c->inquiry)) return;
    inquiry__free(c->inquiry);
    c->inquiry = NULL;
    c->question = NULL;
    for (size_t i = 0; i < c->queue_len; i++) c->queue[i]->question = NULL;
}
