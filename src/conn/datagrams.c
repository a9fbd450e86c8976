/*
 * See datagrams.h. A datagram that the application sends:
 *   waits -> sent           conn_datagram_fill    in the first packet that has room when it is its turn
 *   waits -> let go         let_go                it has expired, or the path does not carry it any more
 *   sent  -> acknowledged   conn_datagram_on_acked
 *   sent  -> lost           conn_datagram_on_lost, never to be sent again (RFC 9221 section 5.2)
 * Each of these ends is counted, and told where roam_config.datagram_fates asks for it.
 */
#include "conn/datagrams.h"

#include <assert.h>

#include "base/minmax.h"
#include "conn/early_data.h"

static struct datagrams *datagrams_of(roam_conn *conn)
{
    if (conn->datagrams != NULL)
        return conn->datagrams;
    struct datagrams *datagrams = mem_zalloc(conn->allocator, sizeof(*datagrams));
    if (datagrams == NULL)
        return NULL;
    datagram_queue_init(&datagrams->out, conn->allocator);
    datagram_queue_init(&datagrams->in, conn->allocator);
    datagram_queue_init(&datagrams->lent, conn->allocator);
    conn->datagrams = datagrams;
    return datagrams;
}

static void tell(roam_conn *conn, roam_event_type type, uint64_t tag)
{
    roam_event event = {.type = type, .time = conn->now, .conn = conn, .tag = tag};
    conn_tell(conn, &event);
}

static void tell_fate(roam_conn *conn, roam_event_type type, uint64_t tag)
{
    //= rfc9221#5.2-2 The application may be told that a datagram is lost,
    //= rfc9221#5.2-3 ... that it was acknowledged,
    //= rfc9221#5.4-2 ... and that it was not sent.
    if (conn->config->datagram_fates)
        tell(conn, type, tag);
}

/* A queue takes one datagram at least, be it larger than the limit. */
static bool has_room(const roam_conn *conn, size_t waiting, size_t len)
{
    return waiting == 0 || waiting + datagram_queue_cost(len) <= conn->config->datagram_queue_bytes;
}

/* ---- How large one may be */

/* Octets of a datagram in a packet that is alone in a UDP datagram of so many: less the first octet, the destination CID,
 * the longest packet number, the AEAD's tag, and the type of a frame that needs no length. */
static size_t payload_of(const roam_conn *conn, size_t udp_bytes)
{
    const struct remote_cid *cid = remote_cid_of_path(&conn->remote_cids, conn->paths.active_id);
    size_t cid_bytes = cid != NULL ? cid->cid.len : ROAM_CID_MAX;
    return (size_t)saturating_sub(udp_bytes, 1 + cid_bytes + PACKET_NUMBER_BYTES_MAX + AEAD_TAG_BYTES + 1);
}

/* ... in a frame that the peer takes, which counts the type and the length field too. */
static size_t payload_of_peer(const roam_conn *conn)
{
    size_t limit = conn->peer.max_datagram_frame_bytes;
    return (size_t)saturating_sub(limit, frame_datagram_header_len(limit, true));
}

/* The largest that the active path takes, in UDP datagrams of at most `carries` octets. */
static size_t largest(const roam_conn *conn, size_t carries)
{
    //= rfc9221#3-3 No frame is larger than the peer's max_datagram_frame_size.
    return min_size(payload_of_peer(conn), payload_of(conn, carries));
}

size_t roam_conn_datagram_bytes(const roam_conn *conn)
{
    uint64_t carries = min_u64(path_datagram_bytes(path_set_active(&conn->paths)), conn->peer.max_udp_payload);
    return largest(conn, (size_t)carries);
}

/* ---- Out */

static void tell_writable(roam_conn *conn)
{
    struct datagrams *datagrams = conn->datagrams;
    if (!datagrams->send_was_refused || datagrams->out.bytes > conn->config->datagram_queue_bytes / 2)
        return;
    datagrams->send_was_refused = false;
    tell(conn, ROAM_EVENT_DATAGRAM_WRITABLE, 0);
}

/* The oldest is not sent after all. */
static void let_go(roam_conn *conn, roam_event_type why)
{
    struct datagrams *datagrams = conn->datagrams;
    uint64_t tag = datagram_queue_oldest(&datagrams->out)->tag;
    datagram_queue_pop(&datagrams->out);
    *(why == ROAM_EVENT_DATAGRAM_EXPIRED ? &datagrams->expired : &datagrams->outgrown) += 1;
    tell_fate(conn, why, tag);
    tell_writable(conn);
}

roam_time conn_datagrams_deadline(const roam_conn *conn)
{
    if (!conn_datagrams_wait(conn) || conn->config->datagram_lifetime == 0)
        return ROAM_TIME_NEVER;
    return saturating_add(datagram_queue_oldest(&conn->datagrams->out)->since, conn->config->datagram_lifetime);
}

void conn_datagrams_expire(roam_conn *conn)
{
    while (conn_datagrams_deadline(conn) <= conn->now)
        let_go(conn, ROAM_EVENT_DATAGRAM_EXPIRED);
}

bool conn_datagram_fits(const roam_conn *conn, size_t bytes)
{
    return conn_datagrams_wait(conn) &&
           datagram_queue_oldest(&conn->datagrams->out)->len + frame_datagram_header_len(0, false) <= bytes;
}

/* False, with nothing written, where the frame has no room. */
static bool begin_frame(struct writer *writer, size_t len, bool *ret_padded)
{
    size_t room = writer_left(writer);
    bool with_length = frame_datagram_header_len(len, true) + len <= room;
    size_t frame_bytes = frame_datagram_header_len(len, with_length) + len;
    *ret_padded = !with_length && frame_bytes < room;
    if (frame_bytes > room)
        return false;
    /* Without a length the data goes on to the packet's end: what is left over goes before the frame. */
    if (*ret_padded)
        frame_write_padding(writer, room - frame_bytes);
    frame_write_datagram_header(writer, len, with_length);
    return true;
}

bool conn_datagram_fill(roam_conn *conn, size_t carries, struct writer *writer, struct datagram_out *ret)
{
    struct datagrams *datagrams = conn->datagrams;
    if (!conn_datagrams_wait(conn))
        return false;
    conn_datagrams_expire(conn);
    const struct datagram_record *record = datagram_queue_oldest(&datagrams->out);
    /* RFC 9221 section 5: they cannot be fragmented. */
    while (record != NULL && record->len > largest(conn, carries)) {
        let_go(conn, ROAM_EVENT_DATAGRAM_OUTGROWN);
        record = datagram_queue_oldest(&datagrams->out);
    }
    if (record == NULL || !begin_frame(writer, record->len, &ret->padded))
        return false;
    ret->data = record->data;
    ret->len = record->len;
    ret->tag = record->tag;
    datagram_queue_pop(&datagrams->out);
    datagrams->sent++;
    datagrams->bytes_sent += ret->len;
    tell_writable(conn);
    return true;
}

void conn_datagram_on_acked(roam_conn *conn, const struct sent_frame *frame)
{
    conn->datagrams->acked++;
    tell_fate(conn, ROAM_EVENT_DATAGRAM_ACKED, frame->id);
}

void conn_datagram_on_lost(roam_conn *conn, const struct sent_frame *frame)
{
    //= rfc9221#5.2-5 Not retransmitted: told, and forgotten.
    conn->datagrams->lost++;
    tell_fate(conn, ROAM_EVENT_DATAGRAM_LOST, frame->id);
}

static roam_result queue_datagram(roam_conn *conn, const void *data, size_t len, uint64_t tag)
{
    struct datagrams *datagrams = datagrams_of(conn);
    if (datagrams == NULL)
        return ROAM_ERR_MEMORY;
    conn_datagrams_expire(conn);
    if (!has_room(conn, datagrams->out.bytes, len)) {
        datagrams->send_was_refused = true;
        return ROAM_ERR_LIMIT;
    }
    struct datagram_record *record = datagram_queue_push(&datagrams->out, data, len, true);
    if (record == NULL)
        return ROAM_ERR_MEMORY;
    record->tag = tag;
    record->since = conn->now;
    return ROAM_OK;
}

roam_result roam_conn_send_datagram(roam_conn *conn, roam_time now, const void *data, size_t len, uint64_t tag)
{
    conn->now = now;
    if (!conn_is_alive(conn))
        return ROAM_ERR_CLOSED;
    if (!conn_may_send_data(conn))
        return ROAM_ERR_STATE;
    //= rfc9221#3-2 None is sent before the peer's max_datagram_frame_size has come, with a value that is not zero.
    if (conn->peer.max_datagram_frame_bytes == 0)
        return ROAM_ERR_UNSUPPORTED;
    bool takes_one = conn->peer.max_datagram_frame_bytes >= frame_datagram_header_len(0, true);
    if (!takes_one || len > roam_conn_datagram_bytes(conn))
        return ROAM_ERR_TOO_LARGE;
    roam_result result = queue_datagram(conn, data, len, tag);
    //= rfc9221#5-1 It is sent as soon as it may be.
    if (result == ROAM_OK)
        conn->owner->wake(conn->owner->context, conn);
    return result;
}

/* ---- In */

static void drop(roam_conn *conn)
{
    if (conn->datagrams != NULL)
        conn->datagrams->dropped++;
    conn->owner->totals->drops[ROAM_DROP_DATAGRAM_QUEUE_FULL]++;
}

static size_t waiting_in(const struct datagrams *datagrams)
{
    return datagrams->in.bytes + datagrams->lent.bytes;
}

uint64_t conn_on_datagram(roam_conn *conn, const struct frame *frame)
{
    const size_t len = frame->datagram.len;
    //= rfc9221#3-4 A frame of an endpoint that was told that none are taken is PROTOCOL_VIOLATION,
    //= rfc9221#3-5 ... and so is one that is larger than it was told.
    if (frame->datagram.frame_len > conn->config->max_datagram_frame_bytes)
        return ROAM_PROTOCOL_VIOLATION;
    struct datagrams *datagrams = datagrams_of(conn);
    //= rfc9221#5.3-1 What there is no room for is dropped.
    if (datagrams == NULL) {
        drop(conn);
        return ROAM_NO_ERROR;
    }
    datagrams->received++;
    datagrams->bytes_received += len;
    //= rfc9221#5.3-2 No limit of flow control is charged.
    struct datagram_queue *queue = conn->streams.lending ? &datagrams->lent : &datagrams->in;
    if (!has_room(conn, waiting_in(datagrams), len) ||
        datagram_queue_push(queue, frame->datagram.data, len, !conn->streams.lending) == NULL) {
        drop(conn);
        return ROAM_NO_ERROR;
    }
    //= rfc9221#5-3 It is the application's at once.
    if (!datagrams->readable_told)
        tell(conn, ROAM_EVENT_DATAGRAM_READABLE, 0);
    datagrams->readable_told = true;
    return ROAM_NO_ERROR;
}

bool roam_conn_next_datagram(roam_conn *conn, const uint8_t **ret, size_t *ret_len)
{
    struct datagrams *datagrams = conn->datagrams;
    if (datagrams == NULL)
        return false;
    struct datagram_queue *queue = datagrams->in.count > 0 ? &datagrams->in : &datagrams->lent;
    const struct datagram_record *record = datagram_queue_oldest(queue);
    datagrams->readable_told = record != NULL;
    if (record == NULL) {
        /* Taken while the connection rested: its memory goes where the rest has gone. */
        if (conn->trimmed)
            conn_datagrams_trim(conn);
        return false;
    }
    *ret = record->data;
    *ret_len = record->len;
    datagram_queue_pop(queue);
    return true;
}

bool conn_datagrams_are_lent(const roam_conn *conn)
{
    return conn->datagrams != NULL && conn->datagrams->lent.count > 0;
}

void conn_datagrams_end_loans(roam_conn *conn)
{
    while (conn_datagrams_are_lent(conn)) {
        struct datagrams *datagrams = conn->datagrams;
        const struct datagram_record *record = datagram_queue_oldest(&datagrams->lent);
        if (!has_room(conn, datagrams->in.bytes, record->len) ||
            datagram_queue_push(&datagrams->in, record->data, record->len, true) == NULL)
            drop(conn);
        datagram_queue_pop(&datagrams->lent);
    }
}

/* ---- Both */

void conn_datagrams_describe(const roam_conn *conn, roam_conn_stats *ret)
{
    const struct datagrams *datagrams = conn->datagrams;
    if (datagrams == NULL)
        return;
    ret->datagrams_sent = datagrams->sent;
    ret->datagrams_acked = datagrams->acked;
    ret->datagrams_lost = datagrams->lost;
    ret->datagrams_expired = datagrams->expired;
    ret->datagrams_outgrown = datagrams->outgrown;
    ret->datagrams_received = datagrams->received;
    ret->datagrams_dropped = datagrams->dropped;
    ret->datagram_bytes_sent = datagrams->bytes_sent;
    ret->datagram_bytes_received = datagrams->bytes_received;
}

void conn_datagrams_trim(roam_conn *conn)
{
    struct datagrams *datagrams = conn->datagrams;
    if (datagrams == NULL)
        return;
    datagram_queue_trim(&datagrams->out);
    datagram_queue_trim(&datagrams->in);
    datagram_queue_trim(&datagrams->lent);
}

void conn_datagrams_close(roam_conn *conn)
{
    if (conn->datagrams != NULL)
        datagram_queue_done(&conn->datagrams->out);
}

void conn_datagrams_delete(roam_conn *conn)
{
    struct datagrams *datagrams = conn->datagrams;
    if (datagrams == NULL)
        return;
    datagram_queue_done(&datagrams->out);
    datagram_queue_done(&datagrams->in);
    datagram_queue_done(&datagrams->lent);
    mem_free(conn->allocator, datagrams, sizeof(*datagrams));
    conn->datagrams = NULL;
}

void conn_datagrams_check(const roam_conn *conn)
{
    const struct datagrams *datagrams = conn->datagrams;
    if (datagrams == NULL)
        return;
    datagram_queue_check(&datagrams->out);
    datagram_queue_check(&datagrams->in);
    datagram_queue_check(&datagrams->lent);
    assert(datagrams->acked + datagrams->lost <= datagrams->sent && datagrams->dropped <= datagrams->received);
    assert(conn_is_alive(conn) || datagrams->out.count == 0);
}
