/* geo_area.c: see geo_area.h. The globe is a sphere; distances are the haversine's, computed as the original computes
 * them, so that the digits of replies are the same. */
#include "redis/types/geo_area.h"

#include <math.h>

#define EARTH_RADIUS_M 6372797.560856
#define MERCATOR_MAX_M 20037726.37
/* What rounding may do to a comparison of degrees. */
#define SLACK_DEGREES 1e-9

static double radians(double degrees) { return degrees * (M_PI / 180.0); }
static double degrees(double radians) { return radians / (M_PI / 180.0); }

/* ---- distances ------------------------------------------------------------------------------------------------------- */

static double latitude_distance_m(double a, double b) { return EARTH_RADIUS_M * fabs(radians(b) - radians(a)); }

double geo_distance_m(geo_point_t a, geo_point_t b)
{
    double v = sin((radians(b.longitude) - radians(a.longitude)) / 2);
    if (v == 0.0) return latitude_distance_m(a.latitude, b.latitude);
    double from = radians(a.latitude), to = radians(b.latitude), u = sin((to - from) / 2);
    double h = u * u + cos(from) * cos(to) * v * v;
    return 2.0 * EARTH_RADIUS_M * asin(sqrt(h));
}

/* ---- preparing ------------------------------------------------------------------------------------------------------- */

static geo_bounds_t bounds_of_circle_or_box(const geo_area_t *area)
{
    double longitude = area->center.longitude, latitude = area->center.latitude;
    double height = area->unit_m * (area->kind == GEO_CIRCLE ? area->radius : area->height / 2);
    double width = area->unit_m * (area->kind == GEO_CIRCLE ? area->radius : area->width / 2);
    double up = degrees(height / EARTH_RADIUS_M);
    /* A degree of longitude is shortest at the edge that is nearer to a pole. */
    double edge = latitude < 0 ? latitude - up : latitude + up;
    double aside = degrees(width / EARTH_RADIUS_M / cos(radians(edge)));
    return (geo_bounds_t){{longitude - aside, latitude - up}, {longitude + aside, latitude + up}};
}

static geo_bounds_t bounds_of_polygon(const geo_area_t *area)
{
    geo_bounds_t b = {area->vertices[0], area->vertices[0]};
    for (size_t i = 1; i < area->vertex_count; i++) {
        geo_point_t v = area->vertices[i];
        b.min.longitude = MIN(b.min.longitude, v.longitude);
        b.max.longitude = MAX(b.max.longitude, v.longitude);
        b.min.latitude = MIN(b.min.latitude, v.latitude);
        b.max.latitude = MAX(b.max.latitude, v.latitude);
    }
    return b;
}

/* Below the middle of the vertices taken as points in space. */
static geo_point_t center_of_polygon(const geo_area_t *area)
{
    double x = 0, y = 0, z = 0, n = (double)area->vertex_count;
    for (size_t i = 0; i < area->vertex_count; i++) {
        double longitude = radians(area->vertices[i].longitude), latitude = radians(area->vertices[i].latitude);
        x += cos(latitude) * cos(longitude);
        y += cos(latitude) * sin(longitude);
        z += sin(latitude);
    }
    x /= n;
    y /= n;
    z /= n;
    return (geo_point_t){degrees(atan2(y, x)), degrees(atan2(z, sqrt(x * x + y * y)))};
}

/* A circle's furthest points east and west lie nearer to the pole than its centre; around a pole all longitudes count. */
static void find_reach(geo_area_t *area)
{
    double angle = area->radius * area->unit_m / EARTH_RADIUS_M, latitude = fabs(radians(area->center.latitude));
    area->latitude_reach = degrees(angle) + SLACK_DEGREES;
    area->longitude_reach = 360;
    if (latitude + angle < M_PI / 2 - 1e-6)
        area->longitude_reach = degrees(asin(MIN(sin(angle) / cos(latitude), 1.0))) + SLACK_DEGREES;
}

void geo_area_prepare(geo_area_t *area)
{
    if (area->kind == GEO_POLYGON) {
        area->center = center_of_polygon(area);
        area->bounds = bounds_of_polygon(area);
        return;
    }
    area->bounds = bounds_of_circle_or_box(area);
    if (area->kind == GEO_CIRCLE) find_reach(area);
}

/* ---- what is inside -------------------------------------------------------------------------------------------------- */

static bool is_surely_outside(const geo_area_t *area, geo_point_t p)
{
    double aside = fabs(p.longitude - area->center.longitude);
    if (fabs(p.latitude - area->center.latitude) > area->latitude_reach) return true;
    return aside > area->longitude_reach && aside < 360 - area->longitude_reach;
}

static bool circle_contains(const geo_area_t *area, geo_point_t p, double *ret_distance_m)
{
    if (is_surely_outside(area, p)) return false;
    *ret_distance_m = geo_distance_m(area->center, p);
    return *ret_distance_m <= area->radius * area->unit_m;
}

static bool box_contains(const geo_area_t *area, geo_point_t p, double *ret_distance_m)
{
    geo_point_t middle = {area->center.longitude, p.latitude};
    if (latitude_distance_m(p.latitude, area->center.latitude) > area->height * area->unit_m / 2) return false;
    if (geo_distance_m(p, middle) > area->width * area->unit_m / 2) return false;
    *ret_distance_m = geo_distance_m(area->center, p);
    return true;
}

/* A line from the point to the east crosses the edges an odd number of times. */
static bool polygon_contains(const geo_area_t *area, geo_point_t p, double *ret_distance_m)
{
    bool inside = false;
    for (size_t i = 0, j = area->vertex_count - 1; i < area->vertex_count; j = i++) {
        geo_point_t a = area->vertices[i], b = area->vertices[j];
        if ((a.latitude > p.latitude) == (b.latitude > p.latitude)) continue;
        double slope = (b.longitude - a.longitude) / (b.latitude - a.latitude);
        if (p.longitude < slope * (p.latitude - a.latitude) + a.longitude) inside = !inside;
    }
    if (inside) *ret_distance_m = geo_distance_m(area->center, p);
    return inside;
}

bool geo_area_contains(const geo_area_t *area, geo_point_t p, double *ret_distance_m)
{
    if (area->kind == GEO_CIRCLE) return circle_contains(area, p, ret_distance_m);
    return area->kind == GEO_BOX ? box_contains(area, p, ret_distance_m) : polygon_contains(area, p, ret_distance_m);
}

/* ---- which scores may be inside -------------------------------------------------------------------------------------- */

static double corner_distance_m(const geo_area_t *area, double longitude, double latitude)
{
    return geo_distance_m(area->center, (geo_point_t){longitude, latitude});
}

/* How far a point of the area may lie from its centre. */
static double reach_m(const geo_area_t *area)
{
    double w = area->width / 2, h = area->height / 2;
    if (area->kind == GEO_CIRCLE) return area->radius * area->unit_m;
    if (area->kind == GEO_BOX) return sqrt(w * w + h * h) * area->unit_m;
    const geo_point_t *min = &area->bounds.min, *max = &area->bounds.max;
    double low = MAX(corner_distance_m(area, min->longitude, min->latitude),
                     corner_distance_m(area, max->longitude, min->latitude));
    double high = MAX(corner_distance_m(area, min->longitude, max->latitude),
                      corner_distance_m(area, max->longitude, max->latitude));
    return MAX(low, high);
}

/* So many halvings leave cells that are larger than the area's half; nearer to the poles they are narrower. */
static uint8_t steps_for(double reach, double latitude)
{
    int steps = 1;
    if (reach == 0) return GEOHASH_STEPS_MAX;
    for (; reach < MERCATOR_MAX_M; steps++) reach *= 2;
    steps -= 2 + (fabs(latitude) > 66) + (fabs(latitude) > 80);
    return (uint8_t)MIN(MAX(steps, 1), GEOHASH_STEPS_MAX);
}

/* The cells next to the centre's end beyond the area's bounds. */
static bool neighbours_suffice(geo_cell_t cell, const geo_bounds_t *b)
{
    return geo_cell_bounds(geo_cell_beside(cell, 0, 1)).max.latitude >= b->max.latitude &&
           geo_cell_bounds(geo_cell_beside(cell, 0, -1)).min.latitude <= b->min.latitude &&
           geo_cell_bounds(geo_cell_beside(cell, 1, 0)).max.longitude >= b->max.longitude &&
           geo_cell_bounds(geo_cell_beside(cell, -1, 0)).min.longitude <= b->min.longitude;
}

/* The area ends within the centre's cell, whose bounds are `c`, on that side. */
static bool is_useless(const geo_bounds_t *c, const geo_bounds_t *b, int east, int north)
{
    return (north < 0 && c->min.latitude < b->min.latitude) || (north > 0 && c->max.latitude > b->max.latitude) ||
           (east < 0 && c->min.longitude < b->min.longitude) || (east > 0 && c->max.longitude > b->max.longitude);
}

static geo_range_t range_of(geo_cell_t cell)
{
    unsigned shift = 2u * (GEOHASH_STEPS_MAX - cell.steps);
    return (geo_range_t){cell.bits << shift, (cell.bits + 1) << shift};
}

size_t geo_area_ranges(const geo_area_t *area, geo_range_t ret_ranges[GEO_RANGES_MAX])
{
    static const struct {
        int east, north;
    } sides[GEO_RANGES_MAX] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    geo_cell_t cell = geo_cell_at(area->center, steps_for(reach_m(area), area->center.latitude));
    size_t count = 0;
    if (cell.steps > 1 && !neighbours_suffice(cell, &area->bounds))
        cell = geo_cell_at(area->center, (uint8_t)(cell.steps - 1));
    geo_bounds_t bounds = geo_cell_bounds(cell);
    for (int i = 0; i < GEO_RANGES_MAX; i++) {
        if (cell.steps > 1 && is_useless(&bounds, &area->bounds, sides[i].east, sides[i].north)) continue;
        geo_range_t range = range_of(geo_cell_beside(cell, sides[i].east, sides[i].north));
        /* Of a large area one cell may be the neighbour on two sides. */
        if (count > 1 && range.min == ret_ranges[count - 1].min) continue;
        ret_ranges[count++] = range;
    }
    return count;
}
