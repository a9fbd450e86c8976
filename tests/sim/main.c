/*
 * roam-sim: the simulated world.
 *
 *   --self-test               the world's own tests
 *   --list                    names of the scenarios
 *   --scenarios               runs them all
 *   --scenario ID             runs those whose name begins so
 *   --seeds A..B [--jobs N] [--failures N]   drawn worlds; stops after so many failures (5)
 *   --seed N                  one of them
 *   --trace                   with --scenario or --seed: prints what happens
 *   --qlog DIR                likewise: writes a qlog of each connection to DIR/NAME/
 *   --plot FILE.svg           likewise, instead: draws window, RTT and rate over time from the qlogs (of the first
 *                             scenario of that name)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/runner.h"
#include "sim/scenario.h"
#include "sim/self_test.h"

struct options {
    bool self_test, list, scenarios, seeds, one_seed, trace;
    const char *scenario;
    const char *qlog, *plot;
    struct runner_config runner;
};

static int usage(void)
{
    fprintf(
        stderr,
        "usage: roam-sim --self-test | --list | --scenarios | --scenario ID [--trace] [--qlog DIR | --plot FILE.svg] "
        "|\n"
        "                --seeds A..B [--jobs N] [--failures N] | --seed N [--trace] [--qlog DIR | --plot FILE.svg]\n");
    return 2;
}

static bool parse_range(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
    char *end;
    *ret_first = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) != 0)
        return false;
    *ret_last = strtoull(end + 2, &end, 10);
    return *end == '\0' && *ret_first <= *ret_last;
}

/* Takes one option, and its value where it has one; returns how many words that were, 0 for none. */
static int parse_option(struct options *options, const char *word, const char *value)
{
    if (strcmp(word, "--self-test") == 0)
        options->self_test = true;
    else if (strcmp(word, "--list") == 0)
        options->list = true;
    else if (strcmp(word, "--scenarios") == 0)
        options->scenarios = true;
    else if (strcmp(word, "--trace") == 0)
        options->trace = true;
    else if (value == NULL)
        return 0;
    else if (strcmp(word, "--scenario") == 0)
        return options->scenario = value, 2;
    else if (strcmp(word, "--qlog") == 0)
        return options->qlog = value, 2;
    else if (strcmp(word, "--plot") == 0)
        return options->plot = value, 2;
    else if (strcmp(word, "--seed") == 0)
        return options->one_seed = true, options->runner.first = strtoull(value, NULL, 10), 2;
    else if (strcmp(word, "--jobs") == 0)
        return options->runner.jobs = (unsigned)strtoul(value, NULL, 10), options->runner.jobs > 0 ? 2 : 0;
    else if (strcmp(word, "--failures") == 0)
        return options->runner.failures_max = (unsigned)strtoul(value, NULL, 10), 2;
    else if (strcmp(word, "--seeds") == 0)
        return options->seeds = true, parse_range(value, &options->runner.first, &options->runner.last) ? 2 : 0;
    else
        return 0;
    return 1;
}

static int run_one_seed(uint64_t seed, const struct sim_certs *certs, const struct sim_view *view)
{
    struct drawn_result result;
    drawn_run(&result, seed, certs, view);
    printf("%s seed %llu, trace %016llx%s%s\n", result.passed ? "ok  " : "FAIL", (unsigned long long)seed,
           (unsigned long long)result.trace_hash, result.passed ? "" : ": ", result.failure);
    drawn_totals_print(&result.totals);
    return result.passed ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.runner = {.jobs = 1, .failures_max = 5}};
    for (int i = 1; i < argc;) {
        int taken = parse_option(&options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (taken == 0)
            return usage();
        i += taken;
    }
    if (options.list) {
        scenario_list();
        return 0;
    }
    if (options.self_test)
        return self_test_run() == 0 ? 0 : 1;
    const struct sim_view view = {
        .print = options.trace ? stdout : NULL, .qlog_dir = options.qlog, .plot = options.plot};
    struct sim_certs certs = sim_certs_new();
    int result = 2;
    options.runner.certs = &certs;
    if (options.scenario != NULL || options.scenarios)
        result = scenario_run(options.scenario, &certs, &view) == 0 ? 0 : 1;
    else if (options.seeds)
        result = runner_run(&options.runner) == 0 ? 0 : 1;
    else if (options.one_seed)
        result = run_one_seed(options.runner.first, &certs, &view);
    else
        usage();
    sim_certs_free(&certs);
    return result;
}
