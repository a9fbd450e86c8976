/* Dates of HTTP: see the header. */
#include "cli/http_date.h"

#include <stdio.h>
#include <string.h>

static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

const char *http_date_format(time_t when, char ret[HTTP_DATE_TEXT_MAX])
{
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
        gmtime_r(&(time_t){0}, &tm);
    snprintf(ret, HTTP_DATE_TEXT_MAX, "%s, %02u %s %04u %02u:%02u:%02u GMT", day_names[tm.tm_wday],
             (unsigned)tm.tm_mday % 100, month_names[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    return ret;
}

static int month_of(const char *name)
{
    for (int i = 0; i < 12; i++)
        if (strcmp(name, month_names[i]) == 0)
            return i;
    return -1;
}

// RFC 9110 section 5.6.7: A year of two digits that seems more than 50 years ahead is the most recent past one that ends so.
static int whole_year(int two_digits, time_t now)
{
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL)
        return 1900 + two_digits;
    int this_year = tm.tm_year + 1900, year = this_year - this_year % 100 + two_digits;
    return year > this_year + 50 ? year - 100 : year;
}

bool http_date_parse(const char *text, time_t now, time_t *ret)
{
    struct tm tm = {0};
    char month[4] = "", weekday[10] = "";
    int year, end = 0;
    if (sscanf(text, "%3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", weekday, &tm.tm_mday, month, &year, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &end) == 7 &&
        end > 0) {
    } else if (sscanf(text, "%9[A-Za-z], %2d-%3s-%2d %2d:%2d:%2d GMT%n", weekday, &tm.tm_mday, month, &year,
                      &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) == 7 &&
               end > 0) {
        year = whole_year(year, now);
    } else if (sscanf(text, "%3[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", weekday, month, &tm.tm_mday, &tm.tm_hour,
                      &tm.tm_min, &tm.tm_sec, &year, &end) != 7 ||
               end == 0) {
        return false;
    }
    tm.tm_mon = month_of(month);
    tm.tm_year = year - 1900;
    if (text[end] != '\0' || tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 ||
        tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60 || year < 1601)
        return false;
    *ret = timegm(&tm);
    return true;
}
