/* From evidence to verdicts: a pure function, one line for each question. */
#ifndef CLI_CHECK_VERDICTS_H
#define CLI_CHECK_VERDICTS_H

#include "cli/check_evidence.h"

enum answer { ANSWER_YES, ANSWER_NO, ANSWER_UNKNOWN, ANSWER_NOT_APPLICABLE };

/* What a NO means. */
enum severity {
    SEVERITY_INFO,     /* good to know, nothing more */
    SEVERITY_SHOULD,   /* against a SHOULD, or against what peers rely on */
    SEVERITY_MUST,     /* against a MUST */
    SEVERITY_SURVIVAL, /* connections end when an address changes */
};

#define VERDICT_TEXT_MAX 400
#define VERDICTS_MAX     40

struct verdict {
    const char *id;       /* stable: "port-rebinding" */
    const char *question; /* "survives a change of port" */
    const char *section;  /* "RFC 9000 9.3" */
    enum severity severity;
    enum answer answer;
    char evidence[VERDICT_TEXT_MAX];
};

/* Writes at most VERDICTS_MAX verdicts and returns how many. */
size_t verdicts_judge(const struct evidence *evidence, struct verdict ret[VERDICTS_MAX]);

/* "yes", "no", "unknown", "n/a" / "info", "should", "must", "survival" */
const char *answer_name(enum answer answer);
const char *severity_name(enum severity severity);

/* check_params.c: what is odd about the parameters, "; " between. Empty: nothing. */
void params_describe_odd(const struct transport_params *params, size_t cid_bytes, char *ret, size_t capacity);

#endif
