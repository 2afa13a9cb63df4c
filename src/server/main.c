/* main.c: the command `trivet`: options in, one banner or one JSON line out, then the loop. */
#include "base/slog.h"
#include "cli/cli.h"
#include "io/io.h"
#include "server/banner.h"
#include "server/called_as.h"
#include "server/process.h"
#include "server/server.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_json(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(4));
    printf("%s\n", text);
    fflush(stdout);
    free(text);
    json_decref(line);
}

/* One of the lines before the last. */
static void print_door_json(const server_t *server, server_door_t door)
{
    json_t *line = json_object();
    json_object_set_new(line, "wing", json_string(server_door_names[door]));
    json_object_set_new(line, "port", json_integer(server_port(server, door)));
    json_object_set_new(line, "ready_ms", json_real(server_door_ready_ms(server, door)));
    print_json(line);
}

static void print_ready_json(const server_t *server)
{
    json_t *line = json_object();
    json_object_set_new(line, "pid", json_integer(getpid()));
    for (int door = 0; door < DOORS_COUNT; door++)
        json_object_set_new(line, server_door_names[door], json_integer(server_port(server, (server_door_t)door)));
    json_object_set_new(line, "data", json_string(server_data_dir(server)));
    json_object_set_new(line, "ready_ms", json_real(server_ready_ms(server)));
    print_json(line);
}

static void print_line(const char *line)
{
    printf("%s\n", line);
    fflush(stdout);
}

/* What was asked for and is done in another way, a line each. */
static void log_notes(const options_t *options)
{
    const char *line = options->notes ? options->notes : "";
    for (size_t n; *line; line += n + 1) {
        n = strcspn(line, "\n");
        slog(SLOG_WARN, "server", "done in another way", "%.*s", (int)n, line);
    }
}

static void tell_ready(const options_t *options, const server_t *server)
{
    if (options->ready_json)
        print_ready_json(server);
    else if (options->called_as)
        print_line("Ready to accept connections");
    else
        banner_print(server);
}

static int serve(const options_t *options, uint64_t started_ns, char *error)
{
    server_t *server = NULL;
    int err = process_begin(options, error);
    if (!err) log_notes(options);
    mem_thread_begin();
    if (!err) err = server_start(options, started_ns, options->ready_json ? print_door_json : NULL, &server, error);
    if (err) {
        bool settings = strncmp(error, SETTINGS_ERROR, sizeof(SETTINGS_ERROR) - 1) == 0;
        if (options->called_as && !settings) slog(SLOG_ERROR, "server", "cannot start", "%s", error);
        fprintf(stderr, "trivet: %s\n", error);
        return 1;
    }
    process_ready(options);
    tell_ready(options, server);
    server_run(server);
    process_end(options);
    return server_stop(server) ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t started_ns = io_clock_ns();
    char error[OPTIONS_ERROR_CHARS_MAX];
    options_t options = {0};
    int status = 0;
    slog_set_clock(io_clock_wall_ms);
    const called_as_t *as = called_as(argv[0]);
    if (!as && cli_run(argc, argv, &status)) return status;
    int err = as                                   ? called_as_parse(as, argc, argv, &options, error)
              : called_as_stranger(argv[0], error) ? ERR_UNSUPPORTED
                                                   : options_parse(argc, argv, &options, error);
    if (err) {
        fprintf(stderr, "trivet: %s%s\n", as ? SETTINGS_ERROR : "", error);
        return 2;
    }
    if (options.show_help)
        printf("%s%s", options.help, as ? "" : cli_help);
    else if (options.show_version)
        printf("trivet %s\n", TRIVET_VERSION);
    else
        status = serve(&options, started_ns, error);
    options_deinit(&options);
    return status;
}
