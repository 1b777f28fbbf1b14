/* tusk append: entries from arguments, a file or standard input, through a producer.
 *
 * Whatever happens, the last words say how many entries are stored, how many are not, and of how
 * many nobody knows: entries are counted where they are taken from the input, and the
 * producer accounts for each. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_source.h"
#include "client/cli_table.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define APPEND_SLICE_MS 200 /* How soon an interruption is noticed while waiting */
#define APPEND_PROGRESS_NS 500000000

enum { KEY_SPLIT = 0x1000, KEY_BATCH, KEY_ATOMIC, KEY_ACK, KEY_PROGRESS, KEY_NO_CREATE };

struct append_options {
    struct cli *cli;
    const char *topic;
    char **entries; /* Arguments */
    int entry_count;
    const char *file;
    struct split_rule split;
    uint32_t batch_count;
    uint32_t linger_us;
    uint32_t flags;
    bool atomic;
    bool progress;
    bool bar; /* Standard error is a terminal, and a file is read */
};

static const struct argp_option append_options[] = {
    {"file", 'f', "FILE", 0, "Read FILE instead of standard input", 0},
    {"split", KEY_SPLIT, "HOW", 0, "lines (default), none, len32, or what ends an entry (\\0, ;)",
     0},
    {"batch", KEY_BATCH, "N[:MS]", 0, "Send together up to N entries, for at most MS (1000:5)", 0},
    {"atomic", KEY_ATOMIC, NULL, 0, "All entries or none, as one batch", 0},
    {"ack", KEY_ACK, "WHEN", 0, "written (default: as the fsync schedule says) or durable", 0},
    {"no-create", KEY_NO_CREATE, NULL, 0, "Do not create the topic", 0},
    {"progress", KEY_PROGRESS, NULL, 0, "Tell how far it is, on standard error", 0},
    {0},
};

/* N or N:MS */
static int parse_batch(const char *text, struct append_options *options)
{
    const char *colon = strchrnul(text, ':');
    char count[16];
    uint32_t ms = 0;

    if ((size_t)(colon - text) >= sizeof count) {
        return -1;
    }
    (void)snprintf(count, sizeof count, "%.*s", (int)(colon - text), text);
    if (*colon != '\0') {
        if (parse_count(colon + 1, &ms) != 0 || ms > 3600000) {
            return -1;
        }
        options->linger_us = ms * 1000;
    }
    return parse_count(count, &options->batch_count);
}

static error_t append_option(int key, char *arg, struct argp_state *state)
{
    struct append_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'f':
        options->file = arg;
        return 0;
    case KEY_SPLIT:
        if (split_rule_parse(&options->split, arg) != 0) {
            argp_error(state, "split '%s'; it is lines, none, len32 or a delimiter", arg);
        }
        return 0;
    case KEY_BATCH:
        if (parse_batch(arg, options) != 0) {
            argp_error(state, "batch '%s'; it is a number of entries, and perhaps :MILLISECONDS",
                       arg);
        }
        return 0;
    case KEY_ATOMIC:
        options->atomic = true;
        return 0;
    case KEY_ACK:
        if (strcmp(arg, "durable") == 0) {
            options->flags |= TUSK_APPEND_DURABLE;
        } else if (strcmp(arg, "written") != 0) {
            argp_error(state, "ack '%s'; it is written or durable", arg);
        }
        return 0;
    case KEY_NO_CREATE:
        options->flags |= TUSK_APPEND_NO_CREATE;
        return 0;
    case KEY_PROGRESS:
        options->progress = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->topic == NULL) {
            options->topic = arg;
            return 0;
        }
        options->entries = state->argv + state->next - 1;
        options->entry_count = state->argc - state->next + 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (options->topic == NULL) {
            argp_error(state, "the topic is missing");
        }
        if (options->entry_count > 0 && options->file != NULL) {
            argp_error(state, "entries come from arguments or from a file, not from both");
        }
        if (options->entry_count == 0 && options->cli->scripted &&
            (options->file == NULL || strcmp(options->file, "-") == 0)) {
            argp_error(state, "standard input is the script; entries come from arguments or -f");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Results ---- */

static int append_print(const struct append_options *options, uint64_t first, uint64_t last,
                        uint64_t durable_end)
{
    const struct cli *cli = options->cli;

    if (cli->output == OUTPUT_JSON || cli->output == OUTPUT_JSONL) {
        (void)fputs("{\"topic\":", stdout);
        json_string(stdout, options->topic, strlen(options->topic));
        (void)printf(",\"first_offset\":%llu,\"last_offset\":%llu,\"durable_offset\":%llu}\n",
                     (unsigned long long)first, (unsigned long long)last,
                     (unsigned long long)durable_end);
    } else if (!cli->quiet) {
        (void)printf("%llu %llu\n", (unsigned long long)first, (unsigned long long)last);
    }
    return cli_flush_output();
}

/* ---- Streaming ---- */

struct stream_state {
    const struct append_options *options;
    struct tusk_producer *producer;
    struct source source;
    struct timespec told;
};

/* How much of a file has been read, as a bar; nothing where its size is not known. */
static void print_bar(const struct source *source)
{
    const off_t at = lseek(source->fd, 0, SEEK_CUR);
    struct stat st;

    if (at >= 0 && fstat(source->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        cli_bar((uint64_t)at, (uint64_t)st.st_size);
    }
}

static void stream_progress(struct stream_state *stream, bool last)
{
    const struct append_options *options = stream->options;
    struct tusk_producer_info info = {.size = sizeof info};
    struct timespec now;

    if (!options->progress && !options->bar) {
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (!last &&
        (now.tv_sec - stream->told.tv_sec) * 1000000000 + now.tv_nsec - stream->told.tv_nsec <
            APPEND_PROGRESS_NS) {
        return;
    }
    stream->told = now;
    (void)fputs(options->bar ? "\r\033[K" : "\r", stderr);
    if (last && !options->progress) {
        return; /* Nobody asked for it: it is gone when it is over */
    }
    if (options->bar) {
        print_bar(&stream->source);
    }
    (void)tusk_producer_info(stream->producer, &info);
    (void)fprintf(stderr, "%llu entries stored, %llu in flight ", (unsigned long long)info.stored,
                  (unsigned long long)info.pending);
    if (last) {
        (void)fputc('\n', stderr);
    }
}

/* Take one entry, waiting in slices so that an interruption is noticed. */
static int stream_take(struct stream_state *stream, const uint8_t *data, size_t size)
{
    int left_ms = stream->options->cli->timeout_ms;
    int rc;

    do {
        int slice = left_ms < APPEND_SLICE_MS ? left_ms : APPEND_SLICE_MS;

        rc = tusk_producer_append(stream->producer, data, size, slice);
        left_ms -= slice;
    } while (rc == TUSK_EBUSY && left_ms > 0 && !cli_interrupted);
    return rc;
}

/* Wait for input or for the daemon, whichever moves first; a batch that is due goes out. */
static int stream_wait(struct stream_state *stream)
{
    struct tusk *t = stream->options->cli->t;
    struct pollfd fds[2] = {{.fd = stream->source.fd, .events = POLLIN},
                            {.fd = tusk_fd(t), .events = (short)tusk_events(t)}};
    int due = tusk_producer_due_ms(stream->producer);

    (void)poll(fds, 2, due >= 0 && due < APPEND_SLICE_MS ? due : APPEND_SLICE_MS);
    return fds[0].revents != 0;
}

/* Until the input ends, somebody interrupts, or a batch fails. The code of the failure. */
static int stream_all(struct stream_state *stream)
{
    const uint8_t *data;
    size_t size;
    int rc = TUSK_OK;

    while (rc == TUSK_OK && !cli_interrupted) {
        while (rc == TUSK_OK && !cli_interrupted && source_next(&stream->source, &data, &size)) {
            rc = stream_take(stream, data, size);
        }
        if (rc != TUSK_OK || source_ended(&stream->source)) {
            break;
        }
        if (stream_wait(stream) && !source_read(&stream->source)) {
            break;
        }
        rc = tusk_producer_process(stream->producer);
        stream_progress(stream, false);
    }
    return rc;
}

/* The exact state, once nothing moves any more. */
static int stream_report(const struct stream_state *stream, const struct tusk_producer_info *info,
                         int code)
{
    const struct append_options *options = stream->options;
    int rc = CLI_DONE;

    if (info->stored > 0) {
        rc = append_print(options, info->first_offset, info->last_offset, info->durable_end);
    }
    if (info->not_stored + info->unknown > 0 || code != TUSK_OK) {
        cli_say("%s: %llu entries are stored, %llu are not, of %llu it is unknown, and what comes "
                "behind them was not read",
                options->topic, (unsigned long long)info->stored,
                (unsigned long long)info->not_stored, (unsigned long long)info->unknown);
    } else if (cli_interrupted) {
        cli_say("interrupted: %llu entries are stored, the rest was not read",
                (unsigned long long)info->stored);
    }
    if (code != TUSK_OK) {
        return cli_exit_code(code);
    }
    return cli_interrupted ? CLI_INTERRUPTED : rc;
}

struct first_failure {
    int code;
    char text[512];
    struct tusk *t;
};

static void stream_delivered(void *user, const struct tusk_delivery *delivery)
{
    struct first_failure *failure = user;

    if (delivery->code != TUSK_OK && failure->code == TUSK_OK) {
        failure->code = delivery->code;
        (void)snprintf(failure->text, sizeof failure->text, "%s",
                       tusk_last_error(failure->t)->text);
    }
}

static int append_stream(const struct append_options *options, struct source *source)
{
    struct cli *cli = options->cli;
    struct first_failure failure = {.t = cli->t};
    const struct tusk_producer_options producer_options = {.size = sizeof producer_options,
                                                           .topic = options->topic,
                                                           .flags = options->flags,
                                                           .batch_count_max = options->batch_count,
                                                           .batch_bytes_max = 256 * 1024,
                                                           .linger_us = options->linger_us,
                                                           .fn = stream_delivered,
                                                           .user = &failure};
    struct stream_state stream = {.options = options, .source = *source};
    struct tusk_producer_info info = {.size = sizeof info};
    int flushed;
    int rc = tusk_producer_open(cli->t, &producer_options, &stream.producer);

    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "append to %s", options->topic);
    }
    rc = stream_all(&stream);
    if (rc != TUSK_OK && failure.code == TUSK_OK) {
        failure.code = rc;
        (void)snprintf(failure.text, sizeof failure.text, "%s", tusk_last_error(cli->t)->text);
    }
    flushed = tusk_producer_flush(stream.producer, TUSK_TIMEOUT_DEFAULT);
    rc = rc == TUSK_OK ? flushed : rc;
    stream_progress(&stream, true);
    if (flushed == TUSK_ETIMEOUT) {
        cli_say("append to %s: no answer within %d ms", options->topic, cli->timeout_ms);
    }
    (void)tusk_producer_info(stream.producer, &info);
    if (info.pending > 0) {
        info.unknown += info.pending; /* Closing without waiting: they are past telling */
    }
    (void)tusk_producer_close(stream.producer, 0);
    if (failure.code != TUSK_OK && failure.text[0] != '\0') {
        cli_say("append to %s: %s", options->topic, failure.text);
    }
    *source = stream.source;
    return stream_report(&stream, &info, rc);
}

/* ---- Atomic ---- */

struct gathered {
    struct tusk_bytes *entries;
    uint32_t count;
    uint32_t capacity;
};

static bool gather(struct gathered *all, const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy != NULL && all->count == all->capacity) {
        uint32_t capacity = all->capacity == 0 ? 256 : 2 * all->capacity;
        struct tusk_bytes *entries = realloc(all->entries, capacity * sizeof *entries);

        if (entries == NULL) {
            free(copy);
            return false;
        }
        all->entries = entries;
        all->capacity = capacity;
    }
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, data, size);
    all->entries[all->count++] = (struct tusk_bytes){.data = copy, .size = size};
    return true;
}

static int append_gathered(const struct append_options *options, struct source *source,
                           struct gathered *all)
{
    struct cli *cli = options->cli;
    struct tusk_append_result result;
    const uint8_t *data;
    size_t size;
    int rc;

    do {
        while (source_next(source, &data, &size)) {
            /* fanalyzer-suppress malloc-leak: the copy is in all->entries, which realloc() moved */
            if (!gather(all, data, size)) {
                cli_say("out of memory: --atomic holds all entries at once");
                return CLI_FAILED;
            }
        }
    } while (!cli_interrupted && source_read(source));
    if (cli_interrupted) {
        cli_say("interrupted: nothing is stored");
        return CLI_INTERRUPTED;
    }
    if (source->splitter.error != 0) {
        return CLI_DONE; /* source_result() tells */
    }
    if (all->count == 0) {
        return CLI_DONE;
    }
    rc = tusk_append_batch(cli->t, options->topic, all->entries, all->count, options->flags,
                           &result);
    if (rc != TUSK_OK) {
        cli_say("%s: %s", options->topic,
                tusk_outcome(rc) == TUSK_NOT_STORED ? "no entry is stored"
                                                    : "whether the entries are stored is unknown");
        return cli_fail(cli, rc, "append to %s", options->topic);
    }
    return append_print(options, result.first_offset, result.last_offset, result.durable_end);
}

static int append_atomic(const struct append_options *options, struct source *source)
{
    struct gathered all = {0};
    int rc = append_gathered(options, source, &all);
    uint32_t i;

    for (i = 0; i < all.count; i++) {
        free((void *)(uintptr_t)all.entries[i].data);
    }
    free(all.entries);
    return rc;
}

/* One whose cursor can be moved. */
static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");

    return term != NULL && *term != '\0' && strcmp(term, "dumb") != 0 && isatty(fd);
}

int cli_append(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = append_options,
        .parser = append_option,
        .args_doc = "TOPIC [ENTRY...]",
        .doc = "Append each ENTRY, or without any each line of standard input.\v"
               "Prints the first and the last offset.",
        .children = cli_children,
    };
    struct append_options options = {.cli = cli, .batch_count = 1000, .linger_us = 5000};
    struct tusk_info info = {.size = sizeof info};
    struct source source;
    int input;
    int rc;

    (void)split_rule_parse(&options.split, "lines");
    cli_parse(&argp, argc, argv, &options);
    options.bar = options.file != NULL && !cli->quiet && is_terminal(STDERR_FILENO);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)tusk_info(cli->t, &info);
    rc = source_open(&source, options.entries, options.entry_count, options.file, &options.split,
                     info.entry_size_max);
    if (rc == CLI_DONE) {
        cli_catch_interrupt();
        rc = options.atomic ? append_atomic(&options, &source) : append_stream(&options, &source);
        input = source_result(&source);
        rc = rc == CLI_DONE ? input : rc;
        source_close(&source);
    }
    return rc;
}
