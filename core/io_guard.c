/* See io_guard.h. */
#include "core/io_guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

#include "core/check.h"

/* The load this thread is doing. Only its own signal handler looks at it. */
struct guard {
    const uint8_t *from; /* NULL: none */
    size_t size;
    sigjmp_buf out;
};

static _Thread_local struct guard guard;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static struct sigaction previous;

static bool is_guarded(const void *address)
{
    const uintptr_t at = (uintptr_t)address;
    const uintptr_t from = (uintptr_t)guard.from;

    CHECK(from <= UINTPTR_MAX - guard.size);
    return guard.from != NULL && at >= from && at - from < guard.size;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    if (info->si_code > 0 && is_guarded(info->si_addr)) {
        /* Restored here, where it is rare, so that sigsetjmp() need not save it for every copy. */
        (void)pthread_sigmask(SIG_SETMASK, &((const ucontext_t *)context)->uc_sigmask, NULL);
        siglongjmp(guard.out, 1);
    }
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler == SIG_IGN && info->si_code <= 0) {
        return; /* Sent by a process, to one that does not care */
    } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
        /* A fault comes again as soon as this returns, and then kills; a signal that a process
         * sent has to be raised again. */
        (void)sigaction(SIGBUS, &previous, NULL); /* Nothing better to do if it fails */
        if (info->si_code <= 0) {
            (void)raise(number);
        }
    } else {
        previous.sa_handler(number);
    }
}

static void install(void)
{
    struct sigaction action = {
        .sa_sigaction = on_sigbus,
        .sa_flags = SA_SIGINFO | SA_ONSTACK,
    };

    CHECK(sigemptyset(&action.sa_mask) == 0);
    CHECK(sigaction(SIGBUS, &action, &previous) == 0);
}

void io_guard_install(void)
{
    CHECK(pthread_once(&install_once, install) == 0);
}

bool io_guard_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    CHECK(to != NULL || size == 0);
    CHECK(from != NULL);
    CHECK(guard.from == NULL);
    if (sigsetjmp(guard.out, 0) != 0) {
        guard.from = NULL;
        return false;
    }
    guard.from = from;
    guard.size = size;
    atomic_signal_fence(memory_order_seq_cst); /* The handler sees the guard during every load */
    memcpy(to, from, size);
    atomic_signal_fence(memory_order_seq_cst);
    guard.from = NULL;
    return true;
}
