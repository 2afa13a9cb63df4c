/* email.c: see email.h. What passes here may stand in an SMTP command and in a header, so control characters,
 * spaces and angle brackets have no way in. */
#include "email.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong(char problem[PROBLEM_BYTES], const char *words)
{
    snprintf(problem, PROBLEM_BYTES, "%s", words);
    return -1;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) return true;
    return false;
}

static int check_to(const char *to, char problem[PROBLEM_BYTES])
{
    const char *at = strchr(to, '@');
    if (strlen(to) > TO_BYTES_MAX) return wrong(problem, "is longer than 254 bytes");
    if (!at || at == to || !at[1] || strchr(at + 1, '@')) return wrong(problem, "is not an address: name@domain");
    for (const char *c = to; *c; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("<>()[]\\,;:\"", *c))
            return wrong(problem, "has a character that an address may not have");
    return 0;
}

static int check_subject(const char *subject, char problem[PROBLEM_BYTES])
{
    if (!*subject) return wrong(problem, "is empty");
    if (strlen(subject) > SUBJECT_BYTES_MAX) return wrong(problem, "is longer than 900 bytes");
    return has_control(subject) ? wrong(problem, "has a control character") : 0;
}

static int take(json_t *document, const char *name, const char **ret, char problem[PROBLEM_BYTES])
{
    json_t *value = json_object_get(document, name);
    if (!value) return wrong(problem, "is missing");
    if (!json_is_string(value)) return wrong(problem, "is not a string");
    *ret = json_string_value(value);
    return 0;
}

static int take_all(email_t *email, bool with_id, const char **field, char problem[PROBLEM_BYTES])
{
    *field = "id";
    if (with_id && take(email->document, "id", &email->id, problem)) return -1;
    if (with_id && (!*email->id || strlen(email->id) >= ID_BYTES || has_control(email->id)))
        return wrong(problem, "is not one of ours");
    *field = "to";
    if (take(email->document, "to", &email->to, problem) || check_to(email->to, problem)) return -1;
    *field = "subject";
    if (take(email->document, "subject", &email->subject, problem) || check_subject(email->subject, problem)) return -1;
    *field = "body";
    return take(email->document, "body", &email->body, problem);
}

int email_parse(email_t *email, const char *text, size_t size, bool with_id, const char **field,
                char problem[PROBLEM_BYTES])
{
    json_error_t error;
    *field = "";
    *email = (email_t){.document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error)};
    if (!email->document) {
        snprintf(problem, PROBLEM_BYTES, "is not JSON: %.100s (line %d)", error.text, error.line);
        return -1;
    }
    int status = json_is_object(email->document) ? take_all(email, with_id, field, problem)
                                                 : wrong(problem, "is not a JSON object");
    if (status) email_deinit(email);
    return status;
}

void email_deinit(email_t *email)
{
    json_decref(email->document);
    *email = (email_t){0};
}

char *email_record(const email_t *email, const char *id)
{
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:s}", "id", id, "to", email->to, "subject", email->subject, "body", email->body);
    char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;
    json_decref(record);
    if (!text) die("no memory");
    return text;
}
