/* The control socket as `roam top` uses it: questions go out, lines come in. */
#ifndef CLI_TOP_LINK_H
#define CLI_TOP_LINK_H

#include <uv.h>

#include "cli/top_model.h"

enum top_question { TOP_ASK_TABLE, TOP_ASK_DETAIL, TOP_ASK_EVENTS, TOP_QUESTIONS };

struct top_link {
    uv_pipe_t pipe;
    struct top_model *model;
    /* Something is known that was not; or, with why, the server is gone. */
    void (*on_news)(void *context);
    void (*on_gone)(void *context, const char *why);
    void *context;
    char *buffer; /* what came of a line that is not done */
    size_t len;
    enum top_question asked[TOP_QUESTIONS]; /* in the order of the answers; one of each at most */
    size_t asked_count;
    roam_time asked_at; /* the oldest of them */
    bool closed;
};

/* fd becomes the link's. False where there is no memory. */
bool top_link_open(struct top_link *link, uv_loop_t *loop, int fd);
void top_link_close(struct top_link *link);

/* False where the last such question has no answer yet: then nothing is asked. */
bool top_link_ask(struct top_link *link, enum top_question question);

#endif
