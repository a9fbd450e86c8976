/* See watch_row.h. */
#include "cli/watch_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"

void watch_row_fill(struct watch_row *ret, const roam_conn_info *info, roam_time now)
{
    roam_conn_stats stats;
    roam_path_info path = {0};
    roam_conn_get_stats(info->conn, &stats);
    roam_conn_paths(info->conn, &path, 1);
    *ret = (struct watch_row){
        .id = info->id,
        .cid = info->cid,
        .remote = info->remote,
        .claimed = info->claimed,
        .local = info->local,
        .state = info->state,
        .alpn = roam_conn_alpn(info->conn),
        .age = now - min_u64(info->created, now),
        .rtt = path.smoothed_rtt,
        .window_bytes = path.window_bytes,
        .bytes_received = stats.bytes_received,
        .bytes_sent = stats.bytes_sent,
        .paths = info->paths,
        .moves = info->moves,
        .moved = info->moves > 0,
        .last_move = now - min_u64(info->last_move, now),
        .gap = info->latest.gap,
    };
}

/* ---- Which */

bool watch_state_parse(enum roam_conn_state *ret, const char *text)
{
    for (unsigned state = 0; state < ROAM_CONN_STATES; state++) {
        if (strcmp(text, roam_conn_state_name(state)) == 0) {
            *ret = state;
            return true;
        }
    }
    return false;
}

bool watch_address_parse(struct watch_filter *ret, const char *text)
{
    char address[ROAM_ADDRESS_TEXT_MAX];
    size_t len = strcspn(text, "/");
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (!roam_address_parse(&ret->address, address))
        return false;
    const unsigned all = ret->address.family == ROAM_FAMILY_IPV4 ? 32 : 128;
    ret->bits = all;
    if (text[len] == '\0')
        return true;
    char *end;
    const char *digits = text + len + 1;
    unsigned long bits = strtoul(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0' || bits > all || ret->address.port != 0)
        return false;
    ret->bits = (unsigned)bits;
    return true;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool watch_cid_parse(roam_cid *ret, const char *text)
{
    const size_t len = strlen(text);
    roam_cid cid = {.len = (uint8_t)(len / 2)};
    if (len == 0 || len % 2 != 0 || len > 2 * sizeof(cid.bytes))
        return false;
    for (size_t i = 0; i < len; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return false;
        cid.bytes[i / 2] = (uint8_t)(cid.bytes[i / 2] << 4 | value);
    }
    *ret = cid;
    return true;
}

bool watch_id_parse(struct watch_filter *ret, const char *text)
{
    roam_cid octets;
    if (!watch_cid_parse(&octets, text) || octets.len != sizeof(ret->id))
        return false;
    ret->has_id = true;
    ret->id = 0;
    for (size_t i = 0; i < octets.len; i++)
        ret->id = ret->id << 8 | octets.bytes[i];
    return true;
}

static bool prefix_is_same(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    const unsigned octets = bits / 8, rest = bits % 8;
    const uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(a, b, octets) == 0 && (rest == 0 || ((a[octets] ^ b[octets]) & mask) == 0);
}

static bool address_matches(const struct watch_filter *filter, const roam_address *address)
{
    roam_address plain = roam_address_unmap(address);
    return plain.family == filter->address.family && prefix_is_same(plain.ip, filter->address.ip, filter->bits) &&
           (filter->address.port == 0 || plain.port == filter->address.port);
}

bool watch_filter_matches(const struct watch_filter *filter, const roam_conn_info *info)
{
    if (filter->has_id && info->id != filter->id)
        return false;
    if (filter->has_state && info->state != filter->state)
        return false;
    if (filter->cid.len > 0 &&
        (info->cid.len < filter->cid.len || memcmp(info->cid.bytes, filter->cid.bytes, filter->cid.len) != 0))
        return false;
    if (roam_address_is_set(&filter->address) && !address_matches(filter, &info->remote))
        return false;
    return filter->alpn[0] == '\0' || strcmp(filter->alpn, roam_conn_alpn(info->conn)) == 0;
}

/* ---- In which order */

static const char *const column_names[WATCH_COLUMNS] = {
    [WATCH_UNSORTED] = "none",   [WATCH_CID] = "cid",
    [WATCH_ADDRESS] = "address", [WATCH_STATE] = "state",
    [WATCH_ALPN] = "alpn",       [WATCH_AGE] = "age",
    [WATCH_RTT] = "rtt",         [WATCH_WINDOW] = "window",
    [WATCH_IN] = "in",           [WATCH_OUT] = "out",
    [WATCH_PATHS] = "paths",     [WATCH_MOVES] = "moves",
    [WATCH_GAP] = "gap",         [WATCH_LAST_MOVE] = "last_move",
};

const char *watch_column_name(enum watch_column column)
{
    return column < WATCH_COLUMNS ? column_names[column] : "none";
}

bool watch_column_parse(enum watch_column *ret, const char *text)
{
    for (unsigned column = WATCH_UNSORTED + 1; column < WATCH_COLUMNS; column++) {
        if (strcmp(text, column_names[column]) == 0) {
            *ret = column;
            return true;
        }
    }
    return false;
}

static int compare_octets(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int order = memcmp(a, b, min_size(a_len, b_len));
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_addresses(const roam_address *a, const roam_address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    int order = memcmp(a->ip, b->ip, sizeof(a->ip));
    return order != 0 ? order : (a->port > b->port) - (a->port < b->port);
}

static uint64_t amount(enum watch_column column, const struct watch_row *row)
{
    switch (column) {
    case WATCH_RTT:
        return row->rtt;
    case WATCH_WINDOW:
        return row->window_bytes;
    case WATCH_IN:
        return row->bytes_received;
    case WATCH_OUT:
        return row->bytes_sent;
    case WATCH_PATHS:
        return row->paths;
    case WATCH_MOVES:
        return row->moves;
    case WATCH_LAST_MOVE:
        return row->moved ? UINT64_MAX - row->last_move : 0;
    case WATCH_GAP:
        return row->gap;
    default:
        return row->age;
    }
}

int watch_row_compare(enum watch_column column, const struct watch_row *a, const struct watch_row *b)
{
    switch (column) {
    case WATCH_CID:
        return compare_octets(a->cid.bytes, a->cid.len, b->cid.bytes, b->cid.len);
    case WATCH_ADDRESS:
        return compare_addresses(&a->remote, &b->remote);
    case WATCH_STATE:
        return (int)a->state - (int)b->state;
    case WATCH_ALPN:
        return strcmp(a->alpn, b->alpn);
    default: {
        uint64_t of_a = amount(column, a), of_b = amount(column, b);
        return (of_a < of_b) - (of_a > of_b);
    }
    }
}
