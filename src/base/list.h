/*
 * list.h - an intrusive doubly linked ring.
 *
 * The head is a struct tl_list itself.  A node that is not in a list points
 * at itself after tl_list_init, so unlinking twice is harmless.
 */
#ifndef TALLY_BASE_LIST_H
#define TALLY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct tl_list {
	struct tl_list *prev, *next;
};
static inline void tl_list_init(struct tl_list *l)
{
	l->prev = l->next = l;
}
static inline bool tl_list_empty(const struct tl_list *l)
{
	return l->next == l;
}
static inline void tl_list_unlink(struct tl_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	tl_list_init(n);
}
static inline void tl_list_append(struct tl_list *head, struct tl_list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}
static inline void tl_list_prepend(struct tl_list *head, struct tl_list *n)
{
	tl_list_append(head->next, n);
}
#define TL_CONTAINER(p, type, member)                                          \
	((type *)(void *)((char *)(p)-offsetof(type, member)))
/* The body may unlink `pos` (a struct tl_list *), nothing else. */
#define TL_LIST_EACH(pos, tmp, head)                                           \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head);       \
	     (pos) = (tmp), (tmp) = (pos)->next)

#endif
