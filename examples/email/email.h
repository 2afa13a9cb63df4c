/* email.h: one email: as JSON in a request, as JSON in a record. */
#pragma once

#include "util.h"

#define TO_BYTES_MAX      254 /* RFC 5321 4.5.3.1.3 */
#define SUBJECT_BYTES_MAX 900 /* one header line of RFC 5322 is at most 998 bytes */
#define PROBLEM_BYTES     160

typedef struct json_t json_t;

/* The strings belong to `document`, which email_deinit() lets go. */
typedef struct email {
    const char *id; /* NULL in a request */
    const char *to, *subject, *body;
    json_t *document;
} email_t;

/* Parses and checks. On -1 `field` is the field that is wrong ("" for the whole text) and `problem` says how. */
MUST_CHECK int email_parse(email_t *email, const char *text, size_t size, bool with_id, const char **field,
                           char problem[PROBLEM_BYTES]);
void email_deinit(email_t *email);

/* The record: {"id","to","subject","body"}. The caller frees it. */
char *email_record(const email_t *email, const char *id);
