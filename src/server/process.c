/* process.c: see process.h. */
#include "server/process.h"

#include "base/slog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define DEFAULT_PID_FILE "/var/run/redis.pid"

static int go_into_background(char *error)
{
    pid_t child = fork();
    if (child > 0) _exit(0);
    if (child == 0 && setsid() >= 0) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "daemonize: cannot leave the foreground: %s", strerror(errno));
    return ERR_IO;
}

/* Standard output carries the lines that tools wait for: with a log file they go there, as the original's do. */
static int turn_output(const char *path, char *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "logfile: cannot open %.300s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return ERR_IO;
    }
    close(fd);
    return 0;
}

static const char *directive(const options_t *options, const char *name)
{
    const char *value = options_value(options, "redis", name);
    return value && *value ? value : NULL;
}

static bool is_on(const options_t *options, const char *name)
{
    const char *value = directive(options, name);
    return value && strcasecmp(value, "yes") == 0;
}

const char *process_supervisor(const options_t *options)
{
    const char *value = directive(options, "supervised");
    bool as_found = value && strcasecmp(value, "auto") == 0;
    if (value && (as_found || strcasecmp(value, "upstart") == 0) && getenv("UPSTART_JOB")) return "upstart";
    if (value && (as_found || strcasecmp(value, "systemd") == 0) && getenv("NOTIFY_SOCKET")) return "systemd";
    return "no";
}

static void put_to_system(slog_level_t level, const char *line)
{
    static const int levels[] = {LOG_DEBUG, LOG_NOTICE, LOG_WARNING, LOG_ERR};
    syslog(levels[MIN((size_t)level, ARRAY_LEN(levels) - 1)], "%s", line);
}

static void open_system_log(const options_t *options)
{
    static const char names[][8] = {"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};
    static const int values[] = {LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3,
                                 LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
    const char *name = directive(options, "syslog-facility"), *ident = directive(options, "syslog-ident");
    int facility = name && strcasecmp(name, "user") == 0 ? LOG_USER : LOG_LOCAL0;
    for (size_t i = 0; name && i < ARRAY_LEN(values); i++)
        if (strcasecmp(name, names[i]) == 0) facility = values[i];
    openlog(ident ? ident : "trivet", LOG_PID | LOG_NDELAY | LOG_NOWAIT, facility);
    slog_set_also(put_to_system);
}

/* As redis-server does, which tells of errors in its configuration alone elsewhere. */
static bool logs_to_output(const options_t *options)
{
    const char *name = options->called_as;
    return name && (strcmp(name, "redis-server") == 0 || strcmp(name, "valkey-server") == 0);
}

int process_begin(const options_t *options, char error[OPTIONS_ERROR_CHARS_MAX])
{
    bool daemonize = is_on(options, "daemonize") && strcmp(process_supervisor(options), "no") == 0;
    const char *log_file = directive(options, "logfile");
    int err = daemonize ? go_into_background(error) : 0;
    if (logs_to_output(options)) slog_set_fd(STDOUT_FILENO);
    if (!err && daemonize) err = freopen("/dev/null", "r", stdin) ? 0 : ERR_IO;
    if (!err && (log_file || daemonize)) err = turn_output(log_file ? log_file : "/dev/null", error);
    if (!err && is_on(options, "syslog-enabled")) open_system_log(options);
    return err;
}

static const char *pid_file_of(const options_t *options)
{
    const char *given = directive(options, "pidfile");
    return given ? given : is_on(options, "daemonize") ? DEFAULT_PID_FILE : NULL;
}

static void write_pid(const char *path)
{
    FILE *file = fopen(path, "we");
    bool written = file && fprintf(file, "%d\n", (int)getpid()) > 0;
    if (file && fclose(file) != 0) written = false;
    if (!written)
        slog(SLOG_WARN, "server", "cannot write the file of the process id", "path=%s error=\"%s\"", path,
             strerror(errno));
}

/* One datagram to the socket that systemd names, as sd_notify(3) describes it. */
static void tell_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(to.sun_path)) return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (fd < 0 || sendto(fd, state, strlen(state), 0, (struct sockaddr *)&to, to_len) < 0)
        slog(SLOG_WARN, "server", "cannot tell systemd", "error=\"%s\"", strerror(errno));
    if (fd >= 0) close(fd);
}

void process_ready(const options_t *options)
{
    const char *pid_file = pid_file_of(options), *supervisor = process_supervisor(options);
    if (pid_file) write_pid(pid_file);
    if (strcmp(supervisor, "systemd") == 0) tell_systemd("STATUS=Ready to accept connections\nREADY=1\n");
    if (strcmp(supervisor, "upstart") == 0) (void)raise(SIGSTOP);
}

void process_end(const options_t *options)
{
    const char *pid_file = pid_file_of(options);
    if (strcmp(process_supervisor(options), "systemd") == 0) tell_systemd("STOPPING=1\n");
    if (pid_file) (void)unlink(pid_file);
}
