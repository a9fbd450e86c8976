/* See show.h. */
#include "cli/show.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/minmax.h"
#include "cli/watcher.h"

#define MS_A_SECOND 1000.0
#define MS_A_MINUTE (60 * MS_A_SECOND)
#define MS_AN_HOUR  (60 * MS_A_MINUTE)
#define MS_A_DAY    (24 * MS_AN_HOUR)

const char *format_span(double ms, char ret[SPAN_TEXT_MAX])
{
    static const struct {
        double ms, part;
        const char *name, *part_name;
    } units[] = {{MS_A_DAY, MS_AN_HOUR, "d", "h"},
                 {MS_AN_HOUR, MS_A_MINUTE, "h", "min"},
                 {MS_A_MINUTE, MS_A_SECOND, "min", "s"}};
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        if (ms < units[i].ms)
            continue;
        uint64_t whole = (uint64_t)(ms / units[i].ms);
        uint64_t parts = (uint64_t)((ms - (double)whole * units[i].ms) / units[i].part);
        snprintf(ret, SPAN_TEXT_MAX, "%" PRIu64 " %s %" PRIu64 " %s", whole, units[i].name, parts, units[i].part_name);
        return ret;
    }
    if (ms >= MS_A_SECOND)
        snprintf(ret, SPAN_TEXT_MAX, "%.1f s", ms / MS_A_SECOND);
    else
        snprintf(ret, SPAN_TEXT_MAX, ms < 10 ? "%.3f ms" : "%.1f ms", ms);
    return ret;
}

static void add_span(struct text_table *table, double ms)
{
    char text[SPAN_TEXT_MAX];
    text_table_add(table, format_span(ms, text));
}

static void add_amount(struct text_table *table, uint64_t octets)
{
    char text[AMOUNT_TEXT_MAX];
    text_table_add(table, format_amount((double)octets, text));
}

static void add_number(struct text_table *table, uint64_t number)
{
    text_table_addf(table, "%" PRIu64, number);
}

static void add_text(struct text_table *table, const json_t *object, const char *key)
{
    const char *text = member_text(object, key);
    text_table_add(table, text[0] != '\0' ? text : "-");
}

/* A change of address with the time that it has cost; nothing has come since: "-". */
static void add_gap(struct text_table *table, const json_t *object)
{
    if (member_ms(object, "gap_ms") > 0)
        add_span(table, member_ms(object, "gap_ms"));
    else
        text_table_add(table, "-");
}

/* ---- The table */

void show_table_init(struct text_table *table)
{
    static const struct text_column columns[] = {
        {"ConnectionID", false}, {"ClientIP:Port", false}, {"State", false}, {"ALPN", false}, {"Age", true},
        {"RTT", true},           {"Window", true},         {"In", true},     {"Out", true},   {"Paths", true},
        {"Moves", true},         {"Last move", true},      {"Gap", true},
    };
    _Static_assert(ARRAY_LENGTH(columns) <= TEXT_COLUMNS_MAX, "room for each");
    text_table_init(table, columns, ARRAY_LENGTH(columns));
}

void show_row(struct text_table *table, const json_t *row)
{
    char text[SPAN_TEXT_MAX];
    const char *claimed = member_text(row, "claimed");
    const json_t *paths = json_object_get(row, "paths"); /* of a connection: all of them, and not how many */
    add_text(table, row, "cid");
    add_text(table, row, "address");
    /* What nobody has proven does not stand where the address stands. */
    text_table_addf(table, "%s%s%s", member_text(row, "state"), claimed[0] != '\0' ? ", claims " : "", claimed);
    add_text(table, row, "alpn");
    add_span(table, member_ms(row, "age_ms"));
    add_span(table, member_ms(row, "rtt_ms"));
    add_amount(table, member_number(row, "window"));
    add_amount(table, member_number(row, "in"));
    add_amount(table, member_number(row, "out"));
    add_number(table, json_is_array(paths) ? json_array_size(paths) : member_number(row, "paths"));
    add_number(table, member_number(row, "moves"));
    if (member_number(row, "moves") > 0)
        text_table_addf(table, "%s ago", format_span(member_ms(row, "last_move_ms"), text));
    else
        text_table_add(table, "-");
    add_gap(table, row);
}

void show_totals(FILE *stream, const json_t *end)
{
    char up[SPAN_TEXT_MAX], in[AMOUNT_TEXT_MAX], out[AMOUNT_TEXT_MAX], memory[AMOUNT_TEXT_MAX];
    const json_t *server = json_object_get(end, "server");
    const char *name, *separator = ": ";
    json_t *number;
    fprintf(stream, "\n%" PRIu64 " of %" PRIu64 " connections", member_number(end, "shown"),
            member_number(end, "connections"));
    json_object_foreach(json_object_get(server, "states"), name, number)
    {
        if (json_integer_value(number) > 0) {
            fprintf(stream, "%s%" JSON_INTEGER_FORMAT " %s", separator, json_integer_value(number), name);
            separator = ", ";
        }
    }
    fprintf(stream,
            "\n%s, up %s: %" PRIu64 " accepted, %" PRIu64 " moves, %s in, %s out, %" PRIu64 " drops, %s of memory\n",
            member_text(server, "command"), format_span(member_ms(server, "up_ms"), up),
            member_number(server, "accepted"), member_number(server, "moves"),
            format_amount((double)member_number(server, "in"), in),
            format_amount((double)member_number(server, "out"), out), member_number(server, "drops"),
            format_amount((double)member_number(server, "memory"), memory));
}

/* ---- One connection */

static bool show_part(FILE *stream, const char *title, struct text_table *table)
{
    fprintf(stream, "\n%s%s\n", title, table->len == 0 ? ": none" : "");
    if (table->len == 0)
        return !table->failed;
    bool fine = text_table_print(table, stream, "  ");
    text_table_done(table);
    return fine;
}

static bool show_paths(FILE *stream, const json_t *connection)
{
    static const struct text_column columns[] = {
        {"Path", true}, {"State", false},   {"Local", false}, {"Remote", false},   {"CID", false},
        {"RTT", true},  {"least", true},    {"Window", true}, {"In flight", true}, {"In", true},
        {"Out", true},  {"Datagram", true}, {"ECN", false},
    };
    struct text_table table;
    const json_t *path;
    size_t i;
    text_table_init(&table, columns, ARRAY_LENGTH(columns));
    json_array_foreach(json_object_get(connection, "paths"), i, path)
    {
        add_number(&table, member_number(path, "id"));
        text_table_addf(&table, "%s%s", member_text(path, "state"), member_bool(path, "active") ? ", active" : "");
        add_text(&table, path, "local");
        add_text(&table, path, "remote");
        add_text(&table, path, "cid");
        add_span(&table, member_ms(path, "rtt_ms"));
        add_span(&table, member_ms(path, "min_rtt_ms"));
        add_amount(&table, member_number(path, "window"));
        add_amount(&table, member_number(path, "in_flight"));
        add_amount(&table, member_number(path, "in"));
        add_amount(&table, member_number(path, "out"));
        add_number(&table, member_number(path, "datagram_bytes"));
        add_text(&table, path, "ecn");
    }
    return show_part(stream, "Paths", &table);
}

static bool show_cids(FILE *stream, const json_t *connection)
{
    static const struct text_column columns[] = {
        {"Of", false}, {"Sequence", true}, {"CID", false}, {"State", false}, {"In", true},
    };
    struct text_table table;
    const json_t *cid;
    size_t i;
    text_table_init(&table, columns, ARRAY_LENGTH(columns));
    json_array_foreach(json_object_get(connection, "cids"), i, cid)
    {
        add_text(&table, cid, "of");
        add_number(&table, member_number(cid, "sequence"));
        add_text(&table, cid, "cid");
        text_table_add(&table, member_bool(cid, "in_use")     ? "in use"
                               : member_bool(cid, "retiring") ? "retiring"
                               : member_bool(cid, "used")     ? "used"
                                                              : "spare");
        add_amount(&table, member_number(cid, "bytes"));
    }
    return show_part(stream, "Connection IDs", &table);
}

static bool show_moves(FILE *stream, const json_t *connection)
{
    static const struct text_column columns[] = {
        {"When", true}, {"From", false},      {"To", false},        {"Why", false},  {"Gap", true},    {"Proven", true},
        {"Lost", true}, {"Sent again", true}, {"RTT before", true}, {"after", true}, {"Window", true}, {"after", true},
    };
    struct text_table table;
    const json_t *move;
    char text[SPAN_TEXT_MAX];
    size_t i;
    text_table_init(&table, columns, ARRAY_LENGTH(columns));
    json_array_foreach(json_object_get(connection, "newest_moves"), i, move)
    {
        text_table_addf(&table, "%s ago", format_span(member_ms(move, "ago_ms"), text));
        add_text(&table, move, "from");
        add_text(&table, move, "to");
        text_table_addf(&table, "%s%s", member_text(move, "why"), member_bool(move, "reverted") ? ", reverted" : "");
        add_gap(&table, move);
        if (member_ms(move, "validated_after_ms") > 0)
            text_table_addf(&table, "after %s", format_span(member_ms(move, "validated_after_ms"), text));
        else
            text_table_add(&table, member_bool(move, "validated") ? "before" : "no");
        add_number(&table, member_number(move, "packets_lost"));
        add_amount(&table, member_number(move, "bytes_resent"));
        add_span(&table, member_ms(move, "rtt_before_ms"));
        add_span(&table, member_ms(move, "rtt_after_ms"));
        add_amount(&table, member_number(move, "window_before"));
        add_amount(&table, member_number(move, "window_after"));
    }
    return show_part(stream, "Newest moves", &table);
}

static void show_stats(FILE *stream, const json_t *connection)
{
    const json_t *stats = json_object_get(connection, "stats");
    char sent[AMOUNT_TEXT_MAX], resent[AMOUNT_TEXT_MAX], received[AMOUNT_TEXT_MAX];
    fprintf(stream, "\nid %s, %s by %s%s\n", member_text(connection, "row_id"), member_text(stats, "cipher"),
            member_text(stats, "crypto_backend"), member_bool(stats, "resumed") ? ", resumed" : "");
    fprintf(stream,
            "packets: %" PRIu64 " in, %" PRIu64 " out, %" PRIu64 " lost, %" PRIu64
            " PTOs; streams: %s in, %s out, %s sent "
            "again\n",
            member_number(stats, "packets_received"), member_number(stats, "packets_sent"),
            member_number(stats, "packets_lost"), member_number(stats, "ptos"),
            format_amount((double)member_number(stats, "stream_bytes_received"), received),
            format_amount((double)member_number(stats, "stream_bytes_sent"), sent),
            format_amount((double)member_number(stats, "stream_bytes_resent"), resent));
}

bool show_connection(FILE *stream, const json_t *connection)
{
    struct text_table row;
    show_table_init(&row);
    show_row(&row, connection);
    bool fine = text_table_print(&row, stream, "");
    text_table_done(&row);
    show_stats(stream, connection);
    fine = show_paths(stream, connection) && fine;
    fine = show_cids(stream, connection) && fine;
    return show_moves(stream, connection) && fine;
}

/* ---- Events */

/* As it is written in the line before it is known what a terminal makes of it. */
static void print_plainly(FILE *stream, const char *text)
{
    for (; *text != '\0'; text++)
        fputc(*text >= ' ' && *text <= '~' ? *text : '?', stream);
}

static bool stands_in_front(const char *key)
{
    static const char *const keys[] = {"schema", "type", "event", "time_ms", "id", "connection", "address"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static void show_members(FILE *stream, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_object(value))
            show_members(stream, value);
        if (json_is_object(value) || stands_in_front(key))
            continue;
        fprintf(stream, " %s=", key);
        if (json_is_string(value))
            print_plainly(stream, json_string_value(value));
        else if (json_is_real(value))
            fprintf(stream, "%.3f", json_real_value(value));
        else if (json_is_integer(value))
            fprintf(stream, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            fputs(json_is_true(value) ? "yes" : "no", stream);
    }
}

void show_event(FILE *stream, const json_t *event)
{
    const double ms = member_ms(event, "time_ms");
    const time_t seconds = (time_t)(ms / MS_A_SECOND);
    struct tm local;
    char text[16];
    if (strcmp(member_text(event, "type"), "gap") == 0) {
        fprintf(stream, "%" PRIu64 " events were lost: this reader was too slow\n", member_number(event, "lost"));
        return;
    }
    strftime(text, sizeof(text), "%H:%M:%S", localtime_r(&seconds, &local));
    fprintf(stream, "%s.%03u  %-24s %-16s %s", text, (unsigned)(ms - (double)seconds * MS_A_SECOND),
            member_text(event, "event"), member_text(event, "connection"), member_text(event, "address"));
    show_members(stream, event);
    fputc('\n', stream);
}
