/* Recognizes calls, and chooses the one that fails. See inject.h. */
#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

struct module {
    uintptr_t begin, end, base;
    bool is_program, is_left_alone;
};

/* A call with all that led to it. */
struct trail {
    uint64_t frame[INJECT_FRAMES_MAX];
    size_t frames;
    bool in_program, is_left_alone;
};

struct inject_book *inject_book;
static bool ready;
static uint64_t wanted_id;
static unsigned long wanted_count, wanted_error, made;
static struct module modules[INJECT_MODULES_MAX];
static char module_names[INJECT_MODULES_MAX][128];
static size_t module_count;
static uintptr_t own_base;

/* Neither what is done in here counts, nor what a library does while it is unwound. */
static __thread bool busy __attribute__((tls_model("initial-exec")));

void *inject_next(const char *name)
{
    void *next = dlsym(RTLD_NEXT, name);
    if (next == NULL)
        abort();
    return next;
}

/* GMP has no way to report that there is no memory, and ends the program (GNU MP manual, 13 "Custom Allocation"); jansson's
 * parser (2.14) loses its place in a string, and fails its own assertions; libtasn1 (4.19) uses the node that it did not get,
 * or loses the others. */
static bool module_is_left_alone(const char *name)
{
    static const char *const names[] = {"libgmp.", "libjansson.", "libtasn1."};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

bool inject_caller_gives_up(const void *caller)
{
    Dl_info info;
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
        return false;
    return strstr(info.dli_fname, "/libuv.") != NULL || strstr(info.dli_fname, "/libmicrohttpd.") != NULL;
}

static int on_module(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    if (module_count == INJECT_MODULES_MAX)
        return 1;
    struct module *module = &modules[module_count];
    *module = (struct module){.begin = UINTPTR_MAX, .base = info->dlpi_addr};
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
            continue;
        if (begin < module->begin)
            module->begin = begin;
        if (begin + header->p_memsz > module->end)
            module->end = begin + header->p_memsz;
    }
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    module->is_program = module_count == 0; /* the loader names the program first */
    module->is_left_alone = module_is_left_alone(name);
    strncpy(module_names[module_count], module->is_program ? "program" : name, sizeof(module_names[0]) - 1);
    module_count++;
    return 0;
}

static void open_book(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof(struct inject_book)) != 0)
        abort();
    long at = syscall(SYS_mmap, NULL, sizeof(struct inject_book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (at == -1)
        abort();
    inject_book = (struct inject_book *)at; /* NOLINT(performance-no-int-to-ptr) */
    memcpy(inject_book->module, module_names, sizeof(module_names));
}

__attribute__((constructor)) static void begin(void)
{
    const char *book = getenv("ROAM_INJECT_BOOK"), *fail = getenv("ROAM_INJECT_FAIL");
    busy = true;
    dl_iterate_phdr(on_module, NULL);
    Dl_info own;
    if (dladdr(&ready, &own) != 0)
        own_base = (uintptr_t)own.dli_fbase;
    if (book != NULL)
        open_book(book);
    if (fail != NULL) {
        char *rest;
        wanted_id = strtoull(fail, &rest, 16);
        wanted_count = strtoul(rest + 1, &rest, 10);
        wanted_error = *rest == ':' ? strtoul(rest + 1, NULL, 10) : 0;
    }
    /* What the program starts is another program. */
    unsetenv("LD_PRELOAD");
    ready = book != NULL || fail != NULL;
    busy = false;
}

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *argument)
{
    struct trail *trail = argument;
    uintptr_t pc = _Unwind_GetIP(context) - 1;
    for (size_t i = 0; i < module_count; i++) {
        const struct module *module = &modules[i];
        if (pc < module->begin || pc >= module->end)
            continue;
        if (module->base == own_base)
            return _URC_NO_REASON;
        trail->in_program = trail->in_program || module->is_program;
        trail->is_left_alone = trail->is_left_alone || module->is_left_alone;
        if (trail->frames < INJECT_FRAMES_MAX)
            trail->frame[trail->frames++] = (uint64_t)i << 48 | (pc - module->base);
        return _URC_NO_REASON;
    }
    return _URC_END_OF_STACK;
}

/* FNV-1a, over the names of modules and not their places, which other libraries may change. */
static uint64_t trail_id(const struct trail *trail, const char *name)
{
    uint64_t id = UINT64_C(14695981039346656037);
    for (; *name != '\0'; name++)
        id = (id ^ (unsigned char)*name) * UINT64_C(1099511628211);
    for (size_t i = 0; i < trail->frames; i++) {
        for (const char *pos = module_names[trail->frame[i] >> 48]; *pos != '\0'; pos++)
            id = (id ^ (unsigned char)*pos) * UINT64_C(1099511628211);
        for (int shift = 0; shift < 48; shift += 8)
            id = (id ^ ((trail->frame[i] >> shift) & 0xff)) * UINT64_C(1099511628211);
    }
    return id != 0 ? id : 1;
}

static void write_down(const struct trail *trail, uint64_t id, const char *name, bool is_memory, const int *errors)
{
    for (size_t i = 0; i < INJECT_CALLS_MAX; i++) {
        struct inject_call *call = &inject_book->call[(id + i) % INJECT_CALLS_MAX];
        if (call->id == id) {
            call->count++;
            return;
        }
        if (call->id != 0)
            continue;
        *call = (struct inject_call){.id = id, .count = 1, .is_memory = is_memory, .frames = (uint16_t)trail->frames};
        strncpy(call->name, name, sizeof(call->name) - 1);
        memcpy(call->frame, trail->frame, sizeof(call->frame));
        while (errors[call->errors] != 0)
            call->errors++;
        return;
    }
    inject_book->missing++;
}

static bool decide(const char *name, bool is_memory, const int *errors)
{
    struct trail trail = {.frames = 0};
    _Unwind_Backtrace(on_frame, &trail);
    if (!trail.in_program || trail.is_left_alone)
        return false;
    uint64_t id = trail_id(&trail, name);
    if (wanted_id == 0 && inject_book != NULL)
        write_down(&trail, id, name, is_memory, errors);
    if (id != wanted_id || ++made != wanted_count)
        return false;
    if (inject_book != NULL)
        inject_book->failed++;
    unsigned long error = 0;
    while (error < wanted_error && errors[error + 1] != 0)
        error++;
    errno = errors[error];
    return true;
}

bool inject_fails(const char *name, bool is_memory, const int *errors)
{
    if (!ready || busy || syscall(SYS_gettid) != getpid())
        return false;
    int before = errno;
    busy = true;
    bool fails = decide(name, is_memory, errors);
    busy = false;
    if (!fails)
        errno = before;
    return fails;
}
