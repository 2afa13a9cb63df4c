/* tls.c: TLS for every door: [trivet] tls says how, a section's own `tls` otherwise. What the wings have of their own (tls-port,
 * secureClientPort, SSL:// listeners) stays theirs; here they are only told when to look at their files.
 *
 * On control. Reactors are told by message: each presents the context to its own doors. */
#include "base/slog.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <sys/stat.h>

#define LOOK_MS   5000 /* between two looks at the files */
#define AUTO_DAYS 365

/* A context for the doors of one reactor. */
typedef struct presentation {
    io_message_t message;
    server_t *server;
    server__reactor_t *reactor;
    tls_context_t *context; /* NULL = as it is */
    bool forced;
} presentation_t;

static server__tls_mode_t mode_of(const server_t *server, server_door_t door)
{
    return server->doors[door].tls_given ? server->doors[door].tls_mode : server->tls.mode;
}

int server__tls_mode_parse(const char *text, server__tls_mode_t *ret_mode)
{
    static const char *const names[] = {[SERVER_TLS_OFF] = "off",
                                        [SERVER_TLS_ALLOW] = "allow",
                                        [SERVER_TLS_REQUIRE] = "require",
                                        [SERVER_TLS_AUTO] = "auto"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], text) != 0) continue;
        *ret_mode = (server__tls_mode_t)i;
        return 0;
    }
    return ERR_INVALID;
}

bool server_speaks_tls(const server_t *server, server_door_t door)
{
    return server->tls.context && mode_of(server, door) != SERVER_TLS_OFF;
}

const char *server_tls_authority(const server_t *server) { return server->tls.is_auto ? server->tls.ca_file : NULL; }

/* ---- the context ------------------------------------------------------------------------------------------------------- */

static tls_settings_t settings_of(const server__tls_t *tls)
{
    return (tls_settings_t){.cert_file = tls->cert_file,
                            .key_file = tls->key_file,
                            .key_pass = tls->key_pass,
                            .ca_file = tls->is_auto ? NULL : tls->ca_file,
                            .clients = tls->clients};
}

static int make_context(server_t *server, tls_context_t **ret_context, char why[TLS_WHY_CHARS_MAX])
{
    const server__tls_t *tls = &server->tls;
    tls_settings_t settings = settings_of(tls);
    if (tls->clients == TLS_CLIENTS_UNASKED || tls->ca_file) return tls_context_new(&settings, ret_context, why);
    snprintf(why, TLS_WHY_CHARS_MAX, "tls-auth-clients needs tls-ca-cert-file: who may have signed their certificates");
    return ERR_INVALID;
}

/* On the reactor. */
static void present(server_t *server, server__reactor_t *reactor, tls_context_t *context)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        server__tls_mode_t mode = mode_of(server, (server_door_t)door);
        if (mode == SERVER_TLS_OFF || server__reactor_of(server, (server_door_t)door) != reactor) continue;
        bool allows_plain = mode != SERVER_TLS_REQUIRE;
        if (door == DOOR_HTTP)
            server__http_secure(server, context, allows_plain);
        else
            net_secure(reactor->net, server_door_names[door], context, allows_plain);
    }
}

static void on_presentation(io_message_t *message)
{
    presentation_t *p = CONTAINER_OF(message, presentation_t, message);
    server_t *server = p->server;
    if (p->context) present(server, p->reactor, p->context);
    for (int door = 0; door < DOORS_COUNT; door++) {
        const server__door_t *d = &server->doors[door];
        if (!d->started || server__reactor_of(server, (server_door_t)door) != p->reactor) continue;
        if (server__wings[door]->reload) server__wings[door]->reload(d->wing, p->forced);
    }
    tls_context_unref(p->context);
    mem_free(p);
}

static void tell_reactors(server_t *server, tls_context_t *context, bool forced)
{
    for (int i = 0; i < server->reactors_made; i++) {
        presentation_t *p = mem_zalloc(sizeof(*p));
        *p = (presentation_t){.server = server, .reactor = &server->reactors[i], .forced = forced};
        p->context = context ? tls_context_ref(context) : NULL;
        p->message.run = on_presentation;
        io_post(server->reactors[i].loop, &p->message);
    }
}

/* ---- certificates that change ------------------------------------------------------------------------------------------- */

static void look(server_t *server, bool forced)
{
    server__tls_t *tls = &server->tls;
    tls_context_t *context = NULL;
    char why[TLS_WHY_CHARS_MAX];
    tls_settings_t settings = settings_of(tls);
    uint64_t files = tls->context ? tls_settings_files(&settings) : 0;
    if (tls->context && (forced || files != tls->files)) {
        tls->files = files; /* what does not fit is tried again when it changes */
        if (make_context(server, &context, why))
            slog(SLOG_WARN, "server", "certificates stay as they are", "why=\"%s\"", why);
        else
            slog(SLOG_INFO, "server", "certificates were read again", "file=%s", tls->cert_file);
    }
    tell_reactors(server, context, forced);
    if (!context) return;
    tls_context_unref(tls->context);
    tls->context = context;
}

static void on_look(io_timer_t *timer)
{
    server__tls_t *tls = CONTAINER_OF(timer, server__tls_t, timer);
    look(CONTAINER_OF(tls, server_t, tls), false);
}

static void on_hangup(void *user)
{
    slog(SLOG_INFO, "server", "SIGHUP: certificates are read again", "%s", "");
    look(user, true);
}

/* ---- auto ------------------------------------------------------------------------------------------------------------------ */

/* Reactors do not run yet: nobody else makes files. */
static int write_secret(server_t *server, const char *path, const char *text)
{
    mode_t before = umask(077);
    int err = io_replace_whole(server->loop, path, bytes_str(text));
    (void)umask(before);
    return err;
}

static int write_auto(server_t *server, const tls_authority_t *made)
{
    const server__tls_t *tls = &server->tls;
    int err = io_replace_whole(server->loop, tls->ca_file, bytes_str(made->ca_pem));
    if (!err) err = io_replace_whole(server->loop, tls->cert_file, bytes_str(made->cert_pem));
    return err ? err : write_secret(server, tls->key_file, made->key_pem);
}

/* The authority's key is not kept: what it has signed is all it ever signs. */
static int make_auto(server_t *server, char *error)
{
    server__tls_t *tls = &server->tls;
    tls_authority_t made;
    char *dir = server__path(server, "tls");
    tls->ca_file = server__path_in(dir, "ca.crt");
    tls->cert_file = server__path_in(dir, "server.crt");
    tls->key_file = server__path_in(dir, "server.key");
    int err = io_mkdir(server->loop, dir);
    mem_free(dir);
    if (!err && io_exists(server->loop, tls->ca_file) && io_exists(server->loop, tls->key_file)) return 0;
    if (!err) err = tls_authority_make(AUTO_DAYS, &made);
    if (!err) {
        err = write_auto(server, &made);
        tls_authority_deinit(&made);
    }
    if (err) snprintf(error, OPTIONS_ERROR_CHARS_MAX, "tls auto: cannot make %.200s: %s", tls->ca_file, err_text(err));
    return err;
}

/* ---- life -------------------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const server_t *server)
{
    for (int door = 0; door < DOORS_COUNT; door++)
        if (server->doors[door].enabled && mode_of(server, (server_door_t)door) != SERVER_TLS_OFF) return true;
    return false;
}

static int prepare(server_t *server, char *error)
{
    server__tls_t *tls = &server->tls;
    char why[TLS_WHY_CHARS_MAX];
    tls->is_auto = tls->mode == SERVER_TLS_AUTO && !tls->cert_file;
    int err = tls->is_auto ? make_auto(server, error) : 0;
    if (err) return err;
    err = make_context(server, &tls->context, why);
    if (err) snprintf(error, OPTIONS_ERROR_CHARS_MAX, "trivet.tls: %s", why);
    tls_settings_t settings = settings_of(tls);
    tls->files = tls_settings_files(&settings);
    for (int i = 0; !err && i < server->reactors_made; i++) present(server, &server->reactors[i], tls->context);
    return err;
}

int server__tls_start(server_t *server, char *error)
{
    int err = is_wanted(server) ? prepare(server, error) : 0;
    if (!err) err = io_on_hangup(server->loop, on_hangup, server);
    io_timer_init(server->loop, &server->tls.timer, on_look);
    return err;
}

void server__tls_watch(server_t *server, bool wanted)
{
    if (wanted || server->tls.context) io_timer_start(&server->tls.timer, LOOK_MS, LOOK_MS);
}

void server__tls_stop(server_t *server)
{
    if (server->tls.timer.loop) io_timer_stop(&server->tls.timer);
}

void server__tls_deinit(server_t *server)
{
    server__tls_t *tls = &server->tls;
    tls_context_unref(tls->context);
    char *const texts[] = {tls->cert_file, tls->key_file, tls->key_pass, tls->ca_file};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) mem_free(texts[i]);
}
