/*
 * soak [MOVES]: one connection on loopback, moved so often (1,000) from one socket to the next in the middle of a
 * download, and watched: from the first tenth on, memory, descriptors, CIDs, paths and goodput must stay as they are.
 *
 * Server and client live on one loop in this process, each with an allocator that counts. The server writes at a steady
 * rate, so that goodput says whether moving costs anything, and not how fast the machine is.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <roam/io.h>
#include <uv.h>

#include "conn/conn.h"

#define WINDOWS 10

/* Between two moves; each tenth is a deliberate one. */
#define MOVE_EVERY_MS    25
#define DELIBERATE_EVERY 10
#define WRITE_EVERY_MS   5
#define WRITE_BYTES      8192
#define SECONDS_PER_MOVE 1 /* more, and it hangs */

/* What a window may have more than the second one, and of memory the later half of them more than the earlier: rings
 * that grow to the next power of two, and sockets that wait for late packets after a deliberate move. */
#define MEMORY_SLACK      (192 * 1024)
#define RESIDENT_SLACK    (4 * 1024 * 1024)
#define DESCRIPTORS_SLACK 64
#define CIDS_SLACK        2

/* How much less than the mean may get through in a window, in per cent: other programs run on this machine, too, and a
 * short run has short windows. */
#define GOODPUT_MARGIN       30
#define GOODPUT_MARGIN_SHORT 70
#define SHORT_MOVES          500

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* resident memory is the library's, not the sanitizer's */
#endif

struct counted {
    uint64_t bytes;
};

struct sample {
    uint64_t memory, resident, descriptors, cids, paths, octets_per_s;
};

struct soak {
    uv_loop_t loop;
    uv_timer_t write_timer, move_timer;
    struct counted memory[2]; /* server, client */
    roam_io *server, *client;
    roam_conn *conn, *peer;
    roam_stream *source;
    uint64_t octets, moves, refused, wanted;
    uint64_t window_octets, window_start, samples;
    struct sample windows[WINDOWS];
    bool failed, over;
};

static void *reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct counted *counted = context;
    void *result = NULL;
    if (new_bytes == 0)
        free(ptr);
    else if ((result = realloc(ptr, new_bytes)) == NULL)
        return NULL;
    counted->bytes += new_bytes - old_bytes;
    return result;
}

static void fail(struct soak *soak, const char *what)
{
    printf("FAILED after %llu moves: %s\n", (unsigned long long)soak->moves, what);
    soak->failed = soak->over = true;
}

/* ---- Samples */

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL && fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

static void take_sample(struct soak *soak)
{
    uint64_t now = uv_now(&soak->loop), span = now - soak->window_start;
    struct sample *sample = &soak->windows[soak->samples++];
    *sample = (struct sample){.memory = soak->memory[0].bytes + soak->memory[1].bytes,
                              .resident = resident_bytes(),
                              .descriptors = open_descriptors(),
                              .cids = soak->conn->local_cids.count + soak->peer->local_cids.count,
                              .paths = soak->conn->paths.count + soak->peer->paths.count,
                              .octets_per_s = (soak->octets - soak->window_octets) * 1000 / (span > 0 ? span : 1)};
    printf("%6llu moves: %7llu octets allocated, %8llu resident, %3llu descriptors, %2llu CIDs, %llu paths, %7llu "
           "octets/s\n",
           (unsigned long long)soak->moves, (unsigned long long)sample->memory, (unsigned long long)sample->resident,
           (unsigned long long)sample->descriptors, (unsigned long long)sample->cids, (unsigned long long)sample->paths,
           (unsigned long long)sample->octets_per_s);
    fflush(stdout);
    soak->window_octets = soak->octets;
    soak->window_start = now;
}

/* Memory of the windows in [from, to): what is in flight comes and goes, so that one window alone says little. */
static uint64_t mean_memory(const struct soak *soak, size_t from, size_t to)
{
    uint64_t sum = 0;
    for (size_t i = from; i < to; i++)
        sum += soak->windows[i].memory;
    return sum / (to - from);
}

static void judge(struct soak *soak)
{
    uint64_t sum = 0, margin = soak->wanted < SHORT_MOVES ? GOODPUT_MARGIN_SHORT : GOODPUT_MARGIN;
    const struct sample *first = &soak->windows[1];
    for (size_t i = 1; i < WINDOWS; i++)
        sum += soak->windows[i].octets_per_s;
    uint64_t least = sum / (WINDOWS - 1) * (100 - margin) / 100;
    if (mean_memory(soak, WINDOWS / 2, WINDOWS) > mean_memory(soak, 1, WINDOWS / 2) + MEMORY_SLACK)
        fail(soak, "memory grows");
    for (size_t i = 1; i < WINDOWS; i++) {
        const struct sample *now = &soak->windows[i];
        if (!SANITIZED && now->resident > first->resident + RESIDENT_SLACK)
            fail(soak, "resident memory grows");
        if (now->descriptors > first->descriptors + DESCRIPTORS_SLACK)
            fail(soak, "descriptors are not closed");
        if (now->cids > first->cids + CIDS_SLACK)
            fail(soak, "CIDs are not retired");
        if (now->octets_per_s < least)
            fail(soak, "goodput falls");
    }
    roam_conn_info info;
    roam_conn_get_info(soak->peer, &info);
    if (info.moves < soak->moves / 2)
        fail(soak, "the server has not followed");
    printf("%s: %llu moves, %llu refused, %llu followed by the server, %llu octets\n", soak->failed ? "FAILED" : "ok",
           (unsigned long long)soak->moves, (unsigned long long)soak->refused, (unsigned long long)info.moves,
           (unsigned long long)soak->octets);
}

/* ---- What happens */

static void on_write_timer(uv_timer_t *timer)
{
    static const uint8_t zeros[WRITE_BYTES];
    struct soak *soak = timer->data;
    if (soak->source != NULL)
        roam_stream_write(soak->source, zeros, sizeof(zeros));
}

static void on_move_timer(uv_timer_t *timer)
{
    struct soak *soak = timer->data;
    roam_address anywhere = {.family = ROAM_FAMILY_IPV4}, bound;
    if (soak->over || soak->octets == 0)
        return;
    if (soak->window_start == 0)
        soak->window_start = uv_now(&soak->loop);
    bool deliberate = soak->moves % DELIBERATE_EVERY == DELIBERATE_EVERY - 1;
    roam_result result = (deliberate ? roam_io_migrate : roam_io_rebind)(soak->client, soak->conn, &anywhere, &bound);
    soak->refused += result != ROAM_OK;
    if (result != ROAM_OK && result != ROAM_ERR_NO_CID)
        fail(soak, roam_result_name(result));
    soak->moves++;
    if (soak->moves % (soak->wanted / WINDOWS) == 0 && !soak->over)
        take_sample(soak);
    if (soak->samples == WINDOWS && !soak->over) {
        judge(soak);
        soak->over = true;
    }
}

static void on_server_event(struct soak *soak, const roam_event *event)
{
    roam_result result;
    if (event->type == ROAM_EVENT_CONFIRMED) {
        soak->peer = event->conn;
        soak->source = roam_stream_open(event->conn, true, &result);
        if (soak->source == NULL)
            fail(soak, roam_result_name(result));
    } else if (event->type == ROAM_EVENT_CLOSED && !soak->over) {
        fail(soak, "the server's connection ended");
    }
}

static void on_client_event(struct soak *soak, const roam_event *event)
{
    uint8_t data[65536];
    ptrdiff_t n;
    if (event->type == ROAM_EVENT_STREAM_READABLE) {
        while ((n = roam_stream_read(event->stream, data, sizeof(data), NULL)) > 0)
            soak->octets += (uint64_t)n;
    } else if (event->type == ROAM_EVENT_CLOSED && !soak->over) {
        fail(soak, roam_close_cause_name(event->error->cause));
    }
}

/* ---- The two ends */

static roam_io *open_end(struct soak *soak, size_t index, const roam_config *accept)
{
    roam_endpoint_config config;
    roam_endpoint_config_init(&config);
    config.allocator = (roam_allocator){.reallocate = reallocate, .context = &soak->memory[index]};
    config.accept = accept;
    return roam_io_new(&config, &soak->loop, NULL);
}

static bool open_both(struct soak *soak, roam_credentials *ours, roam_credentials *theirs)
{
    static const char *const alpn[] = {"soak", NULL};
    roam_config config;
    roam_address local;
    if (!roam_address_parse(&local, "127.0.0.1:0"))
        return false;
    roam_config_init(&config);
    config.alpn = alpn;
    config.credentials = ours;
    soak->server = open_end(soak, 0, &config);
    if (soak->server == NULL || roam_io_bind(soak->server, &local, &local) != ROAM_OK)
        return false;
    config.credentials = theirs;
    soak->client = open_end(soak, 1, NULL);
    if (soak->client != NULL)
        soak->conn = roam_io_connect(soak->client, "127.0.0.1", local.port, &config, NULL);
    return soak->conn != NULL;
}

static void run(struct soak *soak)
{
    roam_event event;
    uint64_t limit = uv_now(&soak->loop) + 1000 * SECONDS_PER_MOVE * (60 + soak->wanted);
    uv_timer_init(&soak->loop, &soak->write_timer);
    uv_timer_init(&soak->loop, &soak->move_timer);
    soak->write_timer.data = soak->move_timer.data = soak;
    uv_timer_start(&soak->write_timer, on_write_timer, WRITE_EVERY_MS, WRITE_EVERY_MS);
    uv_timer_start(&soak->move_timer, on_move_timer, MOVE_EVERY_MS, MOVE_EVERY_MS);
    while (!soak->over) {
        uv_run(&soak->loop, UV_RUN_ONCE);
        while (roam_io_next(soak->server, &event, 0))
            on_server_event(soak, &event);
        while (roam_io_next(soak->client, &event, 0))
            on_client_event(soak, &event);
        if (uv_now(&soak->loop) > limit)
            fail(soak, "it hangs");
    }
    uv_close((uv_handle_t *)&soak->write_timer, NULL);
    uv_close((uv_handle_t *)&soak->move_timer, NULL);
}

int main(int argc, char **argv)
{
    struct soak *soak = calloc(1, sizeof(*soak));
    roam_credentials *ours = roam_credentials_new(), *theirs = roam_credentials_new();
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (soak == NULL || roam_credentials_generate(ours, (const char *const[]){"127.0.0.1", NULL}) != ROAM_OK ||
        roam_credentials_fingerprint(ours, pin) != ROAM_OK || roam_credentials_trust_pin(theirs, pin) != ROAM_OK)
        return 1;
    soak->wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    if (soak->wanted < WINDOWS || uv_loop_init(&soak->loop) != 0 || !open_both(soak, ours, theirs)) {
        printf("FAILED: it does not begin\n");
        return 1;
    }
    run(soak);
    roam_io_free(soak->client);
    roam_io_free(soak->server);
    uv_run(&soak->loop, UV_RUN_DEFAULT);
    uv_loop_close(&soak->loop);
    roam_credentials_free(ours);
    roam_credentials_free(theirs);
    if (soak->memory[0].bytes + soak->memory[1].bytes != 0)
        fail(soak, "memory was not given back");
    bool failed = soak->failed;
    free(soak);
    return failed ? 1 : 0;
}
