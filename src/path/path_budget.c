/* New places in a given time: see the header. */
#include "path/path_budget.h"

#include "base/minmax.h"

static bool is_slowed_down(const struct path_budget *budget)
{
    return budget->failed >= FAILED_PATHS_MAX;
}

/* The count begins again. */
static bool is_over(const struct path_budget *budget, roam_time now, roam_time pto)
{
    roam_time span = is_slowed_down(budget) ? saturating_mul(FAILED_PATH_INTERVAL, pto) : pto;
    return saturating_add(budget->since, span) <= now;
}

bool path_budget_allows(const struct path_budget *budget, roam_time now, roam_time pto)
{
    return budget->opened < (is_slowed_down(budget) ? 1 : NEW_PATHS_PER_PTO) || is_over(budget, now, pto);
}

void path_budget_on_opened(struct path_budget *budget, roam_time now, roam_time pto)
{
    if (budget->opened == 0 || is_over(budget, now, pto)) {
        budget->since = now;
        budget->opened = 0;
    }
    budget->opened++;
}

void path_budget_on_failed(struct path_budget *budget)
{
    budget->failed += budget->failed < UINT32_MAX;
}

void path_budget_on_proven(struct path_budget *budget)
{
    budget->failed = 0;
}
