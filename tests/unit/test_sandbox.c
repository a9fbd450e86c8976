/* What a process that went into the sandbox can still do, and what it cannot. Each test does it in a child, which gives
 * up for good what it gives up. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/sandbox.h"

#define UNUSED_STATE   void **state
#define CHILD_IS_RIGHT 42

/* What a child does at last: true where it went as it should. */
typedef bool (*deed_function)(void);

static char top[] = "/tmp/roam-sandbox-XXXXXX";

static const char *in(const char *name)
{
    static char paths[8][PATH_MAX]; /* as many as are in use at once */
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, PATH_MAX, "%s/%s", top, name);
    return path;
}

static bool write_text(const char *path, int flags, const char *text)
{
    int fd = open(path, O_WRONLY | flags, 0644);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

static bool can_read(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool is_refused(const char *path, int flags)
{
    int fd = open(path, flags, 0644);
    if (fd >= 0)
        close(fd);
    return fd < 0 && errno == EACCES;
}

/* Stays who we are, so that it is the sandbox alone that refuses. */
static bool enter(void)
{
    const struct sandbox_options options = {.user = geteuid() == 0 ? "root" : NULL};
    struct sandbox_plan plan = {0};
    sandbox_want(&plan, SANDBOX_SERVE, in("site"));
    sandbox_want(&plan, SANDBOX_REREAD, in("keys/key.pem"));
    sandbox_want(&plan, SANDBOX_REWRITE, in("log/access.log"));
    sandbox_want(&plan, SANDBOX_FILL, in("qlog"));
    sandbox_want(&plan, SANDBOX_REMOVE, in("run/socket"));
    bool entered = sandbox_enter(&options, &plan);
    sandbox_plan_done(&plan);
    return entered;
}

static int status_of(bool (*begin)(void), deed_function deed)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(begin() && deed() ? CHILD_IS_RIGHT : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_right(deed_function deed)
{
    int status = status_of(enter, deed);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHILD_IS_RIGHT);
}

static void expect_death(deed_function deed)
{
    int status = status_of(enter, deed);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static bool use_what_is_served(void)
{
    return can_read(in("site/page")) && can_read(in("site/below/page")) && can_read(in("site"));
}

static bool reach_outside(void)
{
    return is_refused(in("secret"), O_RDONLY) && is_refused("/etc/passwd", O_RDONLY) &&
           is_refused("/proc/self/maps", O_RDONLY) && is_refused(in("site/page"), O_WRONLY) &&
           is_refused(in("site/new"), O_WRONLY | O_CREAT) && is_refused(in("log/access.log"), O_RDONLY) &&
           is_refused(in("keys/key.pem"), O_WRONLY) && unlink(in("site/page")) != 0 && errno == EACCES;
}

/* A certificate and a log that others have put in the place of those of the start. */
static bool open_again(void)
{
    return can_read(in("keys/key.pem")) && write_text(in("log/access.log"), O_APPEND, "more\n") &&
           write_text(in("log/access.log.1"), O_APPEND | O_CREAT, "anew\n") &&
           write_text(in("qlog/1_server.sqlog"), O_CREAT | O_EXCL, "{}\n") && unlink(in("run/socket")) == 0;
}

static void the_fence_lets_through_what_the_plan_wants(UNUSED_STATE)
{
    (void)state;
    expect_right(use_what_is_served);
    expect_right(open_again);
}

static void the_fence_keeps_everything_else_out(UNUSED_STATE)
{
    (void)state;
    if (sandbox_fence_version() == 0)
        skip();
    expect_right(reach_outside);
}

static bool connect_by_tcp(void)
{
    const struct sockaddr_in nobody = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody)) != 0 && errno == EACCES &&
           bind(fd, (const struct sockaddr *)&nobody, sizeof(nobody)) != 0 && errno == EACCES;
}

static void no_tcp_connection_is_opened(UNUSED_STATE)
{
    (void)state;
    if (sandbox_fence_version() < 4)
        skip();
    expect_right(connect_by_tcp);
}

/* ---- System calls ------------------------------------------------------------------------------------------------ */

static bool execute(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return true;
}

static bool become_root(void)
{
    return setuid(0) == 0;
}

static bool spy_on_parent(void)
{
    char octet;
    struct iovec local = {&octet, 1}, remote = {&octet, 1};
    return process_vm_readv(getppid(), &local, 1, &remote, 1, 0) == 1;
}

static bool make_executable(void)
{
    chmod(in("site/page"), 0755);
    return true;
}

static void what_only_an_intruder_calls_ends_the_process(UNUSED_STATE)
{
    (void)state;
    expect_death(execute);
    expect_death(become_root);
    expect_death(spy_on_parent);
    expect_death(make_executable);
}

static bool call_what_is_not_listed(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return fork() < 0 && errno == ENOSYS && socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == ENOSYS &&
           memory != MAP_FAILED && mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0 && errno == ENOSYS &&
           mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
           kill(getppid(), 0) != 0 && errno == ENOSYS;
}

static void what_is_not_listed_does_not_exist(UNUSED_STATE)
{
    (void)state;
    expect_right(call_what_is_not_listed);
}

static void *reach_from_thread(void *context)
{
    *(bool *)context = call_what_is_not_listed() && (sandbox_fence_version() == 0 || reach_outside());
    return NULL;
}

static bool start_thread(void)
{
    pthread_t thread;
    bool right = false;
    return pthread_create(&thread, NULL, reach_from_thread, &right) == 0 && pthread_join(thread, NULL) == 0 && right;
}

static void threads_start_and_are_confined_too(UNUSED_STATE)
{
    (void)state;
    expect_right(start_thread);
}

static bool abort_ourselves(void)
{
    abort();
}

static void an_assertion_still_ends_by_its_own_signal(UNUSED_STATE)
{
    (void)state;
    int status = status_of(enter, abort_ourselves);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- Users ------------------------------------------------------------------------------------------------------- */

static const char *user, *served;

static bool enter_as_user(void)
{
    const struct sandbox_options options = {.user = user, .off = true};
    struct sandbox_plan plan = {0};
    sandbox_want(&plan, SANDBOX_SERVE, served);
    bool entered = sandbox_enter(&options, &plan);
    sandbox_plan_done(&plan);
    return entered;
}

static bool is_nobody_for_good(void)
{
    uid_t real, effective, saved;
    gid_t groups[64];
    return getresuid(&real, &effective, &saved) == 0 && real != 0 && effective == real && saved == real &&
           getgroups(64, groups) <= 1 && getgid() != 0 && setuid(0) != 0 && seteuid(0) != 0 && setgid(0) != 0 &&
           is_refused(in("private"), O_RDONLY);
}

static bool is_right(void)
{
    return true;
}

static void root_becomes_the_user_that_was_named(UNUSED_STATE)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    user = "nobody";
    served = in("site");
    assert_int_equal(WEXITSTATUS(status_of(enter_as_user, is_nobody_for_good)), CHILD_IS_RIGHT);
    /* Who may not read what is to be served is nobody to become. */
    served = in("private");
    assert_int_equal(WEXITSTATUS(status_of(enter_as_user, is_right)), 1);
}

static void a_user_that_there_is_not_is_an_error(UNUSED_STATE)
{
    (void)state;
    user = "no-such-user";
    served = in("site");
    assert_int_equal(WEXITSTATUS(status_of(enter_as_user, is_right)), 1);
}

static bool enter_without_name(void)
{
    const struct sandbox_options options = {0};
    struct sandbox_plan plan = {0};
    sandbox_want(&plan, SANDBOX_SERVE, served);
    return sandbox_enter(&options, &plan);
}

static bool is_root_without_power(void)
{
    /* Root's own file is root's, another one's is not without CAP_DAC_OVERRIDE. */
    return geteuid() == 0 && can_read(in("private")) && is_refused(in("private/locked"), O_WRONLY);
}

static void root_stays_without_power_where_nobody_could_not_serve(UNUSED_STATE)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    served = in("private");
    assert_int_equal(WEXITSTATUS(status_of(enter_without_name, is_root_without_power)), CHILD_IS_RIGHT);
    served = in("site");
    assert_int_not_equal(WEXITSTATUS(status_of(enter_without_name, is_root_without_power)), CHILD_IS_RIGHT);
}

/* ---- ------------------------------------------------------------------------------------------------------------- */

static void parents_are_found(UNUSED_STATE)
{
    (void)state;
    char parent[PATH_MAX];
    static const char *const pairs[][2] = {{"/a/b", "/a/"}, {"/a/b/", "/a/"}, {"a/b", "a/"},
                                           {"a", "."},      {"/a", "/"},      {"/", "/"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        sandbox_parent(pairs[i][0], parent);
        assert_string_equal(parent, pairs[i][1]);
    }
}

static int make_files(UNUSED_STATE)
{
    static const char *const directories[] = {"site", "site/below", "keys", "log", "qlog", "run", "private"};
    static const char *const files[] = {"site/page",      "site/below/page", "keys/key.pem",  "secret",
                                        "log/access.log", "run/socket",      "private/locked"};
    (void)state;
    if (mkdtemp(top) == NULL || chmod(top, 0755) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        if (mkdir(in(directories[i]), 0755) != 0)
            return -1;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (!write_text(in(files[i]), O_CREAT, "text\n"))
            return -1;
    return chmod(in("private"), 0700) | chmod(in("private/locked"), 0400);
}

static int remove_files(UNUSED_STATE)
{
    char command[PATH_MAX + 16];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    return system(command);
}

int main(void)
{
#ifdef ROAM_SANITIZED
    print_message("no sandbox where a sanitizer watches\n");
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fence_lets_through_what_the_plan_wants),
        cmocka_unit_test(the_fence_keeps_everything_else_out),
        cmocka_unit_test(no_tcp_connection_is_opened),
        cmocka_unit_test(what_only_an_intruder_calls_ends_the_process),
        cmocka_unit_test(what_is_not_listed_does_not_exist),
        cmocka_unit_test(threads_start_and_are_confined_too),
        cmocka_unit_test(an_assertion_still_ends_by_its_own_signal),
        cmocka_unit_test(root_becomes_the_user_that_was_named),
        cmocka_unit_test(a_user_that_there_is_not_is_an_error),
        cmocka_unit_test(root_stays_without_power_where_nobody_could_not_serve),
        cmocka_unit_test(parents_are_found),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
