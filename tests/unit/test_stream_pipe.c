/*
 * Two stream sets and a pipe between them that loses, delays, reorders and duplicates packets: drawn applications
 * write, end, reset, read, stop and free. In every run each stream must arrive exactly, the totals of flow control
 * must agree, and in the end nothing may be left: no stream, no octet of memory. A failing run is found again by its
 * seed, which is printed.
 */
#include <stdio.h>

#include "unit/stream_world.h"

#define PIPE_MAX 48
#define RUNS     150

/* What an application knows of one of its streams; hangs on the stream. */
struct use {
    roam_stream *stream;
    uint64_t id;
    uint64_t to_write, written, read;
    bool sends, receives, send_over, receive_over, freed;
};

#define USES_MAX 512

struct app {
    struct side side;
    struct use uses[USES_MAX];
    size_t count;
    unsigned to_open;
    bool resets;
};

struct in_pipe {
    struct packet packet;
    bool settled; /* its sender knows its fate already */
};

struct run {
    struct refusing_allocator memory;
    roam_allocator allocator;
    roam_config config;
    struct seeded seeded;
    struct app apps[2];
    struct in_pipe pipes[2][PIPE_MAX]; /* from apps[i] */
    size_t in_pipe[2];
    bool lossy;
};

/* The octets of both directions of a stream differ. */
static uint64_t content_of(uint64_t id, bool from_server)
{
    return id * 2 + from_server;
}

static void use_stream(struct run *run, struct app *app, roam_stream *stream)
{
    assert_true(app->count < USES_MAX);
    struct use *use = &app->uses[app->count++];
    uint64_t id = roam_stream_id(stream);
    bool local = ((id & STREAM_INITIATED_BY_SERVER) != 0) == app->side.set.is_server,
         uni = (id & STREAM_UNIDIRECTIONAL) != 0;
    *use = (struct use){.stream = stream, .id = id, .sends = !uni || local, .receives = !uni || !local};
    use->to_write =
        seeded_below(&run->seeded, 4) == 0 ? seeded_below(&run->seeded, 60000) : seeded_below(&run->seeded, 900);
    use->send_over = !use->sends;
    use->receive_over = !use->receives;
    roam_stream_set_user(stream, use);
}

static void app_write(struct run *run, struct app *app, struct use *use)
{
    if (use->send_over)
        return;
    if (app->resets && seeded_below(&run->seeded, 100) == 0) {
        roam_stream_reset(use->stream, 5);
        use->send_over = true;
        return;
    }
    if (use->written == use->to_write) {
        assert_int_equal(roam_stream_finish(use->stream), ROAM_OK);
        use->send_over = true;
        return;
    }
    uint8_t data[8000];
    size_t len = 1 + (size_t)seeded_below(&run->seeded, sizeof(data));
    if (len > use->to_write - use->written)
        len = (size_t)(use->to_write - use->written);
    fill_octets(data, len, content_of(use->id, app->side.set.is_server), use->written);
    ptrdiff_t taken = roam_stream_write(use->stream, data, len);
    assert_true(taken >= 0);
    use->written += (size_t)taken;
}

static void app_read(struct run *run, struct app *app, struct use *use)
{
    if (use->receive_over)
        return;
    if (app->resets && seeded_below(&run->seeded, 200) == 0) {
        roam_stream_stop(use->stream, 6);
        use->receive_over = true;
        return;
    }
    uint8_t data[5000];
    const uint8_t *where = data;
    bool end = false, peeks = seeded_below(&run->seeded, 2) == 0;
    ptrdiff_t len = peeks ? roam_stream_peek(use->stream, &where, &end)
                          : roam_stream_read(use->stream, data, 1 + (size_t)seeded_below(&run->seeded, 5000), &end);
    assert_true(len >= 0);
    assert_octets(where, (size_t)len, content_of(use->id, !app->side.set.is_server), use->read);
    if (peeks && len > 0)
        roam_stream_consume(use->stream, (size_t)len);
    use->read += (size_t)len;
    use->receive_over = end;
}

static void app_events(struct run *run, struct app *app)
{
    struct logged_event event;
    while (poll_event(&app->side, &event)) {
        if (event.type == ROAM_EVENT_STREAM_OPENED)
            use_stream(run, app, event.stream);
        if (event.stream == NULL)
            continue;
        struct use *use = NULL;
        for (size_t i = 0; i < app->count; i++)
            use = app->uses[i].id == event.id ? &app->uses[i] : use;
        assert_non_null(use);
        if (event.type == ROAM_EVENT_STREAM_RESET)
            use->receive_over = true;
        if (event.type == ROAM_EVENT_STREAM_STOPPED)
            use->send_over = true;
    }
}

static void app_act(struct run *run, struct app *app)
{
    app_events(run, app);
    if (app->to_open > 0 && seeded_below(&run->seeded, 4) == 0) {
        roam_stream *stream = stream_open(&app->side.set, seeded_below(&run->seeded, 3) == 0, NULL);
        if (stream != NULL) {
            app->to_open--;
            use_stream(run, app, stream);
        }
    }
    for (size_t i = 0; i < app->count; i++) {
        struct use *use = &app->uses[i];
        if (use->freed)
            continue;
        if (seeded_below(&run->seeded, 3) == 0)
            app_write(run, app, use);
        if (seeded_below(&run->seeded, 3) == 0)
            app_read(run, app, use);
        bool leaves = app->resets && seeded_below(&run->seeded, 500) == 0;
        if ((use->send_over && use->receive_over && seeded_below(&run->seeded, 4) == 0) || leaves) {
            roam_stream_free(use->stream);
            use->freed = true;
        }
    }
    stream_set_check(&app->side.set);
}

/* One packet of a pipe meets its fate. */
static void pipe_step(struct run *run, unsigned from)
{
    size_t n = run->in_pipe[from];
    if (n == 0)
        return;
    size_t i = (size_t)seeded_below(&run->seeded, run->lossy ? n : 1);
    struct in_pipe *in_pipe = &run->pipes[from][i];
    struct side *sender = &run->apps[from].side, *receiver = &run->apps[1 - from].side;
    uint64_t fate = run->lossy ? seeded_below(&run->seeded, 10) : 9;
    if (fate == 0 && !in_pipe->settled) {
        /* Declared lost, and on its way all the same. */
        packet_lost(sender, &in_pipe->packet);
        in_pipe->settled = true;
        return;
    }
    if (fate > 2)
        assert_int_equal(deliver(receiver, in_pipe->packet.bytes, in_pipe->packet.len), ROAM_NO_ERROR);
    if (!in_pipe->settled) {
        /* Some acknowledgements get lost too: what arrived counts as lost. */
        if (fate > 3)
            packet_acked(sender, &in_pipe->packet);
        else
            packet_lost(sender, &in_pipe->packet);
        in_pipe->settled = true;
    }
    if (fate == 4)
        return; /* it will come again */
    memmove(in_pipe, in_pipe + 1, (n - i - 1) * sizeof(*in_pipe));
    run->in_pipe[from]--;
}

static void send_step(struct run *run, unsigned from)
{
    size_t n = run->in_pipe[from];
    if (n == PIPE_MAX)
        return;
    struct in_pipe *in_pipe = &run->pipes[from][n];
    in_pipe->settled = false;
    size_t room = seeded_below(&run->seeded, 5) == 0 ? 30 + (size_t)seeded_below(&run->seeded, 400) : PACKET_BYTES;
    if (fill_packet(&run->apps[from].side, &in_pipe->packet, room))
        run->in_pipe[from]++;
    else
        assert_false(stream_set_wants(&run->apps[from].side.set));
    if (run->lossy && seeded_below(&run->seeded, 100) == 0)
        stream_set_retransmit_oldest(&run->apps[from].side.set, 1000);
}

static bool is_over(const struct run *run)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct app *app = &run->apps[i];
        if (app->to_open > 0 || !stream_set_is_empty(&app->side.set) || run->in_pipe[i] > 0 ||
            stream_set_wants(&app->side.set))
            return false;
    }
    return true;
}

/* Both ends have seen the same octets, and nothing waits. */
static void check_totals(const struct run *run)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct stream_set *sender = &run->apps[i].side.set, *receiver = &run->apps[1 - i].side.set;
        assert_int_equal(sender->send_flow.used, receiver->receive_flow.received);
        assert_int_equal(receiver->receive_flow.received, receiver->receive_flow.consumed);
        assert_int_equal(sender->bytes_sent, sender->send_flow.used);
        for (unsigned direction = 0; direction < 2; direction++) {
            assert_int_equal(sender->next_id[direction] / 4, receiver->opened_by_peer[direction]);
            assert_int_equal(receiver->closed_by_peer[direction], receiver->opened_by_peer[direction]);
        }
        for (size_t u = 0; u < run->apps[i].count; u++) {
            const struct use *use = &run->apps[i].uses[u];
            if (!run->apps[0].resets && use->receives) {
                const struct app *other = &run->apps[1 - i];
                for (size_t o = 0; o < other->count; o++) {
                    if (other->uses[o].id == use->id)
                        assert_int_equal(use->read, other->uses[o].to_write);
                }
            }
        }
    }
}

static void run_world(uint64_t seed)
{
    struct run *run = calloc(1, sizeof(*run));
    printf("seed %llu\n", (unsigned long long)seed);
    run->seeded.state = seed;
    run->allocator = refusing_allocator(&run->memory);
    run->lossy = seed % 4 != 0;
    run->config = (roam_config){.initial_max_data = 2000 + seeded_below(&run->seeded, 60000),
                                .initial_max_stream_data = 500 + seeded_below(&run->seeded, 30000),
                                .initial_max_streams_bidi = 1 + seeded_below(&run->seeded, 20),
                                .initial_max_streams_uni = 1 + seeded_below(&run->seeded, 20),
                                .stream_buffer_bytes = 1 + (size_t)seeded_below(&run->seeded, 50000)};
    for (unsigned i = 0; i < 2; i++) {
        side_init(&run->apps[i].side, &run->allocator, i == 1, &run->config);
        side_hear(&run->apps[i].side, &run->config);
        run->apps[i].to_open = (unsigned)seeded_below(&run->seeded, 40);
        run->apps[i].resets = seed % 3 == 0;
    }
    for (unsigned step = 0; !is_over(run); step++) {
        assert_true(step < 200000);
        for (unsigned i = 0; i < 2; i++) {
            app_act(run, &run->apps[i]);
            for (uint64_t n = seeded_below(&run->seeded, 4); n > 0; n--)
                send_step(run, i);
            for (uint64_t n = seeded_below(&run->seeded, 4); n > 0; n--)
                pipe_step(run, i);
        }
    }
    check_totals(run);
    for (unsigned i = 0; i < 2; i++)
        stream_set_done(&run->apps[i].side.set);
    assert_int_equal(run->memory.counting.bytes_out, 0);
    free(run);
}

static void drawn_worlds_deliver_exactly_and_leave_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= RUNS; seed++)
        run_world(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_worlds_deliver_exactly_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
