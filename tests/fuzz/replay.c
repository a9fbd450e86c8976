/*
 * replay.c - runs a fuzz target over files instead of drawn inputs: every regular file of the directories and files
 * that are named, in order of name, and once the empty input. So that what a fuzzer once found stays found, in every
 * build and without clang.
 *
 * Each input lies in memory of its exact size, so that AddressSanitizer sees a read one octet beyond it. A target that
 * comes back has passed; one that does not ends the program, and the last line printed names the input.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Targets that set something up define it; weak, for most do not. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static size_t inputs_run;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);

    if (file == NULL || data == NULL || fread(data, 1, size, file) != size)
        fail("cannot read", path);
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    inputs_run++;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
    struct stat status;
    struct dirent **entries;

    if (stat(path, &status) != 0)
        fail("cannot find", path);
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return;
    }
    int n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0)
        fail("cannot list", path);
    for (int i = 0; i < n; i++) {
        char name[PATH_BYTES];
        int len = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (len < 0 || (size_t)len >= sizeof(name)) {
            errno = ENAMETOOLONG;
            fail("cannot name", path);
        }
        replay(name);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];

    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%zu inputs\n", inputs_run);
    /* A corpus that went missing must not look like one that passed. */
    return argc > 1 && inputs_run == 0 ? 1 : 0;
}
