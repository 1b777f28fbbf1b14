/* Entries out of a stream of bytes, and back: `--split`.
 *
 *     lines (default)   an entry a line; the newline is not part of it; the last may lack one
 *     none              everything is one entry
 *     DELIM             any other text, \n \t \0 \\ understood: ends each entry, as lines do
 *     len32             each entry behind its size, 4 bytes, little-endian */
#ifndef CLIENT_CLI_SPLIT_H
#define CLIENT_CLI_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum split_kind { SPLIT_DELIMITER, SPLIT_NONE, SPLIT_LEN32 };

struct split_rule {
    enum split_kind kind;
    char delimiter[64];
    size_t delimiter_size;
};

/* 0, or -1 when text is no rule. */
int split_rule_parse(struct split_rule *rule, const char *text);
/* Write one entry to out as the rule would read it. */
void split_write(const struct split_rule *rule, FILE *out, const void *data, size_t size);

struct splitter {
    struct split_rule rule;
    int fd; /* Borrowed */
    size_t entry_size_max;
    uint8_t *buffer; /* Owned */
    size_t capacity;
    size_t begin;
    size_t end;
    size_t searched; /* No delimiter begins before this */
    bool ended;
    int error; /* errno of a failed read; EMSGSIZE: an entry too large; EBADMSG: cut short */
};

/* False: out of memory. */
bool splitter_init(struct splitter *splitter, const struct split_rule *rule, int fd,
                   size_t entry_size_max);
void splitter_deinit(struct splitter *splitter);
/* The next entry that has been read already, valid until splitter_read(). False: more must be
 * read, or it is the end. */
bool splitter_next(struct splitter *splitter, const uint8_t **data, size_t *size);
/* Read more; may wait. False at the end, with `error` if it is not an orderly one. */
bool splitter_read(struct splitter *splitter);

#endif
