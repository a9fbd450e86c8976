/* What is odd about a server's transport parameters, RFC 9000 section 18.2. Pure. Those that are against a rule never
 * get here: the handshake fails. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/check_verdicts.h"

/* Below this a NAT's mapping usually outlives the connection, and not the other way round. */
#define IDLE_SHORT_MS 10000
/* A client with two networks wants one in use, one to probe with, one in reserve. */
#define CID_LIMIT_LOW     3
#define ACK_DELAY_LONG_MS 100

struct text {
    char *at;
    size_t left;
    bool any;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    char one[128];
    va_start(arguments, format);
    vsnprintf(one, sizeof(one), format, arguments);
    va_end(arguments);
    int len = snprintf(text->at, text->left, "%s%s", text->any ? "; " : "", one);
    size_t written = len < 0 ? 0 : (size_t)len < text->left ? (size_t)len : text->left - 1;
    text->at += written;
    text->left -= written;
    text->any = true;
}

void params_describe_odd(const struct transport_params *params, size_t cid_bytes, char *ret, size_t capacity)
{
    struct text text = {.at = ret, .left = capacity};
    ret[0] = '\0';
    if (params->max_idle_timeout_ms == 0)
        add(&text, "no idle timeout: dead connections stay");
    else if (params->max_idle_timeout_ms < IDLE_SHORT_MS)
        add(&text, "idle timeout of %" PRIu64 " ms: a move must be over sooner", params->max_idle_timeout_ms);
    if (params->active_connection_id_limit < CID_LIMIT_LOW)
        add(&text, "active_connection_id_limit %" PRIu64 ": one spare ID of ours, one move at a time",
            params->active_connection_id_limit);
    if (params->disable_active_migration)
        add(&text, "disable_active_migration");
    if (!params->has_stateless_reset_token && cid_bytes > 0)
        add(&text, "no stateless_reset_token: a restart goes unnoticed until the idle timeout");
    if (params->initial_max_data == 0)
        add(&text, "initial_max_data 0");
    if (params->initial_max_streams_bidi == 0)
        add(&text, "initial_max_streams_bidi 0: nothing can be asked");
    if (params->max_ack_delay_ms > ACK_DELAY_LONG_MS)
        add(&text, "max_ack_delay %" PRIu64 " ms", params->max_ack_delay_ms);
    if (params->ack_delay_exponent != ACK_DELAY_EXPONENT_DEFAULT)
        add(&text, "ack_delay_exponent %" PRIu64, params->ack_delay_exponent);
    if (params->has_preferred_address)
        add(&text, "preferred_address");
}
