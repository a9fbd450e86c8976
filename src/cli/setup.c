/* From what was said on the command line to configurations; the signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/counted_memory.h"

/* Names that a self-made certificate bears; who pins it does not look at them. */
#define HOST_NAME_MAX_BYTES 256

static bool complain(const char *what, const char *file, roam_result result)
{
    say_error("%s%s%s: %s", what, file != NULL ? " " : "", file != NULL ? file : "", roam_result_name(result));
    return false;
}

bool setup_certificate(roam_credentials *credentials)
{
    char host[HOST_NAME_MAX_BYTES] = "localhost";
    gethostname(host, sizeof(host) - 1);
    const char *const names[] = {host, "localhost", "127.0.0.1", "::1", NULL};
    roam_result result = roam_credentials_generate(credentials, names);
    return result == ROAM_OK || complain("cannot make a certificate", NULL, result);
}

static bool setup_identity(const struct net_options *options, bool is_server, roam_credentials *credentials)
{
    if (options->cert == NULL && options->key == NULL)
        return !is_server || setup_certificate(credentials);
    if (options->cert == NULL || options->key == NULL) {
        say_error("--cert and --key go together");
        return false;
    }
    roam_result result = roam_credentials_load(credentials, options->cert, options->key);
    return result == ROAM_OK || complain("cannot use the certificate and key in", options->cert, result);
}

static bool setup_trust(const struct net_options *options, bool is_server, roam_credentials *credentials)
{
    if ((options->ca != NULL) + options->pin.is_set + options->insecure > 1) {
        say_error("--ca, --pin and --insecure exclude each other");
        return false;
    }
    roam_result result = ROAM_OK;
    if (options->ca != NULL) {
        result = roam_credentials_trust_file(credentials, options->ca);
        if (result != ROAM_OK)
            return complain("cannot use the authorities in", options->ca, result);
    }
    if (options->pin.is_set)
        result = roam_credentials_trust_pin(credentials, options->pin.fingerprint);
    if (options->insecure)
        roam_credentials_trust_anyone(credentials);
    if (is_server && (options->ca != NULL || options->pin.is_set))
        roam_credentials_require_client(credentials);
    return result == ROAM_OK || complain("cannot pin", NULL, result);
}

bool setup_config(const struct net_options *options, bool is_server, const char *alpn[2], roam_config *ret)
{
    roam_config_init(ret);
    alpn[0] = options->alpn != NULL ? options->alpn : options->hq != NULL ? "hq-interop" : "roam";
    alpn[1] = NULL;
    ret->alpn = alpn;
    ret->ciphers = options->ciphers;
    ret->congestion = options->congestion;
    memcpy(ret->versions, options->versions, sizeof(ret->versions));
    ret->server_name = options->name;
    if (options->idle != 0)
        ret->max_idle_timeout = options->idle;
    if (options->handshake != 0)
        ret->handshake_timeout = options->handshake;
    if (options->datagram_bytes != 0)
        ret->datagram_bytes = options->datagram_bytes;
    ret->pmtud = !options->no_pmtud;
    ret->disable_active_migration = options->no_migration;
    ret->preferred_policy = options->no_preferred ? ROAM_PREFERRED_IGNORE : ROAM_PREFERRED_FOLLOW;
    ret->keep_alive = options->keep_alive;
    ret->early_data = options->early;
    ret->credentials = roam_credentials_new();
    if (ret->credentials == NULL)
        return complain("no credentials", NULL, ROAM_ERR_MEMORY);
    if (setup_identity(options, is_server, ret->credentials) && setup_trust(options, is_server, ret->credentials))
        return true;
    roam_credentials_free(ret->credentials);
    ret->credentials = NULL;
    return false;
}

/* A key of the system's random numbers, in a file of its own where there is none yet. */
static bool make_static_key(const char *file)
{
    uint8_t key[ROAM_STATIC_KEY_BYTES];
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST;
    bool made =
        getrandom(key, sizeof(key), 0) == (ssize_t)sizeof(key) && write(fd, key, sizeof(key)) == (ssize_t)sizeof(key);
    return close(fd) == 0 && made;
}

static bool setup_static_key(const char *file, roam_endpoint_config *ret)
{
    if (file == NULL)
        return true;
    int fd = make_static_key(file) ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t len = fd >= 0 ? read(fd, ret->static_key, sizeof(ret->static_key)) : -1;
    if (len < 0)
        say_error("cannot use the key in %s: %s", file, strerror(errno));
    else if (len < (ssize_t)sizeof(ret->static_key))
        say_error("%s has fewer than the 32 octets of a key", file);
    if (fd >= 0)
        close(fd);
    ret->static_key_set = len == (ssize_t)sizeof(ret->static_key);
    return ret->static_key_set;
}

bool setup_endpoint(const struct net_options *options, roam_endpoint_config *ret)
{
    roam_endpoint_config_init(ret);
    ret->allocator = counted_allocator();
    if (options->cid_length != UINT64_MAX) {
        if (options->cid_length > ROAM_CID_MAX || (options->cid_length > 0 && options->cid_length < 4)) {
            say_error("--cid-length is 0 or 4 to 20 octets");
            return false;
        }
        ret->cid_bytes = (uint8_t)options->cid_length;
    }
    const char *why;
    if (roam_cid_plan_check(&options->cid_plan, &why) != ROAM_OK) {
        say_error("--cid-plan: %s", why);
        return false;
    }
    if (options->cid_plan.kind != ROAM_CID_RANDOM && options->cid_length != UINT64_MAX) {
        say_error("--cid-length and --cid-plan exclude each other: a plan has a length");
        return false;
    }
    ret->cid_plan = options->cid_plan;
    if (options->retry)
        ret->retry = ROAM_RETRY_ALWAYS;
    ret->force_version = options->force_version;
    return setup_static_key(options->static_key, ret);
}

/* ---- Logs */

static bool setup_log(roam_result result, const char *what, const char *file)
{
    if (result == ROAM_OK)
        return true;
    say_error("cannot write %s %s: %s", what, file,
              result == ROAM_ERR_SYSTEM ? strerror(errno) : roam_result_name(result));
    return false;
}

bool setup_logs(roam_io *io, const struct net_options *options)
{
    const char *directory = options->qlog != NULL ? options->qlog : secure_getenv("QLOGDIR");
    const char *secrets = secure_getenv("SSLKEYLOGFILE");
    enum roam_qlog_names names = options->qlog_latest ? ROAM_QLOG_NAMES_LATEST : ROAM_QLOG_NAMES_QVIS;
    if (directory != NULL && directory[0] != '\0' &&
        !setup_log(roam_io_qlog(io, directory, names), "qlogs to", directory))
        return false;
    return secrets == NULL || secrets[0] == '\0' || setup_log(roam_io_keylog(io, secrets), "secrets to", secrets);
}

void report_logs(const roam_io *io)
{
    const char *failure = roam_io_log_failure(io);
    if (failure != NULL)
        say_error("a log was cut short: %s", failure);
}

/* ---- Buffers of the kernel */

void setup_buffers(roam_io *io, const struct net_options *options)
{
    if (options->socket_buffer != 0)
        roam_io_want_buffers(io, options->socket_buffer);
}

void report_buffers(const roam_io *io)
{
    static bool said;
    char receive[AMOUNT_TEXT_MAX], send[AMOUNT_TEXT_MAX], wanted[AMOUNT_TEXT_MAX];
    char remedy[2 * (sizeof(" net.core.rmem_max=") + 20)] = "";
    roam_buffers buffers;
    roam_io_buffers(io, &buffers);
    int len = 0;
    if (buffers.receive < buffers.wanted)
        len = snprintf(remedy, sizeof(remedy), " net.core.rmem_max=%zu", buffers.wanted);
    if (buffers.send < buffers.wanted)
        snprintf(remedy + len, sizeof(remedy) - (size_t)len, " net.core.wmem_max=%zu", buffers.wanted);
    if (said || buffers.receive == 0 || remedy[0] == '\0') /* 0: no socket was to be had */
        return;
    said = true;
    say_error(
        "socket buffers are small: the kernel grants %s to receive and %s to send, %s are wanted; as root: sysctl -w%s",
        format_amount((double)buffers.receive, receive), format_amount((double)buffers.send, send),
        format_amount((double)buffers.wanted, wanted), remedy);
}

/* ---- Networks */

static bool has_name(const struct name_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return true;
    return false;
}

static void rule_networks(roam_io *io, const struct net_options *options, const struct name_list *list,
                          enum roam_network_rule rule)
{
    for (size_t i = 0; i < list->count; i++) {
        bool metered = has_name(&options->metered, list->names[i]);
        roam_result result = roam_io_network(io, list->names[i], rule, 0, metered);
        if (result != ROAM_OK)
            say_error("%s: %s", list->names[i], roam_result_name(result));
    }
}

void setup_networks(roam_io *io, const struct net_options *options)
{
    rule_networks(io, options, &options->metered, ROAM_NETWORK_NEUTRAL);
    rule_networks(io, options, &options->prefer, ROAM_NETWORK_PREFER);
    rule_networks(io, options, &options->forbid, ROAM_NETWORK_FORBID);
    rule_networks(io, options, &options->force, ROAM_NETWORK_FORCE);
}

/* ---- Signals */

static void on_signal(uv_signal_t *handle, int number)
{
    struct signals *signals = handle->data;
    /* Who asks twice does not want to wait. */
    if (signals->caught != 0)
        _exit(128 + number);
    signals->caught = number;
    roam_io_wake(signals->io);
}

void signals_start(struct signals *signals, roam_io *io)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    signal(SIGPIPE, SIG_IGN);
    *signals = (struct signals){.io = io};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(roam_io_loop(io), &signals->handles[i]);
        signals->handles[i].data = signals;
        uv_signal_start(&signals->handles[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&signals->handles[i]);
    }
}

void signals_stop(struct signals *signals)
{
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&signals->handles[i], NULL);
}

void settle_handles(roam_io *io)
{
    uv_run(roam_io_loop(io), UV_RUN_NOWAIT);
}

void start_timer(roam_io *io, uv_timer_t *timer, void *data, roam_time period, uv_timer_cb callback)
{
    uint64_t ms = (period + ROAM_MILLISECONDS(1) - 1) / ROAM_MILLISECONDS(1);
    uv_timer_init(roam_io_loop(io), timer);
    timer->data = data;
    if (period != 0)
        uv_timer_start(timer, callback, ms, ms);
}
