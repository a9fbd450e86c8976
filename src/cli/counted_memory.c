/* See counted_memory.h. */
#include "cli/counted_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t bytes_out;
static int statm = -1;

static void *reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    const roam_allocator system = roam_allocator_default();
    void *memory = system.reallocate(system.context, ptr, old_bytes, new_bytes);
    if (memory != NULL || new_bytes == 0)
        bytes_out += new_bytes - (ptr != NULL ? old_bytes : 0);
    return memory;
}

roam_allocator counted_allocator(void)
{
    /* Now, for later no file of /proc may be within reach (sandbox.h). */
    if (statm < 0)
        statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    return (roam_allocator){.reallocate = reallocate};
}

uint64_t counted_bytes(void)
{
    return bytes_out;
}

/* The second number of statm is what is resident, in pages. */
uint64_t resident_bytes(void)
{
    char text[256];
    unsigned long long pages = 0;
    ssize_t len = statm >= 0 ? pread(statm, text, sizeof(text) - 1, 0) : -1;
    if (len < 0)
        return 0;
    text[len] = '\0';
    return sscanf(text, "%*s %llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
