/* What leaves: nghttp3 says what is next, by priority, and roam's streams take it, as far as they have room. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "h3/h3.h"

#define MAX_PSEUDO 5

/* ---- From nghttp3 to the streams -------------------------------------------------------------------------------- */

static roam_stream *quic_of(roam_h3 *h3, uint64_t id)
{
    roam_stream *const critical[] = {h3->control, h3->encoder, h3->decoder};
    for (size_t i = 0; i < 3; i++) {
        if (critical[i] != NULL && roam_stream_id(critical[i]) == id)
            return critical[i];
    }
    struct h3_stream *stream = h3_find(h3, id);
    return stream != NULL ? stream->quic : NULL;
}

/* Copies what is there into the stream; nghttp3 may then forget it, as roam sends it again where it is lost. Returns how
 * much it was, or an error. */
static ptrdiff_t pass_on(roam_stream *quic, const nghttp3_vec *vec, size_t n, bool *ret_full)
{
    size_t total = 0;
    *ret_full = false;
    for (size_t i = 0; i < n && !*ret_full; i++) {
        ptrdiff_t taken = roam_stream_write(quic, vec[i].base, vec[i].len);
        if (taken < 0)
            return taken;
        total += (size_t)taken;
        *ret_full = (size_t)taken < vec[i].len;
    }
    return (ptrdiff_t)total;
}

static void send_one(roam_h3 *h3, int64_t id, const nghttp3_vec *vec, size_t n, bool fin)
{
    roam_stream *quic = quic_of(h3, (uint64_t)id);
    struct h3_stream *stream = h3_find(h3, (uint64_t)id);
    bool full = false;
    ptrdiff_t taken = quic != NULL ? pass_on(quic, vec, n, &full) : ROAM_ERR_CLOSED;
    if (taken == ROAM_ERR_MEMORY) {
        h3_fail(h3, ROAM_H3_INTERNAL_ERROR, NULL);
        return;
    }
    if (taken < 0) {
        nghttp3_conn_shutdown_stream_write(h3->ng, id);
        return;
    }
    if (nghttp3_conn_add_write_offset(h3->ng, id, (size_t)taken) != 0 ||
        nghttp3_conn_add_ack_offset(h3->ng, id, (uint64_t)taken) != 0)
        h3_fail(h3, ROAM_H3_INTERNAL_ERROR, NULL);
    if (full) {
        nghttp3_conn_block_stream(h3->ng, id);
        if (stream != NULL)
            stream->blocked = true;
    } else if (fin)
        roam_stream_finish(quic);
}

void h3_flush(roam_h3 *h3)
{
    while (h3->failure == 0) {
        nghttp3_vec vec[16];
        int64_t id;
        int fin;
        h3->would_block = false;
        nghttp3_ssize n = nghttp3_conn_writev_stream(h3->ng, &id, &fin, vec, 16);
        if (n < 0)
            h3_fail_nghttp3(h3, (int)n);
        else if (id >= 0)
            send_one(h3, id, vec, (size_t)n, fin != 0);
        else if (!h3->would_block) // else one stream had nothing after all, and others may have
            return;
    }
}

/* ---- Heads ------------------------------------------------------------------------------------------------------ */

static nghttp3_nv make_nv(const char *name, size_t name_len, const char *value, size_t value_len, bool sensitive)
{
    return (nghttp3_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = name_len,
                        .valuelen = value_len,
                        .flags = sensitive ? NGHTTP3_NV_FLAG_NEVER_INDEX : NGHTTP3_NV_FLAG_NONE};
}

static nghttp3_nv make_field(const char *name, const char *value)
{
    return make_nv(name, strlen(name), value, strlen(value), false);
}

/* RFC 9114 section 4.2: fields that speak of the connection have no place here. */
static bool is_hop_by_hop(const roam_h3_field *field)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (field->name_len == strlen(names[i]) && memcmp(field->name, names[i], field->name_len) == 0)
            return true;
    }
    return field->name_len == 2 && memcmp(field->name, "te", 2) == 0 &&
           !(field->value_len == 8 && memcmp(field->value, "trailers", 8) == 0);
}

static bool is_sound(const roam_h3_field *field)
{
    return field->name_len > 0 && field->name[0] != ':' && !is_hop_by_hop(field) &&
           nghttp3_check_header_name((const uint8_t *)field->name, field->name_len) &&
           nghttp3_check_header_value((const uint8_t *)field->value, field->value_len);
}

/* Appends the fields to those that are there, and leaves room for one more. The caller frees the array. */
static roam_result gather(const roam_h3 *h3, const nghttp3_nv *pseudo, size_t pseudo_count, const roam_h3_field *fields,
                          size_t n, nghttp3_nv **ret)
{
    uint64_t counted = 0;
    nghttp3_nv *all = calloc(pseudo_count + n + 1, sizeof(*all));
    if (all == NULL)
        return ROAM_ERR_MEMORY;
    for (size_t i = 0; i < pseudo_count; i++) {
        all[i] = pseudo[i];
        counted += all[i].namelen + all[i].valuelen + 32;
    }
    roam_result result = ROAM_OK;
    for (size_t i = 0; i < n && result == ROAM_OK; i++) {
        if (!is_sound(&fields[i]))
            result = ROAM_ERR_CONFIG;
        all[pseudo_count + i] =
            make_nv(fields[i].name, fields[i].name_len, fields[i].value, fields[i].value_len, fields[i].sensitive);
        counted += fields[i].name_len + fields[i].value_len + 32;
    }
    if (result == ROAM_OK && counted > h3->peer.max_section_bytes)
        result = ROAM_ERR_TOO_LARGE;
    if (result != ROAM_OK) {
        free(all);
        return result;
    }
    *ret = all;
    return ROAM_OK;
}

/* What nghttp3 asks for when the stream's turn has come. */
static nghttp3_ssize offer_content(struct h3_stream *stream, nghttp3_vec *vec, uint32_t *flags)
{
    bool some = stream->content_len > 0 && !stream->content_offered;
    if (some) {
        vec[0] = (nghttp3_vec){.base = stream->content, .len = stream->content_len};
        stream->content_offered = true;
    }
    if (stream->ended)
        *flags |= NGHTTP3_DATA_FLAG_EOF | (stream->trailers_sent ? NGHTTP3_DATA_FLAG_NO_END_STREAM : 0);
    if (some || stream->ended)
        return some;
    stream->h3->would_block = true;
    return NGHTTP3_ERR_WOULDBLOCK;
}

static nghttp3_ssize read_data(nghttp3_conn *ng, int64_t id, nghttp3_vec *vec, size_t n, uint32_t *flags, void *user,
                               void *stream_user)
{
    (void)ng;
    (void)n;
    (void)stream_user;
    struct h3_stream *stream = h3_find(user, (uint64_t)id);
    return stream != NULL ? offer_content(stream, vec, flags) : NGHTTP3_ERR_CALLBACK_FAILURE;
}

static const nghttp3_data_reader reader = {.read_data = read_data};

static bool add_pseudo(nghttp3_nv *pseudo, size_t *count, const char *name, const char *value)
{
    if (value == NULL)
        return true;
    pseudo[(*count)++] = make_nv(name, strlen(name), value, strlen(value), false);
    return value[0] != '\0' && nghttp3_check_header_value((const uint8_t *)value, strlen(value));
}

/* RFC 9114 sections 4.3.1 and 4.4, RFC 9220. */
static roam_result write_head(const roam_h3 *h3, const roam_h3_request_head *head, nghttp3_nv *pseudo, size_t *count)
{
    if (head->method == NULL)
        return ROAM_ERR_CONFIG;
    bool connect = strcmp(head->method, "CONNECT") == 0;
    if (head->protocol != NULL && !h3->peer.connect_protocol)
        return ROAM_ERR_UNSUPPORTED;
    bool plain_connect = connect && head->protocol == NULL;
    if (plain_connect ? head->authority == NULL || head->scheme != NULL || head->path != NULL
                      : head->scheme == NULL || head->path == NULL)
        return ROAM_ERR_CONFIG;
    if (head->protocol != NULL && (!connect || head->authority == NULL))
        return ROAM_ERR_CONFIG;
    bool sound = add_pseudo(pseudo, count, ":method", head->method);
    sound &= add_pseudo(pseudo, count, ":scheme", head->scheme);
    sound &= add_pseudo(pseudo, count, ":authority", head->authority);
    sound &= add_pseudo(pseudo, count, ":path", head->path);
    sound &= add_pseudo(pseudo, count, ":protocol", head->protocol);
    return sound ? ROAM_OK : ROAM_ERR_CONFIG;
}

static struct h3_stream *open_request(roam_h3 *h3, void *user, roam_result *ret_result)
{
    roam_stream *quic = roam_stream_open(h3->conn, false, ret_result);
    if (quic == NULL)
        return NULL;
    struct h3_stream *stream = h3_add(h3, quic, H3_REQUEST_STREAM);
    if (stream == NULL) {
        *ret_result = ROAM_ERR_MEMORY;
        roam_stream_free(quic);
        return NULL;
    }
    stream->user = user;
    stream->shown = stream->known = stream->head_sent = true;
    return stream;
}

int64_t roam_h3_request(roam_h3 *h3, const roam_h3_request_head *head, const roam_h3_field *fields, size_t n, bool fin,
                        void *user)
{
    if (!h3_lives(h3))
        return ROAM_ERR_CLOSED;
    if (h3->server || h3->goaway_received || h3->shutdowns > 0 || h3_is_too_early(h3, head->method))
        return ROAM_ERR_STATE;
    nghttp3_nv pseudo[MAX_PSEUDO], *all;
    size_t count = 0;
    bool session = false;
    roam_result result = write_head(h3, head, pseudo, &count);
    if (result == ROAM_OK)
        result = h3_session_asked(h3, head->protocol, fin, &session);
    if (result == ROAM_OK)
        result = gather(h3, pseudo, count, fields, n, &all);
    if (result != ROAM_OK)
        return result;
    struct h3_stream *stream = open_request(h3, user, &result);
    if (stream == NULL) {
        free(all);
        return result;
    }
    count += n;
    bool sound = !session || h3_session_new(stream);
    if (session)
        all[count++] = make_field(H3_DRAFT02_ASKED, "1");
    int64_t id = (int64_t)stream->id;
    stream->ended = fin;
    sound = sound && nghttp3_conn_submit_request(h3->ng, id, all, count, fin ? NULL : &reader, NULL) == 0;
    free(all);
    if (!sound) {
        h3_remove(stream);
        return ROAM_ERR_MEMORY;
    }
    h3_flush(h3);
    return id;
}

static roam_result refuse_sending(const roam_h3 *h3, const struct h3_stream *stream)
{
    if (!h3_lives(h3) || stream == NULL)
        return ROAM_ERR_CLOSED;
    if (stream->sent)
        return ROAM_ERR_CLOSED;
    return stream->ended ? ROAM_ERR_STATE : ROAM_OK;
}

static roam_result refuse_response(const roam_h3 *h3, const struct h3_stream *stream, int status, bool fin)
{
    roam_result result = refuse_sending(h3, stream);
    bool informational = status < 200;
    if (result != ROAM_OK)
        return result;
    if (status < 100 || status == 101 || status > 999 || (fin && (informational || h3_session_opens(stream, status))))
        return ROAM_ERR_CONFIG;
    if (!h3->server || stream->head_sent || !stream->shown)
        return ROAM_ERR_STATE;
    return informational && stream->blocked ? ROAM_ERR_LIMIT : ROAM_OK;
}

roam_result roam_h3_respond(roam_h3 *h3, uint64_t stream_id, int status, const roam_h3_field *fields, size_t n,
                            bool fin)
{
    struct h3_stream *stream = h3_find_request(h3, stream_id);
    roam_result result = refuse_response(h3, stream, status, fin);
    if (result != ROAM_OK)
        return result;
    char text[16];
    int len = snprintf(text, sizeof(text), "%d", status);
    nghttp3_nv pseudo = make_nv(":status", 7, text, (size_t)len, false), *all;
    result = gather(h3, &pseudo, 1, fields, n, &all);
    if (result != ROAM_OK)
        return result;
    size_t count = n + 1;
    if (h3_session_opens(stream, status) && stream->session->draft02)
        all[count++] = make_field(H3_DRAFT_TAKEN, "draft02");
    bool informational = status < 200;
    stream->head_sent = !informational;
    stream->ended = fin;
    int error = informational
                    ? nghttp3_conn_submit_info(h3->ng, (int64_t)stream_id, all, count)
                    : nghttp3_conn_submit_response(h3->ng, (int64_t)stream_id, all, count, fin ? NULL : &reader);
    free(all);
    if (error != 0)
        return ROAM_ERR_MEMORY;
    h3_flush(h3);
    h3_session_on_status(stream, status);
    return ROAM_OK;
}

/* ---- Content ---------------------------------------------------------------------------------------------------- */

/* One DATA frame. False where the one before has not left yet, or there is no memory. */
static bool load(struct h3_stream *stream, const void *data, size_t len)
{
    if (stream->content_left > 0)
        return false;
    if (stream->content == NULL)
        stream->content = malloc(H3_CONTENT_BYTES);
    if (stream->content == NULL)
        return false;
    memcpy(stream->content, data, len);
    stream->content_len = stream->content_left = len;
    stream->content_offered = false;
    return true;
}

static void go_on(struct h3_stream *stream)
{
    if (nghttp3_conn_resume_stream(stream->h3->ng, (int64_t)stream->id) != 0)
        h3_fail(stream->h3, ROAM_H3_INTERNAL_ERROR, NULL);
    h3_flush(stream->h3);
    if (stream->content_left == 0) {
        free(stream->content);
        stream->content = NULL;
        stream->content_len = 0;
    }
}

/* What comes after the head. */
static roam_result refuse_content(const roam_h3 *h3, const struct h3_stream *stream)
{
    roam_result result = refuse_sending(h3, stream);
    return result == ROAM_OK && (!stream->head_sent || stream->session != NULL) ? ROAM_ERR_STATE : result;
}

ptrdiff_t h3_content_write(struct h3_stream *stream, const void *data, size_t len, bool fin)
{
    roam_h3 *h3 = stream->h3;
    const uint8_t *bytes = data;
    size_t taken = 0;
    do {
        size_t run = min_size(len - taken, H3_CONTENT_BYTES);
        if (run > 0 && !load(stream, bytes + taken, run))
            break;
        taken += run;
        stream->ended = fin && taken == len;
        go_on(stream);
    } while (taken < len && stream->content_left == 0 && h3->failure == 0);
    stream->write_was_short = taken < len;
    if (taken == 0 && len > 0 && stream->content_left == 0 && h3->failure == 0)
        return ROAM_ERR_MEMORY;
    return h3->failure != 0 ? ROAM_ERR_CLOSED : (ptrdiff_t)taken;
}

ptrdiff_t roam_h3_write(roam_h3 *h3, uint64_t stream_id, const void *data, size_t len, bool fin)
{
    struct h3_stream *stream = h3_find_message(h3, stream_id);
    if (stream != NULL && stream->kind == H3_WEBTRANSPORT_STREAM)
        return h3_webtransport_write(stream, data, len, fin);
    roam_result result = refuse_content(h3, stream);
    return result == ROAM_OK ? h3_content_write(stream, data, len, fin) : result;
}

roam_result roam_h3_trailers(roam_h3 *h3, uint64_t stream_id, const roam_h3_field *fields, size_t n)
{
    struct h3_stream *stream = h3_find_request(h3, stream_id);
    roam_result result = refuse_content(h3, stream);
    if (result != ROAM_OK)
        return result;
    nghttp3_nv *all;
    result = gather(h3, NULL, 0, fields, n, &all);
    if (result != ROAM_OK)
        return result;
    int error = nghttp3_conn_submit_trailers(h3->ng, (int64_t)stream_id, all, n);
    free(all);
    if (error != 0)
        return ROAM_ERR_MEMORY;
    stream->ended = stream->trailers_sent = true;
    go_on(stream);
    return ROAM_OK;
}
