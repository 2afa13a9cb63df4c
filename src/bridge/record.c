/* record.c: the arguments of KAFKA.PRODUCE as a record, and a record's own copy for the outbox. */
#include "bridge/bridge_internal.h"

#include "base/num.h"

#include <stdio.h>

#define ONCE_SECONDS_MAX (INT64_MAX / 2000)

/* Each takes the option at argv[i] and returns how many words it has; 0 = not this option; *ret_problem when bad. */
static int read_header(const bytes_t *argv, int i, int last, produce_args_t *a, const char **ret_problem)
{
    if (!bytes_eq_nocase(argv[i], BYTES_LIT("HEADER")) || i + 2 >= last) return 0;
    if (a->record.headers_count == HEADERS_COUNT_MAX) {
        *ret_problem = "ERR too many headers (128 at most)";
        return 0;
    }
    a->headers[a->record.headers_count++] = (kafka_header_t){argv[i + 1], argv[i + 2]};
    return 3;
}

static int read_once(const bytes_t *argv, int i, int last, produce_args_t *a, const char **ret_problem)
{
    if (!bytes_eq_nocase(argv[i], BYTES_LIT("ONCE")) || i + 2 >= last || a->once_seconds) return 0;
    a->once_key = argv[i + 1];
    if (num_parse_i64(argv[i + 2], &a->once_seconds) && a->once_seconds > 0 && a->once_seconds < ONCE_SECONDS_MAX)
        return 3;
    *ret_problem = "ERR ONCE wants a positive number of seconds";
    return 0;
}

static int read_number(const bytes_t *argv, int i, int last, produce_args_t *a, const char **ret_problem)
{
    int64_t v;
    bool is_partition = bytes_eq_nocase(argv[i], BYTES_LIT("PARTITION")),
         is_at = bytes_eq_nocase(argv[i], BYTES_LIT("AT"));
    if (!(is_partition || is_at) || i + 1 >= last) return 0;
    bool fits = num_parse_i64(argv[i + 1], &v) && v >= 0 && (is_at || v <= INT32_MAX);
    if (!fits) {
        *ret_problem = is_at ? "ERR AT wants Unix milliseconds" : "ERR partition is not an integer or out of range";
        return 0;
    }
    if (is_at)
        a->at_ms = MAX(v, 1);
    else
        a->record.partition = (int32_t)v;
    return 2;
}

const char *record__parse(int argc, const bytes_t *argv, produce_args_t *a)
{
    int last = argc - 1;
    a->record = (kafka_produce_t){.topic = argv[1], .partition = -1, .timestamp_ms = -1, .headers = a->headers};
    a->at_ms = a->once_seconds = 0;
    a->once_key = BYTES_NULL;
    for (int i = 2, n; i < last; i += n) {
        const char *problem = NULL;
        if (bytes_eq_nocase(argv[i], BYTES_LIT("KEY")) && i + 1 < last) {
            a->record.key = argv[i + 1];
            n = 2;
            continue;
        }
        n = read_number(argv, i, last, a, &problem);
        if (n == 0 && !problem) n = read_header(argv, i, last, a, &problem);
        if (n == 0 && !problem) n = read_once(argv, i, last, a, &problem);
        if (n == 0) return problem ? problem : "ERR syntax error";
    }
    a->record.value = argv[last];
    return NULL;
}

const char *record__check(bridge_t *bridge, int argc, const bytes_t *argv, bool midway, produce_args_t *args)
{
    char message[KAFKA_MESSAGE_BYTES_MAX] = "";
    const char *problem = argc < 3 ? "ERR wrong number of arguments" : record__parse(argc, argv, args);
    if (problem) return problem;
    if ((problem = outbox_problem(bridge, midway))) return problem;
    return bridge__problem(bridge, kafka_produce_check(bridge->catalog, &args->record, message), message);
}

/* A script that has written must be able to end its work, as where memory is short; but not without a bound. */
const char *outbox_problem(const bridge_t *bridge, bool midway)
{
    if (!bridge->kafka) return "ERR the Kafka wing is off";
    size_t reserve = midway ? bridge->bytes_max / OUTBOX_RESERVE : 0;
    return bridge->bytes >= bridge->bytes_max + reserve ? "ERR the outbox is full: see KAFKA.OUTBOX INFO" : NULL;
}

const char *bridge__problem(bridge_t *bridge, kafka_code_t error, const char *message)
{
    if (error == 0) return NULL;
    snprintf(bridge->problem, sizeof(bridge->problem), "%s %s", kafka_error_name(error), message);
    return bridge->problem;
}

static bytes_t keep(uint8_t **to, bytes_t b)
{
    if (!b.ptr) return BYTES_NULL;
    bytes_t kept = bytes_of(*to, b.len);
    if (b.len) memcpy(*to, b.ptr, b.len);
    *to += b.len;
    return kept;
}

outbox_record_t *outbox_record_new(const kafka_produce_t *from)
{
    size_t headers_bytes = sizeof(kafka_header_t) * (size_t)from->headers_count;
    size_t bytes = sizeof(outbox_record_t) + headers_bytes + from->topic.len + from->key.len + from->value.len;
    for (int32_t i = 0; i < from->headers_count; i++) bytes += from->headers[i].key.len + from->headers[i].value.len;
    outbox_record_t *r = mem_zalloc(bytes + 1); /* so that empty bytes have a place */
    kafka_header_t *headers = (kafka_header_t *)(r + 1);
    uint8_t *to = (uint8_t *)headers + headers_bytes;
    r->bytes = bytes;
    r->record = *from;
    r->record.headers = headers;
    r->record.topic = keep(&to, from->topic);
    r->record.key = keep(&to, from->key);
    r->record.value = keep(&to, from->value);
    for (int32_t i = 0; i < from->headers_count; i++) {
        headers[i].key = keep(&to, from->headers[i].key);
        headers[i].value = keep(&to, from->headers[i].value);
    }
    list_init(&r->node);
    list_init(&r->queue);
    list_init(&r->commit);
    return r;
}
