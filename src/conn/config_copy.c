/* Deep copies of configurations, and what makes a configuration sensible. Only what a caller might free is copied. */
#include "conn/config_copy.h"

#include "base/minmax.h"
#include "base/rng.h"
#include "base/varint.h"
#include "cid/remote_cid.h"
#include "conn/limits.h"
#include "conn/versions.h"
#include "crypto/tls.h"
#include "path/path_set.h"
#include "wire/packet.h"
#include "wire/transport_params.h"

/* Longest ALPN identifier that a connection remembers. */
#define ALPN_BYTES_MAX 31

static uint8_t *copy_bytes(const roam_allocator *allocator, const uint8_t *data, size_t len)
{
    uint8_t *ret = len > 0 ? mem_alloc(allocator, len) : NULL;
    if (ret != NULL)
        memcpy(ret, data, len);
    return ret;
}

/* Tokens and sessions are nobody else's business. */
static void free_bytes(const roam_allocator *allocator, const uint8_t *data, size_t len)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)data;
    if (bytes == NULL)
        return;
    wipe(bytes, len);
    mem_free(allocator, bytes, len);
}

static char *copy_text(const roam_allocator *allocator, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *ret = mem_alloc(allocator, bytes);
    if (ret != NULL)
        memcpy(ret, text, bytes);
    return ret;
}

static void free_text(const roam_allocator *allocator, const char *text)
{
    if (text != NULL)
        mem_free(allocator, (char *)(uintptr_t)text, strlen(text) + 1);
}

static size_t count_texts(const char *const *list)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static const char *const *copy_texts(const roam_allocator *allocator, const char *const *list)
{
    size_t n = count_texts(list);
    const char **ret = mem_zalloc(allocator, (n + 1) * sizeof(*ret));
    for (size_t i = 0; ret != NULL && i < n; i++) {
        ret[i] = copy_text(allocator, list[i]);
        if (ret[i] == NULL) {
            while (i-- > 0)
                free_text(allocator, ret[i]);
            mem_free(allocator, ret, (n + 1) * sizeof(*ret));
            return NULL;
        }
    }
    return ret;
}

static void free_texts(const roam_allocator *allocator, const char *const *list)
{
    size_t n = count_texts(list);
    if (list == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        free_text(allocator, list[i]);
    mem_free(allocator, (void *)(uintptr_t)list, (n + 1) * sizeof(*list));
}

/* A caller built against another header may bring a shorter or longer structure. */
static void config_complete(roam_config *ret, const roam_config *config)
{
    roam_config_init(ret);
    memcpy(ret, config, min_size(config->size, sizeof(*ret)));
    ret->size = sizeof(*ret);
}

roam_config *config_copy(const roam_allocator *allocator, const roam_config *config)
{
    roam_config *ret = mem_zalloc(allocator, sizeof(*ret));
    if (ret == NULL)
        return NULL;
    config_complete(ret, config);
    ret->credentials = config->credentials != NULL ? credentials_ref(config->credentials) : roam_credentials_new();
    ret->alpn = copy_texts(allocator, config->alpn);
    ret->server_name = config->server_name != NULL ? copy_text(allocator, config->server_name) : NULL;
    ret->token = copy_bytes(allocator, ret->token, ret->token_bytes);
    ret->session = copy_bytes(allocator, ret->session, ret->session_bytes);
    ret->remote = ret->local = NULL; /* roam_connect has read them */
    if (ret->credentials == NULL || ret->alpn == NULL || (config->server_name != NULL && ret->server_name == NULL) ||
        (ret->token_bytes > 0 && ret->token == NULL) || (ret->session_bytes > 0 && ret->session == NULL)) {
        config_copy_free(allocator, ret);
        return NULL;
    }
    return ret;
}

void config_copy_free(const roam_allocator *allocator, roam_config *config)
{
    if (config == NULL)
        return;
    roam_credentials_free(config->credentials);
    free_texts(allocator, config->alpn);
    free_text(allocator, config->server_name);
    free_bytes(allocator, config->token, config->token_bytes);
    free_bytes(allocator, config->session, config->session_bytes);
    wipe(config->invitation_key, sizeof(config->invitation_key));
    mem_free(allocator, config, sizeof(*config));
}

static bool alpn_is_valid(const char *const *alpn)
{
    if (alpn == NULL || alpn[0] == NULL)
        return false;
    for (; *alpn != NULL; alpn++) {
        if (**alpn == '\0' || strlen(*alpn) > ALPN_BYTES_MAX)
            return false;
    }
    return true;
}

static bool preferred_is_valid(const roam_address *address, uint8_t family)
{
    static const uint8_t nowhere[sizeof(address->ip)];
    return !roam_address_is_set(address) ||
           (address->family == family && address->port != 0 && memcmp(address->ip, nowhere, sizeof(nowhere)) != 0);
}

bool config_offers_preferred(const roam_config *config)
{
    return config->size >= offsetof(roam_config, preferred_policy) &&
           (roam_address_is_set(&config->preferred_ipv4) || roam_address_is_set(&config->preferred_ipv6));
}

roam_result config_check(const roam_config *given)
{
    roam_config whole, *config = &whole;
    if (given == NULL || given->size < offsetof(roam_config, user) || !alpn_is_valid(given->alpn))
        return ROAM_ERR_CONFIG;
    config_complete(&whole, given);
    if (config->active_connection_id_limit < ACTIVE_CID_LIMIT_MIN ||
        config->active_connection_id_limit > REMOTE_CIDS_MAX)
        return ROAM_ERR_CONFIG;
    if (config->max_paths < CONN_PATHS_MIN || config->max_paths > PATHS_MAX)
        return ROAM_ERR_CONFIG;
    if (config->initial_max_streams_bidi > MAX_STREAMS_LIMIT || config->initial_max_streams_uni > MAX_STREAMS_LIMIT)
        return ROAM_ERR_CONFIG;
    if (config->initial_max_data > VARINT_MAX || config->initial_max_stream_data > VARINT_MAX ||
        config->max_window_bytes > VARINT_MAX)
        return ROAM_ERR_CONFIG;
    if (config->max_ack_delay >= ROAM_MILLISECONDS(1 << 14) || config->max_idle_timeout / 1000000 > VARINT_MAX)
        return ROAM_ERR_CONFIG;
    if (config->max_udp_payload < DATAGRAM_BYTES_MIN || config->max_udp_payload > UDP_PAYLOAD_DEFAULT)
        return ROAM_ERR_CONFIG;
    if (config->datagram_bytes < DATAGRAM_BYTES_MIN || config->datagram_bytes > 16000)
        return ROAM_ERR_CONFIG;
    if (config->max_datagram_bytes < DATAGRAM_BYTES_MIN || config->max_datagram_bytes > PMTUD_BYTES_MAX)
        return ROAM_ERR_CONFIG;
    if (config->max_datagram_frame_bytes > DATAGRAM_FRAME_BYTES_MAX)
        return ROAM_ERR_CONFIG;
    if (!config_versions_are_valid(config))
        return ROAM_ERR_CONFIG;
    if (config->initial_window_packets < 2 || config->initial_rtt < TIMER_GRANULARITY)
        return ROAM_ERR_CONFIG;
    if ((config->token_bytes > 0 && config->token == NULL) || (config->session_bytes > 0 && config->session == NULL))
        return ROAM_ERR_CONFIG;
    if (!preferred_is_valid(&config->preferred_ipv4, ROAM_FAMILY_IPV4) ||
        !preferred_is_valid(&config->preferred_ipv6, ROAM_FAMILY_IPV6))
        return ROAM_ERR_CONFIG;
    return ROAM_OK;
}
