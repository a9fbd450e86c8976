/* The parser of long options. Kept: nothing is guessed; whatever is not understood is named and ends the command with
 * 2. */
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/cid_plan_text.h"

#define HOST_MAX 255

/* Where the words of help begin. */
#define HELP_COLUMN 28

/* Longest of the values that stand in pairs. */
#define VALUE_MAX 64

/* ---- Values ------------------------------------------------------------------------------------------------------ */

struct unit {
    const char *text;
    double factor;
};

/* A number with one of the units behind it. */
static bool parse_scaled(const char *text, const struct unit *units, size_t n, double *ret)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    double value = strtod(text, &end);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(end, units[i].text) == 0) {
            *ret = value * units[i].factor;
            return *ret < 9e18;
        }
    }
    return false;
}

static bool parse_duration(const char *text, roam_time *ret)
{
    static const struct unit units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"m", 60e9}, {"h", 3600e9}};
    double value;
    if (!parse_scaled(text, units, ARRAY_LENGTH(units), &value))
        return false;
    *ret = (roam_time)value;
    return true;
}

static bool parse_bytes(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},         {"K", 0x1p10},   {"M", 0x1p20},   {"G", 0x1p30},
                                        {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"B", 1}};
    double value;
    if (!parse_scaled(text, units, ARRAY_LENGTH(units), &value))
        return false;
    *ret = (uint64_t)value;
    return true;
}

static bool parse_number(const char *text, int base, uint64_t max, uint64_t *ret)
{
    char *end;
    if (*text == '\0' || *text == '-' || *text == '+' || *text == ' ')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (*end != '\0' || errno != 0 || value > max)
        return false;
    *ret = value;
    return true;
}

static bool parse_cipher(const char *text, unsigned *ret)
{
    static const struct {
        const char *name;
        unsigned cipher;
    } ciphers[] = {
        {"aes128", ROAM_AES_128_GCM},         {"aes-128-gcm", ROAM_AES_128_GCM},
        {"aes256", ROAM_AES_256_GCM},         {"aes-256-gcm", ROAM_AES_256_GCM},
        {"chacha20", ROAM_CHACHA20_POLY1305}, {"chacha20-poly1305", ROAM_CHACHA20_POLY1305},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(ciphers); i++) {
        if (strcasecmp(text, ciphers[i].name) == 0) {
            *ret |= ciphers[i].cipher;
            return true;
        }
    }
    return false;
}

static bool parse_congestion(const char *text, enum roam_congestion *ret)
{
    if (strcasecmp(text, "cubic") == 0)
        *ret = ROAM_CONGESTION_CUBIC;
    else if (strcasecmp(text, "newreno") == 0)
        *ret = ROAM_CONGESTION_NEWRENO;
    else if (strcasecmp(text, "bbr") == 0)
        *ret = ROAM_CONGESTION_BBR;
    else
        return false;
    return true;
}

static bool parse_pin(const char *text, struct pin *ret)
{
    struct pin pin = {.is_set = true};
    if (strncasecmp(text, "sha256:", 7) == 0)
        text += 7;
    if (strlen(text) != 2 * sizeof(pin.fingerprint))
        return false;
    for (size_t i = 0; i < sizeof(pin.fingerprint); i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        uint64_t octet;
        if (digits[1] == 'x' || digits[1] == 'X' || !parse_number(digits, 16, 0xff, &octet))
            return false;
        pin.fingerprint[i] = (uint8_t)octet;
    }
    *ret = pin;
    return true;
}

static bool parse_version(const char *text, uint32_t *ret)
{
    uint64_t version;
    if (!parse_number(text, 16, UINT32_MAX, &version))
        return false;
    *ret = (uint32_t)version;
    return true;
}

/* Another one behind those that were given before. */
static bool parse_quic_version(const char *text, uint32_t ret[ROAM_VERSIONS_MAX])
{
    const uint32_t version = strcmp(text, "v1") == 0 ? ROAM_QUIC_V1 : strcmp(text, "v2") == 0 ? ROAM_QUIC_V2 : 0;
    for (size_t i = 0; version != 0 && i < ROAM_VERSIONS_MAX && ret[i] != version; i++) {
        if (ret[i] == 0) {
            ret[i] = version;
            return true;
        }
    }
    return false;
}

static bool parse_rate(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},    {"k", 1e3},    {"M", 1e6},    {"G", 1e9},
                                        {"bit", 1}, {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}};
    double value;
    if (!parse_scaled(text, units, ARRAY_LENGTH(units), &value))
        return false;
    *ret = (uint64_t)value;
    return true;
}

static bool parse_share(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1e6}, {"%", 1e4}};
    double value;
    if (!parse_scaled(text, units, ARRAY_LENGTH(units), &value) || value > 1e6)
        return false;
    *ret = (uint64_t)(value + 0.5);
    return true;
}

/* "VALUE" or "UP,DOWN". */
static bool parse_each_way(const char *text, bool (*parse)(const char *, uint64_t *), struct each_way *ret)
{
    char up[VALUE_MAX];
    size_t len = strcspn(text, ",");
    struct each_way values;
    if (len >= sizeof(up))
        return false;
    memcpy(up, text, len);
    up[len] = '\0';
    if (!parse(up, &values.up) || !parse(text[len] == ',' ? text + len + 1 : up, &values.down))
        return false;
    *ret = values;
    return true;
}

static bool parse_plain_number(const char *text, uint64_t *ret)
{
    return parse_number(text, 10, UINT64_MAX, ret);
}

static bool parse_outage(const char *text, struct outage *ret)
{
    char copy[VALUE_MAX], *rest = copy;
    roam_time values[3];
    size_t n = 0;
    if (strlen(text) >= sizeof(copy))
        return false;
    strcpy(copy, text);
    for (char *part; (part = strsep(&rest, ",")) != NULL; n++)
        if (n == ARRAY_LENGTH(values) || !parse_duration(part, &values[n]))
            return false;
    *ret = (struct outage){values[0], n > 1 ? values[1] : 0, n > 2 ? values[2] : n > 1 ? values[1] : 0};
    return ret->length > 0 && (ret->every == 0 || ret->every > ret->length);
}

static bool add_text(struct text_list *list, const char *text)
{
    /* Room is made at every power of two. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t room = list->count > 0 ? 2 * list->count : 1;
        const char **texts = realloc(list->texts, room * sizeof(*texts));
        if (texts == NULL)
            return false;
        list->texts = texts;
    }
    list->texts[list->count++] = text;
    return *text != '\0';
}

static bool parse_addresses(const char *text, struct address_list *ret)
{
    char one[ROAM_ADDRESS_TEXT_MAX];
    for (const char *pos = text;; pos++) {
        size_t len = strcspn(pos, ",");
        if (len >= sizeof(one) || ret->count == ADDRESS_LIST_MAX)
            return false;
        memcpy(one, pos, len);
        one[len] = '\0';
        if (!roam_address_parse(&ret->addresses[ret->count], one))
            return false;
        ret->count++;
        pos += len;
        if (*pos == '\0')
            return true;
    }
}

static bool parse_names(const char *text, struct name_list *ret)
{
    for (const char *pos = text;; pos++) {
        size_t len = strcspn(pos, ",");
        if (len == 0 || len >= ROAM_NETWORK_NAME_MAX || ret->count == NAME_LIST_MAX)
            return false;
        memcpy(ret->names[ret->count++], pos, len);
        pos += len;
        if (*pos == '\0')
            return true;
    }
}

/* `choices` is "one|two|three". */
static bool parse_choice(const char *text, const char *choices, unsigned *ret)
{
    unsigned place = 0;
    for (const char *pos = choices;; pos++, place++) {
        size_t len = strcspn(pos, "|");
        if (strlen(text) == len && memcmp(text, pos, len) == 0) {
            *ret = place;
            return true;
        }
        pos += len;
        if (*pos == '\0')
            return false;
    }
}

/* What a value of that kind looks like, for the message. */
static const char *const examples[] = {
    [OPTION_FLAG] = "nothing",
    [OPTION_TEXT] = "a text that is not empty",
    [OPTION_DURATION] = "a duration like 200ms, 2s or 1m",
    [OPTION_BYTES] = "a number of octets like 65536, 64K or 10M",
    [OPTION_NUMBER] = "a number",
    [OPTION_VERSION] = "a version in hexadecimal like 0x1a2a3a4a",
    [OPTION_QUIC] = "v1 or v2, each of them once",
    [OPTION_CIPHER] = "aes128, aes256 or chacha20",
    [OPTION_CONGESTION] = "cubic, newreno or bbr",
    [OPTION_ADDRESS] = "an address like 192.0.2.1, 192.0.2.1:4433 or [2001:db8::1]:4433",
    [OPTION_PIN] = "sha256: and 64 hexadecimal digits",
    [OPTION_CID_PLAN] = CID_PLAN_EXAMPLE,
    [OPTION_CHOICE] = "one of the words that its help names",
    [OPTION_ADDRESSES] = "addresses like 127.0.0.2,127.0.0.3 (at most 16)",
    [OPTION_NAMES] = "names of interfaces like wlan0 (at most 8)",
    [OPTION_DURATION_EACH_WAY] = "a duration like 20ms, or two, up and down: 20ms,1s",
    [OPTION_BYTES_EACH_WAY] = "a number of octets like 64K, or two, up and down: 64K,1M",
    [OPTION_RATE_EACH_WAY] = "bits a second like 10M, or two, up and down: 1M,10M",
    [OPTION_SHARE_EACH_WAY] = "a share like 1% or 0.01, or two, up and down: 1%,0",
    [OPTION_NUMBER_EACH_WAY] = "a number, or two, up and down: 3,0",
    [OPTION_OUTAGE] =
        "a duration, and up to two more: 2s or 2s,7s,5s (every 7 s, which is longer, the first after 5 s)",
    [OPTION_TEXTS] = "a text that is not empty",
};

/* Of values that may be two. */
static bool (*const parsers_each_way[])(const char *text, uint64_t *ret) = {
    [OPTION_DURATION_EACH_WAY] = parse_duration,   [OPTION_BYTES_EACH_WAY] = parse_bytes,
    [OPTION_RATE_EACH_WAY] = parse_rate,           [OPTION_SHARE_EACH_WAY] = parse_share,
    [OPTION_NUMBER_EACH_WAY] = parse_plain_number,
};

static bool store_value(const struct option_spec *spec, const char *text, void *ret)
{
    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)ret = true;
        return true;
    case OPTION_TEXT:
        *(const char **)ret = text;
        return *text != '\0';
    case OPTION_DURATION:
        return parse_duration(text, ret);
    case OPTION_BYTES:
        return parse_bytes(text, ret);
    case OPTION_NUMBER:
        return parse_number(text, 10, UINT64_MAX, ret);
    case OPTION_VERSION:
        return parse_version(text, ret);
    case OPTION_QUIC:
        return parse_quic_version(text, ret);
    case OPTION_CIPHER:
        return parse_cipher(text, ret);
    case OPTION_CONGESTION:
        return parse_congestion(text, ret);
    case OPTION_ADDRESS:
        return roam_address_parse(ret, text);
    case OPTION_CID_PLAN:
        return cid_plan_parse(text, ret);
    case OPTION_PIN:
        return parse_pin(text, ret);
    case OPTION_CHOICE:
        return parse_choice(text, spec->argument, ret);
    case OPTION_ADDRESSES:
        return parse_addresses(text, ret);
    case OPTION_NAMES:
        return parse_names(text, ret);
    case OPTION_DURATION_EACH_WAY:
    case OPTION_BYTES_EACH_WAY:
    case OPTION_RATE_EACH_WAY:
    case OPTION_SHARE_EACH_WAY:
    case OPTION_NUMBER_EACH_WAY:
        return parse_each_way(text, parsers_each_way[spec->kind], ret);
    case OPTION_OUTAGE:
        return parse_outage(text, ret);
    case OPTION_TEXTS:
        return add_text(ret, text);
    }
    return false;
}

/* ---- The line ---------------------------------------------------------------------------------------------------- */

static void print_help(const struct command_line *line, const char *usage)
{
    printf("%s\n", usage);
    for (size_t i = 0; i < line->spec_count; i++) {
        const struct option_spec *spec = &line->specs[i];
        char left[96];
        char letter[8] = "    ";
        if (spec->letter != 0)
            snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, spec->name, spec->argument != NULL ? " " : "",
                 spec->argument != NULL ? spec->argument : "");
        /* What is longer than its column has its help below. */
        if (strlen(left) > HELP_COLUMN)
            printf("  %s\n  %*s %s\n", left, HELP_COLUMN, "", spec->help);
        else
            printf("  %-*s %s\n", HELP_COLUMN, left, spec->help);
    }
}

static bool complain(const struct command_line *line, const char *what, const char *about)
{
    fprintf(stderr, "%s: %s: %s\n`%s --help` tells what there is\n", line->command, what, about, line->command);
    return false;
}

static const struct option_spec *find_spec(const struct command_line *line, const char *name, size_t len, char letter)
{
    for (size_t i = 0; i < line->spec_count; i++) {
        const struct option_spec *spec = &line->specs[i];
        if (letter != 0 ? spec->letter == letter : strlen(spec->name) == len && strncmp(spec->name, name, len) == 0)
            return spec;
    }
    return NULL;
}

/* Takes the option at argv[*at], and its value, which may be the next word. */
static bool take_option(const struct command_line *line, int argc, char **argv, int *at, void *values)
{
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    const char *name = word + 2;
    size_t len = is_long ? strcspn(name, "=") : 0;
    const struct option_spec *spec = find_spec(line, name, len, is_long ? 0 : word[1]);
    if (spec == NULL || (!is_long && word[2] != '\0'))
        return complain(line, "unknown option", word);
    const char *value = is_long && name[len] == '=' ? name + len + 1 : NULL;
    if (spec->kind == OPTION_FLAG && value != NULL)
        return complain(line, "takes no value", word);
    if (spec->kind != OPTION_FLAG && value == NULL) {
        if (*at + 1 >= argc)
            return complain(line, "wants a value", word);
        value = argv[++*at];
    }
    if (store_value(spec, value, (char *)values + spec->offset))
        return true;
    fprintf(stderr, "%s: --%s wants %s, not '%s'\n", line->command, spec->name,
            spec->kind == OPTION_CHOICE ? spec->argument : examples[spec->kind], value);
    return false;
}

bool options_parse(struct command_line *line, int argc, char **argv, const char *usage, void *values, bool *ret_help)
{
    /* Of the one line that a process has. Who looks for leaks finds it here until the end, unless it is optimized away. */
    static const char **words __attribute__((used));
    bool only_words = false;
    *ret_help = false;
    /* One more than there can be, for what a command supplies itself. */
    line->positional = words = calloc((size_t)argc + 1, sizeof(*words));
    if (line->positional == NULL)
        return complain(line, "no memory for", "the command line");
    for (int at = 0; at < argc; at++) {
        const char *word = argv[at];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(line, usage);
            *ret_help = true;
            return true;
        } else if (!only_words && word[0] == '-' && word[1] != '\0') {
            if (!take_option(line, argc, argv, &at, values))
                return false;
        } else if (line->positional_count == POSITIONAL_MAX && !line->takes_any_number) {
            return complain(line, "too many arguments", word);
        } else {
            line->positional[line->positional_count++] = word;
        }
    }
    return true;
}

bool split_host_port(const char *text, const char *default_host, char *ret_host, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    uint64_t port;
    if (colon == NULL && default_host == NULL)
        return false;
    if (!parse_number(colon == NULL ? text : colon + 1, 10, UINT16_MAX, &port))
        return false;
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len) != NULL) {
        return false; /* an IPv6 address without brackets: where would its port begin? */
    }
    if (len == 0) {
        if (default_host == NULL)
            return false;
        host = default_host;
        len = strlen(default_host);
    }
    if (len > HOST_MAX)
        return false;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return true;
}

bool split_url(const char *url, char *ret_host, uint16_t *ret_port, char *ret_path, size_t path_capacity)
{
    char authority[HOST_MAX + 16], with_port[sizeof(authority) + 8];
    if (strncasecmp(url, "https://", 8) != 0)
        return false;
    const char *begin = url + 8, *path = begin + strcspn(begin, "/");
    if ((size_t)(path - begin) >= sizeof(authority) || strlen(path) >= path_capacity || strpbrk(path, " \r\n") != NULL)
        return false;
    memcpy(authority, begin, (size_t)(path - begin));
    authority[path - begin] = '\0';
    const char *colon = strrchr(authority, ':'), *bracket = strrchr(authority, ']');
    bool has_port = colon != NULL && (bracket == NULL || colon > bracket);
    snprintf(with_port, sizeof(with_port), has_port ? "%s" : "%s:443", authority);
    snprintf(ret_path, path_capacity, "%s", *path != '\0' ? path : "/");
    return split_host_port(with_port, NULL, ret_host, ret_port);
}
