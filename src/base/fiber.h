/* fiber.h: a second C stack, for work that must be left in the middle of a C function and gone back to later.
 *
 *   owner --fiber_enter--> body runs on the fiber's stack --fiber_leave--> owner, behind fiber_enter --fiber_enter--> ...
 *
 * Entering and leaving are plain calls that exchange stacks: no thread, no lock, no system call. Below the stack lies a page
 * that cannot be touched, so that an overflow is a fault and never a write into someone's memory. */
#ifndef TRIVET_BASE_FIBER_H
#define TRIVET_BASE_FIBER_H

#include "base/base.h"

typedef struct fiber fiber_t;
typedef void (*fiber_body_t)(void *user);

/* The body starts at the first fiber_enter and must never return; the stack's memory is taken as it is touched. */
fiber_t *fiber_new(size_t stack_bytes, fiber_body_t body, void *user);
void fiber_free(fiber_t *fiber); /* from outside; what lies on its stack is forgotten */
void fiber_enter(fiber_t *fiber);
void fiber_leave(fiber_t *fiber); /* from inside */
bool fiber_is_inside(const fiber_t *fiber);
/* Bytes of its stack that are still free; from inside. */
size_t fiber_stack_left(const fiber_t *fiber);

#endif
