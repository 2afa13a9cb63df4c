/* acl.c: see acl.h. */
#include "coord/acl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

void acls_init(acls_t *acls) { *acls = (acls_t){MAP_INIT, 0}; }

static void acl_free(acl_t *acl)
{
    mem_free((void *)acl->wire.ptr);
    mem_free(acl->entries);
    mem_free(acl);
}

void acls_deinit(acls_t *acls)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&acls->by_wire, &cursor)) != NULL;) acl_free(e->value);
    map_deinit(&acls->by_wire);
}

static bool id_is(const zk_id_t *id, bytes_t scheme, bytes_t name)
{
    return bytes_eq(id->scheme, scheme) && bytes_eq(id->id, name);
}

static bool id_is_world(const zk_id_t *id) { return id_is(id, BYTES_LIT("world"), BYTES_LIT("anyone")); }

static acl_t *acl_new(bytes_t wire, int32_t count, uint32_t number)
{
    acl_t *acl = mem_alloc(sizeof(*acl));
    *acl = (acl_t){.number = number, .count = count, .wire = wire};
    acl->entries = mem_alloc(sizeof(zk_acl_t) * (size_t)count + 1);
    jute_reader_t r = jute_reader(wire, NULL);
    (void)jute_get_int(&r);
    for (int32_t i = 0; i < count; i++) {
        zk_acl_get(&r, &acl->entries[i]);
        if (id_is_world(&acl->entries[i].id)) acl->world_perms |= acl->entries[i].perms;
    }
    ASSERT(!r.bad);
    return acl;
}

acl_t *acl_intern(acls_t *acls, const zk_acl_t *entries, int32_t count)
{
    size_t size = 4;
    for (int32_t i = 0; i < count; i++) size += zk_acl_size(&entries[i]);
    uint8_t small[256], *wire = size <= sizeof(small) ? small : mem_alloc(size);
    uint8_t *at = jute_put_int(wire, count);
    for (int32_t i = 0; i < count; i++) at = zk_acl_put(at, &entries[i]);
    acl_t *acl = map_get(&acls->by_wire, bytes_of(wire, size));
    if (acl == NULL) {
        uint8_t *kept = mem_alloc(size);
        memcpy(kept, wire, size);
        acl = acl_new(bytes_of(kept, size), count, ++acls->last_number);
        map_put(&acls->by_wire, acl->wire, acl);
    }
    if (wire != small) mem_free(wire);
    acl->refs++;
    return acl;
}

acl_t *acl_ref(acl_t *acl)
{
    acl->refs++;
    return acl;
}

void acl_unref(acls_t *acls, acl_t *acl)
{
    ASSERT(acl->refs > 0);
    if (--acl->refs > 0) return;
    map_remove(&acls->by_wire, acl->wire);
    acl_free(acl);
}

/* ---- ip: "address" or "address/bits" ----------------------------------------------------------------------------- */

typedef struct ip_rule {
    uint8_t address[16];
    int bytes; /* 4 or 16 */
    int bits;
} ip_rule_t;

static bool parse_bits(const char *text, int bits_max, int *ret_bits)
{
    if (text[0] == '\0' || strlen(text) > 3) return false;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9') return false;
    }
    *ret_bits = atoi(text);
    return *ret_bits <= bits_max;
}

static bool parse_ip(bytes_t text, ip_rule_t *ret_rule)
{
    char copy[64];
    if (text.len == 0 || text.len >= sizeof(copy)) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strlen(copy) != text.len) return false;
    char *slash = strchr(copy, '/');
    if (slash != NULL) *slash = '\0';
    int family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
    ret_rule->bytes = family == AF_INET6 ? 16 : 4;
    ret_rule->bits = ret_rule->bytes * 8;
    if (inet_pton(family, copy, ret_rule->address) != 1) return false;
    return slash == NULL || parse_bits(slash + 1, ret_rule->bytes * 8, &ret_rule->bits);
}

static bool ip_matches(bytes_t address, bytes_t expression)
{
    ip_rule_t mine, rule;
    if (!parse_ip(expression, &rule) || !parse_ip(address, &mine) || mine.bytes != rule.bytes) return false;
    int whole = rule.bits / 8, rest = rule.bits % 8;
    if (memcmp(mine.address, rule.address, (size_t)whole) != 0) return false;
    if (rest == 0) return true;
    int mask = 0xff << (8 - rest);
    return ((mine.address[whole] ^ rule.address[whole]) & mask) == 0;
}

/* "user:hash": two parts, as Java's split sees them (an empty tail does not count as one). */
static bool digest_valid(bytes_t id)
{
    const uint8_t *colon = id.len ? memchr(id.ptr, ':', id.len) : NULL;
    if (colon == NULL) return false;
    size_t behind = id.len - (size_t)(colon - id.ptr) - 1;
    return behind > 0 && memchr(colon + 1, ':', behind) == NULL;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static bool entry_matches(const zk_id_t *wanted, coord_who_t who)
{
    bool ip = bytes_eq(wanted->scheme, BYTES_LIT("ip"));
    if (!ip && !bytes_eq(wanted->scheme, BYTES_LIT("digest"))) return false;
    for (int32_t i = 0; i < who.ids_count; i++) {
        if (!bytes_eq(who.ids[i].scheme, wanted->scheme)) continue;
        if (ip ? ip_matches(who.ids[i].id, wanted->id) : bytes_eq(who.ids[i].id, wanted->id)) return true;
    }
    return false;
}

bool acl_allows(const acl_t *acl, int perms, coord_who_t who)
{
    if ((acl->world_perms & perms) || acl->count == 0) return true;
    for (int32_t i = 0; i < who.ids_count; i++) {
        if (bytes_eq(who.ids[i].scheme, BYTES_LIT("super"))) return true;
    }
    for (int32_t i = 0; i < acl->count; i++) {
        if ((acl->entries[i].perms & perms) && entry_matches(&acl->entries[i].id, who)) return true;
    }
    return false;
}

static bool same_entry(const zk_acl_t *a, const zk_acl_t *b)
{
    return a->perms == b->perms && id_is(&a->id, b->id.scheme, b->id.id);
}

/* Identities that were proved: digests. An address is not. */
static bool id_proved(const zk_id_t *id) { return bytes_eq(id->scheme, BYTES_LIT("digest")); }

static bool add_proved(const zk_acl_t *asked, coord_who_t who, zk_acl_t *out, int32_t *count)
{
    int32_t before = *count;
    for (int32_t i = 0; i < who.ids_count; i++) {
        if (id_proved(&who.ids[i])) out[(*count)++] = (zk_acl_t){asked->perms, who.ids[i]};
    }
    return *count > before;
}

bool acl_fix(const zk_acl_t *asked, int32_t count, coord_who_t who, arena_t *arena, zk_acl_t **ret_entries,
             int32_t *ret_count)
{
    if (count <= 0) return false;
    zk_acl_t *out = arena_try_alloc(arena, sizeof(zk_acl_t) * (size_t)count * (size_t)(1 + who.ids_count));
    if (out == NULL) return false;
    int32_t made = 0;
    for (int32_t i = 0; i < count; i++) {
        const zk_acl_t *a = &asked[i];
        bool repeated = false;
        for (int32_t j = 0; j < i && !repeated; j++) repeated = same_entry(a, &asked[j]);
        if (repeated) continue;
        if (id_is_world(&a->id)) {
            out[made++] = *a;
        } else if (bytes_eq(a->id.scheme, BYTES_LIT("auth"))) {
            if (!add_proved(a, who, out, &made)) return false;
        } else if (bytes_eq(a->id.scheme, BYTES_LIT("digest")) ? digest_valid(a->id.id)
                                                               : bytes_eq(a->id.scheme, BYTES_LIT("ip"))) {
            ip_rule_t rule;
            if (bytes_eq(a->id.scheme, BYTES_LIT("ip")) && !parse_ip(a->id.id, &rule)) return false;
            out[made++] = *a;
        } else {
            return false;
        }
    }
    *ret_entries = out;
    *ret_count = made;
    return true;
}
