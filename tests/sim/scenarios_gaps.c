/* B39: for how long a download stands still whose client a NAT has forgotten, to the half millisecond. */
#include "sim/oracle.h"
#include "sim/scenario.h"

/* There and back, without what waits at the bottleneck. That is at the server: what went to the dead mapping is in the
 * way of what goes to the new one. */
#define RTT  ROAM_MILLISECONDS(20)
#define RATE UINT64_C(200000000)
#define PIPE (RATE / 8 * RTT / ROAM_SECONDS(1))

#define CHANGES 20

/* What has come is noted so often, and a rate is that of so many notes. */
#define NOTE_INTERVAL ROAM_MICROSECONDS(500)
#define RATE_NOTES    20
#define NOTES_MAX     600

/* One change and what came of it; times count from the change. */
struct change {
    double rate;                 /* octets a nanosecond, before */
    roam_time rtt;               /* as the server measured it last, the queue included */
    roam_time usual;             /* longest silence of a while before */
    roam_time heard;             /* the server, a packet from the new place */
    roam_time first;             /* the client, anything after the silence */
    roam_time gap;               /* longest time without an octet in order */
    roam_time back;              /* 80 % of the rate from then on */
    uint64_t arrived[NOTES_MAX]; /* octets in order */
};

static uint64_t arrived(const struct lab *lab)
{
    return lab->workload.transfers[lab->workload.count - 1].in.at;
}

static uint64_t datagrams(const struct lab *lab)
{
    return lab->clients[0].host->datagrams_in;
}

static bool open_download(struct lab *lab, roam_time access_delay, size_t queue_bytes)
{
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++)
        lab->config.up[i].delay = lab->config.down[i].delay = access_delay;
    /* The NAT's own wire takes a millisecond. */
    lab->config.server_link.delay = RTT / 2 - ROAM_MILLISECONDS(1) - access_delay;
    lab->config.server_link.rate_bits_per_s = RATE;
    lab->config.server_link.queue_bytes = queue_bytes;
    lab->config.client.pmtud = lab->config.server.pmtud = true;
    lab->config.capacity = 2048;
    if (!lab_open(lab) || !lab_connect(lab))
        return false;
    lab_begin(lab, TRANSFER_DOWNLOAD, UINT64_C(1) << 40);
    return lab_run(lab, ROAM_SECONDS(2));
}

/* The rate, and the longest silence between two datagrams. */
static void look_before(struct lab *lab, struct change *change)
{
    const roam_time begun = world_now(&lab->world), span = ROAM_MILLISECONDS(100);
    const uint64_t octets = arrived(lab);
    uint64_t count = datagrams(lab);
    roam_time newest = begun;
    while (world_now(&lab->world) < begun + span && world_step(&lab->world)) {
        if (datagrams(lab) == count)
            continue;
        change->usual = max_u64(change->usual, world_now(&lab->world) - newest);
        newest = world_now(&lab->world);
        count = datagrams(lab);
    }
    change->rate = (double)(arrived(lab) - octets) / (double)(world_now(&lab->world) - begun);
    change->rtt = lab_active(lab->server_app.newest).smoothed_rtt;
}

/* From when on the notes show 80 % of the rate. What is still under way behind the NAT comes in the first of them. */
static roam_time back_at(const struct change *change)
{
    for (size_t i = RATE_NOTES; i + RATE_NOTES < NOTES_MAX; i++) {
        double octets = (double)(change->arrived[i + RATE_NOTES] - change->arrived[i]);
        if (octets >= 0.8 * change->rate * (double)(RATE_NOTES * NOTE_INTERVAL))
            return i * NOTE_INTERVAL;
    }
    return ROAM_TIME_NEVER;
}

static void look_after(struct lab *lab, struct change *change)
{
    const roam_time begun = world_now(&lab->world);
    const uint64_t moves = lab_server_count(lab, ROAM_EVENT_PATH_MOVED);
    roam_time newest = begun, newest_datagram = begun;
    uint64_t octets = arrived(lab), count = datagrams(lab);
    for (size_t notes = 0; notes < NOTES_MAX;) {
        for (; notes < NOTES_MAX && world_now(&lab->world) >= begun + notes * NOTE_INTERVAL; notes++)
            change->arrived[notes] = octets;
        if (!world_step(&lab->world))
            return;
        const roam_time now = world_now(&lab->world);
        if (change->heard == 0 && lab_server_count(lab, ROAM_EVENT_PATH_MOVED) > moves)
            change->heard = now - begun;
        if (datagrams(lab) != count && change->first == 0 && now - newest_datagram > RTT / 2)
            change->first = now - begun;
        if (datagrams(lab) != count)
            newest_datagram = now;
        if (arrived(lab) != octets) {
            change->gap = max_u64(change->gap, now - newest);
            newest = now;
        }
        octets = arrived(lab);
        count = datagrams(lab);
    }
    change->back = back_at(change);
}

static void change_place(struct lab *lab, unsigned n, bool another_address)
{
    char ip[32];
    snprintf(ip, sizeof(ip), "198.51.100.%u", 100 + n);
    if (another_address)
        nat_change_address(lab_nat(lab), ip, false);
    else
        nat_change_ports(lab_nat(lab), false);
}

/* Changes at many places of the window's ups and downs. What the queue holds for the dead mapping goes out first, and
 * nobody can help that: it is what the RTT has beyond the path's own. */
static void change_in_mid_download(struct lab *lab, bool another_address, roam_time back)
{
    for (unsigned n = 0; n < CHANGES; n++) {
        struct change change = {0};
        look_before(lab, &change);
        EXPECT(lab, change.rate > 0.5 * (double)RATE / 8e9);
        change_place(lab, n, another_address);
        look_after(lab, &change);
        EXPECT(lab, change.heard > 0 && change.first > 0);
        EXPECT(lab, change.first <= change.usual + change.rtt + ROAM_MILLISECONDS(5));
        EXPECT(lab, change.gap <= 2 * RTT + ROAM_MILLISECONDS(3));
        EXPECT(lab, change.back <= back + (another_address ? 0 : change.rtt - RTT));
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300) + ROAM_MILLISECONDS(31) * (roam_time)n));
    }
}

static void b39_with_cubic_a_download_is_back_two_round_trips_and_little_more_after_a_change_of_port(struct lab *lab)
{
    EXPECT(lab, open_download(lab, 0, PIPE));
    change_in_mid_download(lab, false, ROAM_MILLISECONDS(50));
}

static void b39_with_newreno_a_download_is_back_two_round_trips_and_little_more_after_a_change_of_port(struct lab *lab)
{
    lab->config.server.congestion = ROAM_CONGESTION_NEWRENO;
    EXPECT(lab, open_download(lab, 0, PIPE));
    change_in_mid_download(lab, false, ROAM_MILLISECONDS(50));
}

static void b39_so_it_is_where_the_window_does_not_fill_the_pipe(struct lab *lab)
{
    EXPECT(lab, open_download(lab, 0, PIPE / 4));
    change_in_mid_download(lab, false, ROAM_MILLISECONDS(50));
}

static void b39_so_it_is_where_the_nat_is_some_way_from_the_client(struct lab *lab)
{
    EXPECT(lab, open_download(lab, ROAM_MILLISECONDS(4), PIPE));
    change_in_mid_download(lab, false, ROAM_MILLISECONDS(50));
}

static void b39_at_another_address_a_download_is_back_in_six_round_trips(struct lab *lab)
{
    EXPECT(lab, open_download(lab, 0, PIPE));
    change_in_mid_download(lab, true, ROAM_MILLISECONDS(120));
}

const struct scenario scenarios_gaps[] = {
    SCENARIO(b39_with_cubic_a_download_is_back_two_round_trips_and_little_more_after_a_change_of_port),
    SCENARIO(b39_with_newreno_a_download_is_back_two_round_trips_and_little_more_after_a_change_of_port),
    SCENARIO(b39_so_it_is_where_the_window_does_not_fill_the_pipe),
    SCENARIO(b39_so_it_is_where_the_nat_is_some_way_from_the_client),
    SCENARIO(b39_at_another_address_a_download_is_back_in_six_round_trips),
    {NULL, NULL},
};
