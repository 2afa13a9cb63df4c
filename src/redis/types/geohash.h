/* geohash.h: places on the globe as the scores of a sorted set, whose order keeps neighbours together.
 *
 * Longitude and latitude become 26 bits each, by halving their range again and again; the bits alternate, the
 * longitude's first. 52 bits are exact as a score. The latitude ends where Web Mercator does (EPSG:3857). */
#ifndef TRIVET_REDIS_TYPES_GEOHASH_H
#define TRIVET_REDIS_TYPES_GEOHASH_H

#include "base/base.h"

#define GEO_LONGITUDE_MAX 180.0
#define GEO_LATITUDE_MAX  85.05112878
#define GEOHASH_STEPS_MAX 26 /* halvings */
#define GEOHASH_CHARS     11

/* In degrees. */
typedef struct geo_point {
    double longitude, latitude;
} geo_point_t;

/* A rectangle of the globe: all hashes that begin with 2 * steps such bits. No steps: none. */
typedef struct geo_cell {
    uint64_t bits;
    uint8_t steps;
} geo_cell_t;

typedef struct geo_bounds {
    geo_point_t min, max;
} geo_bounds_t;

bool geo_is_point(geo_point_t p);
geo_cell_t geo_cell_at(geo_point_t p, uint8_t steps);
geo_bounds_t geo_cell_bounds(geo_cell_t cell);
/* The cell so many cells further east and north (-1 to 1); beyond an edge it goes on at the other. */
geo_cell_t geo_cell_beside(geo_cell_t cell, int east, int north);

/* The score of a place, and the middle of what has this score. Total: any score is some place. */
uint64_t geohash_of(geo_point_t p);
geo_point_t geohash_point(double score);
/* The text that geohash.org knows the place by. */
void geohash_text(geo_point_t p, char out[GEOHASH_CHARS]);

#endif
