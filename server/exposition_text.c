#include "server/exposition_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/histogram.h"

static void put(struct text *text, const char *bytes, size_t size)
{
    if (text->full || size > text->size - text->used) {
        text->full = true;
        return;
    }
    memcpy(text->bytes + text->used, bytes, size);
    text->used += size;
}

static void put_text(struct text *text, const char *bytes)
{
    put(text, bytes, strlen(bytes));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct text *text, const char *format,
                                                             ...)
{
    char line[96];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof line) {
        text->full = true;
        return;
    }
    put(text, line, (size_t)size);
}

/* In label values a backslash, a quotation mark and a line's end are escaped; in HELP the mark is
 * not. */
static void put_escaped(struct text *text, const char *bytes, size_t size, bool quoted)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (bytes[i] == '\\') {
            put_text(text, "\\\\");
        } else if (bytes[i] == '\n') {
            put_text(text, "\\n");
        } else if (bytes[i] == '"' && quoted) {
            put_text(text, "\\\"");
        } else {
            put(text, &bytes[i], 1);
        }
    }
}

void text_head(struct text *text, const struct metric *metric)
{
    put_text(text, "# HELP ");
    put_text(text, metric->name);
    put_text(text, " ");
    put_escaped(text, metric->help, strlen(metric->help), false);
    put_text(text, "\n# TYPE ");
    put_text(text, metric->name);
    put_text(text, " ");
    put_text(text, metrics_kind_name(metric->kind));
    put_text(text, "\n");
}

static void put_number(struct text *text, enum metric_unit unit, uint64_t value)
{
    if (unit == METRIC_US) {
        put_format(text, "%" PRIu64 ".%06" PRIu64, value / 1000000, value % 1000000);
    } else if (unit == METRIC_MS) {
        put_format(text, "%" PRIu64 ".%03" PRIu64, value / 1000, value % 1000);
    } else {
        put_format(text, "%" PRIu64, value);
    }
}

/* Everything before the value. limit: of a bucket, NULL where there is none. */
static void put_series(struct text *text, const struct metric *metric, const char *suffix,
                       const struct text_label *labels, const char *limit)
{
    const char *between = "{";
    size_t i;

    put_text(text, metric->name);
    put_text(text, suffix);
    for (i = 0; i < TEXT_LABELS_MAX && labels[i].name != NULL; i++) {
        put_text(text, between);
        put_text(text, labels[i].name);
        put_text(text, "=\"");
        put_escaped(text, labels[i].value, labels[i].size, true);
        put_text(text, "\"");
        between = ",";
    }
    if (metric->label[0] != '\0') {
        put_text(text, between);
        put_text(text, metric->label);
        between = ",";
    }
    if (limit != NULL) {
        put_text(text, between);
        put_text(text, "le=\"");
        put_text(text, limit);
        put_text(text, "\"");
        between = ",";
    }
    put_text(text, *between == ',' ? "} " : " ");
}

void text_value(struct text *text, const struct metric *metric, const struct text_label *labels,
                uint64_t value)
{
    put_series(text, metric, "", labels, NULL);
    put_number(text, metric->unit, value);
    put_text(text, "\n");
}

static void put_bucket(struct text *text, const struct metric *metric,
                       const struct text_label *labels, const char *limit, uint64_t count)
{
    put_series(text, metric, "_bucket", labels, limit);
    put_format(text, "%" PRIu64 "\n", count);
}

void text_histogram(struct text *text, const struct metric *metric, const struct text_label *labels,
                    const struct histogram *histogram)
{
    char limit[32];
    unsigned exponent;
    unsigned last;

    metrics_limits(metric->unit, &exponent, &last);
    for (; exponent <= last; exponent++) {
        struct text number = {.bytes = limit, .size = sizeof limit - 1};

        put_number(&number, metric->unit, UINT64_C(1) << exponent);
        limit[number.used] = '\0';
        put_bucket(text, metric, labels, limit, histogram_at_most(histogram, exponent));
    }
    put_bucket(text, metric, labels, "+Inf", histogram->count);
    put_series(text, metric, "_sum", labels, NULL);
    put_number(text, metric->unit, histogram->sum);
    put_text(text, "\n");
    put_series(text, metric, "_count", labels, NULL);
    put_format(text, "%" PRIu64 "\n", histogram->count);
}
