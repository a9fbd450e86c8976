/* S100 .. S105: what each congestion controller makes of a link of 100 Mbit/s, and of a neighbour on it. */
#include "sim/scenario.h"

/* The bottleneck is the server's way out; access, NAT and server make up a round trip. */
#define RATE         UINT64_C(100000000)
#define RTT          ROAM_MILLISECONDS(40)
#define ACCESS_DELAY ROAM_MILLISECONDS(14)
#define PIPE         (RATE / 8 * RTT / ROAM_SECONDS(1))

#define ENDLESS (UINT64_C(1) << 40)

/* Until slow start, and what it did to the queue, is over. */
#define START ROAM_SECONDS(3)

/* A link with a queue of `queue_bytes`, and receivers and applications that are no limit. */
static bool open_link(struct lab *lab, enum roam_congestion congestion, size_t clients, uint64_t queue_bytes)
{
    lab->config.clients = clients;
    lab->config.interfaces = 1;
    lab->config.up[0].delay = lab->config.down[0].delay = ACCESS_DELAY;
    lab->config.server.congestion = lab->config.client.congestion = congestion;
    lab->config.server.stream_buffer_bytes = 16 * PIPE;
    lab->config.client.initial_max_data = lab->config.client.initial_max_stream_data = 16 * PIPE;
    if (!lab_open(lab))
        return false;
    struct link_config *link = &lab->server->interfaces[0]->node.up->config;
    link->rate_bits_per_s = RATE;
    link->queue_bytes = (size_t)queue_bytes;
    return lab_connect(lab);
}

static struct link *bottleneck(const struct lab *lab)
{
    return lab->server->interfaces[0]->node.up;
}

static void begin(struct lab *lab, size_t client)
{
    client_app_more(&lab->clients[client].app, TRANSFER_DOWNLOAD, ENDLESS);
}

/* How much of the link's time carries datagrams in the next `span`, in thousandths. */
static uint64_t filled_over(struct lab *lab, roam_time span)
{
    const uint64_t before = bottleneck(lab)->passed_bytes;
    lab_run(lab, span);
    return (bottleneck(lab)->passed_bytes - before) * 8 * 1000 / (RATE * (span / ROAM_MILLISECONDS(1)) / 1000);
}

/* What has arrived in order of each client's transfer (they begin in the clients' order). */
static uint64_t arrived(const struct lab *lab, size_t client)
{
    return lab->workload.transfers[client].in.at;
}

/* ---- S100, S101 */

/* What fills the link is what arrives, but for headers, for what is lost behind it and for what is sent twice. */
static void fill(struct lab *lab, enum roam_congestion congestion, uint32_t loss_ppm, uint64_t wanted)
{
    EXPECT(lab, open_link(lab, congestion, 1, PIPE));
    bottleneck(lab)->config.loss_ppm = loss_ppm;
    begin(lab, 0);
    EXPECT(lab, lab_run(lab, START));
    const uint64_t before = arrived(lab, 0);
    const uint64_t filled = filled_over(lab, ROAM_SECONDS(20));
    lab_report(lab, "filled to %llu.%llu %%", (unsigned long long)filled / 10, (unsigned long long)filled % 10);
    EXPECT(lab, filled >= wanted);
    EXPECT(lab, arrived(lab, 0) - before >= RATE / 8 * 20 * wanted / 1000 * 94 / 100);
}

static void s100_cubic_fills_a_long_fat_link(struct lab *lab)
{
    fill(lab, ROAM_CONGESTION_CUBIC, 0, 950);
}

static void s100_bbr_fills_a_long_fat_link(struct lab *lab)
{
    fill(lab, ROAM_CONGESTION_BBR, 0, 950);
}

static void s100_newreno_fills_a_long_fat_link(struct lab *lab)
{
    fill(lab, ROAM_CONGESTION_NEWRENO, 0, 950);
}

static void s101_bbr_fills_a_link_that_loses_one_packet_in_a_hundred(struct lab *lab)
{
    fill(lab, ROAM_CONGESTION_BBR, 10000, 850);
}

/* What BBR is for: it is Reno's arithmetic that one packet in a hundred leaves a window of about a dozen. */
static void s101_cubic_takes_random_losses_for_congestion(struct lab *lab)
{
    EXPECT(lab, open_link(lab, ROAM_CONGESTION_CUBIC, 1, PIPE));
    bottleneck(lab)->config.loss_ppm = 10000;
    begin(lab, 0);
    EXPECT(lab, lab_run(lab, START));
    const uint64_t filled = filled_over(lab, ROAM_SECONDS(20));
    lab_report(lab, "filled to %llu.%llu %%", (unsigned long long)filled / 10, (unsigned long long)filled % 10);
    EXPECT(lab, filled >= 20 && filled <= 200);
}

/* ---- S102 */

/* The first flow's part, in per cent, of what both get in 20 s, 30 s after the second has begun; 0 where it fails. */
static uint64_t first_part(struct lab *lab, enum roam_congestion congestion, roam_time later)
{
    if (!open_link(lab, congestion, 2, PIPE / 2))
        return 0;
    begin(lab, 0);
    lab_run(lab, later);
    begin(lab, 1);
    if (!lab_run(lab, ROAM_SECONDS(30)))
        return 0;
    const uint64_t first = arrived(lab, 0), second = arrived(lab, 1);
    const uint64_t filled = filled_over(lab, ROAM_SECONDS(20));
    const uint64_t a = arrived(lab, 0) - first, b = arrived(lab, 1) - second;
    return filled >= 950 ? a * 100 / (a + b) : 0;
}

/* Which of two flows loses the packet that is too many is a matter of chance, and any two runs differ: so three. */
static void share(struct lab *lab, enum roam_congestion congestion)
{
    static const roam_time later[] = {0, ROAM_MILLISECONDS(500), ROAM_SECONDS(1)};
    uint64_t parts[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        EXPECT(lab, i == 0 || lab_again(lab));
        parts[i] = first_part(lab, congestion, later[i]);
        lab_report(lab, "the first has %llu %%, %llu %%, %llu %%", (unsigned long long)parts[0],
                   (unsigned long long)parts[1], (unsigned long long)parts[2]);
        EXPECT(lab, parts[i] >= 30 && parts[i] <= 70);
    }
    const uint64_t sum = parts[0] + parts[1] + parts[2];
    EXPECT(lab, sum >= 3 * 40 && sum <= 3 * 60);
}

static void s102_two_cubic_flows_share_a_link(struct lab *lab)
{
    share(lab, ROAM_CONGESTION_CUBIC);
}

static void s102_two_bbr_flows_share_a_link(struct lab *lab)
{
    share(lab, ROAM_CONGESTION_BBR);
}

/* ---- S103 */

/* What a flow's slow start has found the queue too full for. */
static uint64_t overflow(struct lab *lab, enum roam_congestion congestion, uint64_t queue_bytes)
{
    if (!open_link(lab, congestion, 1, queue_bytes))
        return 0;
    begin(lab, 0);
    lab_run(lab, START);
    return bottleneck(lab)->overflowed;
}

/* Conservative slow start still triples the window, so that it takes a very deep queue to lose nothing at all. */
static void s103_hystart_spares_the_queue_most_of_what_slow_start_does_to_it(struct lab *lab)
{
    const uint64_t plain = overflow(lab, ROAM_CONGESTION_NEWRENO, 4 * PIPE);
    EXPECT(lab, plain > 1000 && lab_again(lab));
    const uint64_t with = overflow(lab, ROAM_CONGESTION_CUBIC, 4 * PIPE);
    lab_report(lab, "%llu datagrams lost, %llu without", (unsigned long long)with, (unsigned long long)plain);
    EXPECT(lab, with * 3 < plain && lab_active(lab->server_app.newest).window_bytes >= PIPE);
}

/* ---- S104 */

static void heed_marks(struct lab *lab, enum roam_congestion congestion)
{
    EXPECT(lab, open_link(lab, congestion, 1, 4 * PIPE));
    bottleneck(lab)->config.mark_bytes = PIPE / 2;
    begin(lab, 0);
    EXPECT(lab, lab_run(lab, START));
    const uint64_t filled = filled_over(lab, ROAM_SECONDS(10));
    const roam_path_info path = lab_active(lab->server_app.newest);
    lab_report(lab, "filled to %llu.%llu %%, RTT %llu ms", (unsigned long long)filled / 10,
               (unsigned long long)filled % 10, (unsigned long long)(path.smoothed_rtt / ROAM_MILLISECONDS(1)));
    EXPECT(lab, path.ecn == ROAM_ECN_STATE_CAPABLE && filled >= 900);
    EXPECT(lab, bottleneck(lab)->overflowed == 0 && path.smoothed_rtt < RTT * 2);
}

static void s104_cubic_heeds_marks(struct lab *lab)
{
    heed_marks(lab, ROAM_CONGESTION_CUBIC);
}

static void s104_newreno_heeds_marks(struct lab *lab)
{
    heed_marks(lab, ROAM_CONGESTION_NEWRENO);
}

static void s104_bbr_heeds_marks(struct lab *lab)
{
    heed_marks(lab, ROAM_CONGESTION_BBR);
}

/* ---- S105 */

static void s105_bbr_does_not_fill_a_deep_queue(struct lab *lab)
{
    EXPECT(lab, open_link(lab, ROAM_CONGESTION_BBR, 1, 10 * PIPE));
    begin(lab, 0);
    EXPECT(lab, lab_run(lab, START));
    roam_time longest = 0;
    for (int i = 0; i < 200; i++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(50)));
        const roam_time rtt = lab_active(lab->server_app.newest).smoothed_rtt;
        longest = rtt > longest ? rtt : longest;
    }
    lab_report(lab, "RTT at most %llu ms", (unsigned long long)(longest / ROAM_MILLISECONDS(1)));
    EXPECT(lab, longest < RTT * 2 && bottleneck(lab)->overflowed == 0);
}

const struct scenario scenarios_congestion[] = {
    SCENARIO(s100_cubic_fills_a_long_fat_link),
    SCENARIO(s100_bbr_fills_a_long_fat_link),
    SCENARIO(s100_newreno_fills_a_long_fat_link),
    SCENARIO(s101_bbr_fills_a_link_that_loses_one_packet_in_a_hundred),
    SCENARIO(s101_cubic_takes_random_losses_for_congestion),
    SCENARIO(s102_two_cubic_flows_share_a_link),
    SCENARIO(s102_two_bbr_flows_share_a_link),
    SCENARIO(s103_hystart_spares_the_queue_most_of_what_slow_start_does_to_it),
    SCENARIO(s104_cubic_heeds_marks),
    SCENARIO(s104_newreno_heeds_marks),
    SCENARIO(s104_bbr_heeds_marks),
    SCENARIO(s105_bbr_does_not_fill_a_deep_queue),
    {NULL, NULL},
};
