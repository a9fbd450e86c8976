/* Conditions and codings: see the header. */
#include "cli/http_conditions.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/http_date.h"

/* "*", or a list of entity tags with ours among them. Weakly, W/ does not count; strongly, a weak one matches nothing. */
static bool lists_tag(const char *list, const char *etag, bool weakly)
{
    size_t len = strlen(etag);
    for (const char *at = list + strspn(list, " \t"); *at != '\0';) {
        bool weak = strncmp(at, "W/", 2) == 0;
        const char *tag = weak ? at + 2 : at;
        if (*at == '*')
            return true;
        if (*tag != '"')
            return false;
        size_t tag_len = 1 + strcspn(tag + 1, "\"");
        if (tag[tag_len] == '\0')
            return false;
        tag_len++;
        if ((weakly || !weak) && tag_len == len && memcmp(tag, etag, len) == 0)
            return true;
        at = tag + tag_len;
        at += strspn(at, " \t,");
    }
    return false;
}

int http_conditions_judge(const struct http_conditions *conditions, const struct http_validators *validators,
                          time_t now)
{
    time_t when;
    // RFC 9110 section 13.2.2: The order of evaluation: If-Match, else If-Unmodified-Since; then If-None-Match, else
    //= If-Modified-Since.
    if (conditions->if_match != NULL) {
        if (!lists_tag(conditions->if_match, validators->etag, false))
            return 412;
    } else if (conditions->if_unmodified_since != NULL &&
               http_date_parse(conditions->if_unmodified_since, now, &when) && validators->modified > when) {
        return 412;
    }
    if (conditions->if_none_match != NULL)
        return lists_tag(conditions->if_none_match, validators->etag, true) ? 304 : 200;
    if (conditions->if_modified_since != NULL && http_date_parse(conditions->if_modified_since, now, &when) &&
        validators->modified <= when)
        return 304;
    return 200;
}

bool http_range_applies(const struct http_conditions *conditions, const struct http_validators *validators, time_t now)
{
    const char *field = conditions->if_range;
    time_t when;
    if (field == NULL)
        return true;
    if (field[0] == '"' || strncmp(field, "W/", 2) == 0)
        return strcmp(field, validators->etag) == 0;
    // RFC 9110 section 13.1.5: A date must be the very date, and be a strong validator: a file that changed in the second in
    //= which it was looked at could change once more in it.
    return http_date_parse(field, now, &when) && when == validators->modified && now > when + 1;
}

/* "q=0.5" in thousandths; 1000 where there is none. */
static int weight_of(const char *parameters, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++)
        if ((parameters[i] == 'q' || parameters[i] == 'Q') && parameters[i + 1] == '=') {
            double q = strtod(parameters + i + 2, NULL);
            return q <= 0 ? 0 : q >= 1 ? 1000 : (int)(q * 1000 + 0.5);
        }
    return 1000;
}

int http_coding_weight(const char *accept_encoding, const char *coding)
{
    int any = -1;
    if (accept_encoding == NULL)
        return strcmp(coding, "identity") == 0 ? 1000 : 0;
    for (const char *at = accept_encoding; *at != '\0';) {
        at += strspn(at, " \t,");
        size_t len = strcspn(at, ","), name_len = strcspn(at, " \t,;");
        int weight = weight_of(at + name_len, len - name_len);
        if (name_len == strlen(coding) && strncasecmp(at, coding, name_len) == 0)
            return weight;
        if (name_len == 1 && *at == '*')
            any = weight;
        at += len;
    }
    // RFC 9110 section 12.5.3: Identity is acceptable unless it is excluded.
    return any >= 0 ? any : strcmp(coding, "identity") == 0 ? 1 : 0;
}
