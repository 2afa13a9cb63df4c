/* geohash_test.c: places, cells and areas, against what the originals answer and against plain searches. */
#include "redis/types/geohash.h"

#include "redis/types/geo_area.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const geo_point_t palermo = {13.361389, 38.115556}, catania = {15.087269, 37.502669};

static double between(double min, double max) { return min + (max - min) * rand() / RAND_MAX; }
static geo_point_t anywhere(void)
{
    return (geo_point_t){between(-180, 180), between(-GEO_LATITUDE_MAX, GEO_LATITUDE_MAX)};
}

static void scores_are_the_originals(void **state)
{
    assert_int_equal(geohash_of(palermo), 3479099956230698);
    assert_int_equal(geohash_of(catania), 3479447370796909);
    geo_point_t p = geohash_point(3479099956230698.0);
    assert_true(p.longitude == 13.361389338970184 && p.latitude == 38.115556395496298);
    assert_true(fabs(geo_distance_m(p, geohash_point(3479447370796909.0)) - 166274.1516) < 1e-4);
    char text[GEOHASH_CHARS];
    geohash_text(p, text);
    assert_memory_equal(text, "sqc8b49rny0", GEOHASH_CHARS);
}

static void a_place_is_found_again_within_a_metre(void **state)
{
    srand(1);
    for (int i = 0; i < 100000; i++) {
        geo_point_t p = anywhere(), q = geohash_point((double)geohash_of(p));
        assert_true(geo_distance_m(p, q) < 1);
        assert_true(geohash_of(q) == geohash_of(p));
    }
}

static void every_score_is_some_place(void **state)
{
    const double odd[] = {0, -1, 1e300, -1e300, INFINITY, -INFINITY, 0x1p52, 0x1p63, 0x1p64, 0.5, -0.5};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) assert_true(geo_is_point(geohash_point(odd[i])));
    assert_false(geo_is_point((geo_point_t){180.1, 0}));
    assert_false(geo_is_point((geo_point_t){0, 85.06}));
    assert_false(geo_is_point((geo_point_t){NAN, 0}));
}

static void neighbours_touch_and_go_around_the_globe(void **state)
{
    srand(2);
    for (int i = 0; i < 20000; i++) {
        geo_cell_t cell = geo_cell_at(anywhere(), (uint8_t)(2 + rand() % 25));
        geo_cell_t east = geo_cell_beside(cell, 1, 0), north = geo_cell_beside(cell, 0, 1);
        assert_true(geo_cell_beside(east, -1, 0).bits == cell.bits && geo_cell_beside(north, 0, -1).bits == cell.bits);
        assert_true(geo_cell_beside(east, 0, 1).bits == geo_cell_beside(cell, 1, 1).bits);
        double edge = geo_cell_bounds(cell).max.longitude;
        assert_true(geo_cell_bounds(east).min.longitude == (edge == 180 ? -180 : edge));
    }
}

/* There the latitude has reached its last half: the hash has a bit more than all others. */
static void the_northern_edge_is_found_too(void **state)
{
    geo_point_t edge = {15.087269, GEO_LATITUDE_MAX};
    double distance, score = (double)geohash_of(edge);
    geo_area_t area = {.kind = GEO_CIRCLE, .center = geohash_point(score), .unit_m = 1, .radius = 1};
    geo_range_t ranges[GEO_RANGES_MAX];
    geo_area_prepare(&area);
    assert_true(geo_area_ranges(&area, ranges) > 0);
    assert_true(score >= (double)ranges[0].min && score < (double)ranges[0].max);
    assert_true(geo_area_contains(&area, geohash_point(score), &distance));
}

static geo_area_t random_area(geo_area_kind_t kind, geo_point_t vertices[4])
{
    geo_area_t a = {.kind = kind, .center = anywhere(), .unit_m = 1000, .vertices = vertices, .vertex_count = 4};
    double size = pow(10, between(0, 3.3));
    a.radius = size;
    a.width = size * between(0.2, 3);
    a.height = size * between(0.2, 3);
    for (int i = 0; i < 4; i++) vertices[i] = (geo_point_t){between(-60, 60), between(-50, 50)};
    geo_area_prepare(&a);
    return a;
}

/* The centre's cell and its neighbours cover all that is inside, but around the poles and over the date line, where the
 * original does not find everything either. */
static void whatever_is_inside_is_in_the_ranges(void **state)
{
    static geo_point_t places[4000];
    srand(3);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) places[i] = anywhere();
    int inside = 0;
    for (int i = 0; i < 600; i++) {
        geo_point_t vertices[4];
        geo_range_t ranges[GEO_RANGES_MAX];
        geo_area_t area = random_area((geo_area_kind_t)(i % 3), vertices);
        size_t count = geo_area_ranges(&area, ranges);
        if (fabs(area.center.latitude) > 60 || fabs(area.center.longitude) > 140) continue;
        for (size_t k = 0; k < ARRAY_LEN(places); k++) {
            double distance, score = (double)geohash_of(places[k]);
            bool found = false;
            if (!geo_area_contains(&area, places[k], &distance)) continue;
            for (size_t r = 0; r < count; r++) found |= score >= (double)ranges[r].min && score < (double)ranges[r].max;
            assert_true(found);
            inside++;
        }
    }
    assert_true(inside > 5000);
}

/* The cheap test of degrees never drops what the exact one keeps. */
static void a_circle_contains_what_is_near_enough(void **state)
{
    srand(4);
    for (int i = 0; i < 300; i++) {
        geo_point_t vertices[4];
        geo_area_t area = random_area(GEO_CIRCLE, vertices);
        for (int k = 0; k < 500; k++) {
            double distance, reach = area.radius / 50;
            geo_point_t p = {area.center.longitude + between(-reach, reach),
                             area.center.latitude + between(-reach, reach)};
            if (!geo_is_point(p)) continue;
            bool near = geo_distance_m(area.center, p) <= area.radius * area.unit_m;
            assert_int_equal(geo_area_contains(&area, p, &distance), near);
        }
    }
}

static void polygons_contain_what_their_edges_surround(void **state)
{
    /* Like an L. */
    const geo_point_t corners[] = {{0, 0}, {10, 0}, {10, 4}, {4, 4}, {4, 10}, {0, 10}};
    geo_area_t area = {.kind = GEO_POLYGON, .unit_m = 1, .vertices = corners, .vertex_count = ARRAY_LEN(corners)};
    double distance;
    geo_area_prepare(&area);
    assert_true(geo_area_contains(&area, (geo_point_t){2, 9}, &distance));
    assert_true(geo_area_contains(&area, (geo_point_t){9, 2}, &distance));
    assert_false(geo_area_contains(&area, (geo_point_t){6, 6}, &distance));
    assert_false(geo_area_contains(&area, (geo_point_t){-1, 2}, &distance));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_the_originals),
        cmocka_unit_test(a_place_is_found_again_within_a_metre),
        cmocka_unit_test(every_score_is_some_place),
        cmocka_unit_test(the_northern_edge_is_found_too),
        cmocka_unit_test(neighbours_touch_and_go_around_the_globe),
        cmocka_unit_test(whatever_is_inside_is_in_the_ranges),
        cmocka_unit_test(a_circle_contains_what_is_near_enough),
        cmocka_unit_test(polygons_contain_what_their_edges_surround),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
