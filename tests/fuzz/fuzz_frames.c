/*
 * Frames from any octets, one after the other as in a packet. Each that is accepted must be read as the same when it is
 * written again, and written in no more octets than it came in (a STREAM frame may gain its length field).
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <roam/error.h>

#include "../unit/frame_again.h"

#define INPUT_MAX               4096
#define STREAM_LENGTH_FIELD_MAX 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t written[INPUT_MAX + STREAM_LENGTH_FIELD_MAX];
    if (size > INPUT_MAX)
        return 0;
    struct reader reader = reader_init(data, size);
    while (reader_left(&reader) > 0) {
        struct frame frame, again;
        const uint8_t *start = reader.pos;
        if (frame_parse(&frame, &reader) != ROAM_NO_ERROR)
            return 0;
        assert(frame_rule_of(frame.type) != NULL);
        assert(reader.pos > start && reader.pos <= data + size);
        struct writer writer = writer_init(written, (size_t)(reader.pos - start) + STREAM_LENGTH_FIELD_MAX);
        frame_write_again(&writer, &frame);
        assert(!writer.failed);
        struct reader second = reader_init(written, writer_len(&writer));
        uint64_t error = frame_parse(&again, &second);
        assert(error == ROAM_NO_ERROR && reader_left(&second) == 0);
        (void)error;
        assert(frame_equal(&frame, &again));
    }
    return 0;
}
