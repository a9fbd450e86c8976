/*
 * The places of the story: plain loopback, or three network namespaces with the very addresses,
 *
 *     client 172.16.0.2 -- lan [router] wan 192.168.1.10, later 10.0.0.20 -- server 203.0.113.5
 *
 * where the router's kernel masquerades. When an address of its interface is deleted, the kernel forgets the mappings
 * that used it; the client's next packet gets a new one. Kept: names of our own, and everything is removed, whatever
 * happened.
 */
#include "cli/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MAX 1024

static const char *const sides[] = {"client", "router", "server"};

/* ---- Entering */

static bool enter_namespace(const struct stage *stage, const char *side)
{
    char path[96];
    snprintf(path, sizeof(path), "/run/netns/%s-%s", stage->name, side);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool entered = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    if (fd >= 0)
        close(fd);
    return entered;
}

bool stage_enter(const struct stage *stage, enum side side)
{
    return !stage->behind_nat || enter_namespace(stage, side == SIDE_CLIENT ? "client" : "server");
}

void stage_leave(const struct stage *stage)
{
    if (stage->behind_nat && setns(stage->home, CLONE_NEWNET) != 0)
        abort(); /* whatever followed would happen in the wrong network */
}

/* ---- Making and removing */

static bool run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool run(const char *format, ...)
{
    char command[COMMAND_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    return length < COMMAND_MAX && system(command) == 0;
}

/* The router forwards: said in its own namespace. */
static bool switch_forwarding_on(const struct stage *stage)
{
    if (!enter_namespace(stage, "router"))
        return false;
    int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, "1", 1) == 1;
    if (fd >= 0)
        close(fd);
    stage_leave(stage);
    return done;
}

static bool make_links(const char *name)
{
    return run("ip link add client0 netns %s-client type veth peer name lan netns %s-router", name, name) &&
           run("ip link add server0 netns %s-server type veth peer name wan netns %s-router", name, name) &&
           run("ip -n %s-client addr add 172.16.0.2/24 dev client0 && ip -n %s-client link set client0 up", name,
               name) &&
           run("ip -n %s-router addr add 172.16.0.1/24 dev lan && ip -n %s-router link set lan up", name, name) &&
           run("ip -n %s-client route add default via 172.16.0.1", name) &&
           run("ip -n %s-server addr add 203.0.113.5/24 dev server0 && ip -n %s-server link set server0 up", name,
               name) &&
           run("ip -n %s-server route add 192.168.1.0/24 dev server0", name) &&
           run("ip -n %s-server route add 10.0.0.0/24 dev server0", name) &&
           run("ip -n %s-router addr add 192.168.1.10/32 dev wan && ip -n %s-router link set wan up", name, name) &&
           run("ip -n %s-router route add 203.0.113.0/24 dev wan", name);
}

static bool make_nat(const char *name)
{
    return run("ip netns exec %s-router nft 'add table ip nat; "
               "add chain ip nat out { type nat hook postrouting priority srcnat; }; "
               "add rule ip nat out oifname wan ip protocol { tcp, udp } masquerade to :50000'",
               name);
}

bool netns_make(struct stage *stage)
{
    if (geteuid() != 0) {
        say_error("network namespaces can only be made by root: sudo roam demo --netns");
        return false;
    }
    snprintf(stage->name, sizeof(stage->name), "roam-demo-%ld", (long)getpid());
    stage->behind_nat = true;
    stage->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const char *path = getenv("PATH");
    char longer[4096];
    snprintf(longer, sizeof(longer), "%s:/usr/sbin:/sbin", path != NULL ? path : "/usr/bin:/bin");
    setenv("PATH", longer, 1);
    bool made = stage->home >= 0;
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]) && made; i++)
        made = run("ip netns add %s-%s", stage->name, sides[i]);
    made = made && make_links(stage->name) && switch_forwarding_on(stage) && make_nat(stage->name);
    if (made)
        return true;
    say_error("the namespaces could not be set up: `ip` and `nft` must be there and allowed");
    netns_remove(stage);
    return false;
}

void netns_move_command(const struct stage *stage, char *ret, size_t size)
{
    /* New mappings get the other port, then there is the other address, then the first one goes, and its mappings with
     * it. */
    snprintf(ret, size,
             "ip netns exec %s-router nft 'flush chain ip nat out; "
             "add rule ip nat out oifname wan ip protocol { tcp, udp } masquerade to :51000' && "
             "ip -n %s-router addr add 10.0.0.20/32 dev wan && ip -n %s-router addr del 192.168.1.10/32 dev wan",
             stage->name, stage->name, stage->name);
}

void netns_remove(struct stage *stage)
{
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
        char path[96];
        snprintf(path, sizeof(path), "/run/netns/%s-%s", stage->name, sides[i]);
        if (access(path, F_OK) == 0)
            run("ip netns del %s-%s", stage->name, sides[i]);
    }
    if (stage->home >= 0)
        close(stage->home);
    stage->home = -1;
}
