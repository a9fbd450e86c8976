/*
 * What the connection table costs, from 10^3 to 10^7 connection IDs of 8 octets: insertions, searches that hit and that
 * miss, hits each of which waits for the one before, 64 searches together as a batch of datagrams is routed, the longest
 * single insertion, and memory. The time of searches is without that of making up what is searched for.
 *
 *   build/bench/table [ROUNDS [LARGEST]]
 *
 * Each round measures every size, so that what else the machine does hits all of them; shown are medians, least and
 * most. The longest insertion is the least of the rounds: the kernel interrupts whom it likes.
 */
#include "endpoint/conn_table.h"
#include "figures.h"

#define SIZES_MAX 5
#define SMALLEST  1000
#define SEARCHES  (1024 * KEYS)
#define KEYS      1024 /* made up in a row: the first cache holds them */
#define BATCH     64

struct size_figures {
    size_t cids;
    struct figure inserts, hits, misses, waiting, batches; /* millions a second */
    struct figure longest_us, bytes;
};

/* Something that is no connection: the table never looks at what it finds. */
static char nobody;

static roam_cid cid_of(uint64_t index)
{
    roam_cid cid = {.len = 8};
    uint64_t octets = scatter(index);
    memcpy(cid.bytes, &octets, sizeof(octets));
    return cid;
}

static double millions(size_t count, uint64_t ns)
{
    return (double)count * 1e3 / (double)ns;
}

static void insert_all(struct conn_table *table, struct size_figures *figures)
{
    uint64_t began = now_ns();
    for (size_t i = 0; i < figures->cids; i++) {
        roam_cid cid = cid_of(i);
        if (!conn_table_add(table, &cid, (roam_conn *)&nobody))
            exit(1);
    }
    figure_add(&figures->inserts, millions(figures->cids, now_ns() - began));
}

/* CIDs of indices from `first` on, in an order that no cache foresees. */
static void make_keys(roam_cid *ret, const struct size_figures *figures, uint64_t first, size_t begin)
{
    for (size_t i = 0; i < KEYS; i++)
        ret[i] = cid_of(first + scatter(begin + i) % figures->cids);
}

/* Searches for KEYS of them, and returns how many were found. */
typedef size_t search_function(const struct conn_table *table, const roam_cid *keys);

static size_t one_by_one(const struct conn_table *table, const roam_cid *keys)
{
    size_t found = 0;
    bool retired;
    for (size_t i = 0; i < KEYS; i++)
        found += conn_table_find(table, &keys[i], &retired) != NULL;
    return found;
}

/* No search begins before the processor knows what the one before has found: where its key is depends on it. */
static size_t one_after_another(const struct conn_table *table, const roam_cid *keys)
{
    size_t found = 0, missed = 0;
    bool retired;
    for (size_t i = 0; i < KEYS; i++) {
        const roam_conn *conn = conn_table_find(table, &keys[i - missed], &retired);
        missed = conn != (const roam_conn *)&nobody;
        found += !missed;
    }
    return found;
}

static size_t in_batches(const struct conn_table *table, const roam_cid *keys)
{
    size_t found = 0;
    for (size_t i = 0; i < KEYS; i += BATCH) {
        uint64_t hashes[BATCH];
        for (size_t j = 0; j < BATCH; j++)
            hashes[j] = conn_table_prefetch(table, &keys[i + j]);
        for (size_t j = 0; j < BATCH; j++)
            found += conn_table_find_hash(table, hashes[j]) != NULL;
    }
    return found;
}

static void search(const struct conn_table *table, const struct size_figures *figures, uint64_t first,
                   search_function *function, size_t expected, struct figure *figure)
{
    static roam_cid keys[KEYS];
    size_t found = 0;
    uint64_t ns = 0;
    for (size_t i = 0; i < SEARCHES; i += KEYS) {
        make_keys(keys, figures, first, i);
        uint64_t began = now_ns();
        found += function(table, keys);
        ns += now_ns() - began;
    }
    figure_add(figure, millions(SEARCHES, ns));
    if (found != expected)
        exit(1);
}

static void insert_one_by_one(struct conn_table *table, struct size_figures *figures)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < figures->cids; i++) {
        roam_cid cid = cid_of(i);
        uint64_t began = now_ns();
        if (!conn_table_add(table, &cid, (roam_conn *)&nobody))
            exit(1);
        uint64_t took = now_ns() - began;
        longest = took > longest ? took : longest;
    }
    figure_add(&figures->longest_us, (double)longest / 1e3);
}

static void measure(struct size_figures *figures)
{
    size_t bytes_out = 0;
    const roam_allocator allocator = {.reallocate = counting_reallocate, .context = &bytes_out};
    const roam_rng rng = roam_rng_default();
    struct conn_table table;
    conn_table_init(&table, &allocator, &rng);
    insert_all(&table, figures);
    figure_add(&figures->bytes, (double)bytes_out / (double)figures->cids);
    search(&table, figures, 0, one_by_one, SEARCHES, &figures->hits);
    search(&table, figures, figures->cids, one_by_one, 0, &figures->misses);
    search(&table, figures, 0, one_after_another, SEARCHES, &figures->waiting);
    search(&table, figures, 0, in_batches, SEARCHES, &figures->batches);
    conn_table_done(&table);
    conn_table_init(&table, &allocator, &rng);
    insert_one_by_one(&table, figures);
    conn_table_done(&table);
}

int main(int argc, char **argv)
{
    static struct size_figures sizes[SIZES_MAX];
    const size_t rounds = argc > 1 ? count_from("table", argv[1], ROUNDS_MAX) : 7;
    const size_t largest = argc > 2 ? count_from("table", argv[2], 10000000) : 10000000;
    size_t count = 0;
    for (size_t cids = SMALLEST; cids <= largest && count < SIZES_MAX; cids *= 10)
        sizes[count++].cids = cids;
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++)
            measure(&sizes[i]);
    printf("%zu rounds: median (least-most); millions a second but for the last two columns\n", rounds);
    printf("%10s  %18s  %18s  %18s  %18s  %18s  %18s  %16s\n", "CIDs", "inserts", "hits", "misses", "hits in a chain",
           "hits, 64 together", "octets per CID", "longest insert");
    for (size_t i = 0; i < count; i++) {
        struct size_figures *figures = &sizes[i];
        printf("%10zu", figures->cids);
        figure_print(&figures->inserts, 18, 1);
        figure_print(&figures->hits, 18, 1);
        figure_print(&figures->misses, 18, 1);
        figure_print(&figures->waiting, 18, 1);
        figure_print(&figures->batches, 18, 1);
        figure_print(&figures->bytes, 18, 1);
        printf("  %13.1f us\n", figure_least(&figures->longest_us));
    }
    return 0;
}
