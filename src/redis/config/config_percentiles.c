/* config_percentiles.c: the value of latency-tracking-info-percentiles: numbers from 0 to 100, or none. */
#include "redis/config/config_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SETTING "latency-tracking-info-percentiles"

static bool parse_percentile(bytes_t word, double *ret)
{
    char text[64], *end;
    if (word.len >= sizeof(text)) return false;
    memcpy(text, word.ptr, word.len);
    text[word.len] = '\0';
    *ret = strtod(text, &end);
    return end == text + word.len && !isnan(*ret);
}

int percentiles_set(redis_percentiles_t *percentiles, const char *value, char *why, size_t why_bytes)
{
    redis_percentiles_t trial = {0};
    bytes_t rest = bytes_str(value), word;
    while ((word = directive_take_word(&rest)).len) {
        double v;
        const char *text = NULL;
        if (!parse_percentile(word, &v))
            text = "Invalid " SETTING " parameters";
        else if (v < 0 || v > 100)
            text = SETTING " parameters should sit between [0.0,100.0]";
        else if (trial.count == REDIS_PERCENTILES_MAX)
            text = "too many " SETTING " parameters";
        if (text) {
            snprintf(why, why_bytes, "%s", text);
            return ERR_INVALID;
        }
        trial.at[trial.count++] = v;
    }
    *percentiles = trial;
    return 0;
}

void percentiles_get(const redis_percentiles_t *percentiles, buf_t *out)
{
    for (size_t i = 0; i < percentiles->count; i++) buf_printf(out, "%s%.15g", i ? " " : "", percentiles->at[i]);
}
