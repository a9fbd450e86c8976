/*
 * See sandbox.h. Kept: what is given up never comes back, so that whoever takes the process over has no more than what
 * it serves.
 */
#include "cli/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A sanitizer opens /proc, starts its symbolizer and traces itself at the end: it would report our fence, not mistakes. */
#ifdef ROAM_SANITIZED
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

#define PLACES_AT_FIRST 16

void sandbox_want(struct sandbox_plan *plan, enum sandbox_use use, const char *path)
{
    if (path == NULL)
        return;
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity == 0 ? PLACES_AT_FIRST : 2 * plan->capacity;
        struct sandbox_place *places = realloc(plan->places, capacity * sizeof(*places));
        if (places == NULL) {
            plan->no_memory = true;
            return;
        }
        plan->places = places;
        plan->capacity = capacity;
    }
    plan->places[plan->count++] = (struct sandbox_place){use, path};
}

void sandbox_plan_done(struct sandbox_plan *plan)
{
    free(plan->places);
    *plan = (struct sandbox_plan){0};
}

void sandbox_parent(const char *path, char *ret)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0)
        snprintf(ret, PATH_MAX, ".");
    else
        snprintf(ret, PATH_MAX, "%.*s", (int)len, path);
}

bool sandbox_enter(const struct sandbox_options *options, const struct sandbox_plan *plan)
{
    if (plan->no_memory) {
        say_error("no memory");
        return false;
    }
    if (IS_SANITIZED || (options->off && options->user == NULL))
        return true;
    if (!sandbox_become(options->user, plan))
        return false;
    if (options->off)
        return true;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        say_error("cannot renounce new privileges: %s", strerror(errno));
        return false;
    }
    return sandbox_fence_files(plan) && sandbox_limit_calls();
}

bool sandbox_enter_server(struct sandbox_plan *plan, const struct net_options *options, const char *control)
{
    static const char *const standard[] = {"/proc/self/fd/0", "/proc/self/fd/1"};
    const char *qlog = options->qlog != NULL ? options->qlog : secure_getenv("QLOGDIR");
    if (qlog != NULL && qlog[0] != '\0')
        sandbox_want(plan, SANDBOX_FILL, qlog);
    /* One below the directory of all is found by whoever looks for servers next, and removed then. */
    sandbox_want(plan, options->watch.control != NULL ? SANDBOX_REMOVE : SANDBOX_LEAVE, control);
    if (options->watch.dashboard != NULL)
        sandbox_want(plan, SANDBOX_REACH, control);
    /* `roam listen` opens its terminal once more, for itself. */
    for (int fd = 0; fd < 2; fd++)
        if (isatty(fd))
            sandbox_want(plan, SANDBOX_OPEN, standard[fd]);
    sandbox_want(plan, SANDBOX_OPEN, "/dev/null");
    bool entered = sandbox_enter(&options->sandbox, plan);
    sandbox_plan_done(plan);
    return entered;
}
