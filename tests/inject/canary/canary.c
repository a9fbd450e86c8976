/* Has, by name, one of the faults that tests/inject/run looks for; "honest" has none. Each comes of a malloc that fails. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void leak(void)
{
    char *volatile first = malloc(100);
    char *second = malloc(200);
    if (second != NULL)
        free(first);
    first = NULL;
    free(second);
}

int main(int argc, char **argv)
{
    const char *fault = argc > 1 ? argv[1] : "honest";
    if (strcmp(fault, "leak") == 0) {
        leak();
        return 0;
    }
    char *volatile memory = malloc(50);
    if (memory == NULL && strcmp(fault, "hang") == 0)
        pause();
    if (strcmp(fault, "crash") == 0)
        memory[0] = 'x';
    if (strcmp(fault, "assertion") == 0)
        assert(memory != NULL);
    if (memory == NULL && strcmp(fault, "honest") == 0)
        fprintf(stderr, "no memory\n");
    if (memory == NULL)
        return 1;
    free(memory);
    return 0;
}
