/* See counted_memory.h. */
#include "cli/counted_memory.h"

#include <stdio.h>
#include <unistd.h>

static uint64_t bytes_out;

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
    return (roam_allocator){.reallocate = reallocate};
}

uint64_t counted_bytes(void)
{
    return bytes_out;
}

/* The second number of statm is what is resident, in pages. */
uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
