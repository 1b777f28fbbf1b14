#include "tests/support/patience.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int in_a_child(int (*act)(struct fixture *f), struct fixture *f)
{
    int status = 0;
    pid_t child;

    (void)fflush(stdout);
    (void)fflush(stderr);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        (void)signal(SIGABRT, SIG_DFL);
        alarm(5);
        _exit(act(f));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void expect_no_spin(struct fixture *f)
{
    unsigned late = 0;
    unsigned i;

    for (i = 0; i < 50; i++) {
        f->now.mono_us += 1000;
        f->now.wall_us += 1000;
        (void)engine_poll(f->engine, &f->now);
        while (f->io->in_flight > 0) {
            (void)io_wait(f->io);
        }
        (void)engine_poll(f->engine, &f->now);
        late += engine_deadline(f->engine) <= f->now.mono_us ? 1u : 0u;
    }
    assert_true(fixture_serves(f));
    assert_true(late < 25);
}
