/*
 * The page's server. Kept: it shows what the process knows to whoever may look, and can change nothing: GET and HEAD are all
 * that it takes. On loopback the name that the browser used must be one of this host's, so that no other site's page can
 * ask in its reader's name; elsewhere a token is wanted for all that is not the page itself.
 */
#include "cli/dashboard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/minmax.h"
#include "base/rng.h"
#include "cli/h3_field.h"
#include "io/sockaddr.h"

#define CLIENTS_MAX 64

extern const char dashboard_index_html_begin[], dashboard_index_html_end[], dashboard_dashboard_css_begin[],
    dashboard_dashboard_css_end[], dashboard_dashboard_js_begin[], dashboard_dashboard_js_end[];

struct dashboard {
    roam_io *io;
    uv_check_t check; /* after the sockets were read */
    roam_credentials *credentials;
    const char *control_path;
    char token[DASHBOARD_TOKEN_MAX + 1]; /* "": none is wanted */
    roam_address local;
    struct dashboard_relay *relays;
    unsigned clients;
};

struct page_file {
    const char *path, *begin, *end;
    const roam_h3_field *fields;
};

#define POLICY                                                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "    \
    "form-action 'none'; frame-ancestors 'none'"

#define PAGE_FIELDS(type)                                                                                              \
    {                                                                                                                  \
        DASHBOARD_FIELD("content-type", type), DASHBOARD_FIELD("cache-control", "no-cache"),                           \
            DASHBOARD_FIELD("content-security-policy", POLICY), DASHBOARD_FIELD("referrer-policy", "no-referrer"),     \
            DASHBOARD_FIELD("x-content-type-options", "nosniff"),                                                      \
    }

#define PAGE_FIELD_COUNT 5

static const roam_h3_field html_fields[] = PAGE_FIELDS("text/html; charset=utf-8");
static const roam_h3_field style_fields[] = PAGE_FIELDS("text/css; charset=utf-8");
static const roam_h3_field script_fields[] = PAGE_FIELDS("text/javascript; charset=utf-8");

static const struct page_file files[] = {
    {"/", dashboard_index_html_begin, dashboard_index_html_end, html_fields},
    {"/dashboard.css", dashboard_dashboard_css_begin, dashboard_dashboard_css_end, style_fields},
    {"/dashboard.js", dashboard_dashboard_js_begin, dashboard_dashboard_js_end, script_fields},
};

/* ---- Who is let in */

static bool equal_texts(const char *a, const char *b)
{
    const size_t len = strlen(a);
    return len == strlen(b) && equal_in_constant_time((const uint8_t *)a, (const uint8_t *)b, len);
}

static bool has_token(const struct dashboard *dashboard, const roam_h3_event *request)
{
    static const char scheme[] = "Bearer ";
    const char *said = h3_field_value(request, "authorization");
    if (dashboard->token[0] == '\0')
        return true;
    return said != NULL && strncmp(said, scheme, sizeof(scheme) - 1) == 0 &&
           equal_texts(said + sizeof(scheme) - 1, dashboard->token);
}

/* HOST or HOST:PORT: where no token is wanted, an address or the name that stands for this host alone. */
static bool is_own_name(const struct dashboard *dashboard, const char *authority)
{
    char host[ROAM_ADDRESS_TEXT_MAX];
    roam_address address;
    if (dashboard->token[0] != '\0')
        return true;
    if (authority == NULL || strlen(authority) >= sizeof(host))
        return false;
    strcpy(host, authority);
    if (roam_address_parse(&address, host))
        return true;
    char *colon = strrchr(host, ':');
    if (colon != NULL && strchr(colon, ']') == NULL)
        *colon = '\0';
    return strcmp(host, "localhost") == 0 || roam_address_parse(&address, host);
}

/* ---- Requests */

static void refuse(roam_h3 *h3, uint64_t stream_id, int status)
{
    static const roam_h3_field fields[] = {DASHBOARD_FIELD("cache-control", "no-store"),
                                           DASHBOARD_FIELD("allow", "GET, HEAD"),
                                           DASHBOARD_FIELD("www-authenticate", "Bearer")};
    const size_t first = status == 405 ? 1 : status == 401 ? 2 : 0;
    roam_h3_respond(h3, stream_id, status, fields + first, 1, true);
    roam_h3_stop(h3, stream_id, ROAM_H3_NO_ERROR);
}

/* They are smaller than what a stream takes ahead of the network. */
static void send_file(roam_h3 *h3, const roam_h3_event *request, const struct page_file *file)
{
    const size_t len = (size_t)(file->end - file->begin);
    const bool head = strcmp(request->method, "HEAD") == 0;
    const uint64_t stream_id = request->stream_id;
    if (roam_h3_respond(h3, stream_id, 200, file->fields, PAGE_FIELD_COUNT, head) != ROAM_OK || head)
        return;
    if (roam_h3_write(h3, stream_id, file->begin, len, true) != (ptrdiff_t)len)
        roam_h3_reset(h3, stream_id, ROAM_H3_INTERNAL_ERROR);
}

static void start_relay(struct dashboard *dashboard, roam_h3 *h3, const roam_h3_event *request, const char *cid)
{
    const uint64_t stream_id = request->stream_id;
    if (!has_token(dashboard, request))
        refuse(h3, stream_id, 401);
    else if (!dashboard_relay_start(&dashboard->relays, roam_io_loop(dashboard->io), dashboard->control_path, h3,
                                    stream_id, cid != NULL ? RELAY_CONNECTION : RELAY_LIVE, cid))
        refuse(h3, stream_id, 503);
}

static void on_request(struct dashboard *dashboard, roam_h3 *h3, const roam_h3_event *request)
{
    static const char connection[] = "/connection/";
    char path[128];
    const size_t len = request->path != NULL ? strcspn(request->path, "?") : 0;
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        refuse(h3, request->stream_id, 405);
        return;
    }
    if (!is_own_name(dashboard, request->authority) || len == 0 || len >= sizeof(path)) {
        refuse(h3, request->stream_id, len == 0 || len >= sizeof(path) ? 404 : 421);
        return;
    }
    memcpy(path, request->path, len);
    path[len] = '\0';
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        if (strcmp(path, files[i].path) == 0) {
            send_file(h3, request, &files[i]);
            return;
        }
    }
    if (strcmp(request->method, "GET") == 0 && strcmp(path, "/live") == 0)
        start_relay(dashboard, h3, request, NULL);
    else if (strcmp(request->method, "GET") == 0 && strncmp(path, connection, sizeof(connection) - 1) == 0)
        start_relay(dashboard, h3, request, path + sizeof(connection) - 1);
    else
        refuse(h3, request->stream_id, 404);
}

static void on_h3_event(struct dashboard *dashboard, roam_h3 *h3, const roam_h3_event *event)
{
    if (event->type == ROAM_H3_EVENT_REQUEST)
        on_request(dashboard, h3, event);
    else if (event->type == ROAM_H3_EVENT_DATA)
        roam_h3_stop(h3, event->stream_id, ROAM_H3_NO_ERROR); /* nothing that is sent here is read */
    else if (event->type == ROAM_H3_EVENT_WRITABLE && event->user != NULL)
        dashboard_relay_on_writable(event->user);
    else if (event->type == ROAM_H3_EVENT_STOPPED)
        roam_h3_reset(h3, event->stream_id, ROAM_H3_REQUEST_CANCELLED);
    else if (event->type == ROAM_H3_EVENT_CLOSED && event->user != NULL)
        dashboard_relay_stop(event->user);
}

/* ---- Connections */

static void on_connected(struct dashboard *dashboard, const roam_event *event)
{
    roam_h3 *h3 = dashboard->clients < CLIENTS_MAX ? roam_h3_new(event->conn, NULL, NULL) : NULL;
    if (h3 == NULL) {
        roam_conn_close(event->conn, event->time, ROAM_H3_EXCESSIVE_LOAD, "too many");
        return;
    }
    dashboard->clients++;
    roam_conn_set_user(event->conn, h3);
}

static void on_event(struct dashboard *dashboard, const roam_event *event)
{
    roam_h3 *h3 = event->conn != NULL ? roam_conn_user(event->conn) : NULL;
    roam_h3_event told;
    if (event->type == ROAM_EVENT_CONNECTED)
        on_connected(dashboard, event);
    if (event->type == ROAM_EVENT_CLOSED) {
        if (h3 != NULL) {
            dashboard_relays_stop(&dashboard->relays, h3);
            dashboard->clients--;
        }
        roam_h3_free(h3);
        roam_conn_set_user(event->conn, NULL); /* its row stays for a while, where forget_connections looks */
        roam_conn_free(event->conn, event->time);
    } else if (h3 != NULL && roam_h3_on_event(h3, event->time, event)) {
        while (roam_h3_next_event(h3, event->time, &told))
            on_h3_event(dashboard, h3, &told);
    }
}

static void on_check(uv_check_t *check)
{
    struct dashboard *dashboard = check->data;
    roam_event event;
    /* It has a loop of the application's, and so takes what is there and turns nothing. */
    while (roam_io_next(dashboard->io, &event, 0))
        on_event(dashboard, &event);
}

/* ---- Life */

static bool choose_token(struct dashboard *dashboard, const char *wanted)
{
    uint8_t random[DASHBOARD_TOKEN_BYTES];
    if (wanted != NULL) {
        if (strlen(wanted) < 8 || strlen(wanted) > DASHBOARD_TOKEN_MAX) {
            say_error("a token for the dashboard has 8 to %d letters", DASHBOARD_TOKEN_MAX);
            return false;
        }
        strcpy(dashboard->token, wanted);
        return true;
    }
    if (address_is_loopback(&dashboard->local))
        return true;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        say_error("no random octets for the dashboard's token");
        return false;
    }
    for (size_t i = 0; i < sizeof(random); i++)
        sprintf(dashboard->token + 2 * i, "%02x", random[i]);
    return true;
}

static bool choose_credentials(struct dashboard *dashboard, roam_credentials *given)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1", NULL};
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (given != NULL)
        return true;
    dashboard->credentials = roam_credentials_new();
    if (roam_credentials_generate(dashboard->credentials, names) == ROAM_OK &&
        roam_credentials_fingerprint(dashboard->credentials, pin) == ROAM_OK)
        return true;
    say_error("no certificate could be made for the dashboard");
    return false;
}

static bool open_io(struct dashboard *dashboard, uv_loop_t *loop, roam_credentials *credentials)
{
    static const char *const alpn[] = {ROAM_H3_ALPN, NULL};
    char text[ROAM_ADDRESS_TEXT_MAX];
    roam_endpoint_config endpoint;
    roam_config config;
    roam_result result;
    roam_config_init(&config);
    roam_endpoint_config_init(&endpoint);
    config.credentials = credentials != NULL ? credentials : dashboard->credentials;
    config.alpn = alpn;
    endpoint.accept = &config;
    dashboard->io = roam_io_new(&endpoint, loop, &result);
    if (dashboard->io == NULL) {
        say_error("the dashboard cannot start: %s", roam_result_name(result));
        return false;
    }
    result = roam_io_bind(dashboard->io, &dashboard->local, &dashboard->local);
    if (result == ROAM_OK)
        return true;
    say_error("cannot show the dashboard at %s: %s", roam_address_format(&dashboard->local, text), strerror(errno));
    return false;
}

static void say_where(const struct dashboard *dashboard)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    const bool tokened = dashboard->token[0] != '\0';
    fprintf(stderr, "dashboard at https://%s/%s%s\n", roam_address_format(&dashboard->local, text),
            tokened ? "#token=" : "", dashboard->token);
}

/* [ADDR:]PORT, on loopback where no address is said. */
static bool parse_place(const char *text, roam_address *ret)
{
    char with_host[ROAM_ADDRESS_TEXT_MAX];
    int len = strchr(text, ':') != NULL ? snprintf(with_host, sizeof(with_host), "%s", text)
                                        : snprintf(with_host, sizeof(with_host), "127.0.0.1:%s", text);
    if (len < (int)sizeof(with_host) && roam_address_parse(ret, with_host))
        return true;
    say_error("not a place for a dashboard: '%s' ([ADDR:]PORT)", text);
    return false;
}

/* Connections have an HTTP/3 of ours, which goes before them. */
static void forget_connections(struct dashboard *dashboard)
{
    roam_conn_info rows[CLIENTS_MAX];
    size_t n = roam_endpoint_connections(roam_io_endpoint(dashboard->io), rows, CLIENTS_MAX);
    for (size_t i = 0; i < n && i < CLIENTS_MAX; i++) {
        roam_h3_free(roam_conn_user(rows[i].conn));
        roam_conn_set_user(rows[i].conn, NULL);
    }
}

struct dashboard *dashboard_start(roam_io *io, const struct dashboard_options *options)
{
    struct dashboard *dashboard = calloc(1, sizeof(*dashboard));
    if (dashboard == NULL)
        return NULL;
    dashboard->control_path = options->control_path;
    if (!parse_place(options->address, &dashboard->local) || !choose_token(dashboard, options->token) ||
        !choose_credentials(dashboard, options->credentials) ||
        !open_io(dashboard, roam_io_loop(io), options->credentials)) {
        roam_io_free(dashboard->io);
        roam_credentials_free(dashboard->credentials);
        free(dashboard);
        return NULL;
    }
    uv_check_init(roam_io_loop(io), &dashboard->check);
    dashboard->check.data = dashboard;
    uv_check_start(&dashboard->check, on_check);
    uv_unref((uv_handle_t *)&dashboard->check);
    say_where(dashboard);
    return dashboard;
}

static void on_check_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void dashboard_stop(struct dashboard *dashboard)
{
    if (dashboard == NULL)
        return;
    dashboard_relays_stop(&dashboard->relays, NULL);
    forget_connections(dashboard);
    roam_io_free(dashboard->io);
    roam_credentials_free(dashboard->credentials);
    uv_close((uv_handle_t *)&dashboard->check, on_check_closed);
}
