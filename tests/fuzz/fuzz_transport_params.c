/*
 * Transport parameters from any octets, of either side. What is accepted must be within its bounds, and, written again,
 * must be read as the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <roam/error.h>

#include "wire/transport_params.h"
#include "wire/version.h"

#define WRITTEN_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct transport_params *params, bool from_server)
{
    assert(params->max_udp_payload >= DATAGRAM_BYTES_MIN);
    assert(params->ack_delay_exponent <= 20 && params->max_ack_delay_ms < 1 << 14);
    assert(params->active_connection_id_limit >= ACTIVE_CID_LIMIT_MIN);
    assert(params->initial_max_streams_bidi <= MAX_STREAMS_LIMIT &&
           params->initial_max_streams_uni <= MAX_STREAMS_LIMIT);
    assert(from_server || !(params->has_original_destination_cid || params->has_retry_source_cid ||
                            params->has_stateless_reset_token || params->has_preferred_address));
}

static void check_from(const uint8_t *data, size_t size, bool from_server)
{
    uint8_t written[WRITTEN_MAX];
    struct transport_params params, again;
    const char *reason = NULL;
    /* Padding between members is compared too. */
    memset(&params, 0, sizeof(params));
    memset(&again, 0, sizeof(again));
    if (transport_params_parse(&params, data, size, from_server, &reason) != ROAM_NO_ERROR) {
        assert(reason != NULL);
        return;
    }
    check_bounds(&params, from_server);
    /* Of versions that we do not have nothing is kept but that there were some. */
    if (quic_version_find(params.version_information.chosen) == NULL)
        memset(&params.version_information, 0, sizeof(params.version_information));
    struct writer writer = writer_init(written, sizeof(written));
    transport_params_write(&writer, &params);
    assert(!writer.failed);
    uint64_t error = transport_params_parse(&again, written, writer_len(&writer), from_server, &reason);
    assert(error == ROAM_NO_ERROR);
    (void)error;
    again.has_initial_source_cid = params.has_initial_source_cid;
    again.version_information.offers_any = params.version_information.offers_any;
    assert(memcmp(&params, &again, sizeof(params)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_from(data, size, true);
    check_from(data, size, false);
    return 0;
}
