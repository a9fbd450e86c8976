/* The table of versions. */
#include "wire/version.h"

#include "wire/packet.h"

const struct quic_version quic_versions[QUIC_VERSIONS_KNOWN] = {
    {
        .number = QUIC_VERSION_1,
        .type_bits = {[PACKET_INITIAL] = 0, [PACKET_ZERO_RTT] = 1, [PACKET_HANDSHAKE] = 2, [PACKET_RETRY] = 3},
        .type_of = {PACKET_INITIAL, PACKET_ZERO_RTT, PACKET_HANDSHAKE, PACKET_RETRY},
        //= rfc9001#5.2 initial_salt = 0x38762cf7f55934b34d179ae6a4c80cadccbb7f0a
        .initial_salt = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                         0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
        .key_label = "quic key",
        .iv_label = "quic iv",
        .hp_label = "quic hp",
        .update_label = "quic ku",
        .retry_key = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e},
        .retry_nonce = {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb},
    },
    {
        //= rfc9369#3-1 All else of version 2 is version 1.
        .number = QUIC_VERSION_2,
        //= rfc9369#3.2-1 Initial 0b01, 0-RTT 0b10, Handshake 0b11, Retry 0b00.
        .type_bits = {[PACKET_INITIAL] = 1, [PACKET_ZERO_RTT] = 2, [PACKET_HANDSHAKE] = 3, [PACKET_RETRY] = 0},
        .type_of = {PACKET_RETRY, PACKET_INITIAL, PACKET_ZERO_RTT, PACKET_HANDSHAKE},
        //= rfc9369#3.3.1-1 initial_salt = 0x0dede3def700a6db819381be6e269dcbf9bd2ed9
        .initial_salt = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                         0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
        //= rfc9369#3.3.2-1 Labels with "quicv2".
        .key_label = "quicv2 key",
        .iv_label = "quicv2 iv",
        .hp_label = "quicv2 hp",
        .update_label = "quicv2 ku",
        .ticket_label = "roam session tickets, version 2",
        //= rfc9369#3.3.3-1 Key and nonce of the Retry Integrity Tag.
        .retry_key = {0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c, 0xcc, 0x92},
        .retry_nonce = {0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a},
    },
};

const struct quic_version *quic_version_find(uint32_t number)
{
    for (size_t i = 0; i < QUIC_VERSIONS_KNOWN; i++) {
        if (quic_versions[i].number == number)
            return &quic_versions[i];
    }
    return NULL;
}

const struct quic_version *quic_version_like(uint32_t number)
{
    const struct quic_version *version = quic_version_find(number);
    return version != NULL ? version : &quic_versions[0];
}
