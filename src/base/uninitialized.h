/*
 * UNINITIALIZED marks a local that is written before it is read, so that -ftrivial-auto-var-init (docs/hardening.md) does not
 * clear it first. For what each packet passes, and nothing else.
 */
#ifndef BASE_UNINITIALIZED_H
#define BASE_UNINITIALIZED_H

#if defined(__has_attribute) && __has_attribute(uninitialized)
#define UNINITIALIZED __attribute__((uninitialized))
#else
#define UNINITIALIZED
#endif

#endif
