/* tusk read: entries to standard output, from a position, or from a cursor that moves after they
 * are printed.
 *
 * With a cursor, a checkpoint is sent only when what it covers has been written to standard
 * output without an error. That is as far as this program can see: what still lies in a pipe
 * when its reader goes away counts as printed. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_split.h"
#include "client/cli_table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_SLICE_MS 200
#define READ_CHECKPOINT_ENTRIES 1000u
#define READ_BUFFER_SIZE (256u * 1024)

enum { KEY_MAX_BYTES = 0x1000, KEY_PEEK, KEY_FROM, KEY_SPLIT, KEY_SKIP };

struct read_options {
    struct cli *cli;
    const char *topic;
    const char *cursor;
    bool peek;
    bool from_given;
    struct tusk_position from;
    uint64_t count_max;
    uint64_t bytes_max;
    bool follow;
    bool exit_when_empty;
    bool skip_damage;
    struct split_rule split;
};

static const struct argp_option read_options[] = {
    {"cursor", 'c', "NAME", 0,
     "Read from this cursor and move it behind what was printed, as output takes it (every 1,000 "
     "entries and at the end): to stop after N entries, use -C, not head",
     0},
    {"peek", KEY_PEEK, NULL, 0, "Leave the cursor where it is", 0},
    {"from", KEY_FROM, "WHERE", 0,
     "earliest (default), latest, an offset, @TIME, or -1h (an hour ago); moves no cursor", 0},
    {"count", 'C', "N", 0, "At most N entries", 0},
    {"max-bytes", KEY_MAX_BYTES, "B", 0, "At most B bytes, but one entry", 0},
    {"follow", 'f', NULL, 0, "Wait for more at the end, until interrupted (or --timeout)", 0},
    {"exit-empty", 'e', NULL, 0, "Exit 3 when there was nothing to read", 0},
    {"skip-damage", KEY_SKIP, NULL, 0,
     "Go on behind entries that cannot be read, say so, and exit with 8", 0},
    {"split", KEY_SPLIT, "HOW", 0, "raw output: lines (default), none, len32, or a delimiter", 0},
    {0},
};

static error_t read_option(int key, char *arg, struct argp_state *state)
{
    struct read_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'c':
        options->cursor = arg;
        return 0;
    case KEY_PEEK:
        options->peek = true;
        return 0;
    case KEY_FROM:
        options->from_given = true;
        if (parse_position(arg, &options->from) != 0) {
            argp_error(state, "from '%s'; it is earliest, latest, an offset, @TIME or -1h", arg);
        }
        return 0;
    case 'C':
        if (parse_u64(arg, &options->count_max) != 0 || options->count_max == 0) {
            argp_error(state, "count '%s'; it is a number of at least 1", arg);
        }
        return 0;
    case KEY_MAX_BYTES:
        if (parse_size(arg, &options->bytes_max) != 0 || options->bytes_max == 0) {
            argp_error(state, "max-bytes '%s'; it is a size of at least 1, such as 64K", arg);
        }
        return 0;
    case 'f':
        options->follow = true;
        return 0;
    case 'e':
        options->exit_when_empty = true;
        return 0;
    case KEY_SKIP:
        options->skip_damage = true;
        return 0;
    case KEY_SPLIT:
        if (split_rule_parse(&options->split, arg) != 0) {
            argp_error(state, "split '%s'; it is lines, none, len32 or a delimiter", arg);
        }
        return 0;
    case ARGP_KEY_ARG:
        if (options->topic != NULL) {
            argp_error(state, "one argument too many: '%s'", arg);
        }
        options->topic = arg;
        return 0;
    case ARGP_KEY_END:
        if (options->topic == NULL) {
            argp_error(state, "the topic is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Printing ---- */

struct reader {
    const struct read_options *options;
    struct tusk_consumer *consumer;
    enum cli_output output;
    bool moves; /* The cursor */
    uint64_t entries;
    uint64_t bytes;
    uint64_t unsaved;  /* Entries printed since the last checkpoint */
    uint64_t skipped;  /* As told last */
    uint64_t position; /* Behind the last entry printed */
    bool held_back;    /* The consumer returned one more, which is not printed */
};

static void print_json(const struct reader *reader, const struct tusk_entry *entry)
{
    (void)fputs("{\"topic\":", stdout);
    json_string(stdout, reader->options->topic, strlen(reader->options->topic));
    (void)printf(",\"offset\":%llu,\"time\":%llu,\"key\":null,\"size\":%zu,",
                 (unsigned long long)entry->offset, (unsigned long long)entry->time_us,
                 entry->size);
    json_bytes(stdout, "data", entry->data, entry->size);
    (void)fputc('}', stdout);
}

static void print_entry(struct reader *reader, const struct tusk_entry *entry)
{
    char time[40];

    switch (reader->output) {
    case OUTPUT_RAW:
        split_write(&reader->options->split, stdout, entry->data, entry->size);
        break;
    case OUTPUT_JSON:
        (void)fputs(reader->entries == 0 ? "[" : ",\n ", stdout);
        print_json(reader, entry);
        break;
    case OUTPUT_JSONL:
        print_json(reader, entry);
        (void)fputc('\n', stdout);
        break;
    case OUTPUT_AUTO:
    case OUTPUT_TABLE:
        if (reader->entries == 0) {
            cli_head(true);
            (void)printf("%12s  %-27s  %8s  %s\n", "OFFSET", "TIME", "SIZE", "DATA");
            cli_head(false);
        }
        format_time(time, sizeof time, entry->time_us);
        (void)printf("%12llu  %-27s  %8zu  ", (unsigned long long)entry->offset, time, entry->size);
        print_printable(stdout, entry->data, entry->size);
        (void)fputc('\n', stdout);
        break;
    }
    reader->position = entry->offset + 1;
    reader->entries++;
    reader->bytes += entry->size;
    reader->unsaved++;
}

/* What is printed gets out, and then the cursor moves. timeout_ms 0: without waiting. */
static int reader_save(struct reader *reader, int timeout_ms)
{
    const struct read_options *options = reader->options;
    struct tusk_consumer_info info = {.size = sizeof info};
    int rc = cli_flush_output();

    if (rc != CLI_DONE || !reader->moves) {
        return rc;
    }
    rc = TUSK_OK;
    if (reader->held_back) {
        (void)tusk_consumer_info(reader->consumer, &info);
        rc = tusk_checkpoint(options->cli->t, options->topic, options->cursor, reader->position,
                             info.epoch, 0, NULL);
    } else if (reader->unsaved > 0 || timeout_ms != 0) {
        rc = tusk_consumer_checkpoint(reader->consumer, timeout_ms);
    }
    reader->unsaved = 0;
    if (rc != TUSK_OK) {
        return cli_fail(options->cli, rc, "checkpoint cursor '%s' of %s", options->cursor,
                        options->topic);
    }
    return CLI_DONE;
}

static void reader_tell_skipped(struct reader *reader)
{
    struct tusk_consumer_info info = {.size = sizeof info};

    if (!reader->options->skip_damage) {
        return;
    }
    (void)tusk_consumer_info(reader->consumer, &info);
    if (info.skipped != reader->skipped) {
        cli_say("%s: entries %llu to %llu are damaged and were skipped", reader->options->topic,
                (unsigned long long)info.skipped_from, (unsigned long long)info.skipped_to - 1);
        reader->skipped = info.skipped;
        reader->unsaved++; /* A cursor passes it, too */
    }
}

/* ---- Reading ---- */

static bool reader_full(const struct reader *reader, size_t next_size)
{
    const struct read_options *options = reader->options;

    if (options->count_max > 0 && reader->entries >= options->count_max) {
        return true;
    }
    return options->bytes_max > 0 && reader->entries > 0 &&
           reader->bytes + next_size > options->bytes_max;
}

/* A code of next() that is not an entry. True: go on. */
static bool reader_handle(struct reader *reader, int code, int *exit_code)
{
    const struct read_options *options = reader->options;
    const struct tusk_failure *failure = tusk_last_error(options->cli->t);

    switch (code) {
    case TUSK_ETRIMMED:
        cli_note(options->cli, "%s: entries before offset %llu are gone; going on there",
                 options->topic, (unsigned long long)failure->detail_a);
        return true;
    case TUSK_ESTALE:
        cli_note(options->cli, "cursor '%s' of %s was moved by a seek; going on at offset %llu",
                 options->cursor, options->topic, (unsigned long long)failure->detail_a);
        return true;
    default:
        *exit_code = cli_fail(options->cli, code, "read %s", options->topic);
        return false;
    }
}

/* With -f: the longest wait for the next entry; a long time unless --timeout was given. */
static bool reader_waited_enough(const struct reader *reader, int waited_ms)
{
    const struct read_options *options = reader->options;

    if (!options->follow) {
        return true;
    }
    return options->cli->timeout_given && waited_ms >= options->cli->timeout_ms;
}

static int reader_run(struct reader *reader)
{
    struct cli *cli = reader->options->cli;
    struct tusk_entry entry;
    int waited_ms = 0;
    int wait_ms = 0;
    int code;
    int rc = CLI_DONE;

    while (rc == CLI_DONE && !cli_interrupted && !reader_full(reader, 0)) {
        wait_ms = reader->options->follow ? wait_ms : cli->timeout_ms;
        code = tusk_consumer_next(reader->consumer, &entry, wait_ms);
        if (code == TUSK_OK) {
            if (reader_full(reader, entry.size)) {
                reader->held_back = true;
                break;
            }
            reader_tell_skipped(reader); /* It stood before this entry */
            print_entry(reader, &entry);
            waited_ms = 0;
            wait_ms = 0;
            if (reader->unsaved >= READ_CHECKPOINT_ENTRIES && reader->moves) {
                rc = reader_save(reader, 0);
            }
            continue;
        }
        reader_tell_skipped(reader);
        if (code != TUSK_EEND) {
            if (reader_handle(reader, code, &rc)) {
                continue;
            }
            break;
        }
        /* Following: at first only what is there, then what is printed goes out, then wait. */
        waited_ms += wait_ms;
        if (reader_waited_enough(reader, waited_ms)) {
            break;
        }
        rc = wait_ms == 0 ? reader_save(reader, 0) : CLI_DONE;
        wait_ms = READ_SLICE_MS;
    }
    return rc;
}

static int reader_finish(struct reader *reader, int rc)
{
    const struct read_options *options = reader->options;
    int saved = CLI_DONE;

    if (reader->output == OUTPUT_JSON) {
        (void)fputs(reader->entries == 0 ? "[]\n" : "]\n", stdout);
    }
    saved = reader_save(reader, reader->entries > 0 ? TUSK_TIMEOUT_DEFAULT : 0);
    if (rc != CLI_DONE) {
        return rc;
    }
    if (saved != CLI_DONE) {
        return saved;
    }
    if (cli_interrupted) {
        cli_note(options->cli, "interrupted after %llu entries",
                 (unsigned long long)reader->entries);
        return CLI_INTERRUPTED;
    }
    if (reader->skipped > 0) {
        return CLI_DAMAGED;
    }
    if (reader->entries == 0 &&
        (options->exit_when_empty || (options->follow && options->cli->timeout_given))) {
        return CLI_NOTHING;
    }
    return CLI_DONE;
}

static int read_entries(const struct read_options *options)
{
    struct cli *cli = options->cli;
    bool damage = options->skip_damage;
    struct tusk_consumer_options consumer_options = {
        .size = sizeof consumer_options,
        .topic = options->topic,
        .cursor = options->cursor,
        .from = options->from,
        .flags = (options->follow ? 0 : TUSK_CONSUMER_STOP_AT_END) |
                 (damage ? TUSK_CONSUMER_SKIP_DAMAGE : 0),
    };
    struct reader reader = {.options = options, .output = cli_output_kind(cli)};
    int rc;

    reader.moves = options->cursor != NULL && !options->peek && !options->from_given;
    if (!reader.moves) {
        consumer_options.flags |= TUSK_CONSUMER_PEEK;
    }
    /* A few entries need no megabyte read ahead. */
    if (options->bytes_max > 0 && options->bytes_max < 1024 * 1024) {
        consumer_options.read_bytes = (uint32_t)options->bytes_max;
    } else if (options->count_max > 0 && options->count_max < 1000) {
        consumer_options.read_bytes = 64 * 1024;
    }
    rc = tusk_consumer_open(cli->t, &consumer_options, &reader.consumer);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "read %s", options->topic);
    }
    rc = reader_finish(&reader, reader_run(&reader));
    (void)tusk_consumer_close(reader.consumer, 0);
    return rc;
}

int cli_read(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = read_options,
        .parser = read_option,
        .args_doc = "TOPIC",
        .doc =
            "Print the entries of TOPIC.\v"
            "Without -c nothing moves. With -c NAME the cursor moves behind what was printed; one "
            "that does not exist starts at the first entry.",
        .children = cli_children,
    };
    struct read_options options = {.cli = cli};
    static char buffer[READ_BUFFER_SIZE];
    int rc;

    (void)split_rule_parse(&options.split, "lines");
    cli_parse(&argp, argc, argv, &options);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    /* Following prints as entries come: reader_save() flushes whenever there is none. */
    (void)setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    cli_catch_interrupt();
    return read_entries(&options);
}
