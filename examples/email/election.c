/* election.c: see election.h. The caller asks every now and then, so the children are read anew and no watch
 * is needed: with a handful of workers that costs one small request each per tick, and nothing can be missed. */
#include "election.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define THREADED
#include <zookeeper/zookeeper.h>

#define FOLDER         "/email-housekeeper"
#define SESSION_MS     6000
#define PATH_BYTES_MAX 128

struct election {
    const config_t *config;
    zhandle_t *handle;
    char node[PATH_BYTES_MAX]; /* our node's name within the folder; "" before it is made */
};

election_t *election_new(const config_t *config)
{
    election_t *election = calloc(1, sizeof *election);
    if (!election) die("no memory");
    election->config = config;
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    return election;
}

static void leave(election_t *election)
{
    if (election->handle) zookeeper_close(election->handle);
    election->handle = NULL;
    election->node[0] = 0;
}

void election_free(election_t *election)
{
    leave(election);
    free(election);
}

static bool is_connected(election_t *election)
{
    if (election->handle && is_unrecoverable(election->handle))
        leave(election); /* the session is over, its node gone */
    if (!election->handle)
        election->handle = zookeeper_init(election->config->zookeeper, NULL, SESSION_MS, NULL, NULL, 0);
    return election->handle && zoo_state(election->handle) == ZOO_CONNECTED_STATE;
}

/* A create whose reply was lost may leave a node that nobody knows of; it carries our session and goes with
 * it. */
static bool join(election_t *election)
{
    char path[PATH_BYTES_MAX];
    if (*election->node) return true;
    int status = zoo_create(election->handle, FOLDER, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    if (status != ZOK && status != ZNODEEXISTS) return false;
    status = zoo_create(election->handle, FOLDER "/worker-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL | ZOO_SEQUENCE,
                        path, sizeof path);
    if (status != ZOK) {
        leave(election); /* so that such a node does not lead in our place */
        return false;
    }
    snprintf(election->node, sizeof election->node, "%s", strrchr(path, '/') + 1);
    return true;
}

bool election_leads(election_t *election)
{
    struct String_vector names;
    if (!is_connected(election) || !join(election)) return false;
    if (zoo_get_children(election->handle, FOLDER, 0, &names) != ZOK) return false;
    bool there = false, first = true;
    for (int i = 0; i < names.count; i++) {
        int order = strcmp(names.data[i], election->node);
        there |= order == 0;
        first &= order >= 0;
    }
    deallocate_String_vector(&names);
    if (!there) election->node[0] = 0; /* somebody removed it: join again */
    return there && first;
}
