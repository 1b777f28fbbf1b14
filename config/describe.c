/* The table as text for people: --help, and the commented sample tuskd.conf. */
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
        break;
    }
    return " VALUE";
}

void options_help(FILE *out)
{
    const struct option_row *rows = options_rows();
    char allowed[VALUE_TEXT_SIZE];
    int i;

    (void)fprintf(out, "Usage: tuskd [OPTION...]\n\n"
                       "The tusk daemon: a durable, topic-based log behind a Unix socket.\n\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        if (rows[i].flag != NULL) {
            (void)fprintf(out, "  --%s%s\n", rows[i].flag, flag_value_name(&rows[i]));
            write_wrapped(out, "        ", rows[i].help);
            (void)fprintf(out, "        Default: %s\n", rows[i].fallback);
        }
    }
    (void)fprintf(out, "  --set KEY=VALUE\n"
                       "        Set any of the options below.\n"
                       "  --accept-loss NAMESPACE\n"
                       "        Open a namespace whose journal is damaged, giving up what is\n"
                       "        damaged. What was lost is logged.\n"
                       "  --check-config\n"
                       "        Check options and environment, then exit.\n"
                       "  --version\n"
                       "  --help\n\n"
                       "Options for --set, with their defaults:\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        value_allowed(rows[i].type, rows[i].min, rows[i].max, allowed, sizeof allowed);
        (void)fprintf(out, "\n  %s=%s\n", rows[i].key, rows[i].fallback);
        write_wrapped(out, "        ", rows[i].help);
        (void)fprintf(out, "        Allowed: %s.\n", allowed);
        if (rows[i].environment != NULL) {
            (void)fprintf(out, "        Environment: %s.\n", rows[i].environment);
        }
    }
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

    (void)fprintf(out, "# Options of tuskd, each with its default. Made from config/options.def.\n"
                       "# Give one as --set KEY=VALUE.\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(section, rows[i].section) != 0) {
            section = rows[i].section;
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
        (void)fprintf(out, "#%s = %s\n", rows[i].key, rows[i].fallback);
    }
}
