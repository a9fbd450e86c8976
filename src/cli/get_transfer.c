/*
 * One URL: asked for, redirected, gone on with. Kept: octets of two states of a resource are never put together: what is
 * there is gone on with only under If-Range, and a 206 must begin where we ended.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/byte_range.h"
#include "cli/get.h"
#include "cli/h3_field.h"
#include "cli/http_date.h"
#include "cli/keepsakes.h"

#define CHUNK_BYTES (64 * 1024)
/* What a pipe takes without waiting when it says that it takes something. */
#define PIPE_BYTES 4096

#define FIELDS_MAX  (GET_HEADERS_MAX + 8)
#define RETRY_PAUSE ROAM_SECONDS(1)
#define HEADER_MAX  4096

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

static void done(struct transfer *transfer, int status)
{
    bool whole = status == GET_OK;
    if (!output_close(&transfer->out, whole) && whole) {
        say_error("cannot write to %s: %s", transfer->out.name != NULL ? transfer->out.name : "standard output",
                  strerror(errno));
        status = GET_WRITE;
    }
    transfer->state = TRANSFER_DONE;
    transfer->status = status;
}

static void let_go(struct transfer *transfer)
{
    struct get_origin *origin = transfer->origin;
    if (transfer->state == TRANSFER_RUNNING && origin != NULL && !origin->closed && origin->h3 != NULL) {
        roam_h3_set_user(origin->h3, transfer->stream_id, NULL);
        roam_h3_reset(origin->h3, transfer->stream_id, ROAM_H3_REQUEST_CANCELLED);
    }
    transfer->origin = NULL;
    transfer->state = TRANSFER_WAITING;
}

void transfer_fail(struct getter *getter, struct transfer *transfer, int status, bool again, const char *why)
{
    if (transfer->state == TRANSFER_DONE)
        return;
    let_go(transfer);
    bool can = transfer->out.name == NULL && transfer->out.at > 0 ? transfer->out.validator[0] != '\0' : true;
    if (transfer->out.at > 0 && transfer->out.validator[0] == '\0' && can && transfer->out.part != NULL)
        can = output_restart(&transfer->out);
    if (again && can && transfer->attempts < getter->options.retry) {
        say_error("%s: %s; trying again", transfer->text, why);
        transfer->not_before =
            roam_io_now(getter->io) + (RETRY_PAUSE << (transfer->attempts < 5 ? transfer->attempts : 5));
        transfer->attempts++;
        return;
    }
    say_error("%s: %s", transfer->text, why);
    done(transfer, status);
}

static void fail_write(struct getter *getter, struct transfer *transfer)
{
    char why[512];
    snprintf(why, sizeof(why), "cannot write to %s: %s",
             transfer->out.name != NULL ? transfer->out.name : "standard output", strerror(errno));
    transfer_fail(getter, transfer, GET_WRITE, false, why);
}

static void on_closed(struct getter *getter, struct transfer *transfer, const roam_error *error)
{
    char why[CAUSE_TEXT_MAX];
    int status = transfer->state == TRANSFER_RUNNING ? GET_PARTIAL : GET_CONNECT;
    bool crypto = (error->cause == ROAM_CLOSE_LOCAL_TRANSPORT || error->cause == ROAM_CLOSE_PEER_TRANSPORT) &&
                  error->code >= ROAM_CRYPTO_ERROR && error->code <= ROAM_CRYPTO_ERROR_LAST;
    uint64_t alert = error->code - ROAM_CRYPTO_ERROR;
    if (error->cause == ROAM_CLOSE_RESOLUTION)
        status = GET_RESOLVE;
    else if (crypto) /* RFC 8446 section 6.2: bad_certificate to unknown_ca are what we find of the server's */
        status = error->cause == ROAM_CLOSE_LOCAL_TRANSPORT && alert >= 42 && alert <= 48 ? GET_CERTIFICATE : GET_TLS;
    else if (error->cause == ROAM_CLOSE_IDLE_TIMEOUT)
        status = GET_TIMEOUT;
    transfer_fail(getter, transfer, status, status != GET_CERTIFICATE && status != GET_TLS, describe_error(error, why));
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static void add_field(roam_h3_field *fields, size_t *n, const char *name, const char *value)
{
    fields[(*n)++] =
        (roam_h3_field){.name = name, .name_len = strlen(name), .value = value, .value_len = strlen(value)};
}

/* "Name: value" of the command line, the name in lower case. What is secret does not follow to another origin. */
static bool add_header(const struct transfer *transfer, const char *header, char buffer[HEADER_MAX],
                       roam_h3_field *fields, size_t *n)
{
    size_t len = strcspn(header, ":");
    if (header[len] == '\0' || strlen(header) >= HEADER_MAX)
        return false;
    memcpy(buffer, header, strlen(header) + 1);
    buffer[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if (buffer[i] >= 'A' && buffer[i] <= 'Z')
            buffer[i] = (char)(buffer[i] - 'A' + 'a');
    bool secret = strcmp(buffer, "authorization") == 0 || strcmp(buffer, "cookie") == 0;
    if (secret && transfer->crossed)
        return true;
    add_field(fields, n, buffer, buffer + len + 1 + strspn(buffer + len + 1, " \t"));
    fields[*n - 1].sensitive = secret;
    return true;
}

static void send_data(struct getter *getter, struct transfer *transfer)
{
    static char chunk[CHUNK_BYTES];
    while (!transfer->as_get && transfer->sent < getter->data_bytes) {
        ssize_t n = getter->data_fd >= 0 ? pread(getter->data_fd, chunk, sizeof(chunk), (off_t)transfer->sent)
                                         : (ssize_t)(getter->data_bytes - transfer->sent);
        const char *from = getter->data_fd >= 0 ? chunk : getter->options.data + transfer->sent;
        if (n <= 0) {
            transfer_fail(getter, transfer, GET_USAGE, false, "what is to be sent cannot be read");
            return;
        }
        bool last = transfer->sent + (uint64_t)n == getter->data_bytes;
        ptrdiff_t taken = roam_h3_write(transfer->origin->h3, transfer->stream_id, from, (size_t)n, last);
        if (taken < 0)
            return;
        transfer->sent += (uint64_t)taken;
        if (taken < n)
            return;
    }
}

static void ask(struct getter *getter, struct transfer *transfer)
{
    static char buffers[GET_HEADERS_MAX][HEADER_MAX];
    char authority[URL_HOST_MAX + 16], range[40], length[24];
    const struct get_options *options = &getter->options;
    bool sends = options->data != NULL && !transfer->as_get;
    const roam_h3_request_head head = {.method = options->head                                  ? "HEAD"
                                                 : options->method != NULL && !transfer->as_get ? options->method
                                                 : sends                                        ? "POST"
                                                                                                : "GET",
                                       .scheme = "https",
                                       .authority = url_authority(&transfer->url, authority),
                                       .path = transfer->url.path};
    roam_h3_field fields[FIELDS_MAX];
    size_t n = 0;
    add_field(fields, &n, "user-agent", "roam");
    add_field(fields, &n, "accept", "*/*");
    for (size_t i = 0; i < options->headers.count; i++)
        add_header(transfer, options->headers.texts[i], buffers[i], fields, &n);
    transfer->asked_range = transfer->out.at > 0 && transfer->out.validator[0] != '\0';
    if (transfer->asked_range) {
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", transfer->out.at);
        add_field(fields, &n, "range", range);
        add_field(fields, &n, "if-range", transfer->out.validator);
    }
    if (sends) {
        snprintf(length, sizeof(length), "%" PRIu64, getter->data_bytes);
        add_field(fields, &n, "content-length", length);
    }
    int64_t id = roam_h3_request(transfer->origin->h3, &head, fields, n, !sends || getter->data_bytes == 0, transfer);
    transfer->origin->full = id == ROAM_ERR_LIMIT;
    if (id == ROAM_ERR_LIMIT)
        return; /* the peer allows no more yet: the next step tries again */
    if (id < 0) {
        transfer_fail(getter, transfer, id == ROAM_ERR_CONFIG ? GET_USAGE : GET_PARTIAL, id != ROAM_ERR_CONFIG,
                      id == ROAM_ERR_CONFIG ? "a header or the method is malformed" : "the server takes no request");
        return;
    }
    transfer->stream_id = (uint64_t)id;
    transfer->state = TRANSFER_RUNNING;
    transfer->sent = 0;
    transfer->discards = transfer->blocked = false;
    transfer->began = roam_io_now(getter->io);
    transfer->began_at = transfer->out.at;
    if (sends)
        send_data(getter, transfer);
}

/* ---- What comes -------------------------------------------------------------------------------------------------- */

static void print_head(const roam_h3_event *event)
{
    printf("HTTP/3 %d\n", event->status);
    for (size_t i = 0; i < event->field_count; i++)
        printf("%s: %s\n", event->fields[i].name, event->fields[i].value);
    printf("\n");
    fflush(stdout);
}

/* True where it leads on. */
static bool follow(struct getter *getter, struct transfer *transfer, const roam_h3_event *event)
{
    struct url to;
    const char *location = h3_field_value(event, "location");
    int status = event->status;
    if (!getter->options.follow || location == NULL ||
        !(status == 301 || status == 302 || status == 303 || status == 307 || status == 308))
        return false;
    if (transfer->redirects++ >= getter->options.max_redirects) {
        transfer_fail(getter, transfer, GET_REDIRECTS, false, "too many redirects");
    } else if (!url_resolve(&transfer->url, location, &to)) {
        transfer_fail(getter, transfer, GET_URL, false, "redirected to what is no https URL");
    } else {
        let_go(transfer);
        transfer->crossed = transfer->crossed || !url_same_origin(&to, &transfer->url);
        transfer->as_get = transfer->as_get || status <= 303;
        transfer->url = to;
    }
    return true;
}

/* A strong validator, or "". RFC 9110 section 8.8.2.2: a date is one where the file had been at rest for a while. */
static const char *validator_of(const roam_h3_event *event)
{
    const char *etag = h3_field_value(event, "etag"), *modified = h3_field_value(event, "last-modified"),
               *date = h3_field_value(event, "date");
    time_t now = time(NULL), changed, said;
    if (etag != NULL && etag[0] == '"')
        return etag;
    return modified != NULL && date != NULL && http_date_parse(modified, now, &changed) &&
                   http_date_parse(date, now, &said) && changed + 60 <= said
               ? modified
               : "";
}

static uint64_t length_of(const roam_h3_event *event)
{
    const char *text = h3_field_value(event, "content-length");
    char *end;
    errno = 0;
    unsigned long long length = text != NULL ? strtoull(text, &end, 10) : 0;
    return text == NULL || *end != '\0' || errno != 0 ? UINT64_MAX : length;
}

/* The answer to a request for the rest. False where it is no rest, which has been dealt with. */
static bool take_rest(struct getter *getter, struct transfer *transfer, const roam_h3_event *event)
{
    struct byte_range range;
    const char *content_range = h3_field_value(event, "content-range");
    uint64_t total = UINT64_MAX;
    if (event->status == 206 && content_range != NULL && byte_range_parse_content(content_range, &range, &total) &&
        range.first == transfer->out.at) {
        transfer->total = total;
        return true;
    }
    if (event->status == 416 && content_range != NULL && sscanf(content_range, "bytes */%" SCNu64, &total) == 1 &&
        total == transfer->out.at) {
        let_go(transfer);
        transfer->total = total;
        done(transfer, GET_OK);
        return false;
    }
    if (event->status >= 500) {
        transfer_fail(getter, transfer, GET_HTTP, true, "the server has failed");
    } else if (!output_restart(&transfer->out)) {
        transfer_fail(getter, transfer, GET_PARTIAL, false,
                      "it has changed on the server since, and the old part is out");
    } else if (event->status != 200) {
        let_go(transfer); /* asked for again, as a whole */
    } else {
        if (getter->options.net.verbose)
            fprintf(stderr, "%s has changed since: it is fetched anew\n", transfer->text);
        return true;
    }
    return false;
}

static void on_response(struct getter *getter, struct transfer *transfer, const roam_h3_event *event)
{
    const struct get_options *options = &getter->options;
    char url[URL_TEXT_MAX], why[64];
    transfer->http_status = event->status;
    if (options->include || options->head)
        print_head(event);
    if (follow(getter, transfer, event))
        return;
    /* RFC 8470 section 5.2. */
    if (event->status == 425 && getter->options.net.early && !transfer->too_early) {
        let_go(transfer);
        transfer->too_early = true;
        return;
    }
    if (event->status >= 400 && (options->fail || (event->status >= 500 && transfer->attempts < options->retry))) {
        if (!(event->status == 416 && transfer->asked_range)) {
            snprintf(why, sizeof(why), "the server says %d", event->status);
            transfer_fail(getter, transfer, GET_HTTP, event->status >= 500 || event->status == 429, why);
            return;
        }
    }
    if (options->head)
        return;
    if (transfer->asked_range && !take_rest(getter, transfer, event))
        return;
    if (!(transfer->asked_range && event->status == 206)) {
        transfer->total = length_of(event);
        transfer->began_at = 0;
        if (!output_open(&transfer->out, false) || !output_remember(&transfer->out, url_format(&transfer->url, url),
                                                                    event->status == 200 ? validator_of(event) : ""))
            fail_write(getter, transfer);
    }
}

static void read_content(struct getter *getter, struct transfer *transfer)
{
    static uint8_t chunk[CHUNK_BYTES];
    for (;;) {
        transfer->blocked = !transfer->discards && transfer->out.fd >= 0 && !output_takes(&transfer->out);
        if (transfer->blocked)
            return;
        ptrdiff_t n = roam_h3_read(transfer->origin->h3, transfer->stream_id, chunk,
                                   transfer->out.part != NULL ? sizeof(chunk) : PIPE_BYTES);
        if (n <= 0)
            return;
        if (transfer->out.fd >= 0 && !output_write(&transfer->out, chunk, (size_t)n)) {
            fail_write(getter, transfer);
            return;
        }
    }
}

static void transfer_on_event(struct getter *getter, struct get_origin *origin, const roam_h3_event *event)
{
    struct transfer *transfer = event->user;
    char why[96];
    if (transfer == NULL || transfer->state != TRANSFER_RUNNING || transfer->origin != origin ||
        transfer->stream_id != event->stream_id)
        return;
    switch (event->type) {
    case ROAM_H3_EVENT_RESPONSE:
        on_response(getter, transfer, event);
        break;
    case ROAM_H3_EVENT_DATA:
        read_content(getter, transfer);
        break;
    case ROAM_H3_EVENT_WRITABLE:
        send_data(getter, transfer);
        break;
    case ROAM_H3_EVENT_END:
        if (transfer->total != UINT64_MAX && transfer->out.at != transfer->total && !getter->options.head)
            transfer_fail(getter, transfer, GET_PARTIAL, true, "the server sent less than it said");
        else
            done(transfer, GET_OK);
        break;
    case ROAM_H3_EVENT_RESET:
        snprintf(why, sizeof(why), "%s with %s after %" PRIu64 " octets",
                 event->local ? "broken off" : "the server broke off", roam_h3_error_name(event->code),
                 transfer->out.at);
        transfer_fail(getter, transfer, GET_PARTIAL, true, why);
        break;
    default:
        break;
    }
}

void transfers_take_events(struct getter *getter, struct get_origin *origin, roam_time now)
{
    roam_h3_event told;
    while (origin->h3 != NULL && roam_h3_next_event(origin->h3, now, &told))
        transfer_on_event(getter, origin, &told);
}

void transfer_drain(struct getter *getter, struct transfer *transfer)
{
    struct get_origin *origin = transfer->origin;
    if (transfer->state == TRANSFER_RUNNING) {
        read_content(getter, transfer);
        /* Having read brings the end about, of which no event of the connection tells. */
        transfers_take_events(getter, origin, roam_io_now(getter->io));
    }
    if (origin != NULL && origin->closed && transfer->origin == origin && transfer->state != TRANSFER_DONE &&
        !transfer->blocked)
        on_closed(getter, transfer, &origin->error);
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static struct get_origin *find_origin(struct getter *getter, const struct url *url)
{
    for (struct get_origin *origin = getter->origins; origin != NULL; origin = origin->next)
        if (!origin->closed && url_same_origin(&origin->url, url))
            return origin;
    struct get_origin *origin = calloc(1, sizeof(*origin));
    roam_result result;
    if (origin == NULL)
        return NULL;
    origin->url = *url;
    getter->config.user = origin;
    if (!keepsakes_take(&getter->options.net, url->host, url->port, &getter->config)) {
        free(origin);
        return NULL;
    }
    origin->conn = roam_io_connect(getter->io, url->host, url->port, &getter->config, &result);
    if (origin->conn == NULL) {
        say_error("connection to %s failed: %s%s%s", url->host, roam_result_name(result),
                  result == ROAM_ERR_SYSTEM ? ": " : "", result == ROAM_ERR_SYSTEM ? strerror(errno) : "");
        free(origin);
        return NULL;
    }
    origin->next = getter->origins;
    getter->origins = origin;
    return origin;
}

static void step(struct getter *getter, struct transfer *transfer)
{
    const struct get_options *options = &getter->options;
    if (transfer->state == TRANSFER_WAITING && roam_io_now(getter->io) >= transfer->not_before) {
        /* A part is looked at before it is asked for; a new file is made when there is something to put into it. */
        if (transfer->out.fd < 0 && options->resume && transfer->out.name != NULL && !options->head &&
            !output_open(&transfer->out, true)) {
            fail_write(getter, transfer);
            return;
        }
        transfer->origin = find_origin(getter, &transfer->url);
        if (transfer->origin == NULL) {
            transfer_fail(getter, transfer, GET_CONNECT, true, "no connection");
            return;
        }
        transfer->state = TRANSFER_CONNECTING;
    }
    if (transfer->too_early && transfer->state == TRANSFER_CONNECTING &&
        roam_conn_state(transfer->origin->conn) == ROAM_CONN_HANDSHAKE)
        return;
    if (transfer->state == TRANSFER_CONNECTING && transfer->origin->h3 != NULL && !transfer->origin->full)
        ask(getter, transfer);
    if (transfer->state == TRANSFER_RUNNING && transfer->blocked)
        transfer_drain(getter, transfer);
}

bool transfers_step(struct getter *getter)
{
    bool left = false;
    for (struct get_origin *origin = getter->origins; origin != NULL; origin = origin->next)
        origin->full = false;
    for (size_t i = 0; i < getter->count; i++) {
        struct transfer *transfer = &getter->transfers[i];
        if (transfer->state == TRANSFER_DONE)
            continue;
        step(getter, transfer);
        left = left || transfer->state != TRANSFER_DONE;
        if (!getter->options.parallel && transfer->state != TRANSFER_DONE)
            break;
    }
    return left;
}
