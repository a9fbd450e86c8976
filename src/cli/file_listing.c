/* Pages that list a directory. Kept: names are escaped, in links and in what is shown, and what would not be served is not listed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/file_response.h"

/* Of directories with more the first so many, by name. */
#define ENTRIES_MAX 10000

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "table{width:100%;border-collapse:collapse}td{padding:.2rem .5rem;border-bottom:1px solid #8884}"
    "td+td{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;opacity:.8}</style><title>";

static void print_escaped(FILE *page, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("&<>\"'", *text) != NULL)
            fprintf(page, "&#%d;", *text);
        else
            fputc((unsigned char)*text < 0x20 ? '?' : *text, page);
    }
}

static void print_link(FILE *page, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *name != '\0'; name++)
        fprintf(page, strchr(plain, *name) != NULL ? "%c" : "%%%02X", (unsigned char)*name);
}

static void print_entry(FILE *page, int directory, const char *name)
{
    struct stat status;
    struct tm tm;
    char when[32] = "";
    if (name[0] == '.' || fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
        return;
    const char *slash = S_ISDIR(status.st_mode) ? "/" : "";
    if (gmtime_r(&status.st_mtime, &tm) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
    fputs("<tr><td><a href=\"", page);
    print_link(page, name);
    fprintf(page, "%s\">", slash);
    print_escaped(page, name);
    fprintf(page, "%s</a></td><td>", slash);
    if (S_ISREG(status.st_mode))
        fprintf(page, "%lld", (long long)status.st_size);
    fprintf(page, "</td><td>%s</td></tr>\n", when);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

bool file_response_list(struct file_response *response, const char *name)
{
    struct dirent **entries = NULL;
    char *text = NULL;
    size_t len = 0;
    int n = scandirat(response->fd, ".", &entries, NULL, by_name);
    FILE *page = n >= 0 ? open_memstream(&text, &len) : NULL;
    if (page != NULL) {
        fprintf(page, "%s/", head);
        print_escaped(page, name);
        fputs("</title></head><body><h1>/", page);
        print_escaped(page, name);
        fprintf(page, "</h1><table>\n%s", *name != '\0' ? "<tr><td><a href=\"../\">../</a></td></tr>\n" : "");
    }
    for (int i = 0; i < n; i++) {
        if (page != NULL && i < ENTRIES_MAX)
            print_entry(page, response->fd, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    close(response->fd);
    response->fd = -1;
    if (page == NULL)
        return false;
    fputs("</table></body></html>\n", page);
    if (fclose(page) != 0) {
        free(text);
        return false;
    }
    response->status = 200;
    file_response_set_text(response, text, len);
    return file_response_add(response, "content-type", "text/html; charset=utf-8") &&
           file_response_add(response, "content-length", "%zu", len) &&
           file_response_add(response, "cache-control", "no-cache") &&
           file_response_add(response, "content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
}
