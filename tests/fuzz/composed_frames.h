/*
 * Frames that are well formed and nearly right: a fuzzer seldom draws an acknowledgement of what was sent, or the
 * answer to a challenge. Each frame takes two octets of the program, its kind and an argument, and the rest from what
 * the receiver has done.
 */
#ifndef TESTS_FUZZ_COMPOSED_FRAMES_H
#define TESTS_FUZZ_COMPOSED_FRAMES_H

#include <string.h>

#include "conn/conn.h"

static inline void compose_ack(struct writer *writer, const struct pn_space *space, uint8_t argument)
{
    struct range ranges[8];
    size_t count = 0;
    uint64_t number = space->next_number > (argument & 7) ? space->next_number - (argument & 7) : 0;
    uint64_t start = saturating_sub(number, (argument & 0x20) != 0 ? 1 : 16);
    const uint64_t ecn[3] = {argument, 0, argument & 1};
    /* Single packets with gaps between them, or all at once. */
    for (; start < number && count < ARRAY_LENGTH(ranges); start += 2)
        ranges[count++] = (struct range){.start = start, .end = (argument & 8) != 0 ? start + 1 : number};
    if (count > 0)
        frame_write_ack(writer, ranges, (argument & 8) != 0 ? count : 1, 8, argument,
                        (argument & 0x10) != 0 ? ecn : NULL);
}

/* The CID and the token follow from the sequence, so that a repeat is an exact one. */
static inline void compose_new_connection_id(struct writer *writer, const struct remote_cid_set *cids, uint8_t argument)
{
    const struct seen_sequences *seen = &cids->seen;
    uint64_t newest = seen->count > 0 ? seen->runs[seen->count - 1].end : seen->below;
    uint64_t sequence = saturating_sub(newest + (argument & 3), 1);
    uint8_t token[RESET_TOKEN_BYTES] = {0xf0, (uint8_t)sequence};
    const roam_cid cid = {.len = 8, .bytes = {0xf1, (uint8_t)sequence, (uint8_t)(sequence >> 8)}};
    frame_write_new_connection_id(writer, sequence, saturating_sub(sequence, argument >> 2 & 15), &cid, token);
}

static inline void compose_response(struct writer *writer, const roam_conn *to, uint8_t argument)
{
    const struct path *path = to->paths.paths[argument % to->paths.count];
    if (path->validation.kept > 0)
        frame_write_path(writer, FRAME_PATH_RESPONSE,
                         path->validation.challenges[(argument >> 4) % path->validation.kept].data);
}

static inline void compose_frame(struct writer *writer, roam_conn *to, uint8_t kind, uint8_t argument)
{
    static const uint8_t octets[256];
    static const enum frame_type maxima[] = {FRAME_MAX_STREAMS_BIDI, FRAME_MAX_STREAMS_UNI, FRAME_DATA_BLOCKED,
                                             FRAME_STREAMS_BLOCKED_BIDI, FRAME_STREAMS_BLOCKED_UNI};
    uint64_t stream_id = argument & 15;
    switch (kind % 16) {
    case 0:
    case 1:
        compose_ack(writer, &to->application, argument);
        break;
    case 2:
        frame_write_stream_header(writer, stream_id, (uint64_t)(argument >> 4) * 100, 100, (kind & 0x10) != 0);
        write_bytes(writer, octets, 100);
        break;
    case 3:
        frame_write_reset_stream(writer, stream_id, argument, (uint64_t)(argument >> 4) * 100);
        break;
    case 4:
        frame_write_stop_sending(writer, stream_id, argument);
        break;
    case 5:
        frame_write_maximum(writer, FRAME_MAX_DATA, (uint64_t)argument << (kind >> 4));
        break;
    case 6:
        frame_write_stream_maximum(writer, (kind & 0x10) != 0 ? FRAME_MAX_STREAM_DATA : FRAME_STREAM_DATA_BLOCKED,
                                   stream_id, (uint64_t)argument << (kind >> 4));
        break;
    case 7:
        frame_write_maximum(writer, maxima[(kind >> 4) % ARRAY_LENGTH(maxima)], argument);
        break;
    case 8:
    case 9:
        compose_new_connection_id(writer, &to->remote_cids, argument);
        break;
    case 10:
        frame_write_retire_connection_id(writer, argument & 31);
        break;
    case 11:
        frame_write_path(writer, FRAME_PATH_CHALLENGE, octets);
        break;
    case 12:
    case 13:
        compose_response(writer, to, argument);
        break;
    case 14:
        if ((kind & 0x10) != 0) {
            frame_write_datagram_header(writer, argument, (kind & 0x20) != 0);
            write_bytes(writer, octets, argument);
            break;
        }
        frame_write_padding(writer, (size_t)argument * 4);
        break;
    default:
        if ((kind & 0x10) != 0)
            frame_write_ack_frequency(writer, argument >> 4, argument & 15, (uint64_t)argument << (kind >> 5 << 1),
                                      (uint64_t)kind >> 5);
        else if ((kind & 0x20) != 0)
            frame_write_immediate_ack(writer);
        else
            frame_write_ping(writer);
    }
}

#endif
