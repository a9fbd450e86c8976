/* What clients of the control socket ask for. Kept: a request that is not understood in every part is refused with what
 * is wrong with it, and changes nothing. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/control.h"
#include "cli/metrics.h"

struct request {
    struct control_client *client;
    const json_t *object;
    struct control_question question;
    uint64_t types;
    const char *wrong; /* with it; NULL: nothing */
};

/* ---- Members */

static void find_fault(struct request *request, const char *what)
{
    if (request->wrong == NULL)
        request->wrong = what;
}

/* NULL where it is not there. */
static const char *text_of(struct request *request, const json_t *object, const char *key, const char *what)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL)
        return NULL;
    /* Nothing that is compared with it has a NUL within. */
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
        find_fault(request, what);
        return NULL;
    }
    return json_string_value(value);
}

static void number_of(struct request *request, const char *key, uint64_t *ret, const char *what)
{
    const json_t *value = json_object_get(request->object, key);
    if (value == NULL)
        return;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        find_fault(request, what);
    else
        *ret = (uint64_t)json_integer_value(value);
}

static void bool_of(struct request *request, const char *key, bool *ret, const char *what)
{
    const json_t *value = json_object_get(request->object, key);
    if (value != NULL && !json_is_boolean(value))
        find_fault(request, what);
    *ret = json_is_true(value);
}

/* It comes back as it came: a number or a short text. */
static void take_id(struct request *request)
{
    const json_t *id = json_object_get(request->object, "id");
    if (id == NULL)
        return;
    char *text = json_is_string(id) || json_is_integer(id) ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
    if (text != NULL && strlen(text) < sizeof(request->question.id))
        memcpy(request->question.id, text, strlen(text) + 1);
    else
        find_fault(request, "id is an integer, or a text of at most 77 octets");
    free(text);
}

static void allow_only(struct request *request, const json_t *object, const char *const *names, const char *what)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        bool known = false;
        for (const char *const *name = names; *name != NULL; name++)
            known = known || strcmp(key, *name) == 0;
        if (!known)
            find_fault(request, what);
    }
}

/* ---- The table */

static void take_filter(struct request *request)
{
    static const char *const names[] = {"state", "address", "alpn", "cid", "id", NULL};
    struct watch_filter *filter = &request->question.filter;
    const json_t *object = json_object_get(request->object, "filter");
    if (object == NULL)
        return;
    if (!json_is_object(object)) {
        find_fault(request, "filter is an object");
        return;
    }
    allow_only(request, object, names, "filter has state, address, alpn, cid and id, and nothing else");
    const char *state = text_of(request, object, "state", "filter.state is a text");
    const char *address = text_of(request, object, "address", "filter.address is a text");
    const char *alpn = text_of(request, object, "alpn", "filter.alpn is a text");
    const char *cid = text_of(request, object, "cid", "filter.cid is a text");
    const char *id = text_of(request, object, "id", "filter.id is a text");
    filter->has_state = state != NULL;
    if (state != NULL && !watch_state_parse(&filter->state, state))
        find_fault(request, "filter.state is handshake, established, closing or draining");
    if (address != NULL && !watch_address_parse(filter, address))
        find_fault(request, "filter.address is ADDR, ADDR:PORT or ADDR/BITS");
    if (cid != NULL && !watch_cid_parse(&filter->cid, cid))
        find_fault(request, "filter.cid is 1 to 20 octets in hexadecimal");
    if (id != NULL && !watch_id_parse(filter, id))
        find_fault(request, "filter.id is 16 digits in hexadecimal");
    if (alpn != NULL && (strlen(alpn) == 0 || strlen(alpn) >= sizeof(filter->alpn)))
        find_fault(request, "filter.alpn has 1 to 255 octets");
    else if (alpn != NULL)
        memcpy(filter->alpn, alpn, strlen(alpn) + 1);
}

static void begin_job(struct request *request)
{
    struct control_client *client = request->client;
    client->job = control_table_new(client->control, &request->question);
    if (client->job == NULL)
        control_send_error(client, request->question.id, "no_memory", "the server has no memory for the answer");
    control_turn(client->control);
}

static void on_table(struct request *request)
{
    static const char *const names[] = {"schema",  "request", "id",    "filter", "sort",
                                        "reverse", "offset",  "limit", NULL};
    struct control_question *question = &request->question;
    allow_only(request, request->object, names,
               "a table has filter, sort, reverse, offset and limit, and nothing else");
    take_filter(request);
    const char *sort = text_of(request, request->object, "sort", "sort is a text");
    if (sort != NULL && !watch_column_parse(&question->sort, sort))
        find_fault(request, "sort is " WATCH_COLUMN_NAMES);
    bool_of(request, "reverse", &question->reverse, "reverse is true or false");
    number_of(request, "offset", &question->offset, "offset is a number, 0 or more");
    number_of(request, "limit", &question->limit, "limit is a number, 0 or more");
    if (question->sort != WATCH_UNSORTED && question->offset > CONTROL_SORTED_MAX)
        find_fault(request, "a sorted table is sorted for its first 131,072 rows");
    if (request->wrong == NULL)
        begin_job(request);
}

/* ---- One connection */

static void on_connection(struct request *request)
{
    static const char *const names[] = {"schema", "request", "id", "cid", "address", "row_id", NULL};
    struct control_client *client = request->client;
    struct control *control = client->control;
    struct watch_filter *filter = &request->question.filter;
    allow_only(request, request->object, names, "a connection has cid, address or row_id, and nothing else");
    const char *cid = text_of(request, request->object, "cid", "cid is a text");
    const char *address = text_of(request, request->object, "address", "address is a text");
    const char *row_id = text_of(request, request->object, "row_id", "row_id is a text");
    if ((cid != NULL) + (address != NULL) + (row_id != NULL) != 1)
        find_fault(request, "which connection? by one of cid, address and row_id");
    else if (cid != NULL && !watch_cid_parse(&filter->cid, cid))
        find_fault(request, "cid is 1 to 20 octets in hexadecimal");
    else if (address != NULL && (!watch_address_parse(filter, address) || filter->address.port == 0))
        find_fault(request, "address is ADDR:PORT");
    else if (row_id != NULL && !watch_id_parse(filter, row_id))
        find_fault(request, "row_id is 16 digits in hexadecimal");
    if (request->wrong != NULL)
        return;
    const roam_conn *conn = roam_endpoint_find(roam_io_endpoint(control->io), &filter->cid);
    if (conn == NULL) {
        /* It may be the beginning of a CID, and an address is looked for anyway. */
        request->question.detail = true;
        begin_job(request);
        return;
    }
    struct json json = control_line(control, "connection", request->question.id);
    control_put_connection(&json, conn, roam_io_now(control->io));
    control_send(client, &json);
}

/* ---- Events */

static const char *const class_names[] = {
    [ROAM_EVENT_CLASS_CONNECTION] = "connection",
    [ROAM_EVENT_CLASS_STREAM] = "stream",
    [ROAM_EVENT_CLASS_DATAGRAM] = "datagram",
    [ROAM_EVENT_CLASS_PATH] = "path",
    [ROAM_EVENT_CLASS_CID] = "cid",
    [ROAM_EVENT_CLASS_ENDPOINT] = "endpoint",
};

/* Those of that name, or of a class of that name; 0: none is called so. */
static uint64_t types_of(const char *name)
{
    uint64_t types = 0;
    for (unsigned type = ROAM_EVENT_NONE + 1; type < ROAM_EVENT_TYPES; type++)
        if (strcmp(name, roam_event_name(type)) == 0 || strcmp(name, class_names[roam_event_class_of(type)]) == 0)
            types |= UINT64_C(1) << type;
    return types;
}

static void on_events(struct request *request)
{
    static const char *const names[] = {"schema", "request", "id", "types", NULL};
    struct control_client *client = request->client;
    const json_t *list = json_object_get(request->object, "types");
    const json_t *entry;
    size_t i;
    _Static_assert(ROAM_EVENT_TYPES <= 64, "a bit for each");
    allow_only(request, request->object, names, "events have types, and nothing else");
    uint64_t types =
        list == NULL ? types_of("connection") | types_of("path") | types_of("cid") | types_of("endpoint") : 0;
    if (list != NULL && !json_is_array(list))
        find_fault(request, "types is a list of texts");
    json_array_foreach(list, i, entry)
    {
        uint64_t some = json_is_string(entry) ? types_of(json_string_value(entry)) : 0;
        if (some == 0)
            find_fault(request, "types has a name that no event has, and no class of events");
        types |= some;
    }
    if (request->wrong != NULL)
        return;
    client->types = types;
    struct json json = control_line(client->control, "subscribed", request->question.id);
    json_bool(&json, "events", types != 0);
    control_send(client, &json);
}

/* ---- The whole server */

static void on_server(struct request *request)
{
    static const char *const names[] = {"schema", "request", "id", NULL};
    struct control_client *client = request->client;
    allow_only(request, request->object, names, "nothing else is to be said with that");
    if (request->wrong != NULL)
        return;
    struct json json = control_line(client->control, "server", request->question.id);
    control_put_server(&json, client->control);
    control_send(client, &json);
}

static void on_metrics(struct request *request)
{
    static const char *const names[] = {"schema", "request", "id", NULL};
    struct control_client *client = request->client;
    size_t len;
    allow_only(request, request->object, names, "nothing else is to be said with that");
    char *text = request->wrong == NULL ? metrics_text(client->control->metrics, &len) : NULL;
    if (text == NULL)
        return;
    struct json json = control_line(client->control, "metrics", request->question.id);
    json_text(&json, "format", METRICS_CONTENT_TYPE);
    json_text_n(&json, "text", text, len);
    control_send(client, &json);
    free(text);
}

/* ---- All of them */

static const struct {
    const char *name;
    void (*answer)(struct request *request);
} requests[] = {
    {"table", on_table},   {"connection", on_connection}, {"events", on_events},
    {"server", on_server}, {"metrics", on_metrics},
};

static void answer(struct request *request)
{
    const char *schema = text_of(request, request->object, "schema", "schema is a text");
    const char *name = text_of(request, request->object, "request", "request is a text");
    take_id(request);
    if (schema != NULL && strcmp(schema, CONTROL_SCHEMA) != 0)
        find_fault(request, "this server speaks " CONTROL_SCHEMA);
    if (name == NULL)
        find_fault(request, "no request: table, connection, events, server or metrics");
    for (size_t i = 0; request->wrong == NULL && i < ARRAY_LENGTH(requests); i++) {
        if (strcmp(name, requests[i].name) == 0) {
            requests[i].answer(request);
            if (request->wrong == NULL)
                return;
        }
    }
    find_fault(request, "no such request: there are table, connection, events, server and metrics");
    control_send_error(request->client, request->question.id, "bad_request", request->wrong);
}

void control_request(struct control_client *client, const char *line, size_t len)
{
    struct request request = {.client = client};
    json_error_t error;
    if (strspn(line, " \t\r") >= len)
        return;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    request.object = object;
    if (json_is_object(object))
        answer(&request);
    else
        control_send_error(client, NULL, "bad_json", object == NULL ? error.text : "a request is an object");
    json_decref(object);
}
