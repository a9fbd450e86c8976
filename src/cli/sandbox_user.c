/*
 * Root becomes somebody else, and nobody keeps a capability. Kept: whoever was named is who we become, or we do not
 * start; without a name root stays root only where it would have to give up what it was told to serve, and says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/sandbox.h"

#define GROUPS_MAX 256

struct account {
    const char *name;
    uid_t uid;
    gid_t gid;
};

static bool find_account(const char *name, struct account *ret)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL)
        return false;
    *ret = (struct account){name, entry->pw_uid, entry->pw_gid};
    return true;
}

/* No program that is executed gets them back. Fails where we may not, and behind the last one. */
static void drop_bounding_set(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
        capability++;
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) == 0)
        return true;
    say_error("cannot drop capabilities: %s", strerror(errno));
    return false;
}

/* ---- May they use what we were told to? -------------------------------------------------------------------------- */

static int needed_access(enum sandbox_use use)
{
    switch (use) {
    case SANDBOX_SERVE:
        return R_OK | X_OK;
    case SANDBOX_REREAD:
        return R_OK;
    case SANDBOX_REWRITE:
        return W_OK;
    case SANDBOX_FILL:
        return W_OK | X_OK;
    default:
        return F_OK;
    }
}

static bool is_usable(const struct sandbox_place *place)
{
    char parent[PATH_MAX];
    switch (place->use) {
    case SANDBOX_LEAVE:
    case SANDBOX_OPEN:
        return true;
    case SANDBOX_REMOVE:
        sandbox_parent(place->path, parent);
        return faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) == 0;
    default:
        return faccessat(AT_FDCWD, place->path, needed_access(place->use), AT_EACCESS) == 0;
    }
}

/* The first path that whoever we are now cannot use; NULL where there is none. */
static const char *find_refused(const struct sandbox_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (!is_usable(&plan->places[i]))
            return plan->places[i].path;
    return NULL;
}

/* Becomes them for a moment. *ret_refused is what stands against it, NULL for nothing; false where there is no way back,
 * or none there (a user namespace may lack them). */
static bool try_account(const struct account *account, const struct sandbox_plan *plan, const char **ret_refused)
{
    gid_t groups[GROUPS_MAX], group = getegid();
    int count = getgroups(GROUPS_MAX, groups);
    *ret_refused = NULL;
    if (count < 0 || initgroups(account->name, account->gid) != 0)
        return false;
    bool became = setegid(account->gid) == 0 && seteuid(account->uid) == 0;
    if (became)
        *ret_refused = find_refused(plan);
    return seteuid(0) == 0 && setegid(group) == 0 && setgroups((size_t)count, groups) == 0 && became;
}

/* ---- Becoming ---------------------------------------------------------------------------------------------------- */

static bool change_to(const struct account *account, const struct sandbox_plan *plan)
{
    /* The dashboard asks by the control socket, like everybody else. */
    for (size_t i = 0; i < plan->count; i++)
        if ((plan->places[i].use == SANDBOX_REMOVE || plan->places[i].use == SANDBOX_LEAVE) &&
            fchownat(AT_FDCWD, plan->places[i].path, account->uid, account->gid, AT_SYMLINK_NOFOLLOW) != 0)
            say_error("cannot give %s to %s: %s", plan->places[i].path, account->name, strerror(errno));
    if (initgroups(account->name, account->gid) == 0 && setresgid(account->gid, account->gid, account->gid) == 0 &&
        setresuid(account->uid, account->uid, account->uid) == 0 && setuid(0) != 0)
        return true;
    say_error("cannot become %s: %s", account->name, strerror(errno));
    return false;
}

static bool become_named(const char *name, const struct sandbox_plan *plan)
{
    struct account account;
    const char *refused;
    if (!find_account(name, &account)) {
        say_error("--user: there is no user %s", name);
        return false;
    }
    if (account.uid == geteuid())
        return true;
    if (geteuid() != 0) {
        say_error("--user: only root can become %s", name);
        return false;
    }
    if (!try_account(&account, plan, &refused)) {
        say_error("cannot become %s: %s", name, strerror(errno));
        return false;
    }
    if (refused != NULL) {
        say_error("%s may not use %s, as this server would have to (--user root stays root)", name, refused);
        return false;
    }
    return change_to(&account, plan);
}

static bool become_nobody(const struct sandbox_plan *plan)
{
    struct account account;
    const char *refused;
    if (!find_account("roam", &account) && !find_account("nobody", &account)) {
        say_error("stays root, without capabilities: there is no user roam, nor nobody");
        return true;
    }
    if (!try_account(&account, plan, &refused)) {
        say_error("stays root, without capabilities: cannot become %s", account.name);
        return seteuid(0) == 0;
    }
    if (refused != NULL) {
        say_error("stays root, without capabilities: %s may not use %s (--user names somebody else)", account.name,
                  refused);
        return true;
    }
    return change_to(&account, plan);
}

bool sandbox_become(const char *user, const struct sandbox_plan *plan)
{
    drop_bounding_set(); /* while we may */
    bool became = user != NULL ? become_named(user, plan) : geteuid() != 0 || become_nobody(plan);
    return became && drop_capabilities();
}
