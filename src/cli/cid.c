/* roam cid: what stands in a connection ID, for whoever runs a balancer and looks at packets. */
#include <string.h>

#include "cli/cid_plan_text.h"
#include "cli/cli.h"

#define USAGE                                                                                                          \
    "usage: roam cid [options] CID\n\n"                                                                                \
    "Takes a connection ID, in hexadecimal, apart: which server it names under a plan. Without a plan it says what "   \
    "its\n"                                                                                                            \
    "first octet would mean to a balancer that speaks QUIC-LB.\n"

struct cid_options {
    roam_cid_plan plan;
};

static const struct option_spec specs[] = {
    {"plan", 'p', OPTION_CID_PLAN, offsetof(struct cid_options, plan), "PLAN", "how such CIDs are laid out"},
};

static void print_octets(const char *name, const uint8_t *octets, size_t len)
{
    printf("%-10s", name);
    print_hex(stdout, octets, len);
    printf("\n");
}

/* What can be told without a key or anything else. */
static void print_first_octet(const roam_cid *cid)
{
    unsigned config = cid->bytes[0] >> 5, following = cid->bytes[0] & 0x1f;
    printf("octets    %u\n", cid->len);
    if (config == ROAM_CID_UNROUTABLE)
        printf("config    7, unroutable\n");
    else
        printf("config    %u\n", config);
    printf("length    %s\n", following == cid->len - 1u ? "encoded in the first octet" : "not in the first octet");
}

static int print_parts(const roam_cid_plan *plan, const roam_cid *cid)
{
    roam_cid_parts parts;
    if (!roam_cid_plan_decode(plan, cid, &parts)) {
        say_error("not a connection ID of this plan");
        return EXIT_CONNECTION;
    }
    print_octets("server", parts.server_id, parts.server_id_bytes);
    if (plan->kind == ROAM_CID_QUIC_LB)
        printf("config    %u\n", parts.config_id);
    else if (plan->kind != ROAM_CID_AWS_NLB)
        printf("worker    %u\nprocess   %u\n", parts.worker, parts.process);
    print_octets("nonce", parts.nonce, parts.nonce_bytes);
    return EXIT_OK;
}

int cid_main(int argc, char **argv)
{
    struct cid_options options = {0};
    struct command_line line = {.command = "roam cid", .specs = specs, .spec_count = sizeof(specs) / sizeof(specs[0])};
    roam_cid cid = {0};
    size_t len = 0;
    bool help;
    if (!options_parse(&line, argc, argv, USAGE, &options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (line.positional_count != 1) {
        say_error("which connection ID? `roam cid --help` tells more");
        return EXIT_USAGE;
    }
    const char *text = line.positional[0], *why;
    if (!hex_parse(text, strlen(text), cid.bytes, sizeof(cid.bytes), &len)) {
        say_error("not a connection ID: '%s'; 1 to 20 octets in hexadecimal", text);
        return EXIT_USAGE;
    }
    cid.len = (uint8_t)len;
    if (options.plan.kind == ROAM_CID_RANDOM) {
        print_first_octet(&cid);
        return EXIT_OK;
    }
    if (roam_cid_plan_check(&options.plan, &why) != ROAM_OK) {
        say_error("--plan: %s", why);
        return EXIT_USAGE;
    }
    return print_parts(&options.plan, &cid);
}
