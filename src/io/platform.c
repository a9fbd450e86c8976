/*
 * What the core takes from the platform where its user names nothing else: the C library's memory and the kernel's
 * random numbers. Kept: random numbers never fail and are never weaker than the kernel's.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <roam/types.h>

static void *reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    if (new_bytes > 0)
        return realloc(ptr, new_bytes);
    free(ptr);
    return NULL;
}

roam_allocator roam_allocator_default(void)
{
    return (roam_allocator){.reallocate = reallocate};
}

/* Up to 256 octets come whole once the kernel's pool is seeded; more may be cut short by a signal. */
static void fill(void *context, void *buf, size_t len)
{
    unsigned char *pos = buf;
    (void)context;
    while (len > 0) {
        ssize_t n = getrandom(pos, len, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* a kernel without getrandom: nothing here may go on with guessable keys */
        if (n > 0) {
            pos += n;
            len -= (size_t)n;
        }
    }
}

roam_rng roam_rng_default(void)
{
    return (roam_rng){.fill = fill};
}
