/* The allocator of the C library, which now and then has no memory. See inject.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"

static const int errors[] = {ENOMEM, 0};

/* The first calls come while the loader is still at work, and looking for the real ones must not come back here. */
#define NEXT(name)                                                                                                     \
    static __typeof__(name) *next;                                                                                     \
    if (next == NULL)                                                                                                  \
    next = (__typeof__(name) *)inject_next(#name)

void *malloc(size_t bytes)
{
    NEXT(malloc);
    return inject_fails("malloc", true, errors) ? NULL : next(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    NEXT(calloc);
    return inject_fails("calloc", true, errors) ? NULL : next(count, bytes);
}

/* To shrink to nothing is to free, which cannot fail. libuv's table of watchers must grow. */
void *realloc(void *ptr, size_t bytes)
{
    NEXT(realloc);
    return bytes > 0 && !inject_caller_gives_up(__builtin_return_address(0)) && inject_fails("realloc", true, errors)
               ? NULL
               : next(ptr, bytes);
}

void *reallocarray(void *ptr, size_t count, size_t bytes)
{
    NEXT(reallocarray);
    return inject_fails("reallocarray", true, errors) ? NULL : next(ptr, count, bytes);
}

int posix_memalign(void **ret, size_t alignment, size_t bytes)
{
    NEXT(posix_memalign);
    return inject_fails("posix_memalign", true, errors) ? ENOMEM : next(ret, alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    NEXT(aligned_alloc);
    return inject_fails("aligned_alloc", true, errors) ? NULL : next(alignment, bytes);
}

/* A sanitizer's own versions of these two do not ask malloc. */
char *strdup(const char *text)
{
    NEXT(strdup);
    return inject_fails("strdup", true, errors) ? NULL : next(text);
}

char *strndup(const char *text, size_t bytes)
{
    NEXT(strndup);
    return inject_fails("strndup", true, errors) ? NULL : next(text, bytes);
}
