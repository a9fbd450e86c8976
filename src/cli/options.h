/* Long options by table: what a subcommand takes, and where its values go. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <roam/roam.h>

enum option_kind {
    OPTION_FLAG,       /* bool */
    OPTION_TEXT,       /* const char * */
    OPTION_TEXTS,      /* struct text_list: may be repeated */
    OPTION_DURATION,   /* roam_time: 200ms, 2s, 1m, 1.5 (seconds) */
    OPTION_BYTES,      /* uint64_t: 1000, 64K, 10M, 1G (powers of 1,024) */
    OPTION_NUMBER,     /* uint64_t */
    OPTION_VERSION,    /* uint32_t, hexadecimal */
    OPTION_QUIC,       /* uint32_t[ROAM_VERSIONS_MAX]: v1, v2; may be repeated, in order of preference */
    OPTION_CIPHER,     /* unsigned: enum roam_cipher */
    OPTION_CONGESTION, /* enum roam_congestion */
    OPTION_ADDRESS,    /* roam_address, port 0 where none is given */
    OPTION_PIN,        /* struct pin: sha256:HEX */
    OPTION_CID_PLAN,   /* roam_cid_plan, see cid_plan_text.h */
    OPTION_CHOICE,     /* unsigned: the place of the word in option_spec.argument, "one|two|three" */
    OPTION_ADDRESSES,  /* struct address_list: may be repeated, and each may be a list with commas */
    OPTION_NAMES,      /* struct name_list: likewise */
    /* struct each_way: one value for both ways, or UP,DOWN. */
    OPTION_DURATION_EACH_WAY,
    OPTION_BYTES_EACH_WAY,
    OPTION_RATE_EACH_WAY,  /* bits a second: 64k, 10M, 1G (powers of 1,000) */
    OPTION_SHARE_EACH_WAY, /* parts of a million: 1%, 0.01 */
    OPTION_NUMBER_EACH_WAY,
    OPTION_OUTAGE, /* struct outage: FOR[,EVERY[,AFTER]] */
};

struct pin {
    bool is_set;
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
};

struct each_way {
    uint64_t up, down;
};

struct outage {
    roam_time length, every, after; /* every 0: once; after is `every` where it is not said */
};

/* Any number of texts; the array grows with them, and is there for the life of the process. */
struct text_list {
    const char **texts;
    size_t count;
};

#define ADDRESS_LIST_MAX 16

struct address_list {
    roam_address addresses[ADDRESS_LIST_MAX];
    size_t count;
};

#define NAME_LIST_MAX ROAM_NETWORK_RULES_MAX

struct name_list {
    char names[NAME_LIST_MAX][ROAM_NETWORK_NAME_MAX];
    size_t count;
};

struct option_spec {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    enum option_kind kind;
    size_t offset;        /* of its value in the structure that is filled */
    const char *argument; /* what help calls it, NULL for a flag */
    const char *help;
};

/* How a server may be watched: see watch.h. */
struct watch_options {
    const char *control; /* NULL: where watchers look */
    bool no_control;
    roam_address metrics; /* unset: none */
    const char *dashboard, *dashboard_token;
};

/* What a server gives up: see sandbox.h. */
struct sandbox_options {
    const char *user; /* NULL: nobody in particular */
    bool off;
};

/* What `roam listen` and `roam connect` can be told. */
struct net_options {
    bool no_move, ipv4, ipv6, verbose, keep, table, retry, handshake_only, insecure, progress, recv_only;
    bool qlog_latest;
    bool early;
    bool no_pmtud;
    bool no_migration, no_preferred;
    struct address_list preferred;
    const char *token_file, *session_file, *static_key, *invitation_key;
    const char *qlog;
    const char *cert, *key, *ca, *name, *alpn, *hq, *output, *download;
    struct text_list urls; /* roam connect --hq; the first one is hq, too */
    struct pin pin;
    struct name_list prefer, metered, forbid, force;
    roam_cid_plan cid_plan;
    unsigned ciphers;
    enum roam_congestion congestion;
    roam_time idle, handshake, keep_alive, rebind_every, migrate_every, key_update_every;
    uint64_t rebind_at, cid_length, datagram_bytes, socket_buffer;
    roam_address bind;
    uint32_t force_version;
    uint32_t versions[ROAM_VERSIONS_MAX];
    struct watch_options watch;
    struct sandbox_options sandbox;
};

/* What is no option, at most, unless a command takes any number; each says how many of them it wants. */
#define POSITIONAL_MAX 16

struct command_line {
    const char *command; /* "roam connect", for messages */
    const struct option_spec *specs;
    size_t spec_count;
    bool takes_any_number;
    const char **positional; /* there for the life of the process */
    size_t positional_count;
};

/* Fills `values` and line->positional; prints what is wrong and returns false. Options may stand before and after what
 * they are about; "--" ends them. --help prints `usage` and the table, and sets *ret_help. */
bool options_parse(struct command_line *line, int argc, char **argv, const char *usage, void *values, bool *ret_help);

/* "HOST:PORT", "[IPv6]:PORT"; with default_host also ":PORT" and "PORT". host must hold 256 octets. */
bool split_host_port(const char *text, const char *default_host, char *ret_host, uint16_t *ret_port);

/* "https://HOST[:PORT][/PATH]": PORT is 443 and PATH "/" where they are missing. host must hold 256 octets. */
bool split_url(const char *url, char *ret_host, uint16_t *ret_port, char *ret_path, size_t path_capacity);

#endif
