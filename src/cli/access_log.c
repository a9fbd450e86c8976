/* Lines of the access log: see the header. Kept: whatever a client sends, a line is one line of printable ASCII. */
#include "cli/access_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each of what a client chooses is cut at so many octets, which are four times as many where all are escaped. */
#define FIELD_MAX 512
#define LINE_MAX  (4 * 3 * FIELD_MAX + 256)

static size_t append(char *ret, size_t cap, size_t at, const char *format, ...) __attribute__((format(printf, 4, 5)));

static size_t append(char *ret, size_t cap, size_t at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(ret + at, cap - at, format, arguments);
    va_end(arguments);
    return n < 0 || at + (size_t)n >= cap ? cap - 1 : at + (size_t)n;
}

static size_t append_escaped(char *ret, size_t cap, size_t at, const char *text)
{
    if (text == NULL)
        return append(ret, cap, at, "-");
    for (size_t i = 0; text[i] != '\0' && i < FIELD_MAX; i++) {
        unsigned char c = (unsigned char)text[i];
        at = append(ret, cap, at, c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? "\\x%02x" : "%c", c);
    }
    return at;
}

size_t access_log_format(const struct access_entry *entry, time_t when, char *ret, size_t cap)
{
    char address[ROAM_ADDRESS_TEXT_MAX], date[40];
    struct tm tm;
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    roam_address host = *entry->remote;
    host.port = 0;
    gmtime_r(&when, &tm);
    snprintf(date, sizeof(date), "%02d/%s/%d:%02d:%02d:%02d +0000", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    roam_address_format(&host, address);
    /* Without its port, and the brackets that stand for its sake. */
    char *begin = address + (address[0] == '['), *end = strrchr(address, ':');
    if (end != NULL && end > begin && end[-1] == ']')
        end--;
    if (end != NULL)
        *end = '\0';
    size_t at = append(ret, cap, 0, "%s - - [%s] \"", begin, date);
    at = append_escaped(ret, cap, at, entry->method);
    at = append(ret, cap, at, " ");
    at = append_escaped(ret, cap, at, entry->path);
    at = append(ret, cap, at, " %s\" %d %" PRIu64 " \"", entry->protocol, entry->status, entry->bytes);
    at = append_escaped(ret, cap, at, entry->referer);
    at = append(ret, cap, at, "\" \"");
    at = append_escaped(ret, cap, at, entry->agent);
    return append(ret, cap, at, "\"\n");
}

void access_log_write(int fd, const struct access_entry *entry)
{
    char line[LINE_MAX];
    if (fd < 0)
        return;
    size_t len = access_log_format(entry, time(NULL), line, sizeof(line));
    /* A log that cannot be written is no reason to stop serving. */
    if (write(fd, line, len) != (ssize_t)len)
        return;
}
