/* Rows of text and numbers, in the form that -o asks for: a table with aligned columns, tabs,
 * a JSON array, or a JSON object a line. And the pieces of JSON.
 *
 *     table_begin --> (table_text | table_number) once a column, row after row --> table_end
 *
 * A table is held until its end, because the widths are known only then. */
#ifndef CLIENT_CLI_TABLE_H
#define CLIENT_CLI_TABLE_H

#include "client/cli.h"

#include <stdio.h>

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER };

struct column {
    const char *name; /* Lower case; a JSON key, too */
    enum column_kind kind;
};

struct libscols_line;
struct libscols_table;

struct table {
    enum cli_output output;
    const struct column *columns;
    size_t column_count;
    size_t cell_count;
    size_t rows;                 /* Whole ones written so far: JSON */
    struct libscols_table *held; /* Owned until table_end() */
    struct libscols_line *row;   /* The last one */
};

void table_begin(struct table *table, const struct cli *cli, const struct column *columns,
                 size_t column_count);
void table_text(struct table *table, const char *text);
void table_number(struct table *table, uint64_t number);
/* A number with one digit behind the point. */
void table_decimal(struct table *table, double number);
/* Write what is held and free it. CLI_DONE or CLI_FAILED. */
int table_end(struct table *table);

/* A JSON string with its quotes; the bytes are valid UTF-8. */
void json_string(FILE *out, const char *data, size_t size);
/* "key":"text", or "key_b64":"..." when the bytes are not valid UTF-8. No NUL is valid, either. */
void json_bytes(FILE *out, const char *key, const void *data, size_t size);
/* Text with what a terminal might act on replaced by '.'. */
void print_printable(FILE *out, const void *data, size_t size);

#endif
