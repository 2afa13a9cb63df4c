/* cli.c: the commands' words, and what they have in common: a directory that no server holds. See cli.h. */
#include "cli/cli_internal.h"
#include "coord/coord.h"
#include "redis/redis.h"

#include <stdio.h>
#include <string.h>

const char cli_help[] =
    "\nCommands:\n"
    "  trivet check DIR               reads a data directory and reports on each file; writes nothing\n"
    "  trivet repair DIR              says what it would mend, and writes nothing\n"
    "  trivet repair DIR --cut        copies DIR to DIR.repaired and mends that: all is dropped from the first damage "
    "on\n"
    "  trivet repair DIR --salvage    the same, but what is sound behind damage is kept\n"
    "  Exit status: 0 all is sound (or was mended), 1 something is damaged, 2 wrong usage, 3 it cannot be read, or a\n"
    "  server runs on it.\n";

typedef struct request {
    const char *command, *dir;
    bool cut, salvage, help;
} request_t;

void cli__path(const char *dir, const char *name, char out[CLI_PATH_CHARS_MAX])
{
    if (snprintf(out, CLI_PATH_CHARS_MAX, "%s/%s", dir, name) >= CLI_PATH_CHARS_MAX) out[0] = '\0';
}

void cli__show(void *user, const char *file, const char *wrong, const char *note)
{
    cli_survey_t *s = user;
    s->files++;
    if (wrong) s->wrong++;
    printf("%-7s %s%s%s%s\n", wrong ? "DAMAGED" : "ok", s->prefix, file, wrong || note[0] ? ": " : "",
           wrong ? wrong : note);
}

void cli__tell(void *user, const char *line) { printf("mended  %s\n", line); }

bool cli__part(io_loop_t *loop, const char *dir, const char *name, const char *mark, char out[CLI_PATH_CHARS_MAX])
{
    cli__path(dir, name, out);
    if (io_exists(loop, out)) return true;
    cli__path(dir, mark, out);
    if (!io_exists(loop, out)) return false;
    cli__path(dir, ".", out);
    return true;
}

/* Ours, or another Redis' folder, which may hold any of these. */
static bool find_redis(const cli_survey_t *s, char path[CLI_PATH_CHARS_MAX])
{
    static const char *const marks[] = {"appendonlydir", "dump.rdb", "appendonly.aof"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (cli__part(s->loop, s->dir, "redis", marks[i], path)) return true;
    return false;
}

int cli__check(cli_survey_t *s)
{
    char path[CLI_PATH_CHARS_MAX];
    s->prefix = "redis/";
    int err = find_redis(s, path) ? redis_check(s->loop, path, cli__show, s) : 0;
    s->prefix = "coord/";
    cli__path(s->dir, "coord", path);
    if (!err && io_exists(s->loop, path)) err = coord_check(s->loop, path, cli__show, s);
    return err ? err : cli__check_kafka(s);
}

/* ---- repair ----------------------------------------------------------------------------------------------------------- */

typedef struct copying {
    io_loop_t *loop;
    const char *from, *to;
    int err;
} copying_t;

static int copy_tree(io_loop_t *loop, const char *from, const char *to);

static int copy_file(io_loop_t *loop, const char *from, const char *to)
{
    io_file_t *file;
    uint64_t bytes;
    int err = io_file_open(loop, from, IO_FILE_READ, &file);
    if (err) return err;
    err = io_file_size(file, &bytes);
    if (!err) err = io_copy_tail(loop, file, 0, bytes, to);
    io_file_close(file);
    return err;
}

static void copy_one(void *user, const char *name, bool is_dir)
{
    copying_t *c = user;
    char from[CLI_PATH_CHARS_MAX], to[CLI_PATH_CHARS_MAX];
    if (c->err || strcmp(name, "trivet.lock") == 0 || strcmp(name, "reserve") == 0) return;
    cli__path(c->from, name, from);
    cli__path(c->to, name, to);
    c->err = is_dir ? copy_tree(c->loop, from, to) : copy_file(c->loop, from, to);
}

static int copy_tree(io_loop_t *loop, const char *from, const char *to)
{
    copying_t c = {loop, from, to, 0};
    int err = io_mkdir(loop, to);
    if (!err) err = io_list_dir(loop, from, copy_one, &c);
    return err ? err : c.err;
}

static int mend(const cli_mending_t *m)
{
    char path[CLI_PATH_CHARS_MAX];
    bool redis = cli__part(m->loop, m->dir, "redis", "appendonlydir", path);
    int err = redis ? redis_mend(m->loop, path, m->salvage, cli__tell, NULL) : 0;
    cli__path(m->dir, "coord", path);
    if (!err && io_exists(m->loop, path)) err = coord_mend(m->loop, path, m->salvage, cli__tell, NULL);
    return err ? err : cli__mend_kafka(m);
}

static int repair_copy(io_loop_t *loop, const request_t *q)
{
    char copy[CLI_PATH_CHARS_MAX];
    int n = snprintf(copy, sizeof(copy), "%.*s.repaired", (int)(strlen(q->dir) - (q->dir[strlen(q->dir) - 1] == '/')),
                     q->dir);
    if (n >= (int)sizeof(copy) || io_exists(loop, copy)) {
        fprintf(stderr, "trivet: %s is there already: move it away first\n", copy);
        return CLI_USAGE;
    }
    cli_mending_t m = {loop, copy, q->salvage};
    int err = copy_tree(loop, q->dir, copy);
    if (!err) err = mend(&m);
    if (err) {
        fprintf(stderr, "trivet: cannot mend a copy in %s: %s\n", copy, err_text(err));
        return CLI_UNREADABLE;
    }
    cli_survey_t again = {.loop = loop, .dir = copy};
    err = cli__check(&again);
    printf("%s is the mended copy, %s. %s was left as it was.\n", copy,
           err || again.wrong ? "with damage that could not be mended" : "sound now", q->dir);
    return err ? CLI_UNREADABLE : again.wrong ? CLI_DAMAGED : CLI_SOUND;
}

static int repair(io_loop_t *loop, const request_t *q, const cli_survey_t *s)
{
    if (q->cut || q->salvage) return repair_copy(loop, q);
    if (s->wrong == 0) return CLI_SOUND;
    printf("Nothing was written. `trivet repair %s --cut` makes a copy in %s.repaired that ends where the damage "
           "begins; --salvage keeps what is sound behind it.\n",
           q->dir, q->dir);
    return CLI_DAMAGED;
}

/* ---- words ------------------------------------------------------------------------------------------------------------ */

static bool parse(int argc, char **argv, request_t *q)
{
    *q = (request_t){.command = argv[1]};
    bool repairs = strcmp(q->command, "repair") == 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            q->help = true;
        else if (repairs && strcmp(argv[i], "--cut") == 0)
            q->cut = true;
        else if (repairs && strcmp(argv[i], "--salvage") == 0)
            q->salvage = true;
        else if (argv[i][0] == '-' || q->dir)
            return false;
        else
            q->dir = argv[i];
    }
    return q->help || (q->dir && q->dir[0] && !(q->cut && q->salvage));
}

/* A directory named by mistake must not be called sound. */
static bool is_data_dir(io_loop_t *loop, const char *dir)
{
    static const char *const parts[] = {"trivet.lock", "redis", "coord", "kafka", "appendonlydir", "meta.properties"};
    char path[CLI_PATH_CHARS_MAX];
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(parts) && !any; i++) {
        cli__path(dir, parts[i], path);
        any = io_exists(loop, path);
    }
    if (!any) fprintf(stderr, "trivet: %s is no data directory: redis, coord and kafka are not in it\n", dir);
    return any;
}

/* zookeeper.dataDir puts the tree into a directory of its own, which is then checked by its own name. */
static const char *hint_of_tree(io_loop_t *loop, const char *dir)
{
    char path[CLI_PATH_CHARS_MAX];
    cli__path(dir, "coord", path);
    return io_exists(loop, path) ? ""
                                 : "; the tree is not here: where zookeeper.dataDir is set, check that directory, too";
}

/* Nobody may change what is being read. The lock file is not made: a check writes nothing. */
static int take(io_loop_t *loop, const char *dir)
{
    char path[CLI_PATH_CHARS_MAX];
    cli__path(dir, "trivet.lock", path);
    int err = !io_exists(loop, dir) ? ERR_NOT_FOUND : io_exists(loop, path) ? io_lock_file(loop, path) : 0;
    if (err == ERR_BUSY)
        fprintf(stderr, "trivet: a server runs on the data directory %s: stop it first\n", dir);
    else if (err)
        fprintf(stderr, "trivet: cannot read %s: %s\n", dir, err_text(err));
    return err;
}

static int run(io_loop_t *loop, const request_t *q)
{
    cli_survey_t survey = {.loop = loop, .dir = q->dir, .prefix = ""};
    if (take(loop, q->dir) != 0 || !is_data_dir(loop, q->dir)) return CLI_UNREADABLE;
    int err = cli__check(&survey);
    if (err) {
        fprintf(stderr, "trivet: cannot read %s: %s\n", q->dir, err_text(err));
        return CLI_UNREADABLE;
    }
    printf("%u files, %u damaged%s\n", survey.files, survey.wrong, hint_of_tree(loop, q->dir));
    if (strcmp(q->command, "repair") == 0) return repair(loop, q, &survey);
    return survey.wrong > 0 ? CLI_DAMAGED : CLI_SOUND;
}

bool cli_run(int argc, char **argv, int *ret_status)
{
    request_t q;
    io_loop_t *loop;
    if (argc < 2 || (strcmp(argv[1], "check") != 0 && strcmp(argv[1], "repair") != 0)) return false;
    *ret_status = CLI_USAGE;
    if (!parse(argc, argv, &q)) {
        fprintf(stderr, "trivet: usage: trivet check DIR, or trivet repair DIR [--cut|--salvage]\n");
    } else if (q.help) {
        fputs(cli_help + 1, stdout);
        *ret_status = CLI_SOUND;
    } else if (io_loop_new_uv(&loop) != 0) {
        *ret_status = CLI_UNREADABLE;
    } else {
        *ret_status = run(loop, &q);
        io_loop_free(loop);
    }
    return true;
}
