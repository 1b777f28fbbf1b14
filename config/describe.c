/* The table as text for people: --help, the commented sample tuskd.conf, and tuskd.conf(5). */
#include <string.h>

#include "config/options.h"

#define WIDTH 88u /* Columns of wrapped text, its indent included */

/* Write text in lines of at most WIDTH columns, each beginning with indent. */
static void write_wrapped(FILE *out, const char *indent, const char *text)
{
    const size_t room = WIDTH - strlen(indent);

    while (*text != '\0') {
        size_t size = strlen(text);

        if (size > room) {
            for (size = room; size > 0 && text[size] != ' '; size--) {
            }
            size = size > 0 ? size : room;
        }
        (void)fprintf(out, "%s%.*s\n", indent, (int)size, text);
        text += size;
        text += strspn(text, " ");
    }
}

static const char *flag_value_name(const struct option_row *row)
{
    switch (row->type) {
    case VALUE_PATH:
        return row->offset == offsetof(struct options, data_dir) ? " DIR" : " PATH";
    case VALUE_IO:
        return " uring|posix|mmap";
    case VALUE_FSYNC:
        return " each|none|MS";
    case VALUE_CONSISTENCY:
        return " strict|at-least-once:N";
    case VALUE_SWITCH:
        return "";
    case VALUE_SIZE:
    case VALUE_COUNT:
    case VALUE_TIME:
    case VALUE_LOG:
    case VALUE_RETENTION:
    case VALUE_QUOTA:
        break;
    }
    return " VALUE";
}

void options_help(FILE *out)
{
    const struct option_row *rows = options_rows();
    char allowed[VALUE_TEXT_SIZE];
    int i;

    (void)fprintf(out,
                  "Usage: tuskd [OPTION...]\n\n"
                  "The tusk daemon: a durable, topic-based log behind a Unix socket.\n\n"
                  "  --config FILE\n"
                  "        Read FILE, and conf.d/*.conf beside it. Without this option it is\n"
                  "        $TUSK_CONFIG, or tuskd.conf in $CONFIGURATION_DIRECTORY if systemd\n"
                  "        sets it, or none. Environment and options win over files.\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        if (rows[i].flag != NULL) {
            (void)fprintf(out, "  --%s%s\n", rows[i].flag, flag_value_name(&rows[i]));
            write_wrapped(out, "        ", rows[i].help);
            (void)fprintf(out, "        Default: %s\n", rows[i].fallback);
        }
    }
    (void)fprintf(out,
                  "  --set KEY=VALUE\n"
                  "        Set any of the options below.\n"
                  "  --accept-loss NAMESPACE\n"
                  "        Open a namespace whose journal is damaged, giving up what is\n"
                  "        damaged. What was lost is logged.\n"
                  "  --check-config\n"
                  "        Check options, files and environment, say what is wrong with them,\n"
                  "        and exit. Nothing is created, locked or changed.\n"
                  "  --version\n"
                  "  --help\n\n"
                  "Options for --set and for files (tuskd.conf(5)), with their defaults. SIGHUP\n"
                  "reloads the files; a * stands where a change needs a restart.\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        value_allowed(rows[i].type, rows[i].min, rows[i].max, allowed, sizeof allowed);
        (void)fprintf(out, "\n  %s=%s%s\n", rows[i].key, rows[i].fallback,
                      rows[i].when == OPTION_WHEN_START ? "  *" : "");
        write_wrapped(out, "        ", rows[i].help);
        (void)fprintf(out, "        Allowed: %s.\n", allowed);
        if (rows[i].environment != NULL) {
            (void)fprintf(out, "        Environment: %s.\n", rows[i].environment);
        }
    }
    (void)fprintf(
        out, "\nIn files only: allow = WHO RIGHTS in [defaults] and [namespace \"NAME\"], where\n"
             "WHO is user:NAME, group:NAME or anyone, and RIGHTS are of read, append, admin.\n"
             "Without it only root and the daemon's own user may use it.\n");
    (void)fprintf(out,
                  "\nExit status: 0 clean stop, 64 usage, 65 damaged data that needs a decision,\n"
                  "73 cannot create, 74 input/output error, 75 data directory in use,\n"
                  "78 configuration.\n");
}

void options_sample(FILE *out)
{
    const struct option_row *rows = options_rows();
    const char *section = "";
    char allowed[VALUE_TEXT_SIZE];
    char line[VALUE_TEXT_SIZE + 16];
    int i;

    (void)fprintf(
        out, "# Options of tuskd, each with its default. Made from config/options.def.\n"
             "# Takes effect as /etc/tusk/tuskd.conf for the service, or with --config FILE.\n"
             "# Files in conf.d beside it, *.conf in order of their names, win over it.\n"
             "# tuskd --check-config finds mistakes; systemctl reload tuskd applies changes.\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(section, options_section_name(rows[i].section)) != 0) {
            section = options_section_name(rows[i].section);
            (void)fprintf(out, "\n[%s]\n", section);
        }
        value_allowed(rows[i].type, rows[i].min, rows[i].max, allowed, sizeof allowed);
        (void)snprintf(line, sizeof line, "Allowed: %s.", allowed);
        (void)fprintf(out, "\n");
        write_wrapped(out, "# ", rows[i].help);
        write_wrapped(out, "# ", line);
        if (rows[i].environment != NULL) {
            (void)fprintf(out, "# Environment: %s.\n", rows[i].environment);
        }
        if (rows[i].when == OPTION_WHEN_START) {
            (void)fprintf(out, "# A change needs a restart.\n");
        }
        (void)fprintf(out, rows[i].fallback[0] != '\0' ? "#%s = %s\n" : "#%s =%s\n", rows[i].key,
                      rows[i].fallback);
    }
    (void)fprintf(
        out,
        "\n# Who may do what, besides root and the daemon's own user, who may do everything:\n"
        "# user:NAME, group:NAME or anyone, and of read, append, admin what they may.\n"
        "# Several lines add up. Allowed: WHO RIGHT[,RIGHT...], or none.\n"
        "#allow = none\n"
        "\n# A namespace's own settings: any of fsync and what follows it. With an allow line\n"
        "# of its own those of [defaults] do not count for it.\n"
        "#[namespace \"orders\"]\n"
        "#fsync = each\n"
        "#allow = user:1000 append\n"
        "#allow = group:1001 read\n");
}
