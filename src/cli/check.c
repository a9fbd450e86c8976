/* roam check: the command around the exam. See check.h. */
#include "cli/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/minmax.h"

#define USAGE                                                                                                          \
    "usage: roam check [options] https://HOST[:PORT][/PATH]\n"                                                         \
    "       roam check [options] HOST:PORT\n\n"                                                                        \
    "Examines whether a QUIC server survives a change of its client's address, with a few connections and a few\n"     \
    "hundred datagrams. Ends with 0 where it survives and keeps every MUST, 1 where not, 2 for a wrong command "       \
    "line,\n"                                                                                                          \
    "3 without a handshake, 4 where this host is at fault, 5 where the exam did not come to its end.\n"

#define OPTION(name, letter, kind, member, argument, help)                                                             \
    {                                                                                                                  \
        name, letter, kind, offsetof(struct check_options, member), argument, help                                     \
    }

#define TIMEOUT_DEFAULT ROAM_SECONDS(60)

static const struct option_spec specs[] = {
    OPTION("alpn", 0, OPTION_TEXT, net.alpn, "NAME", "try this application protocol first"),
    OPTION("pin", 0, OPTION_PIN, net.pin, "sha256:HEX", "trust who has the key with this fingerprint"),
    OPTION("ca", 0, OPTION_TEXT, net.ca, "FILE", "trust these authorities, PEM, instead of the system's"),
    OPTION("insecure", 0, OPTION_FLAG, net.insecure, NULL, "trust anyone"),
    OPTION("name", 0, OPTION_TEXT, net.name, "NAME", "ask for and verify this name instead of HOST"),
    OPTION("bind", 0, OPTION_ADDRESS, net.bind, "ADDR", "ask from this address"),
    OPTION("second", 0, OPTION_ADDRESS, second, "ADDR", "move to this address (any other of this host)"),
    OPTION("timeout", 0, OPTION_DURATION, timeout, "TIME", "be done after so long (60s)"),
    OPTION("json", 0, OPTION_FLAG, json, NULL, "print one JSON object"),
    OPTION("qlog", 0, OPTION_TEXT, net.qlog, "DIR", "write a qlog of each connection there"),
    OPTION("qlog-latest", 0, OPTION_FLAG, net.qlog_latest, NULL, "by the names of the newest draft, not those of qvis"),
    OPTION("ipv4", '4', OPTION_FLAG, net.ipv4, NULL, "IPv4 only"),
    OPTION("ipv6", '6', OPTION_FLAG, net.ipv6, NULL, "IPv6 only"),
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void catch_signals(void)
{
    /* Without SA_RESTART: a wait ends, and the report says what is known so far. */
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- The command line ------------------------------------------------------------------------------------------- */

static bool take_target(struct exam *exam, const char *target)
{
    if (strncasecmp(target, "https://", 8) == 0)
        return split_url(target, exam->host, &exam->port, exam->path, sizeof(exam->path));
    strcpy(exam->path, "/");
    return split_host_port(target, NULL, exam->host, &exam->port) && exam->port != 0;
}

static bool check_line(struct exam *exam, const struct command_line *line)
{
    const struct net_options *options = &exam->options.net;
    if (line->positional_count != 1)
        say_error("roam check wants one server to examine: https://HOST[:PORT][/PATH] or HOST:PORT");
    else if (!take_target(exam, line->positional[0]))
        say_error("not a URL like https://HOST[:PORT]/PATH, nor a HOST:PORT: '%s'", line->positional[0]);
    else if (options->ipv4 && options->ipv6)
        say_error("--ipv4 and --ipv6 exclude each other");
    else
        return true;
    return false;
}

/* ---- The exam --------------------------------------------------------------------------------------------------- */

static enum check_status status_of(const struct exam *exam, const struct verdict *verdicts, size_t n)
{
    const struct evidence *evidence = &exam->evidence;
    if (!evidence->handshake.confirmed && exam_is_over(exam))
        return CHECK_UNDECIDED;
    if (!evidence->handshake.confirmed)
        return exam->local_error != 0 && exam->totals.connections == 0 ? CHECK_LOCAL : CHECK_NO_HANDSHAKE;
    for (size_t i = 0; i < n; i++)
        if (verdicts[i].answer == ANSWER_NO && verdicts[i].severity >= SEVERITY_MUST)
            return CHECK_FAILS;
    return exam_is_over(exam) || evidence->port.state != PROBE_RAN ? CHECK_UNDECIDED : CHECK_SURVIVES;
}

/* The server's addresses one after the other, until one answers. */
static bool examine(struct exam *exam)
{
    for (size_t i = 0; i < exam->address_count; i++) {
        exam->remote = exam->addresses[i];
        exam->evidence = (struct evidence){0};
        if (!find_own_addresses(exam))
            continue;
        exam_run(exam);
        bool silent = !exam->evidence.handshake.completed && !exam->evidence.versions.answered &&
                      exam->evidence.handshake.error.cause != ROAM_CLOSE_PEER_TRANSPORT;
        if (!silent || exam_is_over(exam))
            return true;
    }
    return exam->totals.connections > 0;
}

static int report(struct exam *exam)
{
    struct verdict verdicts[VERDICTS_MAX];
    size_t n = verdicts_judge(&exam->evidence, verdicts);
    struct report report = {.exam = exam,
                            .verdicts = verdicts,
                            .count = n,
                            .status = status_of(exam, verdicts, n),
                            .took = check_now() - exam->started};
    if (exam->options.json)
        report_print_json(&report, stdout);
    else
        report_print(&report, stdout);
    if (report.status == CHECK_LOCAL)
        say_error("cannot ask: %s", strerror(exam->local_error));
    if (fflush(stdout) != 0) {
        say_error("standard output: %s", strerror(errno));
        return CHECK_LOCAL;
    }
    return (int)report.status;
}

static int run(struct exam *exam)
{
    roam_config config;
    const char *alpn[2];
    if (!setup_config(&exam->options.net, false, alpn, &config))
        return CHECK_USAGE;
    exam->credentials = config.credentials;
    exam->interrupted = &interrupted;
    exam->started = check_now();
    exam->deadline = saturating_add(exam->started, exam->options.timeout);
    catch_signals();
    int status = CHECK_LOCAL;
    if (check_logs_open(&exam->logs, &exam->options.net))
        status = !find_server(exam) ? CHECK_NO_HANDSHAKE : examine(exam) ? report(exam) : CHECK_LOCAL;
    if (!check_logs_close(&exam->logs))
        status = CHECK_LOCAL;
    roam_credentials_free(exam->credentials);
    return status;
}

int check_main(int argc, char **argv)
{
    static struct exam exam;
    struct command_line line = {
        .command = "roam check", .specs = specs, .spec_count = sizeof(specs) / sizeof(specs[0])};
    bool help;
    exam.options.timeout = TIMEOUT_DEFAULT;
    if (!options_parse(&line, argc, argv, USAGE, &exam.options, &help))
        return CHECK_USAGE;
    if (help)
        return EXIT_OK;
    return check_line(&exam, &line) ? run(&exam) : CHECK_USAGE;
}
