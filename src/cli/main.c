/* roam: the command. One subcommand, one file; this one only finds it. */
#include <string.h>

#include "cli/cli.h"

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"demo", demo_main, "watch a connection survive a change of address"},
    {"listen", listen_main, "wait for a connection: netcat over QUIC"},
    {"connect", connect_main, "connect standard input and output to a server"},
    {"serve", serve_main, "serve the files of a directory over HTTP/3"},
    {"get", get_main, "fetch what a URL names over HTTP/3"},
    {"natbox", natbox_main, "a NAT and a bad network, to test any UDP application"},
    {"cid", cid_main, "take a connection ID apart"},
    {"perf", perf_main, "measure how fast it is, and what it costs"},
    {"table", table_main, "the connections of a server that runs"},
    {"events", events_main, "what happens at a server that runs, as it happens"},
    {"top", top_main, "watch a server's table of connections, live"},
    {"check", check_main, "examine whether a server survives a change of address"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: roam COMMAND [options]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(stream, "\n`roam COMMAND --help` tells what a command takes; `roam --version` which version this is.\n");
}

static int run_command(const char *name, int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].main(argc, argv);
    say_error("there is no command '%s'", name);
    print_usage(stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    /* Whoever reads our messages through a pipe gets whole lines. */
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("roam %s\n", roam_version());
        return EXIT_OK;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        char *help[] = {"--help", NULL};
        if (argc > 2)
            return run_command(argv[2], 1, help);
        print_usage(stdout);
        return EXIT_OK;
    }
    return run_command(argv[1], argc - 2, argv + 2);
}
