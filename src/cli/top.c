/*
 * roam top: a server's table of connections, live. Kept: nothing turns without a cause: a key, a line of the server's, a
 * second that is over; the screen is drawn ten times a second at most; and however it ends, the terminal is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/minmax.h"
#include "cli/cli.h"
#include "cli/control_path.h"
#include "cli/top_link.h"
#include "cli/top_screen.h"

#define USAGE                                                                                                          \
    "usage: roam top [options]\n\n"                                                                                    \
    "Shows the connections of a running roam server, live: rows that move stand out for two seconds and say where\n"   \
    "they were, Enter opens one of them, ? tells the other keys. Without --control it looks for the one server that\n" \
    "this user runs.\n"

/* The table is asked for so often; a server that says nothing for three times as long is told to be silent. */
#define ASK_MS     1000
#define SILENCE    ROAM_SECONDS(3)
#define DRAW_EVERY ROAM_MILLISECONDS(100)

struct top_options {
    const char *control;
};

static const struct option_spec specs[] = {
    {"control", 0, OPTION_TEXT, offsetof(struct top_options, control), "PATH|PID",
     "the server's control socket, or its process"},
};

static const int caught_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};

struct top {
    uv_loop_t loop;
    uv_poll_t keys;
    uv_timer_t asking, drawing;
    uv_signal_t signals[ARRAY_LENGTH(caught_signals)];
    struct top_link link;
    struct top_model model;
    roam_time drawn_at;
    bool silent; /* the server, and the last line says so */
    bool over;
    int status;
    char why[TOP_MESSAGE_MAX]; /* said once the terminal is back */
};

/* ---- The end */

static void end(struct top *top, int status, const char *why)
{
    if (top->over)
        return;
    top->over = true;
    top->status = status;
    snprintf(top->why, sizeof(top->why), "%s", why);
    uv_stop(&top->loop);
}

/* ---- Drawing */

static void on_draw(uv_timer_t *timer);

/* At that time, or earlier where something else asks for it. */
static void draw_at(struct top *top, roam_time when)
{
    const roam_time now = uv_hrtime();
    uint64_t in_ms = (saturating_sub(max_u64(when, top->drawn_at + DRAW_EVERY), now) + 999999) / 1000000;
    if (!uv_is_active((uv_handle_t *)&top->drawing) || uv_timer_get_due_in(&top->drawing) > in_ms)
        uv_timer_start(&top->drawing, on_draw, in_ms, 0);
}

/* What the model wants of the server. What cannot be asked yet is asked with the next answer. */
static void ask(struct top *top)
{
    struct top_model *model = &top->model;
    if (model->subscribe && top_link_ask(&top->link, TOP_ASK_EVENTS))
        model->subscribe = false;
    /* A pause holds on to what there is, and of a connection that was just opened there is nothing yet. */
    if (model->paused && (model->page != TOP_DETAIL || model->detail.loaded))
        return;
    if (model->stale && !model->paused && top_link_ask(&top->link, TOP_ASK_TABLE))
        model->stale = false;
    if (model->ask_detail && top_link_ask(&top->link, TOP_ASK_DETAIL))
        model->ask_detail = false;
}

static void on_draw(uv_timer_t *timer)
{
    struct top *top = timer->data;
    const roam_time now = uv_hrtime();
    ask(top);
    top_screen_draw(&top->model, now);
    top->drawn_at = now;
    const roam_time next = top_model_next_change(&top->model, now);
    if (next != 0)
        draw_at(top, next);
}

/* ---- What happens */

static void on_second(uv_timer_t *timer)
{
    struct top *top = timer->data;
    struct top_model *model = &top->model;
    top->silent = top->link.asked_count > 0 && uv_hrtime() - top->link.asked_at > SILENCE;
    if (top->silent)
        snprintf(model->message, sizeof(model->message), "the server has not answered for %u s",
                 (unsigned)((uv_hrtime() - top->link.asked_at) / ROAM_SECONDS(1)));
    const bool detail = model->page == TOP_DETAIL || (model->page == TOP_HELP && model->page_below == TOP_DETAIL);
    model->stale = model->stale || !detail;
    model->ask_detail = model->ask_detail || (detail && !model->detail.gone);
    draw_at(top, 0);
}

static void on_news(void *context)
{
    struct top *top = context;
    if (top->silent)
        top->model.message[0] = '\0';
    top->silent = false;
    draw_at(top, 0);
}

static void on_gone(void *context, const char *why)
{
    struct top *top = context;
    top_link_close(&top->link);
    end(top, EXIT_CONNECTION, why);
}

/* A terminal that is gone is readable for ever, and has no keys. */
static bool terminal_is_gone(void)
{
    struct pollfd entry = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void on_keys(uv_poll_t *handle, int status, int events)
{
    struct top *top = handle->data;
    int key;
    (void)events;
    while ((key = top_screen_key()) >= 0)
        top_key(&top->model, key, uv_hrtime());
    if (status < 0 || terminal_is_gone())
        end(top, 128 + SIGHUP, "");
    else if (top->model.quit)
        end(top, EXIT_OK, "");
    else
        draw_at(top, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct top *top = handle->data;
    if (number != SIGWINCH) {
        end(top, 128 + number, "");
        return;
    }
    top_screen_resize();
    top_model_resize(&top->model, top_screen_lines());
    draw_at(top, 0);
}

/* ---- Life */

/* Who has the terminal next wants to wait for it: that is no setting of this process, but of the terminal. */
static void watch_terminal(struct top *top)
{
    const int flags = fcntl(STDIN_FILENO, F_GETFL);
    uv_poll_init(&top->loop, &top->keys, STDIN_FILENO);
    if (flags >= 0)
        fcntl(STDIN_FILENO, F_SETFL, flags);
}

static void start_handles(struct top *top)
{
    uv_timer_init(&top->loop, &top->asking);
    uv_timer_init(&top->loop, &top->drawing);
    watch_terminal(top);
    top->asking.data = top->drawing.data = top->keys.data = top;
    /* Before curses: it catches what nobody catches yet. */
    for (size_t i = 0; i < ARRAY_LENGTH(caught_signals); i++) {
        uv_signal_init(&top->loop, &top->signals[i]);
        top->signals[i].data = top;
        uv_signal_start(&top->signals[i], on_signal, caught_signals[i]);
    }
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void run(struct top *top)
{
    top_model_resize(&top->model, top_screen_lines());
    uv_timer_start(&top->asking, on_second, ASK_MS, ASK_MS);
    uv_poll_start(&top->keys, UV_READABLE | UV_DISCONNECT, on_keys);
    draw_at(top, 0);
    uv_run(&top->loop, UV_RUN_DEFAULT);
}

static int watch(struct top *top, int fd)
{
    top_model_init(&top->model);
    uv_loop_init(&top->loop);
    start_handles(top);
    top->link.model = &top->model;
    top->link.on_news = on_news;
    top->link.on_gone = on_gone;
    top->link.context = top;
    if (!top_link_open(&top->link, &top->loop, fd)) {
        close(fd);
        end(top, EXIT_LOCAL, "no memory");
    } else if (!top_screen_open()) {
        top_link_close(&top->link);
        end(top, EXIT_LOCAL, "this terminal cannot be drawn on; is TERM right?");
    } else {
        run(top);
        top_screen_close();
        top_link_close(&top->link);
    }
    uv_walk(&top->loop, close_handle, NULL);
    /* Once for a stop that came before anything ran. */
    while (uv_loop_close(&top->loop) == UV_EBUSY)
        uv_run(&top->loop, UV_RUN_DEFAULT);
    if (top->why[0] != '\0')
        say_error("%s", top->why);
    return top->status;
}

static int connect_and_watch(const char *path)
{
    int fd = control_connect(path);
    if (fd < 0) {
        say_error("no server can be asked by %s: %s", path, strerror(errno));
        return EXIT_CONNECTION;
    }
    struct top *top = calloc(1, sizeof(*top));
    if (top == NULL) {
        close(fd);
        say_error("no memory");
        return EXIT_LOCAL;
    }
    int status = watch(top, fd);
    free(top);
    return status;
}

int top_main(int argc, char **argv)
{
    struct top_options options = {0};
    struct command_line line = {.command = "roam top", .specs = specs, .spec_count = ARRAY_LENGTH(specs)};
    char path[CONTROL_PATH_MAX];
    bool help;
    if (!options_parse(&line, argc, argv, USAGE, &options, &help))
        return EXIT_USAGE;
    if (help)
        return EXIT_OK;
    if (line.positional_count != 0) {
        say_error("roam top takes no '%s'; `roam top --help` tells more", line.positional[0]);
        return EXIT_USAGE;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        say_error("roam top draws on a terminal, and standard input or output is none");
        return EXIT_LOCAL;
    }
    if (!control_path_of(options.control, path))
        return EXIT_CONNECTION;
    return connect_and_watch(path);
}
