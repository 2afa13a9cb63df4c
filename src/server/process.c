/* process.c: see process.h. */
#include "server/process.h"

#include "base/slog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

int process_begin(const process_options_t *options, char error[OPTIONS_ERROR_CHARS_MAX])
{
    const char *log_file = options->log_file ? options->log_file : options->daemonize ? "/dev/null" : NULL;
    int err = options->daemonize ? go_into_background(error) : 0;
    if (!err && options->daemonize) err = freopen("/dev/null", "r", stdin) ? 0 : ERR_IO;
    if (!err && log_file) err = turn_output(log_file, error);
    return err;
}

static const char *pid_file_of(const process_options_t *options)
{
    return options->pid_file ? options->pid_file : options->daemonize ? DEFAULT_PID_FILE : NULL;
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

void process_ready(const process_options_t *options)
{
    const char *pid_file = pid_file_of(options);
    if (pid_file) write_pid(pid_file);
    if (options->notify_systemd) tell_systemd("STATUS=Ready to accept connections\nREADY=1\n");
}

void process_end(const process_options_t *options)
{
    const char *pid_file = pid_file_of(options);
    if (options->notify_systemd) tell_systemd("STOPPING=1\n");
    if (pid_file) (void)unlink(pid_file);
}
