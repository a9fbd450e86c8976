/*
 * Circular doubly linked list, embedded in what it links. A node that is on no list points to itself, so that unlinking
 * twice does no harm.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

struct list_node {
    struct list_node *prev, *next;
};

static inline void list_init(struct list_node *node)
{
    node->prev = node->next = node;
}
static inline bool list_is_linked(const struct list_node *node)
{
    return node->next != node;
}
static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_insert_before(struct list_node *where, struct list_node *node)
{
    node->prev = where->prev;
    node->next = where;
    where->prev->next = node;
    where->prev = node;
}

/* Appends at the end of the list. */
static inline void list_append(struct list_node *head, struct list_node *node)
{
    list_insert_before(head, node);
}

static inline void list_unlink(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_FOR_EACH(node, head) for (struct list_node *node = (head)->next; (node) != (head); (node) = (node)->next)

/* Allows unlinking of `node` in the body. */
#define LIST_FOR_EACH_SAFE(node, head)                                                                                 \
    for (struct list_node *node = (head)->next, *node##_next = node->next; (node) != (head);                           \
         (node) = node##_next, node##_next = (node)->next)

#endif
