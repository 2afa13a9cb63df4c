/* geo_area.h: circles, boxes and polygons on the globe: what is in them, and which scores may be. */
#ifndef TRIVET_REDIS_TYPES_GEO_AREA_H
#define TRIVET_REDIS_TYPES_GEO_AREA_H

#include "redis/types/geohash.h"

typedef enum { GEO_CIRCLE, GEO_BOX, GEO_POLYGON } geo_area_kind_t;

/* Lengths are in units of `unit_m` metres. */
typedef struct geo_area {
    geo_area_kind_t kind;
    geo_point_t center; /* of a polygon: geo_area_prepare finds it */
    double unit_m;
    double radius;        /* circle */
    double width, height; /* box */
    const geo_point_t *vertices;
    size_t vertex_count; /* 3 at least */
    /* from geo_area_prepare */
    geo_bounds_t bounds;
    double latitude_reach, longitude_reach; /* circle: a point further off in degrees is surely outside */
} geo_area_t;

double geo_distance_m(geo_point_t a, geo_point_t b);
void geo_area_prepare(geo_area_t *area);
/* `ret_distance_m`: from the centre. */
bool geo_area_contains(const geo_area_t *area, geo_point_t p, double *ret_distance_m);

/* Scores from `min` up to but not including `max`. */
typedef struct geo_range {
    uint64_t min, max;
} geo_range_t;
#define GEO_RANGES_MAX 9
/* The cell of the centre and those around it that the area may reach into, in the order in which the original looks at them. */
size_t geo_area_ranges(const geo_area_t *area, geo_range_t ret_ranges[GEO_RANGES_MAX]);

#endif
