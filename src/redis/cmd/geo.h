/* geo.h: what the files of geo commands share. */
#ifndef TRIVET_REDIS_CMD_GEO_H
#define TRIVET_REDIS_CMD_GEO_H

#include "redis/exec/key.h"
#include "redis/types/geo_area.h"

/* argv[i] and argv[i + 1]: longitude and latitude. False after replying the error. */
bool geo__arg_point(redis_call_t *call, int i, geo_point_t *ret_point) MUST_CHECK;
/* m, km, ft or mi, as metres. */
bool geo__arg_unit(redis_call_t *call, int i, double *ret_unit_m) MUST_CHECK;
/* A length that is not negative, with the texts of the two errors. */
bool geo__arg_length(redis_call_t *call, int i, const char *no_number, const char *negative, double *ret) MUST_CHECK;
void geo__reply_point(redis_client_t *c, geo_point_t p);
/* With four decimals, in both versions of the protocol as a string. */
void geo__reply_distance(redis_client_t *c, double distance);

#endif
