/* version.c - the shortest program on roam: cc version.c $(pkg-config --cflags --libs roam) */
#include <roam/roam.h>
#include <stdio.h>

int main(void)
{
    printf("roam %s\n", roam_version());
    return 0;
}
