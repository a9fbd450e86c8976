/* What a user types as a filter: see top_model.h. Kept: what is wrong with it is said here, before the server is asked. */
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/top_model.h"

struct word {
    const char *text;
    size_t len;
};

static bool take(char *ret, size_t capacity, struct word word)
{
    if (word.len == 0 || word.len >= capacity)
        return false;
    memcpy(ret, word.text, word.len);
    ret[word.len] = '\0';
    return true;
}

static bool take_state(struct top_filter *filter, struct word word)
{
    enum roam_conn_state state;
    return take(filter->state, sizeof(filter->state), word) && watch_state_parse(&state, filter->state);
}

static bool take_address(struct top_filter *filter, struct word word)
{
    struct watch_filter parsed = {0};
    return take(filter->address, sizeof(filter->address), word) && watch_address_parse(&parsed, filter->address);
}

static bool take_cid(struct top_filter *filter, struct word word)
{
    roam_cid cid;
    return take(filter->cid, sizeof(filter->cid), word) && watch_cid_parse(&cid, filter->cid);
}

static bool take_alpn(struct top_filter *filter, struct word word)
{
    return take(filter->alpn, sizeof(filter->alpn), word);
}

enum { KIND_STATE, KIND_ADDRESS, KIND_CID, KIND_ALPN };

static const struct {
    const char *name;
    size_t text_at; /* in struct top_filter */
    bool (*take)(struct top_filter *filter, struct word word);
    const char *wrong;
} kinds[] = {
    [KIND_STATE] = {"state", offsetof(struct top_filter, state), take_state,
                    "a state is handshake, established, closing or draining"},
    [KIND_ADDRESS] = {"address", offsetof(struct top_filter, address), take_address,
                      "an address is ADDR, ADDR:PORT or ADDR/BITS"},
    [KIND_CID] = {"cid", offsetof(struct top_filter, cid), take_cid,
                  "a CID begins with whole octets in hexadecimal, 20 at most"},
    [KIND_ALPN] = {"alpn", offsetof(struct top_filter, alpn), take_alpn, "an ALPN is not empty"},
};

static bool take_as(struct top_filter *filter, size_t kind, struct word word, const char **ret_why)
{
    if (((char *)filter)[kinds[kind].text_at] != '\0') {
        *ret_why = "one of each: state, address, CID, ALPN";
        return false;
    }
    *ret_why = kinds[kind].wrong;
    return kinds[kind].take(filter, word);
}

/* Nothing but what addresses are made of, with what only they have. */
static bool wants_to_be_address(struct word word)
{
    static const char *const parts = "0123456789abcdefABCDEF.:/[]";
    return strspn(word.text, parts) >= word.len && strcspn(word.text, ".:") < word.len;
}

/* What it is by how it looks: the first kind that it is. */
static bool take_by_look(struct top_filter *filter, struct word word, const char **ret_why)
{
    if (wants_to_be_address(word))
        return take_as(filter, KIND_ADDRESS, word, ret_why);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        struct top_filter blank = {0};
        if (kinds[i].take(&blank, word))
            return take_as(filter, i, word, ret_why);
    }
    *ret_why = "too long a word";
    return false;
}

static bool take_word(struct top_filter *filter, struct word word, const char **ret_why)
{
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        const size_t name = strlen(kinds[i].name);
        if (word.len > name && word.text[name] == '=' && memcmp(word.text, kinds[i].name, name) == 0)
            return take_as(filter, i, (struct word){word.text + name + 1, word.len - name - 1}, ret_why);
    }
    return take_by_look(filter, word, ret_why);
}

bool top_filter_parse(struct top_filter *ret, const char *text, const char **ret_why)
{
    struct top_filter filter = {0};
    snprintf(filter.text, sizeof(filter.text), "%s", text + strspn(text, " "));
    const char *at = filter.text;
    while (*at != '\0') {
        struct word word = {at, strcspn(at, " ")};
        if (!take_word(&filter, word, ret_why))
            return false;
        at += word.len;
        at += strspn(at, " ");
    }
    *ret = filter;
    return true;
}
