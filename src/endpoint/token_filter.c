/* Used tokens: see the header. Marks come from the random octets of tokens that proved to be ours, so that nobody
 * else can choose where they fall. */
#include "endpoint/token_filter.h"

#include "base/minmax.h"

/* The first table, which doubles while it fills; at most half of it is in use. */
#define CAPACITY_FIRST 64

void token_filter_init(struct token_filter *filter, const roam_allocator *allocator, size_t max)
{
    *filter = (struct token_filter){.allocator = allocator, .max = max};
}

static void generation_done(const struct token_filter *filter, struct token_generation *generation)
{
    mem_free(filter->allocator, generation->marks, generation->capacity * sizeof(*generation->marks));
    *generation = (struct token_generation){0};
}

void token_filter_done(struct token_filter *filter)
{
    generation_done(filter, &filter->young);
    generation_done(filter, &filter->old);
}

/* The slot that has the mark, or is free for it. */
static uint64_t *find_slot(const struct token_generation *generation, uint64_t mark)
{
    size_t at = (size_t)mark & (generation->capacity - 1);
    while (generation->marks[at] != 0 && generation->marks[at] != mark)
        at = (at + 1) & (generation->capacity - 1);
    return &generation->marks[at];
}

static bool has(const struct token_generation *generation, uint64_t mark)
{
    return generation->capacity > 0 && *find_slot(generation, mark) == mark;
}

static bool grow(const struct token_filter *filter, struct token_generation *generation)
{
    if (2 * (generation->count + 1) <= generation->capacity)
        return true;
    struct token_generation larger = *generation;
    larger.capacity = max_size(CAPACITY_FIRST, 2 * generation->capacity);
    larger.marks = mem_zalloc(filter->allocator, larger.capacity * sizeof(*larger.marks));
    if (larger.marks == NULL)
        return false;
    for (size_t i = 0; i < generation->capacity; i++) {
        if (generation->marks[i] != 0)
            *find_slot(&larger, generation->marks[i]) = generation->marks[i];
    }
    mem_free(filter->allocator, generation->marks, generation->capacity * sizeof(*generation->marks));
    *generation = larger;
    return true;
}

bool token_filter_allows(const struct token_filter *filter, const struct token *token)
{
    //= rfc9000#8.1.4-6 Token replay is prevented: what was used, or may have been, is not believed.
    if (token->kind == TOKEN_NEW && token->issued <= filter->forgotten)
        return false;
    //= rfc9000#8.1.4-8 No NEW_TOKEN token is accepted more than once.
    return !has(&filter->young, token->mark) && !has(&filter->old, token->mark);
}

static void forget(struct token_filter *filter, struct token_generation *generation)
{
    filter->forgotten = max_u64(filter->forgotten, generation->newest);
    generation_done(filter, generation);
}

void token_filter_on_used(struct token_filter *filter, const struct token *token)
{
    if (filter->max == 0)
        return;
    if (token_filter_is_full(filter)) {
        forget(filter, &filter->old);
        filter->old = filter->young;
        filter->young = (struct token_generation){0};
    }
    if (token->kind == TOKEN_NEW)
        filter->young.newest = max_u64(filter->young.newest, token->issued);
    if (!grow(filter, &filter->young)) {
        forget(filter, &filter->young);
        return;
    }
    *find_slot(&filter->young, token->mark) = token->mark;
    filter->young.count++;
}
