/* util.c: see util.h. The stop flag is the one piece of global state: a signal handler has nowhere else to
 * write. */
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define LINE_BYTES_MAX 1024

static volatile sig_atomic_t stop_asked;

static void print_line(const char *format, va_list args)
{
    char text[LINE_BYTES_MAX];
    vsnprintf(text, sizeof text, format, args);
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    fprintf(stderr, "%02d:%02d:%02d %s: %s\n", utc.tm_hour, utc.tm_min, utc.tm_sec, program_invocation_short_name,
            text);
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
    exit(1);
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(int64_t ms)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&span, NULL); /* a signal may cut it short, which is what a stop wants */
}

void id_make(char id[ID_BYTES])
{
    unsigned char bits[16];
    if (getrandom(bits, sizeof bits, 0) != sizeof bits) die("no random bytes from the kernel");
    for (size_t i = 0; i < sizeof bits; i++) snprintf(id + 2 * i, 3, "%02x", bits[i]);
}

static void ask_stop(int signal_number) { stop_asked = 1; }

void stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = ask_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool stopping(void) { return stop_asked; }
