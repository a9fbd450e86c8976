/*
 * Lines of a server's control socket become what `roam top` knows: see docs/control.md. Kept: whatever a line has, nothing
 * but printable ASCII gets to the screen, and what is missing is empty, not an error: servers of other versions tell more or
 * less.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/control.h"
#include "cli/top_model.h"
#include "cli/watcher.h"

/* ---- Members */

static void text_of(const json_t *object, const char *key, char *ret, size_t capacity)
{
    const char *text = member_text(object, key);
    size_t len = 0;
    for (; text[len] != '\0' && len + 1 < capacity; len++)
        ret[len] = text[len] >= ' ' && text[len] <= '~' ? text[len] : '?';
    ret[len] = '\0';
}

#define TEXT_OF(object, key, ret) text_of(object, key, ret, sizeof(ret))

/* Whatever the number is, it is a time that a clock has. */
static roam_time time_of(double ms)
{
    return ms > 0 ? (roam_time)(ms < 1e12 ? ms * 1e6 : 1e18) : 0;
}

/* ---- The table */

static void read_row(struct top_row *ret, const json_t *object, const char *id, roam_time now)
{
    const json_t *last_move = json_object_get(object, "last_move_ms");
    *ret = (struct top_row){0};
    TEXT_OF(object, "cid", ret->cid);
    text_of(object, id, ret->key, sizeof(ret->key));
    TEXT_OF(object, "address", ret->address);
    TEXT_OF(object, "claimed", ret->claimed);
    TEXT_OF(object, "local", ret->local);
    TEXT_OF(object, "state", ret->state);
    TEXT_OF(object, "alpn", ret->alpn);
    ret->age_ms = member_ms(object, "age_ms");
    ret->rtt_ms = member_ms(object, "rtt_ms");
    ret->gap_ms = member_ms(object, "gap_ms");
    ret->has_gap = ret->gap_ms > 0;
    ret->window = member_number(object, "window");
    ret->in = member_number(object, "in");
    ret->out = member_number(object, "out");
    ret->paths = member_number(object, "paths");
    ret->moves = member_number(object, "moves");
    ret->moved = json_is_number(last_move);
    if (ret->moved)
        ret->moved_at = saturating_sub(now, time_of(json_number_value(last_move)));
}

static void read_rows(struct top_model *model, const json_t *line, roam_time now)
{
    size_t i;
    const json_t *object;
    json_array_foreach(json_object_get(line, "rows"), i, object)
    {
        struct top_row row;
        read_row(&row, object, "id", now);
        top_model_row(model, &row);
    }
}

static void read_server(struct top_model *model, const json_t *object, roam_time now)
{
    struct top_server server = {.up_ms = member_ms(object, "up_ms"),
                                .clock_ms = member_ms(object, "time_ms") - (double)now / 1e6};
    const json_t *states = json_object_get(object, "states");
    if (!json_is_object(object))
        return;
    TEXT_OF(object, "command", server.command);
    for (unsigned state = 0; state < ROAM_CONN_STATES; state++)
        server.states[state] = member_number(states, roam_conn_state_name(state));
    server.moves = member_number(object, "moves");
    server.in = member_number(object, "in");
    server.out = member_number(object, "out");
    server.drops = member_number(object, "drops");
    server.memory = member_number(object, "memory");
    server.resident = member_number(object, "resident");
    top_model_server(model, &server);
}

static void read_end(struct top_model *model, const json_t *line, roam_time now)
{
    read_server(model, json_object_get(line, "server"), now);
    top_model_page(model, member_number(line, "connections"), member_number(line, "matching"));
}

static void read_hello(struct top_model *model, const json_t *line)
{
    TEXT_OF(line, "command", model->server.command);
    TEXT_OF(line, "version", model->server.version);
    model->server.pid = member_number(line, "pid");
}

/* ---- Moves as text */

static void add_text(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_text(char *text, const char *format, ...)
{
    const size_t len = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + len, TOP_ENTRY_MAX - len, format, arguments);
    va_end(arguments);
}

static void add_cost(char *text, const json_t *move)
{
    char first[TOP_CELL_MAX], second[TOP_CELL_MAX];
    add_text(text, "settled:");
    if (member_ms(move, "gap_ms") > 0)
        add_text(text, " gap %s,", top_span_text(member_ms(move, "gap_ms"), first));
    if (member_bool(move, "validated"))
        add_text(text, " proof %s,", top_span_text(member_ms(move, "validated_after_ms"), first));
    add_text(text, " lost %" PRIu64 ", again %s,", member_number(move, "packets_lost"),
             top_amount_text((double)member_number(move, "bytes_resent"), first));
    add_text(text, " RTT %s -> %s", top_span_text(member_ms(move, "rtt_before_ms"), first),
             top_span_text(member_ms(move, "rtt_after_ms"), second));
}

static void add_kept_move(struct top_detail *detail, const json_t *move, double now_ms)
{
    char text[TOP_ENTRY_MAX] = "", from[ROAM_ADDRESS_TEXT_MAX], to[ROAM_ADDRESS_TEXT_MAX], why[TOP_NAME_MAX];
    const double at = now_ms - member_ms(move, "ago_ms");
    TEXT_OF(move, "from", from);
    TEXT_OF(move, "to", to);
    TEXT_OF(move, "why", why);
    add_text(text, "%s %s -> %s (%s)", member_bool(move, "reverted") ? "reverted" : "moved", from, to, why);
    top_detail_add(detail, at, true, text);
    text[0] = '\0';
    if (member_bool(move, "settled")) {
        add_cost(text, move);
        top_detail_add(detail, at + member_ms(move, "validated_after_ms"), false, text);
    }
}

/* ---- One connection */

static void read_path(struct top_path *ret, const json_t *object)
{
    *ret = (struct top_path){.id = member_number(object, "id"), .active = member_bool(object, "active")};
    TEXT_OF(object, "state", ret->state);
    TEXT_OF(object, "ecn", ret->ecn);
    TEXT_OF(object, "local", ret->local);
    TEXT_OF(object, "remote", ret->remote);
    TEXT_OF(object, "cid", ret->cid);
    ret->in = member_number(object, "in");
    ret->out = member_number(object, "out");
    ret->window = member_number(object, "window");
    ret->in_flight = member_number(object, "in_flight");
    ret->datagram_bytes = member_number(object, "datagram_bytes");
    ret->rtt_ms = member_ms(object, "rtt_ms");
    ret->min_rtt_ms = member_ms(object, "min_rtt_ms");
}

static void read_cid(struct top_cid *ret, const json_t *object)
{
    char of[TOP_NAME_MAX];
    TEXT_OF(object, "of", of);
    *ret = (struct top_cid){.peers = strcmp(of, "peer") == 0, .sequence = member_number(object, "sequence")};
    TEXT_OF(object, "cid", ret->cid);
    ret->used = member_bool(object, "used");
    ret->in_use = member_bool(object, "in_use");
    ret->retiring = member_bool(object, "retiring");
}

static void read_stats(struct top_detail *detail, const json_t *stats)
{
    detail->packets_sent = member_number(stats, "packets_sent");
    detail->packets_received = member_number(stats, "packets_received");
    detail->packets_lost = member_number(stats, "packets_lost");
    detail->resent = member_number(stats, "stream_bytes_resent");
    TEXT_OF(stats, "cipher", detail->cipher);
}

/* The moves of before stand first in the timeline; those that come later are told as events. */
static void read_connection(struct top_model *model, const json_t *line, roam_time now)
{
    struct top_detail *detail = &model->detail;
    const struct top_row before = detail->row;
    const json_t *moves = json_object_get(line, "newest_moves");
    size_t i;
    const json_t *object;
    read_row(&detail->row, line, "row_id", now);
    top_rates_tell(&detail->row.rates, &before.rates, detail->row.age_ms, detail->row.in, detail->row.out);
    detail->path_count = detail->cid_count = 0;
    read_stats(detail, json_object_get(line, "stats"));
    json_array_foreach(json_object_get(line, "paths"), i, object)
    {
        if (detail->path_count < TOP_PATHS_MAX)
            read_path(&detail->paths[detail->path_count++], object);
    }
    json_array_foreach(json_object_get(line, "cids"), i, object)
    {
        if (detail->cid_count < TOP_CIDS_MAX)
            read_cid(&detail->cids[detail->cid_count++], object);
    }
    if (!detail->loaded) {
        detail->entry_count = 0;
        for (i = json_array_size(moves); i > 0; i--)
            add_kept_move(detail, json_array_get(moves, i - 1), model->server.clock_ms + (double)now / 1e6);
    }
    detail->loaded = true;
    detail->by_id = false;
}

/* ---- Events */

static void tell_move(char *text, const json_t *line, const struct top_event *event)
{
    char why[TOP_NAME_MAX];
    TEXT_OF(line, "why", why);
    if (strcmp(event->name, "path_settled") == 0) {
        add_cost(text, json_object_get(line, "move"));
    } else if (strcmp(event->name, "path_reverted") == 0) {
        add_text(text, "reverted %s -> %s", event->previous, event->remote);
    } else {
        add_text(text, "moved %s -> %s (%s)%s", event->previous, event->remote, why, event->proven ? "" : ", claimed");
    }
}

static void tell_other(char *text, const json_t *line, const struct top_event *event)
{
    char cid[ROAM_CID_TEXT_MAX], cause[TOP_NAME_MAX], reason[TOP_MESSAGE_MAX];
    TEXT_OF(line, "cid", cid);
    TEXT_OF(line, "cause", cause);
    TEXT_OF(line, "reason", reason);
    add_text(text, "%s", event->name);
    if (event->remote[0] != '\0')
        add_text(text, " %s", event->remote);
    if (cid[0] != '\0')
        add_text(text, " cid %s", cid);
    if (json_object_get(line, "sequence") != NULL)
        add_text(text, " sequence %" PRIu64, member_number(line, "sequence"));
    if (json_object_get(line, "datagram_bytes") != NULL)
        add_text(text, " %" PRIu64 " octets", member_number(line, "datagram_bytes"));
    if (cause[0] != '\0')
        add_text(text, ": %s%s%s", cause, reason[0] != '\0' ? ": " : "", reason);
}

static bool is_of_detail(const struct top_detail *detail, const struct top_event *event)
{
    return event->key[0] != '\0' && strcmp(event->key, detail->row.key) == 0;
}

static void read_event(struct top_model *model, const json_t *line, roam_time now)
{
    struct top_event event = {.proven = member_bool(line, "proven"), .unix_ms = member_ms(line, "time_ms")};
    struct top_detail *detail = &model->detail;
    char text[TOP_ENTRY_MAX] = "";
    TEXT_OF(line, "event", event.name);
    TEXT_OF(line, "id", event.key);
    TEXT_OF(line, "remote", event.remote);
    TEXT_OF(line, "previous", event.previous);
    if (!model->paused)
        top_model_event(model, &event, now);
    if (!detail->loaded || !is_of_detail(detail, &event))
        return;
    const bool is_move = event.previous[0] != '\0';
    if (is_move)
        tell_move(text, line, &event);
    else
        tell_other(text, line, &event);
    top_detail_add(detail, event.unix_ms, is_move && strcmp(event.name, "path_settled") != 0, text);
    model->ask_detail = model->ask_detail || is_move;
    if (strcmp(event.name, "closed") == 0)
        detail->gone = true;
}

/* ---- All of them */

static enum top_line read_error(struct top_model *model, const json_t *line, bool of_table)
{
    char error[TOP_NAME_MAX];
    TEXT_OF(line, "error", error);
    TEXT_OF(line, "message", model->message);
    if (of_table) {
        model->coming_count = 0;
    } else if (strcmp(error, "not_found") == 0) {
        top_detail_not_found(model);
        model->message[0] = '\0';
    }
    return TOP_LINE_ERROR;
}

static enum top_line read_object(struct top_model *model, const json_t *line, bool of_table, roam_time now)
{
    char type[TOP_NAME_MAX], schema[TOP_NAME_MAX];
    TEXT_OF(line, "type", type);
    TEXT_OF(line, "schema", schema);
    if (strcmp(schema, CONTROL_SCHEMA) != 0)
        return TOP_LINE_BAD;
    if (strcmp(type, "rows") == 0) {
        read_rows(model, line, now);
        return TOP_LINE_PART;
    }
    if (strcmp(type, "error") == 0)
        return read_error(model, line, of_table);
    if (strcmp(type, "event") == 0)
        read_event(model, line, now);
    else if (strcmp(type, "gap") == 0)
        model->events_lost += member_number(line, "lost");
    else if (strcmp(type, "hello") == 0)
        read_hello(model, line);
    else if (strcmp(type, "end") == 0)
        read_end(model, line, now);
    else if (strcmp(type, "connection") == 0)
        read_connection(model, line, now);
    else if (strcmp(type, "subscribed") != 0)
        return TOP_LINE_NEWS;
    const bool is_answer =
        strcmp(type, "end") == 0 || strcmp(type, "connection") == 0 || strcmp(type, "subscribed") == 0;
    return is_answer ? TOP_LINE_ANSWER : TOP_LINE_NEWS;
}

enum top_line top_read_line(struct top_model *model, const char *line, size_t len, bool of_table, roam_time now)
{
    json_t *object = json_loadb(line, len, 0, NULL);
    enum top_line what = json_is_object(object) ? read_object(model, object, of_table, now) : TOP_LINE_BAD;
    json_decref(object);
    return what;
}
