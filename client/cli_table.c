#include "client/cli_table.h"

#include "proto/message.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void table_begin(struct table *table, const struct cli *cli, const struct column *columns,
                 size_t column_count)
{
    *table = (struct table){
        .output = cli_output_kind(cli), .columns = columns, .column_count = column_count};
    if (table->output == OUTPUT_JSON) {
        (void)putchar('[');
    }
}

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

/* ---- Tables: held until the end ---- */

/* Where the next cell goes. NULL: out of memory. */
static char **table_room(struct table *table)
{
    if (table->cell_count == table->cell_capacity) {
        size_t capacity = table->cell_capacity == 0 ? 64 : 2 * table->cell_capacity;
        char **cells = realloc(table->cells, capacity * sizeof *cells);

        if (cells == NULL) {
            return NULL;
        }
        table->cells = cells;
        table->cell_capacity = capacity;
    }
    return &table->cells[table->cell_count];
}

static void table_hold(struct table *table, const char *text)
{
    char **cell = table_room(table);

    /* fanalyzer-suppress malloc-leak: the copy is in table->cells, which realloc() moved */
    if (cell == NULL || (*cell = strdup(text)) == NULL) {
        cli_say("out of memory");
        exit(CLI_FAILED);
    }
    table->cell_count++;
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
        table_hold(table, text);
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

/* Columns a terminal needs for UTF-8 text, one for each character. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void table_print_row(const struct table *table, const size_t *widths,
                            const char *const *cells)
{
    size_t i;

    for (i = 0; i < table->column_count; i++) {
        bool last = i + 1 == table->column_count;
        size_t pad = widths[i] - text_width(cells[i]);
        bool right = table->columns[i].kind == COLUMN_NUMBER;

        (void)printf("%*s", right ? (int)pad : 0, "");
        print_printable(stdout, cells[i], strlen(cells[i]));
        (void)printf("%*s%s", right || last ? 0 : (int)pad, "", last ? "\n" : "  ");
    }
}

static void table_print(const struct table *table)
{
    char upper[16][32] = {0};
    const char *names[16] = {0};
    size_t widths[16] = {0};
    size_t column;
    size_t i;

    if (table->column_count == 0) {
        return;
    }
    for (column = 0; column < table->column_count; column++) {
        for (i = 0; i < 31 && table->columns[column].name[i] != '\0'; i++) {
            char c = table->columns[column].name[i];

            upper[column][i] = c == '_' ? ' ' : c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        upper[column][i] = '\0';
        names[column] = upper[column];
        widths[column] = i;
    }
    for (i = 0; i < table->cell_count; i++) {
        size_t width = text_width(table->cells[i]);

        column = i % table->column_count;
        widths[column] = width > widths[column] ? width : widths[column];
    }
    cli_head(true);
    table_print_row(table, widths, names);
    cli_head(false);
    for (i = 0; i < table->cell_count; i += table->column_count) {
        table_print_row(table, widths, (const char *const *)table->cells + i);
    }
}

int table_end(struct table *table)
{
    size_t i;

    if (table->output == OUTPUT_JSON) {
        (void)fputs("]\n", stdout);
    } else if (table->output == OUTPUT_TABLE) {
        table_print(table);
        for (i = 0; i < table->cell_count; i++) {
            free(table->cells[i]);
        }
        free(table->cells);
    }
    return cli_flush_output();
}
