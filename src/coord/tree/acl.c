/* acl.c: see acl.h. */
#include "coord/tree/acl.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

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
    if (slash) *slash = '\0';
    int family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
    ret_rule->bytes = family == AF_INET6 ? 16 : 4;
    ret_rule->bits = ret_rule->bytes * 8;
    if (inet_pton(family, copy, ret_rule->address) != 1) return false;
    return slash == NULL || parse_bits(slash + 1, ret_rule->bytes * 8, &ret_rule->bits);
}

static bool ip_matches(const ip_rule_t *mine, const ip_rule_t *rule)
{
    if (mine->bytes != rule->bytes) return false;
    int whole = rule->bits / 8, rest = rule->bits % 8;
    if (memcmp(mine->address, rule->address, (size_t)whole) != 0) return false;
    if (rest == 0) return true;
    int mask = 0xff << (8 - rest);
    return ((mine->address[whole] ^ rule->address[whole]) & mask) == 0;
}

/* An entry of a list. */
typedef struct acl_ip {
    ip_rule_t rule;
    int perms;
} acl_ip_t;

/* ---- shared lists ------------------------------------------------------------------------------------------------ */

void acls_init(acls_t *acls) { *acls = (acls_t){MAP_INIT, 0}; }

static void acl_free(acl_t *acl)
{
    mem_free((void *)acl->wire.ptr);
    mem_free(acl->entries);
    mem_free(acl->ips);
    map_deinit(&acl->digests);
    mem_free(acl);
}

void acls_deinit(acls_t *acls)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&acls->by_wire, &cursor));) acl_free(e->value);
    map_deinit(&acls->by_wire);
}

static bool id_is(const zk_id_t *id, bytes_t scheme, bytes_t name)
{
    return bytes_eq(id->scheme, scheme) && bytes_eq(id->id, name);
}

static bool id_is_world(const zk_id_t *id) { return id_is(id, BYTES_LIT("world"), BYTES_LIT("anyone")); }

/* Rights as a value of a map, which is never NULL. */
static void *perms_value(uint32_t perms) { return (void *)((uintptr_t)perms + 1); }
static uint32_t value_perms(const void *value) { return value ? (uint32_t)((uintptr_t)value - 1) : 0; }

static void index_entry(acl_t *acl, const zk_acl_t *entry)
{
    ip_rule_t rule;
    if (id_is_world(&entry->id)) {
        acl->world_perms |= entry->perms;
    } else if (bytes_eq(entry->id.scheme, BYTES_LIT("digest"))) {
        uint32_t perms = value_perms(map_get(&acl->digests, entry->id.id));
        map_put(&acl->digests, entry->id.id, perms_value(perms | (uint32_t)entry->perms));
    } else if (bytes_eq(entry->id.scheme, BYTES_LIT("ip")) && parse_ip(entry->id.id, &rule)) {
        if (!acl->ips) acl->ips = mem_alloc((size_t)acl->count * sizeof(*acl->ips));
        acl->ips[acl->ips_count++] = (acl_ip_t){rule, entry->perms};
    }
}

static acl_t *acl_new(bytes_t wire, int32_t count, uint32_t number)
{
    acl_t *acl = mem_alloc(sizeof(*acl));
    *acl = (acl_t){.number = number, .count = count, .wire = wire};
    acl->entries = mem_alloc(sizeof(zk_acl_t) * (size_t)count + 1);
    jute_reader_t r = jute_reader(wire, NULL);
    (void)jute_get_int(&r);
    for (int32_t i = 0; i < count; i++) {
        zk_acl_get(&r, &acl->entries[i]);
        index_entry(acl, &acl->entries[i]);
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
    if (!acl) {
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

/* "user:hash": two parts, as Java's split sees them (an empty tail does not count as one). */
static bool digest_valid(bytes_t id)
{
    const uint8_t *colon = id.len ? memchr(id.ptr, ':', id.len) : NULL;
    if (!colon) return false;
    size_t behind = id.len - (size_t)(colon - id.ptr) - 1;
    return behind > 0 && !memchr(colon + 1, ':', behind);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static bool ip_allows(const acl_t *acl, int perms, bytes_t address)
{
    ip_rule_t mine;
    if (!acl->ips_count || !parse_ip(address, &mine)) return false;
    for (int32_t i = 0; i < acl->ips_count; i++)
        if ((acl->ips[i].perms & perms) && ip_matches(&mine, &acl->ips[i].rule)) return true;
    return false;
}

static bool id_allows(const acl_t *acl, int perms, const zk_id_t *id)
{
    if (bytes_eq(id->scheme, BYTES_LIT("super"))) return true;
    if (bytes_eq(id->scheme, BYTES_LIT("ip"))) return ip_allows(acl, perms, id->id);
    return bytes_eq(id->scheme, BYTES_LIT("digest")) && (value_perms(map_get(&acl->digests, id->id)) & (uint32_t)perms);
}

bool acl_allows(const acl_t *acl, int perms, coord_who_t who)
{
    if ((acl->world_perms & perms) || acl->count == 0) return true;
    for (int32_t i = 0; i < who.ids_count; i++)
        if (id_allows(acl, perms, &who.ids[i])) return true;
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

/* Which entries came before: a table of places in the list, 1 = the first, of twice as many slots. */
typedef struct seen {
    const zk_acl_t *entries;
    uint32_t *slots, mask;
} seen_t;

static bool seen_init(seen_t *seen, const zk_acl_t *entries, int32_t count, arena_t *arena)
{
    uint32_t slots_count = 4;
    while (slots_count < 2 * (uint32_t)count) slots_count *= 2;
    uint32_t *slots = arena_try_alloc(arena, slots_count * sizeof(*slots));
    if (!slots) return false;
    memset(slots, 0, slots_count * sizeof(*slots));
    *seen = (seen_t){entries, slots, slots_count - 1};
    return true;
}

static bool seen_before(seen_t *seen, int32_t index)
{
    const zk_acl_t *entry = &seen->entries[index];
    uint64_t hash =
        hash_bytes(entry->id.id.ptr, entry->id.id.len) ^ (uint64_t)(uint32_t)entry->perms * 0x9e3779b97f4a7c15u;
    for (uint32_t at = (uint32_t)(hash >> 32) & seen->mask;; at = (at + 1) & seen->mask) {
        if (!seen->slots[at]) {
            seen->slots[at] = (uint32_t)index + 1;
            return false;
        }
        if (same_entry(entry, &seen->entries[seen->slots[at] - 1])) return true;
    }
}

/* An entry that is neither the world's nor `auth` must be one that a check understands. */
static bool entry_valid(const zk_acl_t *entry)
{
    ip_rule_t rule;
    if (bytes_eq(entry->id.scheme, BYTES_LIT("digest"))) return digest_valid(entry->id.id);
    return bytes_eq(entry->id.scheme, BYTES_LIT("ip")) && parse_ip(entry->id.id, &rule);
}

bool acl_fix(const zk_acl_t *asked, int32_t count, coord_who_t who, arena_t *arena, zk_acl_t **ret_entries,
             int32_t *ret_count)
{
    seen_t seen;
    if (count <= 0) return false;
    zk_acl_t *out = arena_try_alloc(arena, sizeof(zk_acl_t) * (size_t)count * (size_t)(1 + who.ids_count));
    if (!out || !seen_init(&seen, asked, count, arena)) return false;
    int32_t made = 0;
    for (int32_t i = 0; i < count; i++) {
        const zk_acl_t *a = &asked[i];
        if (seen_before(&seen, i)) continue;
        if (bytes_eq(a->id.scheme, BYTES_LIT("auth"))) {
            if (!add_proved(a, who, out, &made)) return false;
        } else if (id_is_world(&a->id) || entry_valid(a)) {
            out[made++] = *a;
        } else {
            return false;
        }
    }
    *ret_entries = out;
    *ret_count = made;
    return true;
}
