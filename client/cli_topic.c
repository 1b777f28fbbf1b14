/* tusk topics, info, topic create|delete|trim|set, ns ls|create|set|delete. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"

#include <string.h>

#define SETTINGS_TEXT_SIZE 512u

#define RETENTION_SETTINGS "retention-age=DURATION (such as 12h), retention-size=SIZE (such as 10M)"
#define TOPIC_SETTINGS "retention=all|consumed|age|size|inherit, " RETENTION_SETTINGS
#define NAMESPACE_SETTINGS                                                                         \
    "retention=all|consumed|age|size, " RETENTION_SETTINGS                                         \
    ", fsync=each|none|MS, consistency=strict|at-least-once:N, quota-bytes=SIZE, quota-topics=N, " \
    "quota-cursors=N (0: no quota), quota-policy=reject|drop-oldest|wait (of quota-bytes)"

/* "retention=age retention-age=60000ms" */
static void format_settings(char *out, const struct tusk_setting *settings, uint32_t count)
{
    size_t used = 0;
    uint32_t i;

    out[0] = '\0';
    for (i = 0; i < count && used + 80 < SETTINGS_TEXT_SIZE; i++) {
        if (i > 0) {
            out[used++] = ' ';
        }
        format_setting(out + used, SETTINGS_TEXT_SIZE - used, &settings[i]);
        used += strlen(out + used);
    }
}

/* KEY=VALUE words from index `from` on. */
static int settings_of(const struct cli_words *words, int from, struct tusk_setting *settings,
                       uint32_t *count)
{
    int i;

    *count = 0;
    for (i = from; i < words->count; i++) {
        if (parse_setting(words->words[i], &settings[*count]) != 0) {
            cli_say("'%s' is no setting; there are %s", words->words[i], parse_setting_names());
            return CLI_USAGE;
        }
        ++*count;
    }
    return CLI_DONE;
}

/* The same, of a topic: what is the namespace's alone is refused by name. */
static int topic_settings_of(const struct cli_words *words, struct tusk_setting *settings,
                             uint32_t *count)
{
    int rc = settings_of(words, 1, settings, count);
    uint32_t i;

    for (i = 0; rc == CLI_DONE && i < *count; i++) {
        if (settings[i].key >= TUSK_SETTING_FSYNC) {
            cli_say("'%s' is a setting of namespaces (tusk ns set); a topic has " TOPIC_SETTINGS,
                    words->words[1 + i]);
            rc = CLI_USAGE;
        }
    }
    return rc;
}

/* ---- Topics ---- */

static const struct column topic_columns[] = {
    {"topic", COLUMN_TEXT},    {"entries", COLUMN_NUMBER},     {"first", COLUMN_NUMBER},
    {"end", COLUMN_NUMBER},    {"durable_end", COLUMN_NUMBER}, {"bytes", COLUMN_NUMBER},
    {"blocks", COLUMN_NUMBER}, {"cursors", COLUMN_NUMBER},     {"last", COLUMN_TEXT},
    {"settings", COLUMN_TEXT}};

#define TOPIC_COLUMN_COUNT (sizeof topic_columns / sizeof topic_columns[0])

static int list_topic(void *user, const struct tusk_topic_info *info)
{
    struct table *table = user;
    char settings[SETTINGS_TEXT_SIZE];
    char time[40];

    format_time(time, sizeof time, info->last_time_us);
    format_settings(settings, info->settings, info->setting_count);
    table_text(table, info->name);
    table_number(table, info->entries);
    table_number(table, info->first);
    table_number(table, info->end);
    table_number(table, info->durable_end);
    table_number(table, info->bytes);
    table_number(table, info->blocks);
    table_number(table, info->cursors);
    table_text(table, time);
    table_text(table, settings);
    return 0;
}

int cli_topics(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;
    struct table table;
    int ended;
    int rc;

    cli_parse_words(cli, &words, "", "List the topics of the namespace.", 0, 0, argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    table_begin(&table, cli, topic_columns, TOPIC_COLUMN_COUNT);
    rc = tusk_topic_list(cli->t, list_topic, &table);
    ended = table_end(&table);
    return rc == TUSK_OK ? ended : cli_fail(cli, rc, "list topics");
}

static int info_connection(struct cli *cli)
{
    static const struct column columns[] = {
        {"namespace", COLUMN_TEXT},        {"server", COLUMN_TEXT},
        {"store_id", COLUMN_TEXT},         {"fsync", COLUMN_TEXT},
        {"consistency", COLUMN_TEXT},      {"entry_size_max", COLUMN_NUMBER},
        {"batch_size_max", COLUMN_NUMBER}, {"in_flight_max", COLUMN_NUMBER}};
    struct tusk_info info = {.size = sizeof info};
    struct tusk_setting setting;
    struct table table;
    char text[80];
    int i;

    (void)tusk_info(cli->t, &info);
    table_begin(&table, cli, columns, sizeof columns / sizeof columns[0]);
    table_text(&table, cli->space != NULL ? cli->space : "default");
    table_text(&table, info.server);
    for (i = 0; i < 16; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", info.store_id[i]);
    }
    table_text(&table, text);
    setting = (struct tusk_setting){TUSK_SETTING_FSYNC, info.fsync_ms};
    format_setting(text, sizeof text, &setting);
    table_text(&table, strchr(text, '=') + 1);
    setting = (struct tusk_setting){TUSK_SETTING_CONSISTENCY, info.consistency};
    format_setting(text, sizeof text, &setting);
    table_text(&table, strchr(text, '=') + 1);
    table_number(&table, info.entry_size_max);
    table_number(&table, info.batch_size_max);
    table_number(&table, info.in_flight_max);
    return table_end(&table);
}

int cli_info(struct cli *cli, int argc, char **argv)
{
    struct tusk_topic_info info = {.size = sizeof info};
    struct cli_words words;
    struct table table;
    int rc;

    cli_parse_words(cli, &words, "[TOPIC]", "Tell of TOPIC, or of the namespace and its limits.", 0,
                    1, argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    if (words.count == 0) {
        return info_connection(cli);
    }
    rc = tusk_topic_info(cli->t, words.words[0], &info);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "topic %s", words.words[0]);
    }
    table_begin(&table, cli, topic_columns, TOPIC_COLUMN_COUNT);
    (void)list_topic(&table, &info);
    return table_end(&table);
}

static int topic_create(struct cli *cli, int argc, char **argv)
{
    struct tusk_setting settings[8];
    struct cli_words words;
    uint32_t count;
    int rc;

    cli_parse_words(cli, &words, "TOPIC [KEY=VALUE...]",
                    "Create TOPIC.\vSettings: " TOPIC_SETTINGS ".", 1, 8, argc, argv);
    rc = topic_settings_of(&words, settings, &count);
    rc = rc == CLI_DONE ? cli_connect(cli) : rc;
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_topic_create(cli->t, words.words[0], settings, count, NULL);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "create topic %s", words.words[0]);
}

static int topic_set(struct cli *cli, int argc, char **argv)
{
    struct tusk_setting settings[8];
    struct cli_words words;
    uint32_t count;
    int rc;

    cli_parse_words(cli, &words, "TOPIC KEY=VALUE...",
                    "Change settings of TOPIC; others stay.\vSettings: " TOPIC_SETTINGS ".", 2, 8,
                    argc, argv);
    rc = topic_settings_of(&words, settings, &count);
    rc = rc == CLI_DONE ? cli_connect(cli) : rc;
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_topic_set(cli->t, words.words[0], settings, count);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "set up topic %s", words.words[0]);
}

static int topic_delete(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;
    int rc;

    cli_parse_words(cli, &words, "TOPIC", "Delete TOPIC, its entries and its cursors.", 1, 1, argc,
                    argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_topic_delete(cli->t, words.words[0]);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "delete topic %s", words.words[0]);
}

static int topic_trim(struct cli *cli, int argc, char **argv)
{
    static const struct column columns[] = {{"first", COLUMN_NUMBER}};
    struct cli_words words;
    struct table table;
    uint64_t offset;
    uint64_t first = 0;
    int rc;

    cli_parse_words(cli, &words, "TOPIC OFFSET",
                    "Give up the entries before OFFSET.\vPrints the first offset kept.", 2, 2, argc,
                    argv);
    if (parse_u64(words.words[1], &offset) != 0) {
        cli_say("'%s' is not an offset", words.words[1]);
        return CLI_USAGE;
    }
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_topic_trim(cli->t, words.words[0], offset, &first);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "trim topic %s", words.words[0]);
    }
    table_begin(&table, cli, columns, 1);
    table_number(&table, first);
    return table_end(&table);
}

int cli_topic(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"create", topic_create, "Create a topic"},
        {"delete", topic_delete, "Delete a topic"},
        {"trim", topic_trim, "Give up its first entries"},
        {"set", topic_set, "Change its settings"},
    };

    return cli_dispatch(cli, commands, 4, "tusk topic", argc, argv);
}

/* ---- Namespaces ---- */

static int list_namespace(void *user, const struct tusk_namespace_info *info)
{
    static const char *const states[] = {"serving", "refused", "stopped"};
    struct table *table = user;
    char settings[SETTINGS_TEXT_SIZE];

    format_settings(settings, info->settings, info->setting_count);
    table_text(table, info->name);
    table_text(table, info->state < 3 ? states[info->state] : "unknown");
    table_number(table, info->topics);
    table_number(table, info->bytes);
    table_text(table, settings);
    table_text(table, info->reason);
    return 0;
}

static int namespace_list(struct cli *cli, int argc, char **argv)
{
    static const struct column columns[] = {{"namespace", COLUMN_TEXT}, {"state", COLUMN_TEXT},
                                            {"topics", COLUMN_NUMBER},  {"bytes", COLUMN_NUMBER},
                                            {"settings", COLUMN_TEXT},  {"reason", COLUMN_TEXT}};
    struct cli_words words;
    struct table table;
    int ended;
    int rc;

    cli_parse_words(cli, &words, "", "List the namespaces.", 0, 0, argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    table_begin(&table, cli, columns, sizeof columns / sizeof columns[0]);
    rc = tusk_namespace_list(cli->t, list_namespace, &table);
    ended = table_end(&table);
    return rc == TUSK_OK ? ended : cli_fail(cli, rc, "list namespaces");
}

struct quota_note {
    const char *space;
};

/* A quota below what is used is taken; what follows from it is said. */
static int note_quota(void *user, const struct tusk_namespace_info *info)
{
    struct quota_note *note = user;
    uint64_t quota = 0;
    uint64_t policy = TUSK_QUOTA_REJECT;
    uint64_t topics = 0;
    uint32_t i;

    if (strcmp(info->name, note->space) != 0) {
        return 0;
    }
    for (i = 0; i < info->setting_count; i++) {
        const struct tusk_setting *setting = &info->settings[i];

        quota = setting->key == TUSK_SETTING_QUOTA_BYTES ? setting->value : quota;
        policy = setting->key == TUSK_SETTING_QUOTA_POLICY ? setting->value : policy;
        topics = setting->key == TUSK_SETTING_QUOTA_TOPICS ? setting->value : topics;
    }
    if (quota != 0 && info->bytes > quota) {
        char used[FORMAT_SIZE_TEXT];
        char over[FORMAT_SIZE_TEXT];

        format_size(used, sizeof used, info->bytes);
        format_size(over, sizeof over, info->bytes - quota);
        cli_say("note: namespace %s uses %s, %s more than its quota: %s", info->name, used, over,
                policy == TUSK_QUOTA_DROP_OLDEST
                    ? "the next append that needs a new block drops that much of its oldest "
                      "entries, and a block more"
                : policy == TUSK_QUOTA_WAIT
                    ? "nothing is lost; appends that need a new block wait, and are refused then"
                    : "nothing is lost; appends that need a new block are refused");
    }
    if (topics != 0 && info->topics > topics) {
        cli_say("note: namespace %s has %llu topics, more than its quota: none goes, and no more "
                "are made",
                info->name, (unsigned long long)info->topics);
    }
    return 0;
}

/* Create or set. */
static int namespace_settings(struct cli *cli, int argc, char **argv, const char *help, int min,
                              int (*call)(struct tusk *t, const char *space,
                                          const struct tusk_setting *settings, uint32_t count))
{
    struct tusk_setting settings[9];
    struct quota_note note;
    struct cli_words words;
    uint32_t count;
    int rc;

    cli_parse_words(cli, &words, "NS [KEY=VALUE...]", help, min, 10, argc, argv);
    rc = settings_of(&words, 1, settings, &count);
    rc = rc == CLI_DONE ? cli_connect(cli) : rc;
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = call(cli->t, words.words[0], settings, count);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "namespace %s", words.words[0]);
    }
    note.space = words.words[0];
    (void)tusk_namespace_list(cli->t, note_quota, &note); /* It is set, whether this can be told */
    return CLI_DONE;
}

static int namespace_create(struct cli *cli, int argc, char **argv)
{
    return namespace_settings(cli, argc, argv,
                              "Create namespace NS.\vSettings: " NAMESPACE_SETTINGS ".", 1,
                              tusk_namespace_create);
}

static int namespace_set(struct cli *cli, int argc, char **argv)
{
    return namespace_settings(
        cli, argc, argv, "Change settings of NS; others stay.\vSettings: " NAMESPACE_SETTINGS ".",
        2, tusk_namespace_set);
}

static int namespace_delete(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;
    int rc;

    cli_parse_words(cli, &words, "NS", "Delete namespace NS with everything in it.", 1, 1, argc,
                    argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_namespace_delete(cli->t, words.words[0]);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "delete namespace %s", words.words[0]);
}

int cli_namespace(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"ls", namespace_list, "List namespaces"},
        {"create", namespace_create, "Create a namespace"},
        {"set", namespace_set, "Change its settings"},
        {"delete", namespace_delete, "Delete a namespace"},
    };

    return cli_dispatch(cli, commands, 4, "tusk ns", argc, argv);
}
