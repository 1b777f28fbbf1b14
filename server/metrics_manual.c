/* tusk-metrics(7), as scdoc takes it: the page around the table. */
#include <string.h>

#include "server/metrics.h"

static const char before[] =
    "TUSK-METRICS(7)\n"
    "\n"
    "# NAME\n"
    "\n"
    "tusk-metrics - what tuskd tells of itself, and where\n"
    "\n"
    "# DESCRIPTION\n"
    "\n"
    "*tuskd*(8) answers HTTP on a Unix socket of its own, *metrics_socket* of *tuskd.conf*(5), or "
    "on\n"
    "a socket that systemd passes with *FileDescriptorName=metrics* (_tuskd-metrics.socket_), "
    "which may be a TCP socket "
    "(then\n"
    "whoever reaches it may ask; encryption and passwords are a proxy's). No right on any "
    "namespace\n"
    "is needed, and names of all namespaces, topics and cursors are told, but no entry: the "
    "socket's\n"
    "file has the mode 0600, or 0660 with *metrics_group*.\n"
    "\n"
    "*/metrics*\n"
    "\tEverything below, in the text format of Prometheus (version 0.0.4). It is made while it is\n"
    "\tsent: metrics of one answer may be some milliseconds apart, each agrees with itself.\n"
    "\n"
    "*/healthz*\n"
    "\t200 while the daemon's loop goes round. A stalled disk does not change that.\n"
    "\n"
    "*/readyz*\n"
    "\t200 when every namespace serves. 503 with a sentence when recovery refused one, or the "
    "daemon\n"
    "\tis stopping. While it recovers the socket is not there yet, or, where systemd holds it, "
    "does\n"
    "\tnot answer.\n"
    "\n"
    "*/*\n"
    "\tA page for people, which reads /metrics.\n"
    "\n"
    "A request has at most 8 KiB, must be there within 5 seconds, and its answer be taken within "
    "30;\n"
    "only GET and HEAD, without a body; one request to a connection, 8 connections at a time. "
    "Anything\n"
    "else is refused, and the connection closed.\n"
    "\n"
    "*tusk metrics* prints /metrics, and *tusk metrics --textfile* writes it for node_exporter\n"
    "(*tusk-metrics*(1)). Rules for alerts and a dashboard for Grafana are in\n"
    "/usr/share/doc/tusk/monitoring.\n"
    "\n"
    "Histograms have limits that double: of times from 16 us to 17 s, of others from 1 to 64 Mi.\n"
    "Values are exact to a microsecond, times go from turn to turn of the loop.\n";

static const char behind[] = "\n"
                             "# SEE ALSO\n"
                             "\n"
                             "*tusk-metrics*(1), *tusk-stat*(1), *tuskd*(8), *tuskd.conf*(5)\n";

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

static const char *title_of(enum metric_scope scope)
{
    static const char *const titles[] = {
        [METRIC_DAEMON] = "METRICS OF THE DAEMON",  [METRIC_REPLIES] = "METRICS OF THE DAEMON",
        [METRIC_CLASSES] = "METRICS OF THE DAEMON", [METRIC_SPACES] = "METRICS OF A NAMESPACE",
        [METRIC_SPACE] = "METRICS OF A NAMESPACE",  [METRIC_TOPIC] = "METRICS OF A TOPIC",
        [METRIC_CURSOR] = "METRICS OF A CURSOR",
    };

    return titles[scope];
}

static void write_labels(FILE *out, const struct metric *row)
{
    const char *labels = metrics_scope_labels(row->scope);
    const int fixed = (int)strcspn(row->label, "=");

    if (labels[0] != '\0' || fixed > 0) {
        (void)fprintf(out, "; %s%s", labels, labels[0] != '\0' && fixed > 0 ? ", " : "");
        (void)fprintf(out, "%.*s", fixed, row->label);
    }
}

static void write_row(FILE *out, const struct metric *row)
{
    (void)fprintf(out, "\n*");
    write_plain(out, row->name);
    (void)fprintf(out, "* (%s", metrics_kind_name(row->kind));
    write_labels(out, row);
    (void)fprintf(out, ")\n\t");
    write_plain(out, row->help);
    (void)fprintf(out, "\n");
}

void metrics_manual(FILE *out)
{
    const char *title = "";
    uint32_t i;

    (void)fputs(before, out);
    for (i = 0; i < metrics_count(); i++) {
        const struct metric *row = metrics_row(i);

        if (strcmp(title, title_of(row->scope)) != 0) {
            title = title_of(row->scope);
            (void)fprintf(out, "\n# %s\n", title);
        }
        if (row->help[0] != '\0') {
            write_row(out, row);
        }
    }
    (void)fputs(behind, out);
}
