/* See recv_loans.h. Invariants: entries[first..first + count) are the loans; without any there is no memory either. */
#include "stream/recv_loans.h"

#include "base/minmax.h"

/* A receive of one peer's datagrams, put together by the kernel. */
#define CAPACITY_FIRST 64

void recv_loans_done(struct recv_loans *loans, const roam_allocator *allocator)
{
    mem_free(allocator, loans->entries, loans->capacity * sizeof(*loans->entries));
    *loans = (struct recv_loans){0};
}

bool recv_loans_add(struct recv_loans *loans, const roam_allocator *allocator, uint64_t start, uint64_t end,
                    const uint8_t *data)
{
    size_t at = loans->first + loans->count;
    if (at == loans->capacity) {
        size_t capacity = max_size(CAPACITY_FIRST, 2 * loans->capacity);
        struct recv_loan *entries =
            mem_resize(allocator, loans->entries, loans->capacity * sizeof(*entries), capacity * sizeof(*entries));
        if (entries == NULL)
            return false;
        loans->entries = entries;
        loans->capacity = capacity;
    }
    loans->entries[at] = (struct recv_loan){.data = data, .start = start, .end = end};
    loans->count++;
    return true;
}

void recv_loans_forget_below(struct recv_loans *loans, const roam_allocator *allocator, uint64_t offset)
{
    while (loans->count > 0 && loans->entries[loans->first].end <= offset) {
        loans->first++;
        loans->count--;
    }
    if (loans->count == 0 && loans->entries != NULL)
        recv_loans_done(loans, allocator);
}
