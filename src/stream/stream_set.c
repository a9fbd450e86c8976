/*
 * The streams of a connection: which exist, how many each side may open, and the connection's flow control.
 *
 * Invariants: the tables by_id and all hold the same streams, those that are open or that the application still
 * holds; a stream of a type that was opened (below next_id, or among the first opened_by_peer) and is not in by_id is
 * over and forgotten. opened_by_peer <= max_streams <= closed_by_peer + streams_window(), but for limits of 2^60.
 */
#include <assert.h>

#include "base/minmax.h"
#include "base/varint.h"
#include "stream/stream_internal.h"

/* How many streams of the peer's are kept ahead of those closed. */
static uint64_t streams_window(const struct stream_set *set, unsigned direction)
{
    const roam_config *config = set->config;
    return min_u64(direction == 0 ? config->initial_max_streams_bidi : config->initial_max_streams_uni,
                   MAX_STREAMS_LIMIT);
}

void stream_set_init(struct stream_set *set, const roam_allocator *allocator, roam_conn *conn, bool is_server,
                     const roam_config *config, const roam_rng *rng, const struct stream_sink *sink)
{
    *set = (struct stream_set){
        .allocator = allocator, .rng = rng, .config = config, .conn = conn, .sink = sink, .is_server = is_server};
    flow_send_init(&set->send_flow, 0);
    flow_receive_init(&set->receive_flow, config->initial_max_data);
    for (unsigned direction = 0; direction < 2; direction++) {
        set->max_streams[direction] = streams_window(set, direction);
        set->next_id[direction] =
            (is_server ? STREAM_INITIATED_BY_SERVER : 0) | (direction != 0 ? STREAM_UNIDIRECTIONAL : 0);
    }
}

bool stream_set_make_tables(struct stream_set *set)
{
    uint8_t secret[SIPHASH_KEY_BYTES];
    if (set->tables != NULL)
        return true;
    struct stream_tables *tables = mem_zalloc(set->allocator, sizeof(*tables));
    if (tables == NULL)
        return false;
    rng_fill(set->rng, secret, sizeof(secret));
    hash_map_init(&tables->by_id, set->allocator, secret);
    list_init(&tables->all);
    list_init(&tables->sendable);
    list_init(&tables->fresh);
    list_init(&tables->lent);
    set->tables = tables;
    return true;
}

void stream_set_trim(struct stream_set *set)
{
    if (set->tables == NULL || !stream_set_is_empty(set))
        return;
    hash_map_done(&set->tables->by_id);
    mem_free(set->allocator, set->tables, sizeof(*set->tables));
    set->tables = NULL;
}

void stream_set_done(struct stream_set *set)
{
    if (set->tables == NULL)
        return;
    LIST_FOR_EACH_SAFE(node, &set->tables->all)
    stream_delete(CONTAINER_OF(node, roam_stream, all_node));
    stream_set_trim(set);
}

/* Streams that were beyond the limit may send now. */
static void release_held(struct stream_set *set)
{
    if (set->tables == NULL || !set->holds_back)
        return;
    set->holds_back = false;
    LIST_FOR_EACH_SAFE(node, &set->tables->all)
    {
        roam_stream *stream = CONTAINER_OF(node, roam_stream, all_node);
        unsigned direction = stream_direction(stream->id);
        set->holds_back |= stream_is_local(set, stream->id) && stream->id / 4 >= set->peer_max_streams[direction];
        stream_settle(stream);
    }
}

static void raise_peer_streams(struct stream_set *set, unsigned direction, uint64_t limit)
{
    //= rfc9000#4.6 A MAX_STREAMS frame that does not raise the limit is ignored
    if (limit <= set->peer_max_streams[direction])
        return;
    set->peer_max_streams[direction] = limit;
    set->streams_blocked_pending[direction] = false;
    release_held(set);
    if (!set->open_was_refused[direction])
        return;
    set->open_was_refused[direction] = false;
    set->sink->event(set->conn, NULL, ROAM_EVENT_STREAMS_AVAILABLE, 0);
}

static void keep_peer_params(struct stream_set *set, const struct transport_params *params)
{
    set->peer.initial_max_stream_data_bidi_local = params->initial_max_stream_data_bidi_local;
    set->peer.initial_max_stream_data_bidi_remote = params->initial_max_stream_data_bidi_remote;
    set->peer.initial_max_stream_data_uni = params->initial_max_stream_data_uni;
}

void stream_set_peer_params(struct stream_set *set, const struct transport_params *params)
{
    keep_peer_params(set, params);
    flow_send_raise(&set->send_flow, params->initial_max_data);
    /* A client has streams before the server's answer only where it sent early data. */
    if (set->tables != NULL)
        LIST_FOR_EACH_SAFE(node, &set->tables->all)
        {
            roam_stream *stream = CONTAINER_OF(node, roam_stream, all_node);
            if (flow_send_raise(&stream->send_flow, stream_initial_limit(stream)))
                stream_settle(stream);
        }
    raise_peer_streams(set, 0, params->initial_max_streams_bidi);
    raise_peer_streams(set, 1, params->initial_max_streams_uni);
}

void stream_set_restart(struct stream_set *set, const struct transport_params *params)
{
    keep_peer_params(set, params);
    flow_send_init(&set->send_flow, params->initial_max_data);
    set->peer_max_streams[0] = params->initial_max_streams_bidi;
    set->peer_max_streams[1] = params->initial_max_streams_uni;
    set->bytes_sent = set->bytes_resent = 0;
    set->awaiting_credit = false;
    if (set->tables == NULL)
        return;
    LIST_FOR_EACH_SAFE(node, &set->tables->all)
    {
        roam_stream *stream = CONTAINER_OF(node, roam_stream, all_node);
        flow_send_init(&stream->send_flow, stream_initial_limit(stream));
        if (stream->has_send)
            send_half_restart(&stream->send);
        bool held = stream->id / 4 >= set->peer_max_streams[stream_direction(stream->id)];
        set->holds_back |= held;
        set->streams_blocked_pending[stream_direction(stream->id)] |= held;
        stream_settle(stream);
    }
}

uint64_t stream_on_max_streams(struct stream_set *set, const struct frame *frame)
{
    //= rfc9000#19.11 A limit above 2^60 is FRAME_ENCODING_ERROR
    if (frame->maximum > MAX_STREAMS_LIMIT)
        return ROAM_FRAME_ENCODING_ERROR;
    if (!set->closed)
        raise_peer_streams(set, frame->type == FRAME_MAX_STREAMS_UNI ? 1 : 0, frame->maximum);
    return ROAM_NO_ERROR;
}

roam_stream *stream_open(struct stream_set *set, bool unidirectional, roam_result *ret_result)
{
    unsigned direction = unidirectional ? 1 : 0;
    roam_result result = ROAM_OK;
    roam_stream *stream = NULL;
    if (set->closed) {
        result = ROAM_ERR_CLOSED;
    } else if (set->next_id[direction] / 4 >= set->peer_max_streams[direction]) {
        //= rfc9000#4.6 No stream is opened beyond the peer's limit; STREAMS_BLOCKED says that one was wanted
        set->streams_blocked_pending[direction] |= !set->open_was_refused[direction];
        set->open_was_refused[direction] = true;
        result = ROAM_ERR_LIMIT;
    } else {
        stream = stream_new(set, set->next_id[direction]);
        if (stream != NULL)
            set->next_id[direction] += 4;
        else
            result = ROAM_ERR_MEMORY;
    }
    if (ret_result != NULL)
        *ret_result = result;
    return stream;
}

roam_stream *stream_find(struct stream_set *set, uint64_t id)
{
    struct stream_tables *tables = set->tables;
    if (tables == NULL)
        return NULL;
    /* Nearly always it is the one of the frame before. */
    if (tables->recent == NULL || tables->recent->id != id)
        tables->recent = hash_map_find(&tables->by_id, &id, sizeof(id));
    return tables->recent != NULL && tables->recent->id == id ? tables->recent : NULL;
}

bool stream_set_end_loans(struct stream_set *set)
{
    bool stored = true;
    if (set->tables == NULL)
        return true;
    LIST_FOR_EACH_SAFE(node, &set->tables->lent)
    {
        roam_stream *stream = CONTAINER_OF(node, roam_stream, lent_node);
        stored &= recv_half_end_loans(&stream->receive);
        list_unlink(&stream->lent_node);
    }
    return stored;
}

uint64_t stream_set_streams_limit(const struct stream_set *set, unsigned direction)
{
    uint64_t limit = min_u64(set->closed_by_peer[direction] + streams_window(set, direction), MAX_STREAMS_LIMIT);
    return max_u64(limit, set->max_streams[direction]);
}

void stream_set_renew_streams(struct stream_set *set, unsigned direction)
{
    uint64_t credit = stream_set_streams_limit(set, direction) - set->max_streams[direction];
    uint64_t left = set->max_streams[direction] - set->opened_by_peer[direction];
    /* An eighth of the window is worth a frame; a peer that has none left gets whatever there is. */
    if (credit > 0 && (left == 0 || credit >= streams_window(set, direction) / 8))
        set->max_streams_pending[direction] = true;
}

bool stream_set_wants(const struct stream_set *set)
{
    const struct stream_tables *tables = set->tables;
    if (set->closed)
        return false;
    return (tables != NULL && (!list_is_empty(&tables->sendable) ||
                               (!list_is_empty(&tables->fresh) && flow_send_left(&set->send_flow) > 0))) ||
           set->receive_flow.update_pending || set->send_flow.blocked_pending || set->max_streams_pending[0] ||
           set->max_streams_pending[1] || set->streams_blocked_pending[0] || set->streams_blocked_pending[1];
}

/* What is missing below the highest octet needs no credit to come. */
static bool is_receiving(const roam_stream *stream, bool has_credit)
{
    const struct recv_half *half = &stream->receive;
    if (!stream->has_receive || half->discarding || (half->state != RECV_OPEN && half->state != RECV_SIZE_KNOWN))
        return false;
    return half->read + recv_half_readable(half) < half->highest ||
           (half->highest > 0 && has_credit && half->highest < min_u64(stream->receive_flow.limit, half->final_size));
}

bool stream_set_is_receiving(const struct stream_set *set)
{
    const bool has_credit = set->receive_flow.received < set->receive_flow.limit;
    if (set->tables == NULL)
        return false;
    LIST_FOR_EACH(node, &set->tables->all)
    {
        if (is_receiving(CONTAINER_OF(node, roam_stream, all_node), has_credit))
            return true;
    }
    return false;
}

void stream_set_close(struct stream_set *set)
{
    set->closed = true;
    if (set->tables == NULL)
        return;
    LIST_FOR_EACH_SAFE(node, &set->tables->all)
    stream_settle(CONTAINER_OF(node, roam_stream, all_node));
}

static void check_stream(const roam_stream *stream)
{
    send_half_check(&stream->send);
    recv_half_check(&stream->receive);
    assert(stream->send.sent <= stream->send_flow.limit && stream->send_flow.used == stream->send.sent);
    assert(stream->receive_flow.received == stream->receive.highest);
    assert(stream->receive_flow.consumed == stream->receive.read);
    assert(stream->queue == stream_queue_wanted(stream));
    assert(list_is_linked(&stream->send_node) == (stream->queue != STREAM_QUEUE_NONE));
    assert(stream->has_send || (stream->send.written == 0 && !stream->send.finished));
    assert(stream->has_receive || stream->receive.highest == 0);
}

/* Octets of all streams together. */
struct stream_octets {
    uint64_t sent, received, waiting;
};

static struct stream_octets check_tables(const struct stream_tables *tables)
{
    struct stream_octets octets = {0};
    size_t count = 0, queued = 0;
    LIST_FOR_EACH(node, &tables->all)
    {
        const roam_stream *stream = CONTAINER_OF(node, roam_stream, all_node);
        check_stream(stream);
        assert(hash_map_find(&tables->by_id, &stream->id, sizeof(stream->id)) == stream);
        count++;
        queued += stream->queue != STREAM_QUEUE_NONE;
        octets.sent += stream->send.sent;
        octets.received += stream->receive.highest;
        octets.waiting += stream->receive.highest - stream->receive.read;
    }
    LIST_FOR_EACH(node, &tables->sendable)
    queued--;
    LIST_FOR_EACH(node, &tables->fresh)
    queued--;
    assert(queued == 0 && count == tables->by_id.count);
    return octets;
}

void stream_set_check(const struct stream_set *set)
{
    const struct stream_octets octets = set->tables != NULL ? check_tables(set->tables) : (struct stream_octets){0};
    assert(octets.sent <= set->send_flow.used && set->send_flow.used <= set->send_flow.limit);
    assert(octets.received <= set->receive_flow.received && set->receive_flow.received <= set->receive_flow.limit);
    assert(set->receive_flow.received - set->receive_flow.consumed == octets.waiting);
    for (unsigned direction = 0; direction < 2; direction++) {
        assert(set->opened_by_peer[direction] <= set->max_streams[direction]);
        assert(set->closed_by_peer[direction] <= set->opened_by_peer[direction]);
        assert(set->holds_back || set->next_id[direction] / 4 <= set->peer_max_streams[direction]);
    }
}
