/* See cid_plan_text.h. */
#include "cli/cid_plan_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"

/* CIDs are as long as they are without a plan, where nothing else is said. */
#define CID_BYTES_USUAL 8
#define CID_BYTES_AWS   16

static int digit_of(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

bool hex_parse(const char *text, size_t len, uint8_t *ret, size_t capacity, size_t *ret_len)
{
    if (len == 0 || len % 2 != 0 || len / 2 > capacity)
        return false;
    for (size_t i = 0; i < len / 2; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    *ret_len = len / 2;
    return true;
}

static bool parse_octet(const char *text, size_t len, uint8_t *ret)
{
    unsigned value = 0;
    if (len == 0 || len > 3)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *ret = (uint8_t)value;
    return value <= UINT8_MAX;
}

static bool read_key_file(const char *name, size_t len, uint8_t ret[ROAM_CID_KEY_BYTES])
{
    char path[4096], line[128] = "";
    size_t bytes = 0;
    if (len >= sizeof(path))
        return false;
    memcpy(path, name, len);
    path[len] = '\0';
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    read = read && hex_parse(line, strcspn(line, "\r\n"), ret, ROAM_CID_KEY_BYTES, &bytes);
    return read && bytes == ROAM_CID_KEY_BYTES;
}

static bool parse_key(const char *value, size_t len, roam_cid_plan *plan)
{
    size_t bytes = 0;
    plan->has_key = true;
    if (len > 1 && value[0] == '@')
        return read_key_file(value + 1, len - 1, plan->key);
    return hex_parse(value, len, plan->key, sizeof(plan->key), &bytes) && bytes == sizeof(plan->key);
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncmp(text, word, len) == 0;
}

/* One of "name=value" and "name". */
static bool parse_part(const char *text, size_t len, roam_cid_plan *plan)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len, bytes = 0;
    const char *value = equals != NULL ? equals + 1 : "";
    size_t value_len = equals != NULL ? len - name_len - 1 : 0;
    if (equals == NULL) {
        bool known = is_word(text, len, "length") || is_word(text, len, "process");
        plan->encode_length |= is_word(text, len, "length");
        plan->process |= is_word(text, len, "process");
        return known;
    }
    if (is_word(text, name_len, "server")) {
        bool parsed = hex_parse(value, value_len, plan->server_id, sizeof(plan->server_id), &bytes);
        plan->server_id_bytes = (uint8_t)bytes;
        return parsed;
    }
    if (is_word(text, name_len, "key"))
        return parse_key(value, value_len, plan);
    uint8_t *number = is_word(text, name_len, "config")   ? &plan->config_id
                      : is_word(text, name_len, "nonce")  ? &plan->nonce_bytes
                      : is_word(text, name_len, "extra")  ? &plan->extra_bytes
                      : is_word(text, name_len, "worker") ? &plan->worker
                                                          : NULL;
    return number != NULL && parse_octet(value, value_len, number);
}

static bool parse_kind(const char *text, size_t len, roam_cid_plan *ret)
{
    static const struct {
        const char *name;
        enum roam_cid_plan_kind kind;
        uint8_t config_id;
    } kinds[] = {{"random", ROAM_CID_RANDOM, 0},
                 {"quic-lb", ROAM_CID_QUIC_LB, 0},
                 {"katran1", ROAM_CID_KATRAN_V1, 0},
                 {"katran2", ROAM_CID_KATRAN_V2, 0},
                 {"katran3", ROAM_CID_KATRAN_V3, 0},
                 {"aws", ROAM_CID_AWS_NLB, 0},
                 {"unroutable", ROAM_CID_QUIC_LB, ROAM_CID_UNROUTABLE}};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (is_word(text, len, kinds[i].name)) {
            *ret = (roam_cid_plan){.kind = kinds[i].kind, .config_id = kinds[i].config_id};
            return true;
        }
    }
    return false;
}

static void choose_nonce(roam_cid_plan *plan)
{
    size_t wanted = plan->kind == ROAM_CID_AWS_NLB ? CID_BYTES_AWS : CID_BYTES_USUAL;
    if (plan->kind == ROAM_CID_RANDOM || plan->nonce_bytes != 0)
        return;
    size_t other = roam_cid_plan_length(plan);
    plan->nonce_bytes = (uint8_t)max_size(ROAM_CID_NONCE_MIN, wanted > other ? wanted - other : 0);
}

bool cid_plan_parse(const char *text, roam_cid_plan *ret)
{
    roam_cid_plan plan;
    size_t len = strcspn(text, ":");
    if (!parse_kind(text, len, &plan))
        return false;
    const char *at = text + len;
    while (*at != '\0') {
        at++;
        len = strcspn(at, ",");
        if (!parse_part(at, len, &plan))
            return false;
        at += len;
    }
    choose_nonce(&plan);
    *ret = plan;
    return true;
}
