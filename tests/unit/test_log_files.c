/* Files of qlogs and of secrets: named apart, whole where the disk is full, and for nobody else to read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/log_files.h"

static char directory[64], path[256];
static struct qlog_files files;
static roam_qlog sink;
static const roam_cid cid = {.len = 8, .bytes = {1, 2, 3, 4, 5, 6, 7, 0xfe}};

static const char *in_directory(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    const roam_allocator allocator = roam_allocator_default();
    strcpy(directory, "/tmp/roam-test-logs-XXXXXX");
    return mkdtemp(directory) != NULL && qlog_files_init(&files, &allocator, directory, &sink) == ROAM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"01020304050607fe_client.sqlog",
                                        "01020304050607fe_server.sqlog",
                                        "01020304050607fe_server-2.sqlog",
                                        "01020304050607fe_server-3.sqlog",
                                        "keys",
                                        "file",
                                        "made"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        remove(in_directory(names[i]));
    return rmdir(directory);
}

static long size_of(const char *name)
{
    struct stat status;
    return stat(in_directory(name), &status) == 0 ? (long)status.st_size : -1;
}

static void connections_of_one_name_have_files_of_their_own(void **state)
{
    (void)state;
    void *logs[4];
    for (int i = 0; i < 4; i++) {
        logs[i] = sink.open(sink.context, &cid, i > 0);
        assert_non_null(logs[i]);
        assert_true(sink.write(sink.context, logs[i], "abcd", (size_t)i + 1));
    }
    for (int i = 0; i < 4; i++)
        sink.close(sink.context, logs[i]);
    assert_int_equal(size_of("01020304050607fe_client.sqlog"), 1);
    assert_int_equal(size_of("01020304050607fe_server.sqlog"), 2);
    assert_int_equal(size_of("01020304050607fe_server-2.sqlog"), 3);
    assert_int_equal(size_of("01020304050607fe_server-3.sqlog"), 4);
    assert_string_equal(files.failure, "");
}

static void a_file_may_be_written_anew_where_that_is_asked_for(void **state)
{
    (void)state;
    files.replace = true;
    for (size_t len = 4; len > 0; len--) {
        void *log = sink.open(sink.context, &cid, false);
        assert_true(sink.write(sink.context, log, "abcd", len));
        sink.close(sink.context, log);
    }
    assert_int_equal(size_of("01020304050607fe_client.sqlog"), 1);
}

static void a_full_disk_leaves_what_was_whole(void **state)
{
    (void)state;
    static const char records[700];
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    void *log = sink.open(sink.context, &cid, false);
    bool first = sink.write(sink.context, log, records, sizeof(records));
    bool second = sink.write(sink.context, log, records, sizeof(records));
    sink.close(sink.context, log);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_true(first && !second);
    assert_int_equal(size_of("01020304050607fe_client.sqlog"), sizeof(records));
    assert_non_null(strstr(files.failure, "01020304050607fe_client.sqlog: File too large"));
}

static void a_directory_is_made_and_a_file_is_none(void **state)
{
    (void)state;
    struct qlog_files other;
    roam_qlog ignored;
    const roam_allocator allocator = roam_allocator_default();
    assert_int_equal(qlog_files_init(&other, &allocator, in_directory("made"), &ignored), ROAM_OK);
    assert_int_equal(qlog_files_init(&other, &allocator, in_directory("made"), &ignored), ROAM_OK);
    FILE *file = fopen(in_directory("file"), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(qlog_files_init(&other, &allocator, in_directory("file"), &ignored), ROAM_ERR_SYSTEM);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(qlog_files_init(&other, &allocator, in_directory("no/such"), &ignored), ROAM_ERR_SYSTEM);
    assert_int_equal(errno, ENOENT);
}

static void secrets_are_appended_to_a_file_that_nobody_else_reads(void **state)
{
    (void)state;
    struct keylog_file file;
    roam_keylog keylog;
    struct stat status;
    umask(0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keylog_file_open(&file, in_directory("keys"), &keylog), ROAM_OK);
        keylog.write(keylog.context, "LABEL 00 11");
        keylog_file_close(&file);
    }
    assert_int_equal(stat(in_directory("keys"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, 2 * strlen("LABEL 00 11\n"));
    assert_int_equal(keylog_file_open(&file, in_directory("no/such"), &keylog), ROAM_ERR_SYSTEM);
    assert_int_equal(errno, ENOENT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections_of_one_name_have_files_of_their_own),
        TEST(a_file_may_be_written_anew_where_that_is_asked_for),
        TEST(a_full_disk_leaves_what_was_whole),
        TEST(a_directory_is_made_and_a_file_is_none),
        TEST(secrets_are_appended_to_a_file_that_nobody_else_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
