/*
 * One stream's life: made by stream_new (opened by us or by the peer), over when the application has given its handle
 * back and both halves are terminal (stream_settle), which for a stream of the peer's makes room for another (RFC 9000
 * section 4.6).
 *
 * A stream is queued (stream_queue_wanted) exactly where it has something to send: URGENT when that needs no credit of
 * the connection's, FRESH when it is new data within the stream's own limit. So whether the set has anything to send
 * is known without looking at a stream, and MAX_DATA moves no stream from list to list.
 */
#include <assert.h>

#include "base/minmax.h"
#include "base/varint.h"
#include "stream/stream_internal.h"

/* The limit that the peer sets for a stream of this kind, RFC 9000 section 18.2. */
uint64_t stream_initial_limit(const roam_stream *stream)
{
    const struct stream_set *set = stream->set;
    if ((stream->id & STREAM_UNIDIRECTIONAL) != 0)
        return set->peer.initial_max_stream_data_uni;
    return stream_is_local(set, stream->id) ? set->peer.initial_max_stream_data_bidi_remote
                                            : set->peer.initial_max_stream_data_bidi_local;
}

static void init_flow_control(roam_stream *stream)
{
    const struct stream_set *set = stream->set;
    flow_send_init(&stream->send_flow, stream_initial_limit(stream));
    flow_receive_init(&stream->receive_flow, set->config->initial_max_stream_data);
}

roam_stream *stream_new(struct stream_set *set, uint64_t id)
{
    if (!stream_set_make_tables(set))
        return NULL;
    roam_stream *stream = mem_zalloc(set->allocator, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    if (!hash_map_insert(&set->tables->by_id, &id, sizeof(id), stream)) {
        mem_free(set->allocator, stream, sizeof(*stream));
        return NULL;
    }
    bool unidirectional = (id & STREAM_UNIDIRECTIONAL) != 0;
    stream->set = set;
    stream->conn = set->conn;
    stream->id = id;
    stream->has_send = !unidirectional || stream_is_local(set, id);
    stream->has_receive = !unidirectional || !stream_is_local(set, id);
    stream->app_holds = true;
    stream->urgency = URGENCY_DEFAULT;
    stream->incremental = true;
    stream->early = set->early;
    send_half_init(&stream->send, set->allocator, set->config->stream_buffer_bytes);
    recv_half_init(&stream->receive, set->allocator);
    init_flow_control(stream);
    stream->queue = STREAM_QUEUE_NONE;
    list_init(&stream->send_node);
    list_init(&stream->lent_node);
    list_append(&set->tables->all, &stream->all_node);
    return stream;
}

void stream_delete(roam_stream *stream)
{
    struct stream_set *set = stream->set;
    hash_map_remove(&set->tables->by_id, &stream->id, sizeof(stream->id));
    list_unlink(&stream->send_node);
    list_unlink(&stream->all_node);
    list_unlink(&stream->lent_node);
    if (set->tables->recent == stream)
        set->tables->recent = NULL;
    send_half_done(&stream->send);
    recv_half_done(&stream->receive);
    mem_free(set->allocator, stream, sizeof(*stream));
}

/* ---- What it owes ----------------------------------------------------------------------------------------------- */

bool stream_owes_stop(const roam_stream *stream)
{
    //= rfc9000#3.5 STOP_SENDING is for the Recv and Size Known states, not after a reset
    return stream->stop_pending && (stream->receive.state == RECV_OPEN || stream->receive.state == RECV_SIZE_KNOWN);
}

bool stream_owes_max_stream_data(const roam_stream *stream)
{
    //= rfc9000#13.3 No MAX_STREAM_DATA once the size is known or the stream is reset
    return stream->has_receive && stream->receive_flow.update_pending && stream->receive.state == RECV_OPEN &&
           !stream->receive.discarding;
}

bool stream_owes_blocked(const roam_stream *stream)
{
    //= rfc9000#3.3 No STREAM_DATA_BLOCKED after RESET_STREAM
    return stream->send_flow.blocked_pending && stream->send.state == SEND_OPEN;
}

uint64_t stream_send_limit(const roam_stream *stream)
{
    uint64_t by_connection = saturating_add(stream->send.sent, flow_send_left(&stream->set->send_flow));
    return min_u64(stream->send_flow.limit, by_connection);
}

//= rfc9000#4.6 What was opened for early data that was rejected may be more than the peer allows now.
static bool is_beyond_limit(const roam_stream *stream)
{
    const struct stream_set *set = stream->set;
    return stream_is_local(set, stream->id) && stream->id / 4 >= set->peer_max_streams[stream_direction(stream->id)];
}

enum stream_queue stream_queue_wanted(const roam_stream *stream)
{
    if (stream->set->closed || is_beyond_limit(stream))
        return STREAM_QUEUE_NONE;
    if (stream_owes_stop(stream) || stream_owes_max_stream_data(stream))
        return STREAM_QUEUE_URGENT;
    if (!stream->has_send)
        return STREAM_QUEUE_NONE;
    if (stream->send.reset_pending || stream_owes_blocked(stream) || send_half_wants(&stream->send, stream->send.sent))
        return STREAM_QUEUE_URGENT;
    return send_half_wants(&stream->send, stream->send_flow.limit) ? STREAM_QUEUE_FRESH : STREAM_QUEUE_NONE;
}

/*
 * Before which node of set->fresh it belongs: behind all that are as urgent. Those that are of no use in parts (RFC 9218
 * section 4.2) go in the order in which they were opened, so that the first is whole as early as can be; an empty buffer
 * in between does not cost it its place.
 */
static struct list_node *place_in_fresh(const roam_stream *stream)
{
    struct list_node *head = &stream->set->tables->fresh, *place = head;
    for (struct list_node *node = head->prev; node != head; node = node->prev) {
        const roam_stream *other = CONTAINER_OF(node, roam_stream, send_node);
        if (other->urgency < stream->urgency || (other->urgency == stream->urgency && stream->incremental))
            break;
        if (other->urgency > stream->urgency || (!other->incremental && other->id > stream->id))
            place = node;
    }
    return place;
}

void stream_yield(roam_stream *stream)
{
    struct list_node *head = &stream->set->tables->fresh;
    if (stream->queue != STREAM_QUEUE_FRESH || stream->incremental) {
        // To the end of whichever queue it belongs to now.
        list_unlink(&stream->send_node);
        stream->queue = STREAM_QUEUE_NONE;
        return;
    }
    // It keeps its place; but one that takes turns goes in between, so that those are not starved (RFC 9218 section 10).
    for (struct list_node *node = stream->send_node.next; node != head; node = node->next) {
        const roam_stream *other = CONTAINER_OF(node, roam_stream, send_node);
        if (other->urgency > stream->urgency)
            return;
        if (other->incremental) {
            list_unlink(node);
            list_insert_before(&stream->send_node, node);
            return;
        }
    }
}

/* Puts the stream where it belongs; at the end of the list where that is another than before. */
static void requeue(roam_stream *stream)
{
    struct stream_set *set = stream->set;
    if (stream->send.state == SEND_OPEN && stream->send.written > stream->send.sent) {
        //= rfc9000#4.1 A blocked sender says so, once for each limit
        if (flow_send_left(&stream->send_flow) == 0)
            flow_send_on_blocked(&stream->send_flow);
        else if (flow_send_left(&set->send_flow) == 0)
            flow_send_on_blocked(&set->send_flow);
    }
    enum stream_queue wanted = stream_queue_wanted(stream);
    if (wanted == stream->queue)
        return;
    list_unlink(&stream->send_node);
    stream->queue = wanted;
    if (wanted == STREAM_QUEUE_URGENT)
        list_append(&set->tables->sendable, &stream->send_node);
    else if (wanted == STREAM_QUEUE_FRESH)
        list_insert_before(place_in_fresh(stream), &stream->send_node);
}

/* The peer's stream is over: it may open another. */
static void count_closed(struct stream_set *set, uint64_t id)
{
    if (stream_is_local(set, id))
        return;
    unsigned direction = stream_direction(id);
    set->closed_by_peer[direction]++;
    stream_set_renew_streams(set, direction);
}

bool stream_settle(roam_stream *stream)
{
    bool send_over = !stream->has_send || send_half_is_terminal(&stream->send);
    bool receive_over = !stream->has_receive || (recv_half_is_terminal(&stream->receive) && !stream_owes_stop(stream));
    if (!stream->app_holds && ((send_over && receive_over) || stream->set->closed)) {
        count_closed(stream->set, stream->id);
        stream_delete(stream);
        return false;
    }
    requeue(stream);
    return true;
}

/* ---- What the application hears --------------------------------------------------------------------------------- */

void stream_tell(roam_stream *stream, roam_event_type type, uint64_t code)
{
    if (stream->app_holds)
        stream->set->sink->event(stream->conn, stream, type, code);
}

void stream_tell_readable(roam_stream *stream)
{
    const struct recv_half *half = &stream->receive;
    if (stream->readable_told || half->discarding || !stream->app_holds)
        return;
    if (recv_half_readable(half) == 0 && half->state != RECV_DATA_RECVD)
        return;
    stream->readable_told = true;
    stream_tell(stream, ROAM_EVENT_STREAM_READABLE, 0);
}

void stream_discard_received(roam_stream *stream)
{
    uint64_t waiting = recv_half_discard(&stream->receive);
    flow_receive_consume(&stream->receive_flow, waiting);
    flow_receive_consume(&stream->set->receive_flow, waiting);
}
