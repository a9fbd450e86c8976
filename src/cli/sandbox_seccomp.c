/*
 * System calls. Kept: what a server goes on calling is listed here and allowed; what only an intruder would call ends
 * the process; everything else fails as if this kernel did not have it, so that a library which tries something new
 * falls back to what is old.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/sandbox.h"

#define OPTIMIZE_AS_TREE 2

#define CALL(name) SCMP_SYS(name)

static const int allowed[] = {
    /* what is open */
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(pwrite64),
    CALL(preadv),
    CALL(pwritev),
    CALL(preadv2),
    CALL(pwritev2),
    CALL(close),
    CALL(lseek),
    CALL(_llseek),
    CALL(fstat),
    CALL(fstat64),
    CALL(fcntl),
    CALL(fcntl64),
    CALL(dup),
    CALL(dup2),
    CALL(dup3),
    CALL(ftruncate),
    CALL(ftruncate64),
    CALL(fsync),
    CALL(fdatasync),
    CALL(fadvise64),
    CALL(sendfile),
    CALL(sendfile64),
    CALL(pipe),
    CALL(pipe2),
    /* files by name, which Landlock judges */
    CALL(open),
    CALL(openat),
    CALL(openat2),
    CALL(stat),
    CALL(stat64),
    CALL(lstat),
    CALL(lstat64),
    CALL(newfstatat),
    CALL(fstatat64),
    CALL(statx),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getdents64),
    CALL(getcwd),
    CALL(unlink),
    CALL(unlinkat),
    CALL(umask),
    CALL(fstatfs),
    CALL(fstatfs64),
    /* sockets, and waiting for them */
    CALL(bind),
    CALL(connect),
    CALL(listen),
    CALL(accept),
    CALL(accept4),
    CALL(shutdown),
    CALL(getsockname),
    CALL(getpeername),
    CALL(getsockopt),
    CALL(setsockopt),
    CALL(send),
    CALL(sendto),
    CALL(sendmsg),
    CALL(sendmmsg),
    CALL(recv),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(recvmmsg),
    CALL(recvmmsg_time64),
    CALL(poll),
    CALL(ppoll),
    CALL(ppoll_time64),
    CALL(select),
    CALL(_newselect),
    CALL(pselect6),
    CALL(epoll_create),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(eventfd2),
    CALL(timerfd_create),
    CALL(timerfd_settime),
    CALL(timerfd_gettime),
    CALL(timerfd_settime64),
    CALL(timerfd_gettime64),
    /* memory */
    CALL(brk),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    /* threads, signals, time, randomness, ourselves */
    CALL(futex),
    CALL(futex_time64),
    CALL(set_robust_list),
    CALL(get_robust_list),
    CALL(rseq),
    CALL(set_tid_address),
    CALL(membarrier),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigreturn),
    CALL(sigaltstack),
    CALL(restart_syscall),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(clock_nanosleep_time64),
    CALL(clock_gettime),
    CALL(clock_gettime64),
    CALL(clock_getres),
    CALL(clock_getres_time64),
    CALL(gettimeofday),
    CALL(time),
    CALL(getrandom),
    CALL(getpid),
    CALL(gettid),
    CALL(getppid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(getuid32),
    CALL(geteuid32),
    CALL(getgid32),
    CALL(getegid32),
    CALL(getrusage),
    CALL(getrlimit),
    CALL(ugetrlimit),
    CALL(uname),
    CALL(sysinfo),
    CALL(exit),
    CALL(exit_group),
};

/* Nothing here comes near these, in any library and at any version of it. */
static const int deadly[] = {
    CALL(execve),
    CALL(execveat),
    CALL(fork),
    CALL(vfork),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(pidfd_getfd),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(move_mount),
    CALL(open_tree),
    CALL(fsopen),
    CALL(unshare),
    CALL(setns),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(kexec_file_load),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(keyctl),
    CALL(add_key),
    CALL(request_key),
    CALL(open_by_handle_at),
    CALL(reboot),
    CALL(swapon),
    CALL(swapoff),
    CALL(setuid),
    CALL(setgid),
    CALL(setreuid),
    CALL(setregid),
    CALL(setresuid),
    CALL(setresgid),
    CALL(setfsuid),
    CALL(setfsgid),
    CALL(setgroups),
    CALL(capset),
    CALL(io_uring_setup),
    CALL(quotactl),
    CALL(acct),
    CALL(settimeofday),
    CALL(clock_settime),
    CALL(sethostname),
    CALL(mknod),
    CALL(mknodat),
    CALL(chmod),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(chown),
    CALL(fchown),
    CALL(lchown),
    CALL(fchownat),
};

/* Families of sockets: datagrams, the control socket, and what tells of addresses. */
static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};

/* Waiting octets, non-blocking, terminals, interfaces. Not TIOCSTI, which types. */
static const unsigned long requests[] = {
    FIONREAD, FIONBIO,  FIOCLEX,     FIONCLEX,     TCGETS,       TIOCGWINSZ, TIOCGPGRP,
    SIOCINQ,  SIOCOUTQ, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFFLAGS, SIOCGIFMTU,
};

static const int thread_names[] = {PR_SET_NAME, PR_GET_NAME};

static bool add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int result = seccomp_rule_add_array(filter, action, calls[i], 0, NULL);
        /* Some calls exist on some processors only. */
        if (result != 0 && result != -EDOM)
            return false;
    }
    return true;
}

/* Where that argument, of which only these bits count, has this value. */
static bool allow_if(scmp_filter_ctx filter, int call, unsigned argument, uint64_t bits, uint64_t value)
{
    const struct scmp_arg_cmp condition = {
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = bits, .datum_b = value};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition) == 0;
}

static bool add_conditions(scmp_filter_ctx filter)
{
    bool added = true;
    for (size_t i = 0; i < ARRAY_LENGTH(families); i++)
        added &= allow_if(filter, CALL(socket), 0, UINT32_MAX, (uint64_t)families[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(requests); i++)
        added &= allow_if(filter, CALL(ioctl), 1, UINT32_MAX, requests[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(thread_names); i++)
        added &= allow_if(filter, CALL(prctl), 0, UINT32_MAX, (uint64_t)thread_names[i]);
    /* No memory is both written by us and executed: the code is what was loaded at the start. */
    added &= allow_if(filter, CALL(mmap), 2, PROT_EXEC, 0);
    added &= allow_if(filter, CALL(mprotect), 2, PROT_EXEC, 0);
    /* Threads, no processes. clone3 hides its flags in memory; without it the C library calls clone. */
    added &= allow_if(filter, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);
    /* abort() */
    added &= allow_if(filter, CALL(tgkill), 0, UINT32_MAX, (uint64_t)getpid());
    /* Limits may be read. */
    added &= allow_if(filter, CALL(prlimit64), 2, UINT64_MAX, 0);
    return added;
}

/* What helps, and fails on kernels that know nothing of it. */
static void tune(scmp_filter_ctx filter)
{
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_AS_TREE);
    /* No code of strangers runs in this process: slower speculation would protect nobody. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
}

bool sandbox_limit_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        say_error("no memory");
        return false;
    }
    tune(filter);
    bool complete = add_all(filter, SCMP_ACT_ALLOW, allowed, ARRAY_LENGTH(allowed)) &&
                    add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_LENGTH(deadly)) && add_conditions(filter);
    int result = complete ? seccomp_load(filter) : -EINVAL;
    seccomp_release(filter);
    if (!complete)
        say_error("cannot make a filter of system calls");
    else if (result != 0)
        say_error("this kernel does not filter system calls (%s): all of them stay possible", strerror(-result));
    return complete;
}
