/* share_fetch_internal.h: what the two files of ShareFetch share: share_fetch.c, which finds records and waits for them, and
 * share_fetch_answer.c, which tells of them. */
#ifndef TRIVET_KAFKA_API_SHARE_FETCH_INTERNAL_H
#define TRIVET_KAFKA_API_SHARE_FETCH_INTERNAL_H

#include "kafka/api/share_acks.h"
#include "kafka/broker/fetch_records.h"

/* What the answer tells of one partition. */
typedef struct share_fetch_row {
    kafka_uuid_t topic_id;
    kafka_share_fetch_response_partition_t out;
} share_fetch_row_t;

typedef struct share_fetch {
    kafka_request_t *request;
    share_session_t *session; /* NULL once it is another's, or gone */
    share_settings_t settings;
    share_acks_t acks;
    bool fetches; /* it asks for records */
    bool initial; /* it begins its session */
    bool waiting;
    size_t bytes_max, bytes_min;
    list_t *next; /* the node of the part whose turn it is; session->parts: all had theirs */
    /* the look under way, or the last one */
    size_t found_bytes;   /* over all parts, as each was seen last */
    uint32_t found_count; /* parts that have something */
    uint32_t open_count;  /* parts that may be acquired from, if there is something or not */
    uint32_t valid_count; /* parts without an error */
    bool urgent;          /* an error that is told at once */
    bool last;            /* answer after it, whatever it finds */
    /* acquiring */
    bool taking;
    share_part_t *end; /* who was last when it began */
    size_t bytes_left;
    int32_t records_left;
    fetch_records_t sent;
    share_fetch_row_t *rows;
    size_t rows_count, rows_max;
    io_timer_t timer;
} share_fetch_t;

/* Room for what the answer may tell. */
void share_fetch__begin_rows(share_fetch_t *fetch, size_t parts);
share_fetch_row_t *share_fetch__row(share_fetch_t *fetch, kafka_uuid_t topic_id, int32_t index);
/* What was acquired goes into the row, with the bytes that hold it. */
void share_fetch__put_taken(share_fetch_t *fetch, share_fetch_row_t *row, share_taken_t *taken, bool scarce);
/* Ends the request: with its rows, and what became of its answers. */
void share_fetch__respond(share_fetch_t *fetch);

#endif
