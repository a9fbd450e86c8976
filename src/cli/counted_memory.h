/* The memory of the process: what endpoints have asked for, and what is resident. */
#ifndef CLI_COUNTED_MEMORY_H
#define CLI_COUNTED_MEMORY_H

#include <roam/types.h>

/* roam_allocator_default, counted: for all endpoints of the process, which has one thread for them. */
roam_allocator counted_allocator(void);
uint64_t counted_bytes(void);

/* 0 where the system does not tell. */
uint64_t resident_bytes(void);

#endif
