/* Header and trailer sections, decoded one at a time into memory that is used again, under the caps of the configuration. */
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "h3/h3.h"

void h3_section_begin(struct h3_section *section, bool trailers)
{
    section->len = section->count = section->counted = 0;
    section->begun = true;
    section->ended = section->too_large = section->out_of_memory = false;
    section->trailers = trailers;
}

static bool grow(struct h3_section *section, size_t bytes)
{
    if (section->len + bytes > section->capacity) {
        size_t capacity = 2 * (section->len + bytes);
        char *grown = realloc(section->bytes, capacity);
        if (grown == NULL)
            return false;
        section->bytes = grown;
        section->capacity = capacity;
    }
    if (section->count == section->field_capacity) {
        size_t capacity = 2 * section->field_capacity + 16;
        roam_h3_field *grown = realloc(section->fields, capacity * sizeof(*grown));
        if (grown == NULL)
            return false;
        section->fields = grown;
        section->field_capacity = capacity;
    }
    return true;
}

/* Not 0 where the section is beyond a cap: nghttp3 then stops decoding it, so that a few octets that stand for many in the
 * dynamic table cost no more than the caps. */
int h3_section_add(roam_h3 *h3, nghttp3_rcbuf *name, nghttp3_rcbuf *value, uint8_t flags)
{
    struct h3_section *section = &h3->section;
    nghttp3_vec n = nghttp3_rcbuf_get_buf(name), v = nghttp3_rcbuf_get_buf(value);
    section->counted += n.len + v.len + 32; // RFC 9114 section 4.2.2
    if (section->counted > h3->config.max_section_bytes || section->count == h3->config.max_fields) {
        section->too_large = true;
        return -1;
    }
    if (!grow(section, n.len + v.len + 2)) {
        section->out_of_memory = true;
        return -1;
    }
    char *to = section->bytes + section->len;
    memcpy(to, n.base, n.len);
    to[n.len] = '\0';
    if (v.len > 0)
        memcpy(to + n.len + 1, v.base, v.len);
    to[n.len + 1 + v.len] = '\0';
    section->len += n.len + v.len + 2;
    section->fields[section->count++] =
        (roam_h3_field){.name_len = n.len, .value_len = v.len, .sensitive = (flags & NGHTTP3_NV_FLAG_NEVER_INDEX) != 0};
    return 0;
}

static void show_pseudo(const roam_h3_field *field, roam_h3_event *ret)
{
    const struct {
        const char *name, **to;
    } pseudo[] = {{":method", &ret->method},
                  {":scheme", &ret->scheme},
                  {":authority", &ret->authority},
                  {":path", &ret->path},
                  {":protocol", &ret->protocol}};
    if (strcmp(field->name, ":status") == 0)
        ret->status = atoi(field->value);
    for (size_t i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++) {
        if (strcmp(field->name, pseudo[i].name) == 0)
            *pseudo[i].to = field->value;
    }
}

/* Pseudo-header fields come before all others, RFC 9114 section 4.3; nghttp3 has seen to that. */
void h3_section_show(struct h3_section *section, roam_h3_event *ret)
{
    size_t at = 0, pseudo = 0;
    for (size_t i = 0; i < section->count; i++) {
        roam_h3_field *field = &section->fields[i];
        field->name = section->bytes + at;
        field->value = field->name + field->name_len + 1;
        at += field->name_len + field->value_len + 2;
        if (field->name[0] == ':') {
            show_pseudo(field, ret);
            pseudo = i + 1;
        }
    }
    ret->fields = section->count > 0 ? section->fields + pseudo : NULL;
    ret->field_count = section->count - pseudo;
}

void h3_section_done(struct h3_section *section)
{
    free(section->bytes);
    free(section->fields);
    memset(section, 0, sizeof(*section));
}
