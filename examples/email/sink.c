/* sink.c: the program email-sink PORT FILE, an SMTP server for the demo and the tests. Each mail it accepts
 * becomes one line of JSON in FILE before the client reads 250: message_id, to, subject and "again" when that
 * Message-ID had been there before. An address that begins with "refuse" gets 550; one with "later" gets 451
 * the first time. One client at a time: while the worker sends, nobody else does. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define LINE_BYTES_MAX      4096
#define SILENCE_SECONDS_MAX 10

typedef struct sink {
    json_t *seen;    /* Message-IDs of the mails accepted */
    json_t *delayed; /* addresses that had their 451 */
    const char *path;
} sink_t;

typedef struct mail {
    char to[LINE_BYTES_MAX], message_id[LINE_BYTES_MAX], subject[LINE_BYTES_MAX];
} mail_t;

static bool read_line(FILE *in, char line[LINE_BYTES_MAX])
{
    if (!fgets(line, LINE_BYTES_MAX, in)) return false;
    line[strcspn(line, "\r\n")] = 0;
    return true;
}

static void reply(FILE *out, const char *words)
{
    fprintf(out, "%s\r\n", words);
    fflush(out);
}

static bool begins(const char *line, const char *word) { return !strncasecmp(line, word, strlen(word)); }

static const char *on_recipient(sink_t *sink, mail_t *mail, const char *line)
{
    const char *from = strchr(line, '<');
    size_t size = from ? strcspn(++from, ">") : 0;
    snprintf(mail->to, sizeof mail->to, "%.*s", (int)size, from ? from : "");
    if (begins(mail->to, "refuse")) return "550 5.1.1 there is no such mailbox";
    if (begins(mail->to, "later") && !json_object_get(sink->delayed, mail->to)) {
        json_object_set_new(sink->delayed, mail->to, json_true());
        return "451 4.7.1 try again later";
    }
    return "250 OK";
}

static bool read_mail(FILE *in, mail_t *mail)
{
    char line[LINE_BYTES_MAX];
    bool in_header = true;
    while (read_line(in, line)) {
        if (!strcmp(line, ".")) return true;
        if (!*line) in_header = false;
        if (in_header && begins(line, "Message-ID: ")) snprintf(mail->message_id, LINE_BYTES_MAX, "%s", line + 12);
        if (in_header && begins(line, "Subject: ")) snprintf(mail->subject, LINE_BYTES_MAX, "%s", line + 9);
    }
    return false;
}

static bool write_down(sink_t *sink, const mail_t *mail)
{
    json_t *line = json_pack("{s:s, s:s, s:s, s:b}", "message_id", mail->message_id, "to", mail->to, "subject",
                             mail->subject, "again", json_object_get(sink->seen, mail->message_id) != NULL);
    FILE *file = fopen(sink->path, "a");
    if (!line || !file) die("cannot write %s: %s", sink->path, strerror(errno));
    json_dumpf(line, file, JSON_COMPACT);
    fputc('\n', file);
    json_decref(line);
    json_object_set_new(sink->seen, mail->message_id, json_true());
    return !fclose(file);
}

/* False when the client is gone. */
static bool converse_once(sink_t *sink, mail_t *mail, FILE *in, FILE *out)
{
    char line[LINE_BYTES_MAX];
    if (!read_line(in, line)) return false;
    if (begins(line, "EHLO") || begins(line, "HELO") || begins(line, "MAIL FROM:") || begins(line, "RSET")) {
        *mail = (mail_t){0};
        reply(out, "250 OK");
    } else if (begins(line, "RCPT TO:")) {
        reply(out, on_recipient(sink, mail, line));
    } else if (begins(line, "DATA")) {
        reply(out, "354 end with a line of one dot");
        if (!read_mail(in, mail)) return false;
        reply(out, write_down(sink, mail) ? "250 OK" : "452 cannot write");
    } else if (begins(line, "QUIT")) {
        reply(out, "221 bye");
        return false;
    } else {
        reply(out, "502 not here");
    }
    return true;
}

static void converse(sink_t *sink, int fd)
{
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    struct timeval silence = {.tv_sec = SILENCE_SECONDS_MAX};
    mail_t *mail = calloc(1, sizeof *mail);
    if (!in || !out || !mail) die("no memory");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    reply(out, "220 email-sink");
    while (converse_once(sink, mail, in, out)) continue;
    free(mail);
    fclose(out);
    fclose(in);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0) die("no socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16))
        die("cannot listen on port %d: %s", port, strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    int port = argc == 3 ? atoi(argv[1]) : 0;
    if (port < 1 || port > 65535) die("usage: email-sink PORT FILE");
    sink_t sink = {.seen = json_object(), .delayed = json_object(), .path = argv[2]};
    stop_on_signals();
    int listener = listen_on(port);
    say("listening on 127.0.0.1:%d, mails go to %s", port, sink.path);
    while (!stopping()) {
        struct pollfd readable = {.fd = listener, .events = POLLIN};
        if (poll(&readable, 1, 200) <= 0) continue;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) converse(&sink, fd);
    }
    close(listener);
    json_decref(sink.seen);
    json_decref(sink.delayed);
    return 0;
}
