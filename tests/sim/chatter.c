/* See chatter.h. */
#include "sim/chatter.h"

#include <stdlib.h>
#include <string.h>

#include "sim/pump.h"

void said_book_init(struct said_book *book, struct world *world)
{
    *book = (struct said_book){.world = world};
}

void said_book_done(struct said_book *book)
{
    free(book->entries);
    book->entries = NULL;
}

static struct said *add(struct said_book *book)
{
    if (book->count == book->capacity) {
        book->capacity = book->capacity == 0 ? 64 : 2 * book->capacity;
        book->entries = realloc(book->entries, book->capacity * sizeof(*book->entries));
        if (book->entries == NULL)
            abort();
    }
    return &book->entries[book->count++];
}

/* The octets of the datagram with this index. */
static void compose(const struct said_book *book, size_t index, uint8_t *ret)
{
    const struct said *said = &book->entries[index];
    for (size_t i = 0; i < CHATTER_BYTES_MIN; i++)
        ret[i] = (uint8_t)((uint64_t)index >> (56 - 8 * i));
    content_fill(said->key, 0, ret + CHATTER_BYTES_MIN, said->len - CHATTER_BYTES_MIN);
}

roam_result said_book_send(struct said_book *book, struct host *from, roam_conn *conn, size_t len)
{
    static uint8_t data[SIM_PACKET_MAX];
    size_t index = book->count;
    *add(book) = (struct said){.from = from,
                               .len = len,
                               .key = sim_mix(book->world->seed ^ sim_mix(~(uint64_t)index)),
                               .fate = ROAM_EVENT_NONE};
    compose(book, index, data);
    roam_result result = roam_conn_send_datagram(conn, host_now(from), data, len, index);
    if (result != ROAM_OK)
        book->count--;
    if (result == ROAM_ERR_TOO_LARGE && len <= roam_conn_datagram_bytes(conn))
        world_fail(book->world, "%s: %zu octets are too large, and %zu would not be", from->name, len,
                   roam_conn_datagram_bytes(conn));
    return result;
}

/* What was taken; fails the world where it is not as it was sent. */
static const struct said *hear(struct said_book *book, const struct host *host, const uint8_t *data, size_t len)
{
    static uint8_t wanted[SIM_PACKET_MAX];
    uint64_t index = 0;
    for (size_t i = 0; i < CHATTER_BYTES_MIN && i < len; i++)
        index = index << 8 | data[i];
    struct said *said = len >= CHATTER_BYTES_MIN && index < book->count ? &book->entries[index] : NULL;
    if (said == NULL || said->from == host || said->len != len) {
        world_fail(book->world, "%s: a datagram of %zu octets that nobody sent", host->name, len);
        return NULL;
    }
    compose(book, (size_t)index, wanted);
    if (memcmp(wanted, data, len) != 0)
        world_fail(book->world, "%s: a datagram has changed on its way", host->name);
    if (said->heard)
        world_fail(book->world, "%s: a datagram was delivered twice", host->name);
    if (said->fate == ROAM_EVENT_DATAGRAM_EXPIRED || said->fate == ROAM_EVENT_DATAGRAM_OUTGROWN)
        world_fail(book->world, "%s: a datagram has come that was not sent: %s", host->name,
                   roam_event_name(said->fate));
    said->heard = true;
    book->heard++;
    return said;
}

void said_book_take(struct said_book *book, struct host *host, roam_conn *conn, bool answers)
{
    const uint8_t *data;
    size_t len;
    while (!book->world->failed && roam_conn_next_datagram(conn, &data, &len)) {
        const struct said *said = hear(book, host, data, len);
        size_t largest = roam_conn_datagram_bytes(conn);
        if (said != NULL && answers && (said->key & 1) != 0 && largest >= CHATTER_BYTES_MIN)
            said_book_send(book, host, conn, len < largest ? len : largest);
    }
}

void said_book_on_fate(struct said_book *book, const struct host *host, const roam_event *event)
{
    struct said *said = event->tag < book->count ? &book->entries[event->tag] : NULL;
    if (said == NULL || said->from != host)
        world_fail(book->world, "%s: %s of a datagram that it did not send", host->name, roam_event_name(event->type));
    else if (said->fate != ROAM_EVENT_NONE)
        world_fail(book->world, "%s: %s of a datagram that was %s", host->name, roam_event_name(event->type),
                   roam_event_name(said->fate));
    else if (said->heard && event->type != ROAM_EVENT_DATAGRAM_ACKED && event->type != ROAM_EVENT_DATAGRAM_LOST)
        world_fail(book->world, "%s: %s of a datagram that has come", host->name, roam_event_name(event->type));
    else
        said->fate = event->type;
    book->fates[event->type]++;
}

void said_book_on_closed(struct said_book *book, struct host *host, roam_conn *conn)
{
    roam_conn_stats stats;
    said_book_take(book, host, conn, false);
    roam_conn_get_stats(conn, &stats);
    book->dropped += stats.datagrams_dropped;
}

void said_book_judge(struct said_book *book)
{
    uint64_t gone = 0;
    for (size_t i = 0; i < book->count; i++)
        gone += book->entries[i].fate == ROAM_EVENT_DATAGRAM_ACKED && !book->entries[i].heard;
    if (gone > book->dropped)
        world_fail(book->world, "%llu datagrams were acknowledged and never came, and %llu were dropped",
                   (unsigned long long)gone, (unsigned long long)book->dropped);
}

void chatter_burst(struct chatter *chatter, struct said_book *book, struct host *host, roam_conn *conn)
{
    for (size_t i = 0; i < chatter->burst && chatter->left > 0; i++) {
        size_t largest = roam_conn_datagram_bytes(conn);
        uint64_t choice = sim_mix(book->world->seed ^ book->count);
        if (largest < CHATTER_BYTES_MIN)
            return;
        size_t len = choice % 4 == 0 ? largest : CHATTER_BYTES_MIN + choice / 4 % (largest - CHATTER_BYTES_MIN + 1);
        if (said_book_send(book, host, conn, len) != ROAM_OK)
            return;
        chatter->left--;
    }
}
