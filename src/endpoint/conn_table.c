/*
 * See conn_table.h. Each kind of key has its own map, so that no key of one kind can be taken for one of another.
 *
 * The maps keep hashes and not keys. A connection that is found by the hash of something that is not its own looks at
 * the packet as at any other, and drops it: without its keys nothing comes of a packet, nor of a reset whose token it
 * does not know.
 */
#include "endpoint/conn_table.h"

/* Stands in by_cid for a CID in quarantine. */
static const char retired_mark;

#define RETIRED ((void *)(uintptr_t)&retired_mark)

static void init_map(struct hash_map *map, const roam_allocator *allocator, const roam_rng *rng)
{
    uint8_t secret[SIPHASH_KEY_BYTES];
    rng_fill(rng, secret, sizeof(secret));
    hash_map_init(map, allocator, secret);
}

void conn_table_init(struct conn_table *table, const roam_allocator *allocator, const roam_rng *rng)
{
    *table = (struct conn_table){.allocator = allocator};
    init_map(&table->by_cid, allocator, rng);
    init_map(&table->by_initial_dcid, allocator, rng);
    init_map(&table->by_reset_token, allocator, rng);
}

void conn_table_done(struct conn_table *table)
{
    hash_map_done(&table->by_cid);
    hash_map_done(&table->by_initial_dcid);
    hash_map_done(&table->by_reset_token);
    mem_free(table->allocator, table->quarantine, QUARANTINE_MAX * sizeof(*table->quarantine));
    table->quarantine = NULL;
}

/* ---- Connection IDs */

bool conn_table_add(struct conn_table *table, const roam_cid *cid, roam_conn *conn)
{
    return hash_map_insert(&table->by_cid, cid->bytes, cid->len, conn);
}

bool conn_table_has(const struct conn_table *table, const roam_cid *cid)
{
    return hash_map_find(&table->by_cid, cid->bytes, cid->len) != NULL;
}

void conn_table_remove(struct conn_table *table, const roam_cid *cid)
{
    hash_map_remove(&table->by_cid, cid->bytes, cid->len);
}

static void let_oldest_go(struct conn_table *table)
{
    const struct quarantined *oldest = &table->quarantine[table->quarantine_first];
    hash_map_remove(&table->by_cid, oldest->cid.bytes, oldest->cid.len);
    table->quarantine_first = (table->quarantine_first + 1) % QUARANTINE_MAX;
    table->quarantine_count--;
}

//= rfc9000#10.3.2-4 Its token is known: it is not made again while it is remembered, and random ones do not repeat.
void conn_table_quarantine(struct conn_table *table, const roam_cid *cid, roam_time now)
{
    if (cid->len == 0 || hash_map_remove(&table->by_cid, cid->bytes, cid->len) == NULL)
        return;
    if (table->quarantine == NULL)
        table->quarantine = mem_alloc(table->allocator, QUARANTINE_MAX * sizeof(*table->quarantine));
    if (table->quarantine == NULL)
        return; /* without memory it is simply unknown from now on */
    if (table->quarantine_count == QUARANTINE_MAX)
        let_oldest_go(table);
    if (!hash_map_insert(&table->by_cid, cid->bytes, cid->len, RETIRED))
        return;
    size_t at = (table->quarantine_first + table->quarantine_count++) % QUARANTINE_MAX;
    table->quarantine[at] = (struct quarantined){.cid = *cid, .until = saturating_add(now, QUARANTINE_TIME)};
}

roam_conn *conn_table_find(const struct conn_table *table, const roam_cid *cid, bool *ret_retired)
{
    void *found = hash_map_find(&table->by_cid, cid->bytes, cid->len);
    *ret_retired = found == RETIRED;
    return found == RETIRED ? NULL : found;
}

uint64_t conn_table_prefetch(const struct conn_table *table, const roam_cid *cid)
{
    uint64_t hash = hash_map_hash(&table->by_cid, cid->bytes, cid->len);
    hash_map_prefetch(&table->by_cid, hash);
    return hash;
}

roam_conn *conn_table_find_hash(const struct conn_table *table, uint64_t hash)
{
    void *found = hash_map_find_hash(&table->by_cid, hash);
    return found == RETIRED ? NULL : found;
}

void conn_table_expire(struct conn_table *table, roam_time now)
{
    while (table->quarantine_count > 0 && table->quarantine[table->quarantine_first].until <= now)
        let_oldest_go(table);
}

/* ---- First destination CIDs */

struct address_key {
    uint8_t ip[16];
    uint16_t port;
    uint8_t family;
} __attribute__((packed));

static struct address_key address_key(const roam_address *address)
{
    struct address_key key = {.port = address->port, .family = address->family};
    memcpy(key.ip, address->ip, sizeof(key.ip));
    return key;
}

struct initial_key {
    struct address_key remote;
    uint8_t len;
    uint8_t dcid[ROAM_CID_MAX];
} __attribute__((packed));

static struct initial_key initial_key(const roam_address *remote, const roam_cid *dcid)
{
    struct initial_key key = {.remote = address_key(remote), .len = dcid->len};
    memcpy(key.dcid, dcid->bytes, dcid->len);
    return key;
}

bool conn_table_add_initial(struct conn_table *table, const roam_address *remote, const roam_cid *dcid, roam_conn *conn,
                            uint64_t *ret_hash)
{
    struct initial_key key = initial_key(remote, dcid);
    *ret_hash = hash_map_hash(&table->by_initial_dcid, &key, sizeof(key));
    return hash_map_insert(&table->by_initial_dcid, &key, sizeof(key), conn);
}

void conn_table_remove_initial(struct conn_table *table, uint64_t hash)
{
    hash_map_remove_hash(&table->by_initial_dcid, hash);
}

roam_conn *conn_table_find_initial(const struct conn_table *table, const roam_address *remote, const roam_cid *dcid)
{
    struct initial_key key = initial_key(remote, dcid);
    return hash_map_find(&table->by_initial_dcid, &key, sizeof(key));
}

/* ---- Reset tokens: a keyed hash finds them, which tells nothing by its timing (RFC 9000 section 10.3.1) */

bool conn_table_add_reset_token(struct conn_table *table, const uint8_t token[RESET_TOKEN_BYTES], roam_conn *conn)
{
    return hash_map_insert(&table->by_reset_token, token, RESET_TOKEN_BYTES, conn);
}

void conn_table_remove_reset_token(struct conn_table *table, const uint8_t token[RESET_TOKEN_BYTES],
                                   const roam_conn *conn)
{
    if (hash_map_find(&table->by_reset_token, token, RESET_TOKEN_BYTES) == conn)
        hash_map_remove(&table->by_reset_token, token, RESET_TOKEN_BYTES);
}

roam_conn *conn_table_find_reset_token(const struct conn_table *table, const uint8_t token[RESET_TOKEN_BYTES])
{
    return hash_map_find(&table->by_reset_token, token, RESET_TOKEN_BYTES);
}
