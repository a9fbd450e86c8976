/* What `roam natbox` prints: one line an event, for people or as JSON. Kept: names and values are the same in both. */
#include <inttypes.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/natbox.h"
#include "wire/packet.h"

static void put_json_text(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20)
            fprintf(stream, "\\u%04x", *text);
        else
            fprintf(stream, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    fputc('"', stream);
}

static void put_json_field(FILE *stream, const struct report_field *field)
{
    char address[ROAM_ADDRESS_TEXT_MAX];
    fputc(',', stream);
    put_json_text(stream, field->name);
    fputc(':', stream);
    if (field->text != NULL)
        put_json_text(stream, field->text);
    else if (field->address != NULL)
        put_json_text(stream, roam_address_format(field->address, address));
    else
        fprintf(stream, "%" PRIu64, field->number);
}

static void put_field(FILE *stream, const struct report_field *field)
{
    char address[ROAM_ADDRESS_TEXT_MAX];
    if (field->text != NULL)
        fprintf(stream, strchr(field->text, ' ') != NULL ? " %s=\"%s\"" : " %s=%s", field->name, field->text);
    else if (field->address != NULL)
        fprintf(stream, " %s=%s", field->name, roam_address_format(field->address, address));
    else
        fprintf(stream, " %s=%" PRIu64, field->name, field->number);
}

void report_event(const struct report *report, roam_time now, const char *event, const struct report_field *fields,
                  size_t n)
{
    double ms = (double)(now - report->started) / 1e6;
    fprintf(report->stream, report->json ? "{\"ms\":%.3f,\"event\":\"%s\"" : "%10.3f ms  %-9s", ms, event);
    for (size_t i = 0; i < n; i++) {
        if (fields[i].text != NULL && fields[i].text[0] == '\0')
            continue;
        if (report->json)
            put_json_field(report->stream, &fields[i]);
        else
            put_field(report->stream, &fields[i]);
    }
    fputs(report->json ? "}\n" : "\n", report->stream);
}

static void report_link(const struct natbox *box, roam_time now, const char *way, const struct link *link,
                        uint64_t passed)
{
    const struct link_counters *counters = &link->counters;
    REPORT(box, now, "total", TEXT("way", way), NUMBER("packets", counters->packets), NUMBER("bytes", counters->bytes),
           NUMBER("delivered", passed), NUMBER("lost", counters->lost), NUMBER("outage", counters->outage),
           NUMBER("queue_full", counters->queue_full), NUMBER("too_large", counters->too_large),
           NUMBER("duplicated", counters->duplicated), NUMBER("reordered", counters->reordered),
           NUMBER("corrupted", counters->corrupted));
}

void report_totals(const struct natbox *box, roam_time now)
{
    const struct natbox_counters *counters = &box->counters;
    report_link(box, now, "up", &box->up, counters->up);
    report_link(box, now, "down", &box->down, counters->down);
    REPORT(box, now, "total", TEXT("way", "nat"), NUMBER("mapped", counters->mapped),
           NUMBER("rebound", counters->rebound), NUMBER("expired", counters->expired),
           NUMBER("evicted", counters->evicted), NUMBER("filtered", counters->filtered),
           NUMBER("to_dead", counters->to_dead), NUMBER("no_port", counters->no_port),
           NUMBER("no_room", counters->no_room), NUMBER("send_failed", counters->send_failed));
    fflush(box->report.stream);
}

/* ---- What passes ------------------------------------------------------------------------------------------------- */

static void tell_passage(struct natbox *box, enum way way)
{
    static const char *const ways[] = {"up", "down"};
    struct passage *passage = &box->passages[way];
    if (passage->packets == 0)
        return;
    REPORT(box, passage->last, "passed", TEXT("way", ways[way]), NUMBER("packets", passage->packets),
           NUMBER("bytes", passage->bytes), NUMBER("within_us", (passage->last - passage->first) / 1000));
    *passage = (struct passage){0};
}

void report_passing(struct natbox *box, enum way way, size_t bytes, roam_time now)
{
    struct passage *passage = &box->passages[way];
    if (box->options.watch == 0)
        return;
    if (now >= saturating_add(passage->first, box->options.watch))
        tell_passage(box, way);
    if (passage->packets == 0)
        passage->first = now;
    passage->last = now;
    passage->packets++;
    passage->bytes += bytes;
}

void report_passages(struct natbox *box)
{
    tell_passage(box, WAY_UP);
    tell_passage(box, WAY_DOWN);
}

/* ---- What a datagram looks like ---------------------------------------------------------------------------------- */

static bool is_version(uint32_t version)
{
    return quic_version_find(version) != NULL || quic_version_is_reserved(version) || version == 0;
}

/* A long header that is QUIC's beyond reasonable doubt. */
static bool parse_long(struct packet_header *ret, const uint8_t *data, size_t len)
{
    return len > 0 && (data[0] & LONG_HEADER_BIT) != 0 && packet_header_parse(ret, data, len, 0) == ROAM_DROP_NONE &&
           is_version(ret->version) && ret->dcid_len <= ROAM_CID_MAX && ret->scid_len <= ROAM_CID_MAX;
}

static roam_cid cid_of(const uint8_t *bytes, uint8_t len)
{
    roam_cid cid = {.len = len};
    memcpy(cid.bytes, bytes, len);
    return cid;
}

const char *look_at(const struct mapping *mapping, const uint8_t *data, size_t len, char ret[LOOK_TEXT_MAX])
{
    struct packet_header header;
    char text[ROAM_CID_TEXT_MAX];
    ret[0] = '\0';
    if (parse_long(&header, data, len)) {
        roam_cid cid = cid_of(header.dcid_bytes, header.dcid_len);
        snprintf(ret, LOOK_TEXT_MAX, "%s dcid=%s", packet_type_name(header.type), roam_cid_format(&cid, text));
    } else if (mapping->is_quic && len > mapping->cid_bytes && (data[0] & LONG_HEADER_BIT) == 0) {
        roam_cid cid = cid_of(data + 1, mapping->cid_bytes);
        snprintf(ret, LOOK_TEXT_MAX, "short dcid=%s", roam_cid_format(&cid, text));
    }
    return ret;
}

void look_learn(struct mapping *mapping, bool from_upstream, const uint8_t *data, size_t len)
{
    struct packet_header header;
    if (len == 0 || (data[0] & LONG_HEADER_BIT) == 0 || !parse_long(&header, data, len))
        return;
    mapping->is_quic = true;
    if (from_upstream)
        mapping->cid_bytes = header.scid_len;
}
