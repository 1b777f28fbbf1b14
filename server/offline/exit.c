#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/offline/offline.h"

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void offline_catch_interrupt(void)
{
    /* The second one ends the program at once. */
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool offline_interrupted(void)
{
    return interrupted != 0;
}

int offline_exit(int code)
{
    switch (code) {
    case TUSK_OK:
        return OFFLINE_DONE;
    case TUSK_EINVALID:
        return OFFLINE_USAGE;
    case TUSK_ENOTFOUND:
        return OFFLINE_NOTFOUND;
    case TUSK_EDENIED:
        return OFFLINE_DENIED;
    case TUSK_ENOSPACE:
    case TUSK_EQUOTA:
        return OFFLINE_FULL;
    case TUSK_ECORRUPT:
        return OFFLINE_DAMAGED;
    case TUSK_ELOCKED:
    case TUSK_EVERSION:
    case TUSK_EEXISTS:
        return OFFLINE_REFUSED;
    case TUSK_ECLOSED:
        return OFFLINE_INTERRUPTED;
    default:
        return OFFLINE_FAILED;
    }
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0';
}

static bool colored(const struct offline_options *options, FILE *file)
{
    const char *term = getenv("TERM");

    return !options->no_color && !is_set("NO_COLOR") && term != NULL && *term != '\0' &&
           strcmp(term, "dumb") != 0 && isatty(fileno(file));
}

void offline_say(struct offline_options *options, const char *format, ...)
{
    FILE *file = options->messages == NULL ? stderr : options->messages;
    va_list args;

    progress_clear(&options->progress);
    out_flush(&options->out);
    (void)fputs(colored(options, file) ? "\033[1;31mtusk:\033[0m " : "tusk: ", file);
    va_start(args, format);
    (void)vfprintf(file, format, args);
    va_end(args);
    (void)fputc('\n', file);
}

int offline_fail(struct offline_options *options, const struct error *err)
{
    offline_say(options, "%s", err->text);
    return offline_exit(err->code);
}
