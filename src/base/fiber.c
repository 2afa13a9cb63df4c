/* fiber.c: see fiber.h. A few instructions exchange the stacks on x86-64 and aarch64; elsewhere ucontext does, for a system
 * call an exchange. */
#include "base/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__aarch64__)
#define FIBER_BY_HAND 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct fiber {
    uint8_t *memory; /* the guard page, then the stack */
    size_t guard_bytes, stack_bytes;
    fiber_body_t body;
    void *user;
    bool inside;
#ifdef FIBER_BY_HAND
    void *inner, *outer; /* stack pointers of whoever does not run */
#else
    ucontext_t inner, outer;
#endif
#ifdef FIBER_ASAN
    const void *outer_stack;
    size_t outer_bytes;
    void *outer_fake, *inner_fake;
#endif
#ifdef FIBER_TSAN
    void *inner_thread, *outer_thread; /* what ThreadSanitizer knows of each stack */
#endif
};

static void begin(fiber_t *fiber);

/* ThreadSanitizer counts the calls and returns of each stack, so a macro tells it, with no call between the word and the deed. */
#ifdef FIBER_TSAN
#define TELL_THREAD(which) __tsan_switch_to_fiber(which, 0)
#else
#define TELL_THREAD(which) ((void)0)
#endif

/* ---- the exchange ---------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
/* Pushes what a call must preserve, stores the stack pointer in *save, takes the other one and pops. */
void fiber__exchange(void **save, void *to);
__asm__(".text\n.globl fiber__exchange\n.hidden fiber__exchange\n.type fiber__exchange, @function\nfiber__exchange:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "subq $8, %rsp\nstmxcsr (%rsp)\nfnstcw 4(%rsp)\n"
        "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
        "ldmxcsr (%rsp)\nfldcw 4(%rsp)\naddq $8, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".size fiber__exchange, .-fiber__exchange\n");

/* The first exchange pops this: begin() is returned to with the fiber in the place of its first argument. */
void fiber__first(void);
__asm__(".text\n.hidden fiber__first\n.globl fiber__first\n.type fiber__first, @function\nfiber__first:\n"
        "movq %r12, %rdi\nxorl %ebp, %ebp\ncall *%r13\nhlt\n.size fiber__first, .-fiber__first\n");

static void *first_frame(fiber_t *fiber, uint8_t *top)
{
    uint64_t *at = (uint64_t *)top - 10; /* 16-byte aligned where fiber__first calls */
    *at = 0;                             /* the control words */
    __asm__ volatile("stmxcsr (%0)\nfnstcw 4(%0)" : : "r"(at) : "memory");
    at[1] = at[2] = 0;                         /* r15, r14 */
    at[3] = (uint64_t)(uintptr_t)begin;        /* r13 */
    at[4] = (uint64_t)(uintptr_t)fiber;        /* r12 */
    at[5] = at[6] = 0;                         /* rbx, rbp */
    at[7] = (uint64_t)(uintptr_t)fiber__first; /* where the exchange returns to */
    return at;
}
#endif

#ifdef __aarch64__
void fiber__exchange(void **save, void *to);
__asm__(".text\n.globl fiber__exchange\n.hidden fiber__exchange\n.type fiber__exchange, %function\nfiber__exchange:\n"
        "sub sp, sp, #160\nstp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\n"
        "stp x25, x26, [sp, #48]\nstp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\n"
        "stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
        "mov x2, sp\nstr x2, [x0]\nmov sp, x1\n"
        "ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\n"
        "ldp x25, x26, [sp, #48]\nldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\n"
        "ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
        "add sp, sp, #160\nret\n.size fiber__exchange, .-fiber__exchange\n");

void fiber__first(void);
__asm__(".text\n.hidden fiber__first\n.globl fiber__first\n.type fiber__first, %function\nfiber__first:\n"
        "mov x0, x19\nblr x20\nbrk #0\n.size fiber__first, .-fiber__first\n");

static void *first_frame(fiber_t *fiber, uint8_t *top)
{
    uint64_t *at = (uint64_t *)top - 20;
    memset(at, 0, 160);
    at[0] = (uint64_t)(uintptr_t)fiber;         /* x19 */
    at[1] = (uint64_t)(uintptr_t)begin;         /* x20 */
    at[11] = (uint64_t)(uintptr_t)fiber__first; /* x30 */
    return at;
}
#endif

#ifdef FIBER_BY_HAND
static void prepare(fiber_t *fiber)
{
    fiber->inner = first_frame(fiber, fiber->memory + fiber->guard_bytes + fiber->stack_bytes);
}

static void go_in(fiber_t *fiber)
{
    TELL_THREAD(fiber->inner_thread);
    fiber__exchange(&fiber->outer, fiber->inner);
}

static void go_out(fiber_t *fiber)
{
    TELL_THREAD(fiber->outer_thread);
    fiber__exchange(&fiber->inner, fiber->outer);
}
#else
/* makecontext passes ints only. */
static void begin_of_halves(unsigned high, unsigned low) { begin((fiber_t *)(uintptr_t)((uint64_t)high << 32 | low)); }

static void prepare(fiber_t *fiber)
{
    uint64_t address = (uintptr_t)fiber;
    getcontext(&fiber->inner);
    fiber->inner.uc_stack.ss_sp = fiber->memory + fiber->guard_bytes;
    fiber->inner.uc_stack.ss_size = fiber->stack_bytes;
    makecontext(&fiber->inner, (void (*)(void))begin_of_halves, 2, (unsigned)(address >> 32), (unsigned)address);
}

static void go_in(fiber_t *fiber)
{
    TELL_THREAD(fiber->inner_thread);
    swapcontext(&fiber->outer, &fiber->inner);
}

static void go_out(fiber_t *fiber)
{
    TELL_THREAD(fiber->outer_thread);
    swapcontext(&fiber->inner, &fiber->outer);
}
#endif

/* ---- what the sanitizers must know ------------------------------------------------------------------------------------ */

static void note_new(fiber_t *fiber)
{
#ifdef FIBER_TSAN
    fiber->inner_thread = __tsan_create_fiber(0);
#endif
}

static void note_free(fiber_t *fiber)
{
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(fiber->inner_thread);
#endif
}

static void note_entering(fiber_t *fiber)
{
#ifdef FIBER_TSAN
    fiber->outer_thread = __tsan_get_current_fiber();
#endif
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&fiber->outer_fake, fiber->memory + fiber->guard_bytes, fiber->stack_bytes);
#endif
}

static void note_inside(fiber_t *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->inner_fake, &fiber->outer_stack, &fiber->outer_bytes);
#endif
}

static void note_leaving(fiber_t *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&fiber->inner_fake, fiber->outer_stack, fiber->outer_bytes);
#endif
}

static void note_outside(fiber_t *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->outer_fake, NULL, NULL);
#endif
}

/* ---- public ---------------------------------------------------------------------------------------------------------- */

static void begin(fiber_t *fiber)
{
    note_inside(fiber);
    fiber->body(fiber->user);
    UNREACHABLE();
}

fiber_t *fiber_new(size_t stack_bytes, fiber_body_t body, void *user)
{
    fiber_t *fiber = mem_zalloc(sizeof(*fiber));
    fiber->guard_bytes = (size_t)sysconf(_SC_PAGESIZE);
    fiber->stack_bytes = (stack_bytes + fiber->guard_bytes - 1) / fiber->guard_bytes * fiber->guard_bytes;
    fiber->body = body;
    fiber->user = user;
    fiber->memory = mmap(NULL, fiber->guard_bytes + fiber->stack_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (fiber->memory == MAP_FAILED || mprotect(fiber->memory, fiber->guard_bytes, PROT_NONE) != 0)
        mem_exhausted(fiber->guard_bytes + fiber->stack_bytes);
    prepare(fiber);
    note_new(fiber);
    return fiber;
}

void fiber_free(fiber_t *fiber)
{
    if (!fiber) return;
    ASSERT(!fiber->inside);
    note_free(fiber);
    munmap(fiber->memory, fiber->guard_bytes + fiber->stack_bytes);
    mem_free(fiber);
}

void fiber_enter(fiber_t *fiber)
{
    ASSERT(!fiber->inside);
    fiber->inside = true;
    note_entering(fiber);
    go_in(fiber);
    note_outside(fiber);
}

void fiber_leave(fiber_t *fiber)
{
    ASSERT(fiber->inside);
    fiber->inside = false;
    note_leaving(fiber);
    go_out(fiber);
    note_inside(fiber);
}

bool fiber_is_inside(const fiber_t *fiber) { return fiber->inside; }

size_t fiber_stack_left(const fiber_t *fiber)
{
    const uint8_t *here = __builtin_frame_address(0), *bottom = fiber->memory + fiber->guard_bytes;
    ASSERT(here > bottom && here <= bottom + fiber->stack_bytes);
    return (size_t)(here - bottom);
}
