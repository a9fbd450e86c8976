/* FNV-1a over words, with a shift that brings high bits down. */
#include "sim/trace.h"

#include <stdarg.h>
#include <string.h>

void trace_init(struct trace *trace, FILE *print)
{
    trace->hash = UINT64_C(0xcbf29ce484222325);
    trace->print = print;
}

void trace_word(struct trace *trace, uint64_t word)
{
    uint64_t hash = (trace->hash ^ word) * UINT64_C(0x100000001b3);
    trace->hash = hash ^ (hash >> 32);
}

void trace_text(struct trace *trace, const char *text)
{
    for (; *text != '\0'; text++)
        trace_word(trace, (uint8_t)*text);
}

void trace_address(struct trace *trace, const roam_address *address)
{
    uint64_t words[2];
    memcpy(words, address->ip, sizeof(words));
    trace_word(trace, words[0]);
    trace_word(trace, words[1]);
    trace_word(trace, (uint64_t)address->port << 8 | address->family);
}

void trace_cid(struct trace *trace, const roam_cid *cid)
{
    trace_word(trace, cid->len);
    for (size_t i = 0; i < cid->len; i++)
        trace_word(trace, cid->bytes[i]);
}

void trace_line(struct trace *trace, roam_time now, const char *format, ...)
{
    if (trace->print == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(trace->print, "%12.6f  ", (double)now / 1e9);
    vfprintf(trace->print, format, arguments);
    fputc('\n', trace->print);
    va_end(arguments);
}
