#include "client/cli_table.h"

#include "proto/message.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_SIZE 32u
#define HEAD_COLOR "\033[1m"

/* ---- JSON and tabs: written as it comes ---- */

void json_string(FILE *out, const char *data, size_t size)
{
    size_t i;

    (void)fputc('"', out);
    for (i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];

        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out, "\\u%04x", c);
        } else {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

static void json_base64(FILE *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;

    (void)fputc('"', out);
    for (i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)data[i] << 16;

        bits |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= left > 2 ? data[i + 2] : 0;
        (void)fputc(digits[bits >> 18], out);
        (void)fputc(digits[bits >> 12 & 63], out);
        (void)fputc(left > 1 ? digits[bits >> 6 & 63] : '=', out);
        (void)fputc(left > 2 ? digits[bits & 63] : '=', out);
    }
    (void)fputc('"', out);
}

void json_bytes(FILE *out, const char *key, const void *data, size_t size)
{
    if (message_utf8_valid(data, size)) {
        (void)fprintf(out, "\"%s\":", key);
        json_string(out, data, size);
    } else {
        (void)fprintf(out, "\"%s_b64\":", key);
        json_base64(out, data, size);
    }
}

void print_printable(FILE *out, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    bool text = message_utf8_valid(data, size);
    size_t i;

    for (i = 0; i < size; i++) {
        bool control = bytes[i] < 0x20 || bytes[i] == 0x7f;

        (void)fputc(control || (!text && bytes[i] >= 0x80) ? '.' : bytes[i], out);
    }
}

/* A row stays a row, whatever a name has in it: tab, newline and the like as C writes them. */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;

        if (c == '\\') {
            (void)fputs("\\\\", out);
        } else if (c == '\t' || c == '\n') {
            (void)fputs(c == '\t' ? "\\t" : "\\n", out);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out, "\\x%02x", c);
        } else {
            (void)fputc(c, out);
        }
    }
}

static void table_write_json(struct table *table, const struct column *column, size_t index,
                             const char *text)
{
    const char *before = "";

    if (index == 0 && table->output == OUTPUT_JSON && table->rows > 0) {
        before = ",\n ";
    }
    (void)printf("%s%s\"%s\":", before, index == 0 ? "{" : ",", column->name);
    if (column->kind == COLUMN_NUMBER) {
        (void)fputs(text, stdout);
    } else {
        json_string(stdout, text, strlen(text));
    }
    if (index + 1 == table->column_count) {
        (void)fputs(table->output == OUTPUT_JSONL ? "}\n" : "}", stdout);
        table->rows++;
    }
}

/* ---- Tables: held until the end, and aligned by libsmartcols ---- */

__attribute__((noreturn)) static void out_of_memory(void)
{
    cli_say("out of memory");
    exit(CLI_FAILED);
}

/* "start_us" as a head: "START US". */
static void head_text(char out[HEAD_SIZE], const char *name)
{
    size_t i;

    for (i = 0; i + 1 < HEAD_SIZE && name[i] != '\0'; i++) {
        out[i] = name[i] == '_'                     ? ' '
                 : name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 32)
                                                    : name[i];
    }
    out[i] = '\0';
}

static void hold_begin(struct table *table)
{
    size_t i;

    table->held = scols_new_table();
    if (table->held == NULL || scols_table_set_column_separator(table->held, "  ") != 0) {
        out_of_memory();
    }
    /* Rows are not cut to a terminal's width: what is cut cannot be read. */
    (void)scols_table_set_termforce(table->held, SCOLS_TERMFORCE_NEVER);
    (void)scols_table_enable_colors(table->held, cli_colored(stdout));
    for (i = 0; i < table->column_count; i++) {
        const int flags = table->columns[i].kind == COLUMN_NUMBER ? SCOLS_FL_RIGHT : 0;
        char head[HEAD_SIZE];
        struct libscols_column *column;

        head_text(head, table->columns[i].name);
        column = scols_table_new_column(table->held, head, 0, flags);
        if (column == NULL ||
            scols_cell_set_color(scols_column_get_header(column), HEAD_COLOR) != 0) {
            out_of_memory();
        }
    }
}

static void hold(struct table *table, size_t index, const char *text)
{
    if (index == 0) {
        table->row = scols_table_new_line(table->held, NULL);
    }
    if (table->row == NULL || scols_line_set_data(table->row, index, text) != 0) {
        out_of_memory();
    }
}

/* Of a table without rows libsmartcols shows nothing, not even what is not there. */
static void print_heads(const struct table *table)
{
    size_t i;

    cli_head(true);
    for (i = 0; i < table->column_count; i++) {
        char head[HEAD_SIZE];

        head_text(head, table->columns[i].name);
        (void)printf("%s%s", i == 0 ? "" : "  ", head);
    }
    cli_head(false);
    (void)putchar('\n');
}

/* Names are UTF-8, whatever the locale is. */
static void hold_end(struct table *table)
{
    if (table->cell_count == 0) {
        print_heads(table);
    }
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)scols_print_table(table->held);
    (void)setlocale(LC_CTYPE, "C");
    scols_unref_table(table->held);
}

void table_begin(struct table *table, const struct cli *cli, const struct column *columns,
                 size_t column_count)
{
    *table = (struct table){
        .output = cli_output_kind(cli), .columns = columns, .column_count = column_count};
    if (table->output == OUTPUT_JSON) {
        (void)putchar('[');
    } else if (table->output == OUTPUT_TABLE) {
        hold_begin(table);
    }
}

static void table_cell(struct table *table, const char *text)
{
    size_t index = table->cell_count % table->column_count;

    switch (table->output) {
    case OUTPUT_JSON:
    case OUTPUT_JSONL:
        table_write_json(table, &table->columns[index], index, text);
        table->cell_count++;
        break;
    case OUTPUT_RAW:
        print_escaped(stdout, text);
        (void)putchar(index + 1 == table->column_count ? '\n' : '\t');
        table->cell_count++;
        break;
    case OUTPUT_AUTO:
    case OUTPUT_TABLE:
        hold(table, index, text);
        table->cell_count++;
        break;
    }
}

void table_text(struct table *table, const char *text)
{
    table_cell(table, text);
}

void table_number(struct table *table, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    table_cell(table, text);
}

void table_decimal(struct table *table, double number)
{
    char text[40];

    (void)snprintf(text, sizeof text, "%.1f", number);
    table_cell(table, text);
}

int table_end(struct table *table)
{
    if (table->output == OUTPUT_JSON) {
        (void)fputs("]\n", stdout);
    } else if (table->output == OUTPUT_TABLE) {
        hold_end(table);
    }
    return cli_flush_output();
}
