/* The end of a child process, which runs nothing of its parent's. */
#ifndef TESTS_SIM_LEAVE_H
#define TESTS_SIM_LEAVE_H

#include <unistd.h>

#ifdef ROAM_COVERAGE
#include <gcov.h>
#endif

static inline _Noreturn void leave(int status)
{
#ifdef ROAM_COVERAGE
    /* What it has been through counts, too. */
    __gcov_dump();
#endif
    _exit(status);
}

#endif
