/*
 * What one timer for each connection costs, with 10^3 to 10^6 of them:
 *
 *   set       every connection gets its first deadline, somewhere in the next 30 s
 *   later     one among all is put off to the end of these, as an idle timeout is by each packet
 *   sooner    one among all gets a deadline in the next 25 ms, as for an acknowledgement, and then its old one again
 *   expire    the earliest has come, and is put off by 30 s
 *
 *   build/bench/timers [ROUNDS [LARGEST]]
 *
 * Nanoseconds for each: medians, least and most of the rounds, each of which measures every size.
 */
#include "figures.h"

#include "base/timer_heap.h"

#define SIZES_MAX  4
#define SMALLEST   1000
#define OPERATIONS 500000
#define IDLE       ROAM_SECONDS(30)
#define SOON       ROAM_MILLISECONDS(25)

struct size_figures {
    size_t timers;
    struct figure set, later, sooner, expire;
};

/* As a connection holds it: other lines of memory for each. */
struct timed {
    struct timer_node node;
    char rest[2048 - sizeof(struct timer_node)];
};

static double each(size_t count, uint64_t began)
{
    return (double)(now_ns() - began) / (double)count;
}

static void measure(struct size_figures *figures, struct timed *timed)
{
    size_t bytes_out = 0;
    const roam_allocator allocator = {.reallocate = counting_reallocate, .context = &bytes_out};
    struct timer_heap heap;
    roam_time now = 0;
    timer_heap_init(&heap, &allocator);
    for (size_t i = 0; i < figures->timers; i++)
        timer_node_init(&timed[i].node);

    uint64_t began = now_ns();
    for (size_t i = 0; i < figures->timers; i++) {
        if (!timer_heap_reserve(&heap, heap.count + 1))
            exit(1);
        timer_heap_set(&heap, &timed[i].node, now + scatter(i) % IDLE);
    }
    figure_add(&figures->set, each(figures->timers, began));

    began = now_ns();
    for (size_t i = 0; i < OPERATIONS; i++)
        timer_heap_set(&heap, &timed[scatter(i) % figures->timers].node, ++now + IDLE);
    figure_add(&figures->later, each(OPERATIONS, began));

    began = now_ns();
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct timer_node *node = &timed[scatter(i) % figures->timers].node;
        timer_heap_set(&heap, node, ++now + SOON);
        timer_heap_set(&heap, node, now + IDLE);
    }
    figure_add(&figures->sooner, each(OPERATIONS, began));

    began = now_ns();
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct timer_node *first = timer_heap_first(&heap);
        now = first->deadline > now ? first->deadline : now;
        timer_heap_set(&heap, first, now + IDLE);
    }
    figure_add(&figures->expire, each(OPERATIONS, began));
    timer_heap_done(&heap);
}

int main(int argc, char **argv)
{
    static struct size_figures sizes[SIZES_MAX];
    const size_t rounds = argc > 1 ? count_from("timers", argv[1], ROUNDS_MAX) : 7;
    const size_t largest = argc > 2 ? count_from("timers", argv[2], 1000000) : 1000000;
    size_t count = 0;
    for (size_t timers = SMALLEST; timers <= largest && count < SIZES_MAX; timers *= 10)
        sizes[count++].timers = timers;
    if (count == 0)
        return 0;
    struct timed *timed = calloc(sizes[count - 1].timers, sizeof(*timed));
    if (timed == NULL)
        return 1;
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++)
            measure(&sizes[i], timed);
    free(timed);
    printf("%zu rounds: nanoseconds each, median (least-most)\n", rounds);
    printf("%10s  %18s  %18s  %18s  %18s\n", "timers", "set", "later", "sooner and back", "expire");
    for (size_t i = 0; i < count; i++) {
        printf("%10zu", sizes[i].timers);
        figure_print(&sizes[i].set, 18, 0);
        figure_print(&sizes[i].later, 18, 0);
        figure_print(&sizes[i].sooner, 18, 0);
        figure_print(&sizes[i].expire, 18, 0);
        printf("\n");
    }
    return 0;
}
