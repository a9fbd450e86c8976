/*
 * Named worlds in which one thing happens, each with what must come of it: situations (S) of spec/scenarios.tsv, and
 * mistakes that other stacks have made (B), of spec/bugs.tsv, which docs/scenarios.md lists; attacks (A) of
 * spec/attacks.tsv, which docs/security.md lists.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim/lab.h"
#include "sim/view.h"

struct scenario {
    const char *name; /* opens with the id: s001_..., b01_... */
    void (*run)(struct lab *lab);
};

#define SCENARIO(function)                                                                                             \
    {                                                                                                                  \
#function, function                                                                                            \
    }

/* Each table ends with an empty entry. */
extern const struct scenario scenarios_rebind[];     /* S001 .. S015 */
extern const struct scenario scenarios_migrate[];    /* S016 .. S020 */
extern const struct scenario scenarios_probe[];      /* S031 .. S037 */
extern const struct scenario scenarios_validation[]; /* S038 .. S047 */
extern const struct scenario scenarios_ends[];       /* S072 .. S074 */
extern const struct scenario scenarios_amplify[];    /* S076 .. S079 */
extern const struct scenario scenarios_together[];   /* S086 .. S098 */
extern const struct scenario scenarios_attack[];     /* S091 .. S099, B28, B29 */
extern const struct scenario scenarios_mistakes[];   /* B16 .. B34 */
extern const struct scenario scenarios_moves[];      /* B32 */
extern const struct scenario scenarios_cids[];       /* S048 .. S059, B20 .. B30: issued, used, retired */
extern const struct scenario scenarios_resets[];     /* S066 .. S071, S095, S096, B19, B25, B26 */
extern const struct scenario scenarios_rotation[];   /* S049, S055, S056, B11: CIDs that change, and who looks on */
extern const struct scenario scenarios_bugs[];       /* B01 .. */
extern const struct scenario scenarios_limits[];     /* the rest of B: long runs and small allowances */
extern const struct scenario scenarios_preferred[];  /* S060 .. S065 */
extern const struct scenario scenarios_server[];     /* S021, S022, S027, S028, S088, S089, S097 */
extern const struct scenario scenarios_mobility[];   /* a client that moves by itself */
extern const struct scenario scenarios_networks[];   /* ... and the networks of its host */

extern const struct scenario scenarios_congestion[]; /* S100 .. S105 */
extern const struct scenario scenarios_datagrams[];  /* S106 .. S111 */
extern const struct scenario scenarios_early[];      /* S112 */
extern const struct scenario scenarios_versions[];   /* S113, S114 */

extern const struct scenario scenarios_strangers[]; /* A01, A24, A25 */
extern const struct scenario scenarios_malice[];    /* A06 .. A34: a peer that means harm */

extern const struct scenario scenarios_mtu[];   /* sizes of datagrams */
extern const struct scenario scenarios_paths[]; /* what is known of each path */
extern const struct scenario scenarios_rates[]; /* what a change of port costs */
extern const struct scenario scenarios_gaps[];  /* how long a change stops a transfer */

/* Prints all names. */
void scenario_list(void);

/* Runs those whose name begins with `prefix` (case does not matter; NULL: all), prints a verdict each, and returns how
 * many failed, or -1 where there is none of that name. */
int scenario_run(const char *prefix, const struct sim_certs *certs, const struct sim_view *view);

#endif
