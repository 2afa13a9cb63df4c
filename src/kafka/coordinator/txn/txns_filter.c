/* txns_filter.c: see txns_filter.h. */
#include "kafka/coordinator/txn/txns_filter.h"

#include "kafka/pattern/pattern.h"

bool txns_filter_add_state(txns_filter_t *filter, bytes_t name)
{
    filter->by_state = true;
    for (int s = 0; s < TXN_STATES_COUNT; s++) {
        if (!bytes_eq(name, bytes_str(txn_state_text((txn_state_t)s)))) continue;
        filter->states[s] = true;
        return true;
    }
    return false;
}

kafka_code_t txns_filter_set_pattern(txns_filter_t *filter, bytes_t text)
{
    char problem[PATTERN_PROBLEM_BYTES];
    if (text.len == 0) return KAFKA_NONE;
    filter->pattern = pattern_new((const char *)text.ptr, text.len, problem);
    return filter->pattern ? KAFKA_NONE : KAFKA_INVALID_REGULAR_EXPRESSION;
}

void txns_filter_deinit(txns_filter_t *filter)
{
    if (filter->pattern) pattern_free(filter->pattern);
    filter->pattern = NULL;
}

static bool names_producer(const txns_filter_t *filter, int64_t id)
{
    for (int32_t i = 0; i < filter->producer_ids_count; i++) {
        if (filter->producer_ids[i] == id) return true;
    }
    return filter->producer_ids_count <= 0;
}

bool txns_filter_passes(const txns_filter_t *filter, bytes_t id, const txn_t *txn)
{
    if (!names_producer(filter, txn->now.producer_id)) return false;
    if (filter->by_state && !filter->states[txn->now.state]) return false;
    if (filter->duration_ms >= 0 && filter->now_ms - txn->now.start_ms <= filter->duration_ms) return false;
    return !filter->pattern || pattern_matches(filter->pattern, (const char *)id.ptr, id.len);
}
