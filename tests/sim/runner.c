/* Workers are forked and share one page-aligned table with the parent: which seed each is at, and its totals. */
#include "sim/runner.h"
#include "sim/leave.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64

/* Each so many-th seed is run twice, and the traces compared. */
#define REPEAT_EVERY 100

/* No world takes so long; one that does hangs in the library. */
#define WATCHDOG_SECONDS 120

struct slot {
    uint64_t next; /* seed that is to be run next, or runs */
    struct drawn_totals totals;
    uint64_t repeated;
    uint64_t first_hash; /* of the first seed of all, by the worker that ran it */
    unsigned failures;
};

struct board {
    unsigned failures; /* of all workers, by atomic increments */
    struct slot slots[JOBS_MAX];
};

static void say_failed(uint64_t seed, const char *why)
{
    printf("FAIL seed %llu: %s\n     replay: roam-sim --seed %llu --trace\n", (unsigned long long)seed, why,
           (unsigned long long)seed);
    fflush(stdout);
}

static void run_seed(const struct runner_config *config, struct board *board, struct slot *slot, uint64_t seed)
{
    struct drawn_result result, again;
    alarm(WATCHDOG_SECONDS);
    drawn_run(&result, seed, config->certs, NULL);
    drawn_totals_add(&slot->totals, &result.totals);
    if (seed == config->first)
        slot->first_hash = result.trace_hash;
    if (result.passed && seed % REPEAT_EVERY == 0) {
        /* Also with somebody looking on, of whom the library must take no notice. */
        const struct sim_view watched = {.qlog_to_nobody = true};
        drawn_run(&again, seed, config->certs, &watched);
        slot->repeated++;
        if (again.trace_hash != result.trace_hash) {
            result.passed = false;
            snprintf(result.failure, sizeof(result.failure), "two runs of it differ: trace %016llx and %016llx",
                     (unsigned long long)result.trace_hash, (unsigned long long)again.trace_hash);
        }
    }
    alarm(0);
    if (!result.passed) {
        slot->failures++;
        __atomic_add_fetch(&board->failures, 1, __ATOMIC_RELAXED);
        say_failed(seed, result.failure);
    }
}

static pid_t start_worker(const struct runner_config *config, struct board *board, unsigned job)
{
    struct slot *slot = &board->slots[job];
    fflush(NULL);
    pid_t child = fork();
    if (child != 0)
        return child;
    for (; slot->next <= config->last; slot->next += config->jobs) {
        if (__atomic_load_n(&board->failures, __ATOMIC_RELAXED) >= config->failures_max)
            break;
        run_seed(config, board, slot, slot->next);
    }
    fflush(NULL);
    leave(0);
}

/* A worker has ended: by itself, or in the middle of a seed. Returns the process that goes on, or 0. */
static pid_t on_worker_end(const struct runner_config *config, struct board *board, unsigned job, int status)
{
    struct slot *slot = &board->slots[job];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    char why[64];
    if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(why, sizeof(why), "ended with status %d", WEXITSTATUS(status));
    say_failed(slot->next, why);
    slot->failures++;
    __atomic_add_fetch(&board->failures, 1, __ATOMIC_RELAXED);
    slot->next += config->jobs;
    return start_worker(config, board, job);
}

/* The first seed once more, in a process of its own: 0 where that fails. */
static uint64_t hash_elsewhere(const struct runner_config *config)
{
    int ends[2];
    uint64_t hash = 0;
    if (pipe(ends) != 0)
        return 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct drawn_result result;
        drawn_run(&result, config->first, config->certs, NULL);
        if (write(ends[1], &result.trace_hash, sizeof(hash)) != sizeof(hash))
            leave(1);
        leave(0);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &hash, sizeof(hash)) != sizeof(hash))
        hash = 0;
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    return hash;
}

static unsigned sum_up(const struct runner_config *config, struct board *board, double seconds)
{
    struct drawn_totals totals = {0};
    uint64_t repeated = 0;
    for (unsigned job = 0; job < config->jobs; job++) {
        drawn_totals_add(&totals, &board->slots[job].totals);
        repeated += board->slots[job].repeated;
    }
    uint64_t first_hash = board->slots[0].first_hash;
    if (first_hash != 0 && first_hash != hash_elsewhere(config)) {
        say_failed(config->first, "another process has another trace of it");
        board->failures++;
    }
    drawn_totals_print(&totals);
    printf("%llu seeds in %.1f s, %.0f seeds/s, %llu of them run twice, %u failed\n", (unsigned long long)totals.seeds,
           seconds, seconds > 0 ? (double)totals.seeds / seconds : 0, (unsigned long long)repeated, board->failures);
    return board->failures;
}

unsigned runner_run(const struct runner_config *given)
{
    struct runner_config config = *given;
    if (config.jobs > JOBS_MAX)
        config.jobs = JOBS_MAX;
    struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        abort();
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t workers[JOBS_MAX];
    unsigned running = 0;
    for (unsigned job = 0; job < config.jobs; job++) {
        board->slots[job].next = config.first + job;
        workers[job] = start_worker(&config, board, job);
        running += workers[job] > 0;
    }
    while (running > 0) {
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        for (unsigned job = 0; job < config.jobs; job++) {
            if (workers[job] != ended)
                continue;
            workers[job] = on_worker_end(&config, board, job, status);
            running -= workers[job] <= 0;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    unsigned failures = sum_up(&config, board, seconds);
    munmap(board, sizeof(*board));
    return failures;
}
