/*
 * Sleeping and waking. Kept: time is reported once, and naps add up until they are worth reporting.
 *
 * A timerfd that is cancelled when the wall clock jumps tells of the waking: the kernel cancels it on each resume.
 */
#include "io/suspend.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/minmax.h"

/* When the timerfd would expire by itself: never. */
#define FAR_SECONDS ((time_t)1 << 40)

static roam_time read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return ROAM_SECONDS(now.tv_sec) + (roam_time)now.tv_nsec;
}

struct suspend_reading suspend_read(void)
{
    struct suspend_reading reading;
    reading.before = read_clock(CLOCK_MONOTONIC);
    reading.boottime = read_clock(CLOCK_BOOTTIME);
    reading.after = read_clock(CLOCK_MONOTONIC);
    return reading;
}

roam_time suspend_slept(struct suspend_watch *watch, const struct suspend_reading *reading)
{
    if (reading->after - reading->before > SUSPEND_READING_MAX)
        return 0;
    roam_time lead = saturating_sub(reading->boottime, reading->before);
    roam_time slept = watch->known ? saturating_sub(lead, watch->lead) : 0;
    if (watch->known && slept < SUSPEND_MIN)
        return 0;
    watch->known = true;
    watch->lead = lead;
    return slept;
}

static void set_far(int fd)
{
    const struct itimerspec never = {.it_value.tv_sec = FAR_SECONDS};
    timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

int suspend_fd_open(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd >= 0)
        set_far(fd);
    return fd;
}

void suspend_fd_drain(int fd)
{
    uint64_t expirations;
    /* ECANCELED is what it is for; the kernel wants it to be set anew then. */
    while (read(fd, &expirations, sizeof(expirations)) > 0)
        ;
    set_far(fd);
}
