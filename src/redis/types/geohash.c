/* geohash.c: see geohash.h. Each number is computed in the original's order of operations, so that its last digit is the
 * same. */
#include "redis/types/geohash.h"

#define EVEN_BITS 0x5555555555555555u /* of the latitude */
#define ODD_BITS  0xaaaaaaaaaaaaaaaau /* of the longitude */

static const geo_bounds_t mercator = {{-GEO_LONGITUDE_MAX, -GEO_LATITUDE_MAX}, {GEO_LONGITUDE_MAX, GEO_LATITUDE_MAX}};
static const geo_bounds_t whole_globe = {{-180, -90}, {180, 90}};

bool geo_is_point(geo_point_t p)
{
    return p.longitude >= -GEO_LONGITUDE_MAX && p.longitude <= GEO_LONGITUDE_MAX && p.latitude >= -GEO_LATITUDE_MAX &&
           p.latitude <= GEO_LATITUDE_MAX;
}

/* ---- bits ------------------------------------------------------------------------------------------------------------ */

/* Moves 32 bits to the even places of 64. */
static uint64_t widen(uint32_t v)
{
    uint64_t x = v;
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
    x = (x | x << 2) & 0x3333333333333333u;
    return (x | x << 1) & EVEN_BITS;
}

static uint32_t narrow(uint64_t x)
{
    x &= EVEN_BITS;
    x = (x | x >> 1) & 0x3333333333333333u;
    x = (x | x >> 2) & 0x0f0f0f0f0f0f0f0fu;
    x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
    x = (x | x >> 8) & 0x0000ffff0000ffffu;
    return (uint32_t)(x | x >> 16);
}

static uint32_t steps_into(double v, double min, double max, uint8_t steps)
{
    return (uint32_t)((v - min) / (max - min) * (double)(1ull << steps));
}

static uint64_t encode(geo_point_t p, uint8_t steps, const geo_bounds_t *range)
{
    uint32_t latitude = steps_into(p.latitude, range->min.latitude, range->max.latitude, steps);
    uint32_t longitude = steps_into(p.longitude, range->min.longitude, range->max.longitude, steps);
    return widen(latitude) | widen(longitude) << 1;
}

/* ---- cells ----------------------------------------------------------------------------------------------------------- */

geo_cell_t geo_cell_at(geo_point_t p, uint8_t steps) { return (geo_cell_t){encode(p, steps, &mercator), steps}; }

static double step_at(uint32_t index, uint8_t steps, double min, double max)
{
    return min + (index * 1.0 / (double)(1ull << steps)) * (max - min);
}

geo_bounds_t geo_cell_bounds(geo_cell_t cell)
{
    uint32_t latitude = narrow(cell.bits), longitude = narrow(cell.bits >> 1);
    const geo_point_t *min = &mercator.min, *max = &mercator.max;
    return (geo_bounds_t){
        .min = {step_at(longitude, cell.steps, min->longitude, max->longitude),
                step_at(latitude, cell.steps, min->latitude, max->latitude)},
        .max = {step_at(longitude + 1, cell.steps, min->longitude, max->longitude),
                step_at(latitude + 1, cell.steps, min->latitude, max->latitude)},
    };
}

/* One more or one less in those bits of `bits` that `mask` names: the others are set or cleared, so that the carry passes. */
static uint64_t move(uint64_t bits, uint64_t mask, int by)
{
    return (by > 0 ? (bits | ~mask) + 1 : (bits & mask) - 1) & mask;
}

/* Where it does not move a cell keeps all its bits: at the northern edge there is one more than the steps make. */
geo_cell_t geo_cell_beside(geo_cell_t cell, int east, int north)
{
    uint64_t used = UINT64_MAX >> (64 - cell.steps * 2);
    uint64_t longitude = east ? move(cell.bits, ODD_BITS & used, east) : cell.bits & ODD_BITS;
    uint64_t latitude = north ? move(cell.bits, EVEN_BITS & used, north) : cell.bits & EVEN_BITS;
    return (geo_cell_t){longitude | latitude, cell.steps};
}

/* ---- scores ---------------------------------------------------------------------------------------------------------- */

uint64_t geohash_of(geo_point_t p) { return encode(p, GEOHASH_STEPS_MAX, &mercator); }

/* As x86 converts, which is what the original does with scores that no place has. */
static uint64_t bits_of_score(double score)
{
    const double two_63 = 9223372036854775808.0;
    if (score >= two_63 * 2) return 0;
    if (score >= two_63) return (uint64_t)score;
    return score >= -two_63 ? (uint64_t)(int64_t)score : (uint64_t)1 << 63;
}

static double clamp(double v, double max) { return v > max ? max : v < -max ? -max : v; }

geo_point_t geohash_point(double score)
{
    geo_bounds_t b = geo_cell_bounds((geo_cell_t){bits_of_score(score), GEOHASH_STEPS_MAX});
    return (geo_point_t){
        clamp((b.min.longitude + b.max.longitude) / 2, GEO_LONGITUDE_MAX),
        clamp((b.min.latitude + b.max.latitude) / 2, GEO_LATITUDE_MAX),
    };
}

void geohash_text(geo_point_t p, char out[GEOHASH_CHARS])
{
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    enum { CHAR_BITS = 5, HASH_BITS = 2 * GEOHASH_STEPS_MAX };
    uint64_t bits = encode(p, GEOHASH_STEPS_MAX, &whole_globe);
    for (int i = 0; i < GEOHASH_CHARS - 1; i++) out[i] = alphabet[bits >> (HASH_BITS - (i + 1) * CHAR_BITS) & 31];
    out[GEOHASH_CHARS - 1] = alphabet[0]; /* the bits are used up */
}
