/*
 * Probes with packets that belong to no connection: one of a version that nobody speaks, which asks for Version
 * Negotiation, and ones with a connection ID that nobody has, which may draw a Stateless Reset. One or two datagrams
 * each, from a socket of their own.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "cli/check.h"
#include "io/sockaddr.h"
#include "wire/frame.h"

/* RFC 9000 section 15: of the form 0x?a?a?a?a, never a real version. */
#define RESERVED_VERSION UINT32_C(0x1a2a3a4a)
#define ATTEMPTS         3
#define ANSWER_WAIT      ROAM_MILLISECONDS(600)
#define ANSWER_BYTES_MAX 2048
#define CID_BYTES        8
/* Enough for a reset of 43 octets, which looks like any other short packet (RFC 9000 section 10.3), and small. */
#define TRIGGER_BYTES 100

struct reply_seen {
    bool came, refused;
    size_t len;
    roam_time took;
    uint8_t data[ANSWER_BYTES_MAX];
};

/* A socket that is connected, so that the host's "nobody listens there" is heard. -1 with errno. */
static int open_connected(struct exam *exam)
{
    struct sockaddr_storage name;
    socklen_t len = sockaddr_from_address(&name, &exam->local);
    int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, len) == 0) {
        len = sockaddr_from_address(&name, &exam->remote);
        if (connect(fd, (struct sockaddr *)&name, len) == 0)
            return fd;
    }
    exam->local_error = errno;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void receive_answer(struct exam *exam, int fd, roam_time sent_at, struct reply_seen *ret)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    const int wait_ms = (int)(ANSWER_WAIT / ROAM_MILLISECONDS(1));
    ssize_t n = poll(&ready, 1, wait_ms) > 0 ? recv(fd, ret->data, sizeof(ret->data), MSG_DONTWAIT) : -1;
    ret->refused = n < 0 && errno == ECONNREFUSED;
    if (n <= 0)
        return;
    ret->came = true;
    ret->len = (size_t)n;
    ret->took = check_now() - sent_at;
    exam->totals.datagrams_received++;
    exam->totals.bytes_received += (size_t)n;
}

/* Sends the datagram, again if nothing comes. */
static void ask(struct exam *exam, const uint8_t *data, size_t len, struct reply_seen *ret)
{
    *ret = (struct reply_seen){0};
    int fd = open_connected(exam);
    for (int i = 0; i < ATTEMPTS && fd >= 0 && !ret->came && !ret->refused && !exam_is_over(exam); i++) {
        roam_time now = check_now();
        if (send(fd, data, len, 0) == (ssize_t)len) {
            exam->totals.datagrams_sent++;
            exam->totals.bytes_sent += len;
        }
        receive_answer(exam, fd, now, ret);
    }
    if (fd >= 0)
        close(fd);
}

static void fill_random(void *buf, size_t len)
{
    roam_rng rng = roam_rng_default();
    rng.fill(rng.context, buf, len);
}

static roam_cid random_cid(uint8_t len)
{
    roam_cid cid = {.len = len};
    fill_random(cid.bytes, len);
    return cid;
}

/* ---- Version Negotiation ---------------------------------------------------------------------------------------- */

static void read_versions(const struct packet_header *header, struct version_evidence *ret)
{
    for (size_t i = 0; i + 4 <= header->versions_len && ret->count < CHECK_VERSIONS_MAX; i += 4) {
        const uint8_t *at = header->versions + i;
        ret->versions[ret->count++] =
            (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
    }
}

void probe_versions(struct exam *exam)
{
    struct version_evidence *versions = &exam->evidence.versions;
    static struct reply_seen answer;
    uint8_t data[DATAGRAM_BYTES_MIN];
    uint8_t *length_at;
    const roam_cid dcid = random_cid(CID_BYTES), scid = random_cid(CID_BYTES);
    struct writer writer = writer_init(data, sizeof(data));
    struct packet_header header;
    fill_random(data, sizeof(data));
    packet_write_long(&writer, PACKET_INITIAL, RESERVED_VERSION, &dcid, &scid, NULL, 0, PACKET_NUMBER_BYTES_MAX,
                      &length_at);
    packet_length_write(length_at, sizeof(data) - writer_len(&writer));
    ask(exam, data, sizeof(data), &answer);
    *versions = (struct version_evidence){.state = answer.came || !exam_is_over(exam) ? PROBE_RAN : PROBE_NOT_RUN,
                                          .refused = answer.refused,
                                          .took = answer.took};
    if (!answer.came || packet_header_parse(&header, answer.data, answer.len, 0) != ROAM_DROP_NONE ||
        header.type != PACKET_VERSION_NEGOTIATION)
        return;
    versions->answered = true;
    versions->cids_echoed = roam_cid_equal(&header.dcid, &scid) && roam_cid_equal(&header.scid, &dcid);
    read_versions(&header, versions);
}

/* ---- Stateless Reset -------------------------------------------------------------------------------------------- */

/* What looks like a short packet: the fixed bit, the CID, and nothing that anybody could decrypt. */
static void write_trigger(const roam_cid *cid, uint8_t ret[TRIGGER_BYTES])
{
    fill_random(ret, TRIGGER_BYTES);
    ret[0] = (uint8_t)(0x40 | (ret[0] & 0x3f));
    memcpy(ret + 1, cid->bytes, cid->len);
}

/* RFC 9000 section 10.3: it looks like a short packet too. */
static bool looks_like_reset(const struct reply_seen *answer)
{
    return answer->came && answer->len >= RESET_BYTES_MIN && (answer->data[0] & 0xc0) == 0x40;
}

static bool provoke(struct exam *exam, const roam_cid *cid, struct reply_seen *ret)
{
    struct reset_evidence *reset = &exam->evidence.reset;
    uint8_t trigger[TRIGGER_BYTES];
    write_trigger(cid, trigger);
    ask(exam, trigger, sizeof(trigger), ret);
    reset->sent++;
    if (!looks_like_reset(ret))
        return false;
    reset->reply_bytes = ret->len > reset->reply_bytes ? ret->len : reset->reply_bytes;
    reset->too_large |= ret->len >= sizeof(trigger);
    return true;
}

void probe_reset(struct exam *exam)
{
    struct reset_evidence *reset = &exam->evidence.reset;
    static struct reply_seen answer;
    const size_t cid_bytes = exam->evidence.handshake.cid_bytes;
    if (cid_bytes == 0) {
        why_not(&reset->state, reset->why_not, PROBE_NOT_APPLICABLE, "the server uses zero-length connection IDs");
        return;
    }
    *reset = (struct reset_evidence){.state = PROBE_RAN, .trigger_bytes = TRIGGER_BYTES};
    const roam_cid nobodys = random_cid((uint8_t)cid_bytes);
    reset->answered = provoke(exam, &nobodys, &answer);
    if (!reset->answered && exam_is_over(exam))
        why_not(&reset->state, reset->why_not, PROBE_NOT_RUN, "cut short");
    /* The first connection has ended a while ago. */
    if (!exam->has_late || exam_is_over(exam))
        return;
    reset->late_tried = true;
    reset->late_answered = provoke(exam, &exam->late_cid, &answer);
    reset->token_matches = reset->late_answered && memcmp(answer.data + answer.len - RESET_TOKEN_BYTES,
                                                          exam->late_token, RESET_TOKEN_BYTES) == 0;
}
