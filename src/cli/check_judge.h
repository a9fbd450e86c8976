/* What the judges of `roam check` share: see check_verdicts.h for what they are for. */
#ifndef CLI_CHECK_JUDGE_H
#define CLI_CHECK_JUDGE_H

#include "cli/check_verdicts.h"

/* Writes what a verdict rests on, and gives the answer back. */
typedef enum answer judge(const struct evidence *evidence, char *text);

enum answer say(char *text, enum answer answer, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline double milliseconds(roam_time time)
{
    return (double)time / 1e6;
}

/* check_verdicts.c */
judge judge_handshake, judge_versions, judge_alpns, judge_cid_length, judge_params, judge_idle, judge_size,
    judge_ack_delay, judge_retry, judge_retry_validates, judge_tickets, judge_resumption, judge_new_token,
    judge_cid_supply, judge_cid_refill, judge_preferred, judge_reset, judge_reset_smaller, judge_reset_token, judge_end;

/* check_verdicts_moves.c */
judge judge_port, judge_small, judge_address, judge_row, judge_response, judge_migration, judge_challenge_new,
    judge_challenge_first, judge_challenge_padded, judge_challenge_data, judge_amplification, judge_challenge_old,
    judge_probe_stays, judge_probe_answered, judge_cid_rotation, judge_disable_migration;

#endif
