/* tuskd.conf(5), as scdoc takes it: the page around the table. */
#include <string.h>

#include "config/options.h"

static const char before[] =
    "TUSKD.CONF(5)\n"
    "\n"
    "# NAME\n"
    "\n"
    "tuskd.conf - configuration of the tusk log daemon\n"
    "\n"
    "# SYNOPSIS\n"
    "\n"
    "/etc/tusk/tuskd.conf, /etc/tusk/conf.d/\\*.conf\n"
    "\n"
    "# DESCRIPTION\n"
    "\n"
    "*tuskd* reads the file that *--config* or *TUSK_CONFIG* names, or *tuskd.conf* in\n"
    "*CONFIGURATION_DIRECTORY*, which systemd sets to /etc/tusk for the service, or none. Then it\n"
    "reads the files in *conf.d* beside it whose names end in *.conf*, in byte order of their\n"
    "names. Later values win: built-in defaults, the file, *conf.d*, the environment, the command\n"
    "line.\n"
    "\n"
    "A file has sections of lines *key = value*. A line that begins with # or ; is a comment, and "
    "so\n"
    "is what follows a blank and a semicolon. Values stand without quotation marks. A line has at\n"
    "most 198 bytes, a file 1 MiB; its last line ends like the others. Within one file a key but "
    "*allow*\n"
    "is given once. What is unknown, out of range or contradicts itself is an error, every one is "
    "reported\n"
    "with file and line, and the daemon does not start, or goes on as it was.\n"
    "\n"
    "*[server]*\n"
    "\tThe daemon itself.\n"
    "\n"
    "*[defaults]*\n"
    "\tWhat new namespaces begin with. Settings (*fsync* and what follows it) that are given are\n"
    "\talso set on the namespace \"default\", which is the daemon's own.\n"
    "\n"
    "*[namespace \"NAME\"]*\n"
    "\tSettings of one namespace. They are set on it at the start, at a reload and when it is\n"
    "\tcreated, are kept with it, and cannot be changed otherwise while they stand here. A "
    "setting\n"
    "\tthat is removed from the file leaves the namespace as it was. In NAME, \\\\\" and \\\\\\\\ "
    "stand for\n"
    "\t\" and \\\\.\n"
    "\n"
    "Sizes are in bytes, or with B, KiB, MiB, GiB or TiB; times have a unit: ms, s, m, h or d.\n"
    "\n"
    "*tuskd --check-config* says what is wrong and changes nothing. SIGHUP (*systemctl reload "
    "tuskd*)\n"
    "reads everything again and applies all of it or, after an error, nothing; what needs a "
    "restart is\n"
    "logged and stays as it was. *tusk config show* prints the values in force and where each "
    "came\n"
    "from, *tusk config diff* what is not default, *tusk config diff --files* what a reload or a\n"
    "restart would change.\n";

static const char behind[] =
    "\n"
    "# ACCESS, IN [DEFAULTS] AND [NAMESPACE \"NAME\"]\n"
    "\n"
    "*allow* = _WHO_ _RIGHT_[,_RIGHT_...][; _WHO_ _RIGHT_[,_RIGHT_...]...] | none\n"
    "\tWho may do what. Root and the daemon's own user may do everything, always;\n"
    "\twithout an *allow* line nobody else may do anything, and the socket's file\n"
    "\thas the mode 0600. With one, anywhere, the mode is 0666 and the rules decide.\n"
    "\tThe only key that may come again (or rules stand in one line, with a semicolon\n"
    "\tand no blank before it between them): the lines of a section and file add up, and\n"
    "\ta user has the rights of all rules that match. A namespace whose own section\n"
    "\thas an *allow* line takes only its own, so *allow = none*, which stands alone, closes\n"
    "\tit; the others\n"
    "\ttake those of [defaults]. A change counts from a reload: whoever loses a right\n"
    "\tis disconnected. What a client has mapped already it can go on reading.\n"
    "\n"
    "\t_WHO_ is *user:NAME*, *group:NAME* (any group of the client's process), or\n"
    "\t*anyone*; a number is taken as it is. It is what the kernel noted when the\n"
    "\tclient connected (SO_PEERCRED, SO_PEERGROUPS: *unix*(7)). Users of another\n"
    "\tuser namespace, whom the kernel has no number for (65534), match nothing, and are\n"
    "\tnot the daemon's own user even where that one is 65534, too. A\n"
    "\tname that the system does not know is an error.\n"
    "\n"
    "\t*read*: read, peek and consume; make, move and delete cursors.\n"
    "\n"
    "\t*append*: append, which may make the topic (*create_topics*), and sync.\n"
    "\n"
    "\t*admin*: make, set, trim and delete topics; make, set and delete the\n"
    "\tnamespace; see the configuration. It does not include the others.\n"
    "\n"
    "\tAny of them: lists, information and counters of the namespace. Others do not\n"
    "\tlearn that it is there.\n"
    "\n"
    "# ENVIRONMENT\n"
    "\n"
    "Options above name their variables. What else the daemon looks at is in *tuskd*(8).\n"
    "\n"
    "# FILES\n"
    "\n"
    "/etc/tusk/tuskd.conf, /etc/tusk/conf.d/\\*.conf\n"
    "\tWhere the service finds them. Both may be missing.\n"
    "\n"
    "/usr/share/doc/tusk/tuskd.conf\n"
    "\tEvery option with its default, as comments.\n"
    "\n"
    "# EXAMPLES\n"
    "\n"
    "With this in _tuskd.conf_:\n"
    "\n"
    "```\n"
    "[server]\n"
    "connections_max = 1000\n"
    "\n"
    "[defaults]\n"
    "retention = age\n"
    "retention_age = 7d\n"
    "\n"
    "[namespace \"payments\"]\n"
    "fsync = each\n"
    "retention = all\n"
    "allow = user:1000 append\n"
    "allow = group:1001 read; user:1001 admin\n"
    "```\n"
    "\n"
    "```\n"
    "$ tuskd --config tuskd.conf --check-config\n"
    "tuskd: the configuration is valid (tuskd.conf)\n"
    "$ tuskd --config tuskd.conf --data-dir store 2>log &\n"
    "tuskd ... ready: ... data_dir=store ...\n"
    "$ tusk ns create payments\n"
    "$ tusk config show -o raw | grep -E '\"payments\".(fsync|retention)'\n"
    "namespace \"payments\"\tretention\tall\ttuskd.conf:10\n"
    "namespace \"payments\"\tretention_age\t7d\tstored\n"
    "namespace \"payments\"\tretention_size\t0B\tstored\n"
    "namespace \"payments\"\tfsync\teach\ttuskd.conf:9\n"
    "$ sed 's/1000/many/' tuskd.conf >other.conf\n"
    "$ tuskd --config other.conf --check-config; echo $?\n"
    "tuskd: other.conf:2: \"many\" is not allowed for connections_max; allowed: a number from 1 "
    "to 100000\n"
    "78\n"
    "```\n"
    "\n"
    "# SEE ALSO\n"
    "\n"
    "*tuskd*(8), *tusk-config*(1), *tusk-ns*(1), *systemctl*(1), *systemd.service*(5)\n";

/* scdoc takes '_' and '*' for emphasis, and a few more; a backslash makes them plain. */
static void write_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("_*\\[]#`<>.", *text) != NULL) {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
}

static void write_row(FILE *out, const struct option_row *row)
{
    char allowed[VALUE_TEXT_SIZE];

    value_allowed(row->type, row->min, row->max, allowed, sizeof allowed);
    (void)fprintf(out, "\n*");
    write_plain(out, row->key);
    (void)fprintf(out, row->fallback[0] != '\0' ? "* = " : "* =");
    write_plain(out, row->fallback);
    (void)fprintf(out, "\n\t");
    write_plain(out, row->help);
    (void)fprintf(out, " Allowed: ");
    write_plain(out, allowed);
    (void)fprintf(out, "\\.");
    if (row->environment != NULL) {
        (void)fprintf(out, " Environment: *");
        write_plain(out, row->environment);
        (void)fprintf(out, "*.");
    }
    if (row->flag != NULL) {
        (void)fprintf(out, " Command line: *--%s*.", row->flag);
    }
    (void)fprintf(out, "%s\n", row->when == OPTION_WHEN_START ? " A change needs a restart." : "");
}

void options_manual(FILE *out)
{
    static const char *const titles[] = {
        [OPTION_SECTION_server] = "OPTIONS OF [SERVER]",
        [OPTION_SECTION_defaults] = "OPTIONS OF [DEFAULTS] ONLY",
        [OPTION_SECTION_setting] = "SETTINGS, IN [DEFAULTS] AND [NAMESPACE \"NAME\"]",
    };
    const struct option_row *rows = options_rows();
    int i;

    (void)fputs(before, out);
    for (i = 0; i < OPTION_COUNT; i++) {
        if (i == 0 || rows[i].section != rows[i - 1].section) {
            (void)fprintf(out, "\n# %s\n", titles[rows[i].section]);
        }
        write_row(out, &rows[i]);
    }
    (void)fputs(behind, out);
}
