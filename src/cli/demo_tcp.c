/*
 * The same change of address, and a TCP connection. Kept: real sockets and what the kernel really answers. On loopback
 * nothing can make a socket's packets come from elsewhere, so the client does what applications do: it asks the kernel
 * to move the socket, and then sends from a new one. Behind the NAT it does nothing at all, and sends on the connection
 * that it has.
 */
#include "cli/demo.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/sockaddr.h"

/* How long an answer may take: it comes at once or never. */
#define TCP_WAIT_MS 400

#define SECOND_MESSAGE "Hello again!\n"

static int open_at(const struct stage *stage, enum side side, const roam_address *local)
{
    struct sockaddr_storage name;
    const int on = 1;
    if (!stage_enter(stage, side))
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stage_leave(stage);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    socklen_t len = sockaddr_from_address(&name, local);
    if (bind(fd, (struct sockaddr *)&name, len) == 0)
        return fd;
    roam_address any_port = *local;
    any_port.port = 0;
    len = sockaddr_from_address(&name, &any_port);
    if (bind(fd, (struct sockaddr *)&name, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, TCP_WAIT_MS) > 0;
}

static bool connect_to_listener(struct tcp_story *tcp, int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    return getsockname(tcp->listener, (struct sockaddr *)&name, &len) == 0 &&
           connect(fd, (struct sockaddr *)&name, len) == 0;
}

static int accept_one(struct tcp_story *tcp, roam_address *ret_from)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    if (!readable(tcp->listener))
        return -1;
    int fd = accept4(tcp->listener, (struct sockaddr *)&name, &len, SOCK_CLOEXEC);
    if (fd >= 0)
        address_from_sockaddr(ret_from, (struct sockaddr *)&name);
    return fd;
}

void tcp_start(struct tcp_story *tcp, const struct stage *stage)
{
    char text[16];
    *tcp = (struct tcp_story){.listener = -1, .client = -1, .server = -1, .again = -1};
    tcp->listener = open_at(stage, SIDE_SERVER, &stage->server);
    if (tcp->listener < 0 || listen(tcp->listener, 4) != 0)
        return;
    tcp->client = open_at(stage, SIDE_CLIENT, &stage->client);
    if (tcp->client < 0 || !connect_to_listener(tcp, tcp->client))
        return;
    tcp->server = accept_one(tcp, &tcp->from);
    tcp->started = tcp->server >= 0 && send(tcp->client, "Hello!\n", 7, MSG_NOSIGNAL) == 7 && readable(tcp->server) &&
                   recv(tcp->server, text, sizeof(text), 0) == 7;
}

static void send_from_new_socket(struct tcp_story *tcp, const struct stage *stage)
{
    struct sockaddr_storage name;
    roam_address from;
    socklen_t len = sockaddr_from_address(&name, &stage->after);
    tcp->move_error = bind(tcp->client, (struct sockaddr *)&name, len) == 0 ? 0 : errno;
    tcp->again = open_at(stage, SIDE_CLIENT, &stage->after);
    if (tcp->again < 0 || !connect_to_listener(tcp, tcp->again))
        return;
    if (send(tcp->again, SECOND_MESSAGE, strlen(SECOND_MESSAGE), MSG_NOSIGNAL) < 0)
        return;
    int other = accept_one(tcp, &from);
    tcp->new_connection = other >= 0;
    if (other >= 0)
        close(other);
}

void tcp_after(struct tcp_story *tcp, const struct stage *stage)
{
    char text[64];
    if (!tcp->started)
        return;
    if (!stage->behind_nat)
        send_from_new_socket(tcp, stage);
    else if (send(tcp->client, SECOND_MESSAGE, strlen(SECOND_MESSAGE), MSG_NOSIGNAL) < 0)
        tcp->client_error = errno;
    tcp->same_connection = readable(tcp->server) && recv(tcp->server, text, sizeof(text), 0) > 0;
    if (stage->behind_nat && tcp->client_error == 0 && readable(tcp->client) &&
        recv(tcp->client, text, sizeof(text), 0) < 0)
        tcp->client_error = errno;
}

void tcp_print(const struct tcp_story *tcp, const struct stage *stage)
{
    char from[ROAM_ADDRESS_TEXT_MAX], after[ROAM_ADDRESS_TEXT_MAX];
    roam_address_format(&tcp->from, from);
    roam_address_format(&stage->after, after);
    printf("\n%sThe same with TCP%s\n\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN));
    if (!tcp->started) {
        printf("  (no TCP connection could be made here)\n");
        return;
    }
    printf("  A TCP connection from %s; the server reads \"Hello!\". Then the client's address changes to %s.\n", from,
           after);
    if (stage->behind_nat) {
        printf("  The client sends \"Hello again!\" on it. It comes from an address that the server's kernel has no "
               "connection\n"
               "  with; the server's application reads nothing, and the client's gets: %s\n",
               tcp->client_error != 0 ? strerror(tcp->client_error) : "nothing");
    } else {
        printf("  No call moves a TCP connection: asked to bind its socket to the new address, the kernel says: %s\n",
               strerror(tcp->move_error));
        printf("  \"Hello again!\" from a new socket there %s; the server reads %s on the first connection.\n",
               tcp->new_connection ? "is a new connection to the server" : "does not get through",
               tcp->same_connection ? "something" : "nothing");
    }
    printf("  %sThe application would have to connect again and begin again.%s\n", style(stdout, STYLE_BAD),
           style(stdout, STYLE_PLAIN));
}

void tcp_done(struct tcp_story *tcp)
{
    const int sockets[] = {tcp->listener, tcp->client, tcp->server, tcp->again};
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
}
