/* far.c: the bridge's half on Kafka's reactor. What the near half (the rest of this folder) wants of Kafka it asks by a message
 * and is answered by one, whether both live on one loop or not.
 *
 *   Redis' reactor                                    Kafka's reactor
 *   far_send ──── request, in the order of sending ──> request->run
 *   request->answered <─────────────────────────────── far_answer, at once or later, behind the catalog's news
 *
 * A request's bytes belong to the half that has it. It may point at what the near half keeps until the answer: a record that was
 * sent does not change, and is not freed. */
#include "bridge/far.h"

#include <stdio.h>

static void come_back(io_message_t *message)
{
    far_request_t *request = CONTAINER_OF(message, far_request_t, message);
    bridge_t *bridge = far_link_use(request->link);
    if (bridge) bridge__update(bridge);
    request->answered(bridge, request);
}

void far_answer(far_request_t *request, int64_t value, kafka_code_t error, const char *words)
{
    request->value = value;
    request->error = error;
    if (error) snprintf(request->words, sizeof(request->words), "%s", words ? words : "");
    if (!request->link->closed) kafka_catalog_flush(request->catalog);
    if (request->asking) {
        request->asking = false;
        return;
    }
    request->message.run = come_back;
    io_post(request->home, &request->message);
}

void far__answered(void *user, int64_t value, kafka_code_t error, const char *words)
{
    far_answer(user, value, error, words);
}

/* When the bridge has stopped nothing more is asked of Kafka, and what the request points at may be gone. */
static void arrive(io_message_t *message)
{
    far_request_t *request = CONTAINER_OF(message, far_request_t, message);
    if (request->link->closed)
        far_answer(request, 0, FAR_GONE, NULL);
    else
        request->run(request);
}

void far_prepare(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
                 void (*answered)(bridge_t *bridge, far_request_t *request))
{
    request->message.run = arrive;
    request->link = far_link_take(bridge);
    request->kafka = bridge->kafka;
    request->catalog = bridge->catalog;
    request->home = bridge->loop;
    request->run = run;
    request->answered = answered;
    request->words[0] = '\0';
    request->asking = false;
}

void far_send(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
              void (*answered)(bridge_t *bridge, far_request_t *request))
{
    far_prepare(bridge, request, run, answered);
    io_post(bridge->kafka_loop, &request->message);
}

bool far_ask(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
             void (*answered)(bridge_t *bridge, far_request_t *request))
{
    if (bridge->kafka_loop != bridge->loop) {
        far_send(bridge, request, run, answered);
        return false;
    }
    far_prepare(bridge, request, run, answered);
    request->asking = true;
    run(request);
    bool later = request->asking;
    request->asking = false;
    if (!later) come_back(&request->message);
    return !later;
}

/* ---- the link -------------------------------------------------------------------------------------------------------- */

far_link_t *far_link_take(bridge_t *bridge)
{
    if (!bridge->link) {
        bridge->link = mem_zalloc(sizeof(*bridge->link));
        bridge->link->bridge = bridge;
        bridge->link->holders = 1; /* the bridge's own */
    }
    bridge->link->holders++;
    return bridge->link;
}

bridge_t *far_link_use(far_link_t *link)
{
    bridge_t *bridge = link->bridge;
    if (--link->holders == 0) mem_free(link);
    return bridge;
}

void far_close(bridge_t *bridge)
{
    if (!bridge->link) return;
    bridge->link->closed = true;
    bridge->link->bridge = NULL;
    (void)far_link_use(bridge->link);
    bridge->link = NULL;
}
