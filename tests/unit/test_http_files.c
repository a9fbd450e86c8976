/* What `roam serve` and `roam get` make of text that others wrote: paths, ranges, conditions, codings, dates, URLs, and
 * what they write themselves: answers and lines of the log. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/access_log.h"
#include "cli/byte_range.h"
#include "cli/content_type.h"
#include "cli/file_response.h"
#include "cli/file_root.h"
#include "cli/http_conditions.h"
#include "cli/http_date.h"
#include "cli/request_path.h"
#include "cli/url.h"

static void dates_come_in_three_forms(void **state)
{
    (void)state;
    const time_t now = 1700000000, then = 784111777;
    time_t when;
    char text[HTTP_DATE_TEXT_MAX];
    assert_string_equal(http_date_format(then, text), "Sun, 06 Nov 1994 08:49:37 GMT");
    const char *const good[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(http_date_parse(good[i], now, &when));
        assert_int_equal(when, then);
    }
    const char *const bad[] = {"",
                               "Sun, 06 Nov 1994 08:49:37",
                               "Sun, 06 Nov 1994 08:49:37 GMT+1",
                               "Sun, 06 Nox 1994 08:49:37 GMT",
                               "Sun, 36 Nov 1994 08:49:37 GMT",
                               "784111777"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(http_date_parse(bad[i], now, &when));
}

static void a_path_is_decoded_once_and_leads_nowhere_else(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *name;
    } cases[] = {
        {"/", 0, ""},
        {"/a%20b/c?d#e", 0, "a b/c"},
        {"/sub/", 0, "sub/"},
        {"/.well-known/x", 0, ".well-known/x"},
        {"/%252e%252e/x", 0, "%2e%2e/x"}, /* once */
        {"/..", 404, NULL},
        {"/a/../../etc/passwd", 404, NULL},
        {"/%2e%2e/x", 404, NULL},
        {"/a/%2E./x", 404, NULL},
        {"/a%2fb", 404, NULL},
        {"/a%5c..%5cb", 404, NULL},
        {"/a\\b", 404, NULL},
        {"//etc/passwd", 404, NULL},
        {"/a//b", 404, NULL},
        {"/.git/config", 404, NULL},
        {"/a/.htpasswd", 404, NULL},
        {"/a%00b", 400, NULL},
        {"/a%zz", 400, NULL},
        {"/a%4", 400, NULL},
        {"/a%", 400, NULL},
        {"etc/passwd", 400, NULL},
        {"*", 400, NULL},
        {"", 400, NULL},
        {"/a\x7f", 404, NULL},
    };
    char name[REQUEST_PATH_MAX], longest[REQUEST_PATH_MAX + 2];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(request_path_decode(cases[i].path, name), cases[i].status);
        if (cases[i].name != NULL)
            assert_string_equal(name, cases[i].name);
    }
    assert_int_equal(request_path_decode(NULL, name), 400);
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    longest[REQUEST_PATH_MAX] = '\0';
    assert_int_equal(request_path_decode(longest, name), 0);
    longest[REQUEST_PATH_MAX] = 'a';
    longest[REQUEST_PATH_MAX + 1] = '\0';
    assert_int_equal(request_path_decode(longest, name), 414);
}

static void ranges_are_cut_joined_or_ignored(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        uint64_t total;
        enum byte_range_verdict verdict;
        size_t count;
        struct byte_range ranges[3];
    } cases[] = {
        {NULL, 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=0-4", 10, BYTE_RANGE_SATISFIABLE, 1, {{0, 5}}},
        {"bytes=5-", 10, BYTE_RANGE_SATISFIABLE, 1, {{5, 5}}},
        {"bytes=-3", 10, BYTE_RANGE_SATISFIABLE, 1, {{7, 3}}},
        {"bytes=-30", 10, BYTE_RANGE_SATISFIABLE, 1, {{0, 10}}},
        {"bytes=8-99", 10, BYTE_RANGE_SATISFIABLE, 1, {{8, 2}}},
        {"BYTES= 0-0 , ,9-9", 10, BYTE_RANGE_SATISFIABLE, 2, {{0, 1}, {9, 1}}},
        {"bytes=0-1,5-6,2-4", 10, BYTE_RANGE_SATISFIABLE, 1, {{0, 7}}},
        {"bytes=9-9,0-1", 10, BYTE_RANGE_SATISFIABLE, 2, {{9, 1}, {0, 2}}},
        {"bytes=20-,1-1", 10, BYTE_RANGE_SATISFIABLE, 1, {{1, 1}}},
        {"bytes=10-", 10, BYTE_RANGE_UNSATISFIABLE, 0, {{0, 0}}},
        {"bytes=-0", 10, BYTE_RANGE_UNSATISFIABLE, 0, {{0, 0}}},
        {"bytes=0-", 0, BYTE_RANGE_UNSATISFIABLE, 0, {{0, 0}}},
        {"bytes=4-3", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=a-b", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=1", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=0-1;2", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"lines=0-1", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=99999999999999999999-", 10, BYTE_RANGE_IGNORED, 0, {{0, 0}}},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32",
         99,
         BYTE_RANGE_IGNORED,
         0,
         {{0, 0}}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct byte_range ranges[BYTE_RANGES_MAX];
        size_t n;
        assert_int_equal(byte_range_parse(cases[i].field, cases[i].total, ranges, &n), cases[i].verdict);
        if (cases[i].verdict == BYTE_RANGE_SATISFIABLE) {
            assert_int_equal(n, cases[i].count);
            assert_memory_equal(ranges, cases[i].ranges, n * sizeof(ranges[0]));
        }
    }
}

static void content_ranges_are_taken_whole(void **state)
{
    (void)state;
    struct byte_range range;
    uint64_t total;
    assert_true(byte_range_parse_content("bytes 5-9/10", &range, &total));
    assert_int_equal(range.first, 5);
    assert_int_equal(range.len, 5);
    assert_int_equal(total, 10);
    assert_true(byte_range_parse_content("bytes 5-9/*", &range, &total));
    assert_true(total == UINT64_MAX);
    const char *const bad[] = {"bytes */10", "bytes 5-4/10", "bytes 5-10/10", "bytes 5-9/10x", "5-9/10", "bytes 5-9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(byte_range_parse_content(bad[i], &range, &total));
}

static void conditions_are_judged_in_their_order(void **state)
{
    (void)state;
    const time_t now = 1700000000;
    const struct http_validators ours = {.etag = "\"a\"", .modified = 784111777};
    const char *same = "Sun, 06 Nov 1994 08:49:37 GMT", *before = "Sun, 06 Nov 1994 08:49:36 GMT";
    const struct {
        struct http_conditions conditions;
        int status;
    } cases[] = {
        {{0}, 200},
        {{.if_match = "\"a\""}, 200},
        {{.if_match = "*"}, 200},
        {{.if_match = "\"b\", \"a\""}, 200},
        {{.if_match = "\"b\""}, 412},
        {{.if_match = "W/\"a\""}, 412},
        {{.if_match = "a"}, 412},
        {{.if_match = "\"a"}, 412},
        {{.if_match = "\"a\"", .if_unmodified_since = before}, 200},
        {{.if_unmodified_since = before}, 412},
        {{.if_unmodified_since = same}, 200},
        {{.if_none_match = "\"a\""}, 304},
        {{.if_none_match = "W/\"a\""}, 304},
        {{.if_none_match = "*"}, 304},
        {{.if_none_match = "\"b\"", .if_modified_since = same}, 200},
        {{.if_modified_since = same}, 304},
        {{.if_modified_since = before}, 200},
        {{.if_modified_since = "yesterday"}, 200},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(http_conditions_judge(&cases[i].conditions, &ours, now), cases[i].status);
    assert_true(http_range_applies(&(struct http_conditions){0}, &ours, now));
    assert_true(http_range_applies(&(struct http_conditions){.if_range = "\"a\""}, &ours, now));
    assert_false(http_range_applies(&(struct http_conditions){.if_range = "W/\"a\""}, &ours, now));
    assert_true(http_range_applies(&(struct http_conditions){.if_range = same}, &ours, now));
    assert_false(http_range_applies(&(struct http_conditions){.if_range = before}, &ours, now));
    /* It may change once more in this second. */
    assert_false(http_range_applies(&(struct http_conditions){.if_range = same}, &ours, 784111778));
}

static void codings_have_weights(void **state)
{
    (void)state;
    assert_int_equal(http_coding_weight(NULL, "br"), 0);
    assert_int_equal(http_coding_weight("gzip, br;q=0.5", "br"), 500);
    assert_int_equal(http_coding_weight("gzip, br;q=0.5", "gzip"), 1000);
    assert_int_equal(http_coding_weight("gzip;q=0, *", "gzip"), 0);
    assert_int_equal(http_coding_weight("gzip;q=0, *", "br"), 1000);
    assert_int_equal(http_coding_weight("bro", "br"), 0);
    assert_int_equal(http_coding_weight("", "gzip"), 0);
    assert_true(http_coding_weight("gzip", "identity") > 0);
    assert_int_equal(http_coding_weight("*;q=0", "identity"), 0);
    assert_string_equal(content_type_of("a/b.HTML"), "text/html; charset=utf-8");
    assert_string_equal(content_type_of("a.html/b"), "application/octet-stream");
}

static void urls_are_taken_apart_and_resolved(void **state)
{
    (void)state;
    struct url url, to;
    char text[URL_TEXT_MAX], name[URL_HOST_MAX];
    const char *const bad[] = {"http://a/",
                               "https://",
                               "https://a:0/",
                               "https://a:x/",
                               "https://a:70000/",
                               "https://u@a/",
                               "https://[::1/",
                               "https://[::g]/",
                               "https://a b/",
                               "https:///x",
                               "a",
                               "https://a/\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(url_parse(bad[i], &url));
    assert_true(url_parse("HTTPS://[::1]:8443?q#f", &url));
    assert_string_equal(url_format(&url, text), "https://[::1]:8443/?q");
    assert_true(url_parse("https://Example.ORG/a/b c/d%2fe?x=y#f", &url));
    assert_string_equal(url_format(&url, text), "https://example.org/a/b%20c/d%2fe?x=y");
    assert_false(url_file_name(&url, name));
    assert_true(url_parse("https://h/b/c/d;p?q", &url));
    assert_true(url_file_name(&url, name));
    assert_string_equal(name, "d;p");
    /* RFC 3986 section 5.4, as far as it stays https. */
    static const char *const steps[][2] = {
        {"g", "/b/c/g"},
        {"./g", "/b/c/g"},
        {"g/", "/b/c/g/"},
        {"/g", "/g"},
        {"?y", "/b/c/d;p?y"},
        {"g?y", "/b/c/g?y"},
        {"", "/b/c/d;p?q"},
        {".", "/b/c/"},
        {"./", "/b/c/"},
        {"..", "/b/"},
        {"../g", "/b/g"},
        {"../..", "/"},
        {"../../g", "/g"},
        {"../../../g", "/g"},
        {"/./g", "/g"},
        {"g;x=1/../y", "/b/c/y"},
        {"g?y/../x", "/b/c/g?y/../x"},
        {"..g", "/b/c/..g"},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        assert_true(url_resolve(&url, steps[i][0], &to));
        assert_string_equal(to.path, steps[i][1]);
        assert_true(url_same_origin(&url, &to));
    }
    assert_true(url_resolve(&url, "//other:1/x", &to));
    assert_string_equal(url_format(&to, text), "https://other:1/x");
    assert_false(url_same_origin(&url, &to));
    assert_false(url_resolve(&url, "http://h/", &to));
    assert_false(url_resolve(&url, "file:/etc/passwd", &to));
}

static void a_line_of_the_log_is_one_line(void **state)
{
    (void)state;
    char line[256];
    roam_address remote;
    assert_true(roam_address_parse(&remote, "[2001:db8::1]:4433"));
    struct access_entry entry = {.remote = &remote,
                                 .method = "GET",
                                 .path = "/\n\"\\\x80",
                                 .protocol = "HTTP/3.0",
                                 .agent = "x y",
                                 .status = 404,
                                 .bytes = 14};
    size_t len = access_log_format(&entry, 784111777, line, sizeof(line));
    assert_string_equal(line,
                        "2001:db8::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /\\x0a\\x22\\x5c\\x80 HTTP/3.0\" 404 14 "
                        "\"-\" \"x y\"\n");
    assert_int_equal(len, strlen(line));
    char path[2000];
    memset(path, '"', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    entry.path = path;
    assert_true(access_log_format(&entry, 0, line, sizeof(line)) < sizeof(line));
}

/* ---- Answers from a directory ------------------------------------------------------------------------------------ */

struct directory {
    char path[64];
    struct file_site site;
};

static void put(const struct directory *directory, const char *name, const char *content)
{
    int fd = openat(directory->site.root, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static int make_directory(void **state)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    strcpy(directory->path, "/tmp/roam-files-XXXXXX");
    assert_non_null(mkdtemp(directory->path));
    directory->site.root = open(directory->path, O_RDONLY | O_DIRECTORY);
    put(directory, "file.txt", "0123456789");
    put(directory, "file.txt.gz", "GZ");
    assert_int_equal(mkdirat(directory->site.root, "sub", 0755), 0);
    put(directory, "sub/<b>&\".txt", "x");
    assert_int_equal(symlinkat("/etc/passwd", directory->site.root, "out"), 0);
    assert_int_equal(symlinkat("../../etc/passwd", directory->site.root, "up"), 0);
    assert_int_equal(symlinkat("/", directory->site.root, "root"), 0);
    assert_int_equal(mkfifoat(directory->site.root, "fifo", 0644), 0);
    *state = directory;
    return 0;
}

static int remove_directory(void **state)
{
    struct directory *directory = *state;
    static const char *const names[] = {"file.txt", "file.txt.gz", "sub/<b>&\".txt", "out", "up", "root", "fifo"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(directory->site.root, names[i], 0);
    unlinkat(directory->site.root, "sub", AT_REMOVEDIR);
    close(directory->site.root);
    rmdir(directory->path);
    free(directory);
    return 0;
}

static const char *value_of(const struct file_response *response, const char *name)
{
    for (size_t i = 0; i < response->field_count; i++)
        if (strcmp(response->fields[i].name, name) == 0)
            return response->fields[i].value;
    return "";
}

/* The content, read three octets at a time. */
static void read_all(const struct file_response *response, char ret[4096])
{
    uint64_t at = 0;
    while (at < response->content_bytes) {
        ptrdiff_t n = file_response_read(response, at, ret + at, 3);
        assert_true(n > 0);
        at += (uint64_t)n;
    }
    ret[at] = '\0';
}

static int status_of(const struct directory *directory, const char *method, const char *path)
{
    struct file_response response;
    assert_true(
        file_response_make(&directory->site, &(struct file_request){.method = method, .path = path}, &response));
    int status = response.status;
    file_response_done(&response);
    return status;
}

static void only_regular_files_below_are_served(void **state)
{
    const struct directory *directory = *state;
    assert_int_equal(status_of(directory, "GET", "/file.txt"), 200);
    assert_int_equal(status_of(directory, "GET", "/file.txt/"), 404);
    assert_int_equal(status_of(directory, "GET", "/file.txt/x"), 404);
    assert_int_equal(status_of(directory, "GET", "/none"), 404);
    assert_int_equal(status_of(directory, "GET", "/out"), 403);
    assert_int_equal(status_of(directory, "GET", "/up"), 403);
    assert_int_equal(status_of(directory, "GET", "/root/etc/passwd"), 403);
    assert_int_equal(status_of(directory, "GET", "/fifo"), 403);
    assert_int_equal(status_of(directory, "GET", "/sub"), 301);
    assert_int_equal(status_of(directory, "GET", "/sub/"), 403);
    assert_int_equal(status_of(directory, "POST", "/file.txt"), 405);
    assert_int_equal(status_of(directory, "CONNECT", NULL), 405);
}

static void several_ranges_are_parts(void **state)
{
    const struct directory *directory = *state;
    struct file_response response;
    char content[4096];
    const struct file_request request = {.method = "GET", .path = "/file.txt", .range = "bytes=0-2,7-"};
    assert_true(file_response_make(&directory->site, &request, &response));
    assert_int_equal(response.status, 206);
    read_all(&response, content);
    assert_non_null(strstr(content, "Content-Range: bytes 0-2/10\r\n\r\n012\r\n--"));
    assert_non_null(strstr(content, "Content-Range: bytes 7-9/10\r\n\r\n789\r\n--"));
    assert_int_equal(strtoul(value_of(&response, "content-length"), NULL, 10), strlen(content));
    assert_memory_equal(value_of(&response, "content-type"), "multipart/byteranges; boundary=", 31);
    file_response_done(&response);
}

static void a_precompressed_file_stands_in(void **state)
{
    const struct directory *directory = *state;
    struct file_response response;
    char content[4096];
    struct file_request request = {.method = "GET", .path = "/file.txt", .accept_encoding = "br, gzip"};
    assert_true(file_response_make(&directory->site, &request, &response));
    read_all(&response, content);
    assert_string_equal(content, "GZ");
    assert_string_equal(value_of(&response, "content-encoding"), "gzip");
    assert_string_equal(value_of(&response, "vary"), "accept-encoding");
    assert_string_equal(value_of(&response, "content-type"), "text/plain; charset=utf-8");
    file_response_done(&response);
    /* One that is older than what it was made of is none. */
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(directory->site.root, "file.txt.gz", old, 0), 0);
    assert_true(file_response_make(&directory->site, &request, &response));
    read_all(&response, content);
    assert_string_equal(content, "0123456789");
    file_response_done(&response);
}

static void a_file_that_changes_is_broken_off(void **state)
{
    const struct directory *directory = *state;
    struct file_response response;
    char buffer[16];
    const struct file_request request = {.method = "GET", .path = "/file.txt"};
    assert_true(file_response_make(&directory->site, &request, &response));
    assert_int_equal(file_response_read(&response, 0, buffer, 4), 4);
    put(directory, "file.txt", "01234");
    assert_int_equal(file_response_read(&response, 4, buffer, 4), -1);
    file_response_done(&response);
}

static void listings_are_escaped(void **state)
{
    struct directory *directory = *state;
    struct file_response response;
    char content[4096];
    directory->site.listings = true;
    assert_true(
        file_response_make(&directory->site, &(struct file_request){.method = "GET", .path = "/sub/"}, &response));
    assert_int_equal(response.status, 200);
    read_all(&response, content);
    assert_non_null(strstr(content, "<a href=\"%3Cb%3E%26%22.txt\">&#60;b&#62;&#38;&#34;.txt</a>"));
    assert_null(strstr(content, "<b>"));
    file_response_done(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_come_in_three_forms),
        cmocka_unit_test(a_path_is_decoded_once_and_leads_nowhere_else),
        cmocka_unit_test(ranges_are_cut_joined_or_ignored),
        cmocka_unit_test(content_ranges_are_taken_whole),
        cmocka_unit_test(conditions_are_judged_in_their_order),
        cmocka_unit_test(codings_have_weights),
        cmocka_unit_test(urls_are_taken_apart_and_resolved),
        cmocka_unit_test(a_line_of_the_log_is_one_line),
        cmocka_unit_test_setup_teardown(only_regular_files_below_are_served, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(several_ranges_are_parts, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_precompressed_file_stands_in, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_file_that_changes_is_broken_off, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(listings_are_escaped, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
