/*
 * HTTPS/1.1 over TCP, by libmicrohttpd, for those who do not know yet that there is HTTP/3: Alt-Svc (RFC 7838) tells
 * them. Each socket has a thread, in which files are read, too. Kept: what is shared with the loop of QUIC is the site,
 * which does not change, the log's descriptor, and the credentials, under a lock.
 */
#include <errno.h>
#include <gnutls/abstract.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/serve.h"
#include "crypto/credentials.h"
#include "crypto/tls.h"
#include "io/sockaddr.h"

#define CONNECTIONS_MAX    256
#define CONNECTION_BYTES   (32 * 1024)
#define CONNECTION_SECONDS 30
#define BLOCK_BYTES        (32 * 1024)
#define ALT_SVC_SECONDS    86400

struct serve_tcp {
    struct server *server;
    pthread_mutex_t lock;
    roam_credentials *credentials;
    struct {
        int fd; /* until the daemon has it; -1 */
        struct MHD_Daemon *daemon;
        int quiesced; /* the socket that it listened on, -1 before */
        char alt_svc[64];
    } places[PLACES_MAX];
    size_t count;
    atomic_uint active; /* requests */
    atomic_bool going;
};

struct tcp_request {
    struct serve_tcp *tcp;
    struct file_response response;
    uint64_t sent;
    char *path;
    bool begun;      /* its head was shown */
    char method[16]; /* for the log */
};

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

/* libmicrohttpd wants a certificate of its own, or this; its sessions get ours before they begin. */
static int refuse_certificate(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                              const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **pcert,
                              unsigned *pcert_count, gnutls_privkey_t *key)
{
    (void)session, (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    (void)pcert, (void)pcert_count, (void)key;
    return -1;
}

/* A connection holds a reference on the credentials that it began with. */
static void on_connection(void *context, struct MHD_Connection *connection, void **held,
                          enum MHD_ConnectionNotificationCode what)
{
    struct serve_tcp *tcp = context;
    static const gnutls_datum_t protocol = {(unsigned char *)"http/1.1", 8};
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        roam_credentials_free(*held);
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info == NULL || info->tls_session == NULL)
        return;
    gnutls_session_t session = info->tls_session;
    pthread_mutex_lock(&tcp->lock);
    roam_credentials *credentials = credentials_ref(tcp->credentials);
    pthread_mutex_unlock(&tcp->lock);
    *held = credentials;
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->x509);
    gnutls_alpn_set_protocols(session, &protocol, 1, 0);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static ssize_t read_content(void *context, uint64_t at, char *buf, size_t cap)
{
    struct tcp_request *request = context;
    ptrdiff_t n = file_response_read(&request->response, at, buf, cap);
    if (n < 0) {
        say_error("%s changed while it was sent", request->path);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    request->sent = at + (uint64_t)n;
    return n;
}

static const char *field(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool make_response(struct MHD_Connection *connection, struct tcp_request *request, const char *method)
{
    const struct file_request asked = {
        .method = method,
        .path = request->path,
        .range = field(connection, "Range"),
        .accept_encoding = field(connection, "Accept-Encoding"),
        .conditions = {.if_match = field(connection, "If-Match"),
                       .if_none_match = field(connection, "If-None-Match"),
                       .if_modified_since = field(connection, "If-Modified-Since"),
                       .if_unmodified_since = field(connection, "If-Unmodified-Since"),
                       .if_range = field(connection, "If-Range")},
    };
    return file_response_make(&request->tcp->server->site, &asked, &request->response);
}

static enum MHD_Result answer(struct MHD_Connection *connection, struct tcp_request *request, const char *alt_svc)
{
    const struct file_response *file = &request->response;
    struct MHD_Response *response =
        MHD_create_response_from_callback(file->content_bytes, BLOCK_BYTES, read_content, request, NULL);
    if (response == NULL)
        return MHD_NO;
    for (size_t i = 0; i < file->field_count; i++)
        if (strcmp(file->fields[i].name, "content-length") != 0) /* it says that itself */
            MHD_add_response_header(response, file->fields[i].name, file->fields[i].value);
    MHD_add_response_header(response, "Alt-Svc", alt_svc);
    MHD_add_response_header(response, "Server", "roam");
    if (atomic_load(&request->tcp->going))
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)file->status, response);
    MHD_destroy_response(response);
    return result;
}

/* The path as it came, for libmicrohttpd decodes what it hands out besides. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)connection;
    struct serve_tcp *tcp = context;
    struct tcp_request *request = calloc(1, sizeof(*request));
    if (request == NULL)
        return NULL;
    request->tcp = tcp;
    atomic_fetch_add(&tcp->active, 1);
    request->response.fd = -1;
    request->path = strdup(uri);
    return request;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **user)
{
    (void)url, (void)version, (void)upload;
    struct tcp_request *request = *user;
    if (request == NULL || request->path == NULL)
        return MHD_NO;
    bool first = !request->begun, more = *upload_len > 0;
    request->begun = true;
    *upload_len = 0;
    /* An answer to the head alone ends the connection: what else comes with it is not read then. */
    if (request->response.status != 0 || more || (first && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)))
        return MHD_YES;
    snprintf(request->method, sizeof(request->method), "%s", method);
    if (!make_response(connection, request, method))
        return MHD_NO;
    return answer(connection, request, context);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **user,
                         enum MHD_RequestTerminationCode why)
{
    (void)context, (void)why;
    struct tcp_request *request = *user;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    roam_address remote = {0};
    if (request == NULL)
        return;
    if (info != NULL && info->client_addr != NULL)
        address_from_sockaddr(&remote, info->client_addr);
    const struct access_entry entry = {.remote = &remote,
                                       .method = request->method,
                                       .path = request->path,
                                       .protocol = "HTTP/1.1",
                                       .referer = field(connection, "Referer"),
                                       .agent = field(connection, "User-Agent"),
                                       .status = request->response.status,
                                       .bytes = request->sent};
    access_log_write(request->tcp->server->log_fd, &entry);
    atomic_fetch_sub(&request->tcp->active, 1);
    file_response_done(&request->response);
    free(request->path);
    free(request);
    *user = NULL;
}

/* ---- Listening --------------------------------------------------------------------------------------------------- */

/* -1 with errno. */
static int listen_at(const roam_address *address)
{
    struct sockaddr_storage name;
    const int on = 1;
    socklen_t len = sockaddr_from_address(&name, address);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (name.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&name, len) == 0 && listen(fd, 128) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool open_at(struct serve_tcp *tcp, const roam_address *address)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    size_t i = tcp->count;
    int fd = listen_at(address);
    if (fd < 0) {
        say_error("cannot listen on TCP %s: %s (--no-tcp does without)", roam_address_format(address, text),
                  strerror(errno));
        return false;
    }
    snprintf(tcp->places[i].alt_svc, sizeof(tcp->places[i].alt_svc), "h3=\":%u\"; ma=%d", address->port,
             ALT_SVC_SECONDS);
    tcp->places[i].fd = fd;
    tcp->places[i].quiesced = -1;
    tcp->count++;
    return true;
}

struct serve_tcp *serve_tcp_open(struct server *server, const struct places *places)
{
    struct serve_tcp *tcp = calloc(1, sizeof(*tcp));
    if (tcp == NULL)
        return NULL;
    tcp->server = server;
    tcp->credentials = credentials_ref(server->credentials);
    pthread_mutex_init(&tcp->lock, NULL);
    for (size_t i = 0; i < places->count; i++) {
        if (!open_at(tcp, &places->bound[i])) {
            serve_tcp_stop(tcp);
            return NULL;
        }
    }
    return tcp;
}

bool serve_tcp_start(struct serve_tcp *tcp)
{
    for (size_t i = 0; i < tcp->count; i++) {
        tcp->places[i].daemon = MHD_start_daemon(
            MHD_USE_TLS | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request,
            tcp->places[i].alt_svc, MHD_OPTION_LISTEN_SOCKET, tcp->places[i].fd, MHD_OPTION_HTTPS_CERT_CALLBACK,
            refuse_certificate, MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
            MHD_OPTION_NOTIFY_CONNECTION, on_connection, tcp, MHD_OPTION_URI_LOG_CALLBACK, on_uri, tcp,
            MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)CONNECTION_BYTES, MHD_OPTION_END);
        if (tcp->places[i].daemon == NULL) {
            say_error("cannot serve over TCP");
            return false;
        }
        tcp->places[i].fd = -1;
    }
    return true;
}

void serve_tcp_set_credentials(struct serve_tcp *tcp, roam_credentials *credentials)
{
    pthread_mutex_lock(&tcp->lock);
    roam_credentials *before = tcp->credentials;
    tcp->credentials = credentials_ref(credentials);
    pthread_mutex_unlock(&tcp->lock);
    roam_credentials_free(before);
}

void serve_tcp_quiesce(struct serve_tcp *tcp)
{
    atomic_store(&tcp->going, true);
    for (size_t i = 0; i < tcp->count; i++)
        if (tcp->places[i].quiesced < 0)
            tcp->places[i].quiesced = MHD_quiesce_daemon(tcp->places[i].daemon);
}

bool serve_tcp_idle(struct serve_tcp *tcp)
{
    return atomic_load(&tcp->active) == 0;
}

void serve_tcp_stop(struct serve_tcp *tcp)
{
    if (tcp == NULL)
        return;
    for (size_t i = 0; i < tcp->count; i++) {
        if (tcp->places[i].daemon != NULL)
            MHD_stop_daemon(tcp->places[i].daemon);
        if (tcp->places[i].fd >= 0)
            close(tcp->places[i].fd);
        if (tcp->places[i].quiesced >= 0)
            close(tcp->places[i].quiesced);
    }
    roam_credentials_free(tcp->credentials);
    pthread_mutex_destroy(&tcp->lock);
    free(tcp);
}
