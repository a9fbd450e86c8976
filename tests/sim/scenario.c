/* The tables of scenarios, and how one is run: built, run, said goodbye to, and looked after for what it leaves
 * behind. */
#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCENARIO_SEED 1

/* No scenario takes so long; one that does hangs. */
#define WATCHDOG_SECONDS 300

static const struct scenario *const tables[] = {
    scenarios_rebind,     //
    scenarios_migrate,    //
    scenarios_probe,      //
    scenarios_validation, //
    scenarios_mobility,   //
    scenarios_networks,   //
    scenarios_cids,       //
    scenarios_resets,     //
    scenarios_rotation,   //
    scenarios_preferred,  //
    scenarios_server,     //
    scenarios_mtu,        //
    scenarios_ends,       //
    scenarios_amplify,    //
    scenarios_together,   //
    scenarios_attack,     //
    scenarios_paths,      //
    scenarios_rates,      //
    scenarios_congestion, //
    scenarios_datagrams,  //
    scenarios_early,      //
    scenarios_versions,   //
    scenarios_gaps,       //
    scenarios_mistakes,   //
    scenarios_moves,      //
    scenarios_bugs,       //
    scenarios_limits,     //
    scenarios_strangers,  //
    scenarios_malice,     //
};

void scenario_list(void)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct scenario *scenario = tables[i]; scenario->name != NULL; scenario++)
            printf("%s\n", scenario->name);
    }
}

static bool run_here(const struct scenario *scenario, const struct sim_certs *certs, const struct sim_view *view)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    if (lab == NULL)
        abort();
    lab_config_init(&lab->config, SCENARIO_SEED, certs);
    struct view_qlog qlog;
    lab->config.print = view->print;
    lab->config.qlog = view_qlog_open(&qlog, view, scenario->name);
    scenario->run(lab);
    lab_close(lab);
    view_qlog_close(&qlog);
    bool passed = !lab->world.failed;
    if (!passed)
        printf("     %s\n", lab->world.failure);
    if (lab->report[0] != '\0')
        printf("     %s\n", lab->report);
    free(lab);
    return passed;
}

/* In a process of its own, so that a failed assertion of the library's is one failed scenario. */
static bool run_apart(const struct scenario *scenario, const struct sim_certs *certs, const struct sim_view *view)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(WATCHDOG_SECONDS);
        bool passed = run_here(scenario, certs, view);
        fflush(NULL);
        _exit(passed ? 0 : 1);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        printf("     ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int scenario_run(const char *prefix, const struct sim_certs *certs, const struct sim_view *view)
{
    int passed = 0, failed = 0;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct scenario *scenario = tables[i]; scenario->name != NULL; scenario++) {
            if (prefix != NULL && strncasecmp(scenario->name, prefix, strlen(prefix)) != 0)
                continue;
            bool ok = run_apart(scenario, certs, view);
            printf("%-4s %s\n", ok ? "ok" : "FAIL", scenario->name);
            fflush(stdout);
            passed += ok;
            failed += !ok;
            if (view != NULL && view->plot != NULL)
                return failed;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return passed + failed == 0 ? -1 : failed;
}
