/*
 * The trace of a world: everything that happened, mixed into one number, and printed where somebody asked for it. Two
 * runs of one seed have equal traces. Ciphertext is not part of it, since TLS draws its randomness from elsewhere;
 * times, places, addresses, lengths, packet numbers and frames are.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdio.h>

#include <roam/types.h>

struct trace {
    uint64_t hash;
    FILE *print; /* NULL: silent */
};

void trace_init(struct trace *trace, FILE *print);

void trace_word(struct trace *trace, uint64_t word);
void trace_text(struct trace *trace, const char *text);
void trace_address(struct trace *trace, const roam_address *address);
void trace_cid(struct trace *trace, const roam_cid *cid);

/* One line, with the time in front, where the trace is printed. What it says does not enter the hash. */
void trace_line(struct trace *trace, roam_time now, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
