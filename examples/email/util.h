/* util.h: what every program here needs: words for people, the time, an id, a stop flag. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_BYTES   33 /* 32 hexadecimal digits and a terminator */
#define MUST_CHECK __attribute__((warn_unused_result))

/* One line on stderr, with the time and the program's name before it. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

int64_t now_ms(void);
void sleep_ms(int64_t ms);
void id_make(char id[ID_BYTES]); /* 128 random bits */

/* SIGINT and SIGTERM set the flag that stopping() reads; SIGPIPE is ignored. */
void stop_on_signals(void);
bool stopping(void);
