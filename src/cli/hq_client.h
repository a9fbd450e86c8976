/* HTTP/0.9 over QUIC (ALPN hq-interop): many files over one connection, into one directory. */
#ifndef CLI_HQ_CLIENT_H
#define CLI_HQ_CLIENT_H

#include "cli/cli.h"

struct hq_fetch;

struct hq_client {
    const struct text_list *urls;
    int directory;        /* -1: none is wanted */
    size_t next;          /* the first URL that was not asked for yet */
    size_t open, fetched; /* requests under way, and done */
    uint8_t *chunk;
    struct hq_fetch *fetches; /* under way */
    uint64_t bytes;
    const char *failed; /* the URL of a request that did, NULL for none; `error` is errno where it is ours, else 0 */
    int error;
    uint64_t code; /* with which the server reset it */
};

/* All URLs are of one server and end in names of files, each another; false where not, which has been printed. */
bool hq_client_check(const struct text_list *urls);
/* False, with errno: no such directory. `urls` must outlive the client. */
bool hq_client_init(struct hq_client *client, const struct text_list *urls, const char *directory);
/* Takes an event of the connection; asks for as much as its streams allow. */
void hq_client_on_event(struct hq_client *client, const roam_event *event);
/* Every file is there, or one failed. */
bool hq_client_is_over(const struct hq_client *client);
void hq_client_done(struct hq_client *client);

#endif
