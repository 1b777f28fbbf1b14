#include "client/cli_split.h"

#include "proto/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPLITTER_SIZE (256u * 1024)
#define LEN32_SIZE 4u

int split_rule_parse(struct split_rule *rule, const char *text)
{
    *rule = (struct split_rule){.kind = SPLIT_DELIMITER};
    if (strcmp(text, "none") == 0) {
        rule->kind = SPLIT_NONE;
        return 0;
    }
    if (strcmp(text, "len32") == 0) {
        rule->kind = SPLIT_LEN32;
        return 0;
    }
    if (strcmp(text, "lines") == 0) {
        text = "\\n";
    }
    for (; *text != '\0'; text++) {
        char c = *text;

        if (c == '\\' && text[1] != '\0') {
            text++;
            c = *text == 'n' ? '\n' : *text == 't' ? '\t' : *text == '0' ? '\0' : *text;
        }
        if (rule->delimiter_size == sizeof rule->delimiter) {
            return -1;
        }
        rule->delimiter[rule->delimiter_size++] = c;
    }
    return rule->delimiter_size > 0 ? 0 : -1;
}

void split_write(const struct split_rule *rule, FILE *out, const void *data, size_t size)
{
    uint8_t length[LEN32_SIZE];

    if (rule->kind == SPLIT_LEN32) {
        put_u32(length, (uint32_t)size);
        (void)fwrite(length, 1, sizeof length, out);
    }
    (void)fwrite(data, 1, size, out);
    if (rule->kind == SPLIT_DELIMITER) {
        (void)fwrite(rule->delimiter, 1, rule->delimiter_size, out);
    }
}

bool splitter_init(struct splitter *splitter, const struct split_rule *rule, int fd,
                   size_t entry_size_max)
{
    *splitter = (struct splitter){.rule = *rule,
                                  .fd = fd,
                                  .entry_size_max = entry_size_max,
                                  .buffer = malloc(SPLITTER_SIZE),
                                  .capacity = SPLITTER_SIZE};
    return splitter->buffer != NULL;
}

void splitter_deinit(struct splitter *splitter)
{
    free(splitter->buffer);
    *splitter = (struct splitter){0};
}

static bool splitter_fail(struct splitter *splitter, int error)
{
    splitter->error = error;
    splitter->ended = true;
    return false;
}

static bool splitter_next_len32(struct splitter *splitter, const uint8_t **data, size_t *size)
{
    size_t have = splitter->end - splitter->begin;

    if (have < LEN32_SIZE) {
        return have > 0 && splitter->ended ? splitter_fail(splitter, EBADMSG) : false;
    }
    *size = get_u32(splitter->buffer + splitter->begin);
    if (*size > splitter->entry_size_max) {
        return splitter_fail(splitter, EMSGSIZE);
    }
    if (have - LEN32_SIZE < *size) {
        return splitter->ended ? splitter_fail(splitter, EBADMSG) : false;
    }
    *data = splitter->buffer + splitter->begin + LEN32_SIZE;
    splitter->begin += LEN32_SIZE + *size;
    return true;
}

static bool splitter_next_delimited(struct splitter *splitter, const uint8_t **data, size_t *size)
{
    const struct split_rule *rule = &splitter->rule;
    const uint8_t *from = splitter->buffer + splitter->searched;
    size_t left = splitter->end - splitter->searched;
    const uint8_t *found = rule->delimiter_size == 1
                               ? memchr(from, rule->delimiter[0], left)
                               : memmem(from, left, rule->delimiter, rule->delimiter_size);
    size_t have = splitter->end - splitter->begin;

    *data = splitter->buffer + splitter->begin;
    if (found != NULL) {
        *size = (size_t)(found - *data);
        splitter->begin += *size + rule->delimiter_size;
        splitter->searched = splitter->begin;
        return *size <= splitter->entry_size_max || splitter_fail(splitter, EMSGSIZE);
    }
    if (have > splitter->entry_size_max + rule->delimiter_size) {
        return splitter_fail(splitter, EMSGSIZE);
    }
    /* The delimiter may lie across what is there and what comes. */
    splitter->searched =
        have < rule->delimiter_size ? splitter->begin : splitter->end - rule->delimiter_size + 1;
    if (!splitter->ended || have == 0) {
        return false;
    }
    *size = have;
    splitter->begin = splitter->end;
    splitter->searched = splitter->end;
    return *size <= splitter->entry_size_max || splitter_fail(splitter, EMSGSIZE);
}

bool splitter_next(struct splitter *splitter, const uint8_t **data, size_t *size)
{
    if (splitter->error != 0) {
        return false;
    }
    if (splitter->rule.kind == SPLIT_LEN32) {
        return splitter_next_len32(splitter, data, size);
    }
    if (splitter->rule.kind == SPLIT_DELIMITER) {
        return splitter_next_delimited(splitter, data, size);
    }
    *data = splitter->buffer;
    *size = splitter->end;
    if (*size > splitter->entry_size_max) {
        return splitter_fail(splitter, EMSGSIZE);
    }
    if (!splitter->ended || splitter->begin > 0 || splitter->end == 0) {
        return false;
    }
    splitter->begin = splitter->end;
    return true;
}

static bool splitter_make_room(struct splitter *splitter)
{
    uint8_t *buffer;

    if (splitter->begin > 0) {
        memmove(splitter->buffer, splitter->buffer + splitter->begin,
                splitter->end - splitter->begin);
        splitter->end -= splitter->begin;
        splitter->searched -=
            splitter->searched < splitter->begin ? splitter->searched : splitter->begin;
        splitter->begin = 0;
    }
    if (splitter->end < splitter->capacity) {
        return true;
    }
    buffer = realloc(splitter->buffer, 2 * splitter->capacity);
    if (buffer == NULL) {
        return splitter_fail(splitter, ENOMEM);
    }
    splitter->buffer = buffer;
    splitter->capacity *= 2;
    return true;
}

bool splitter_read(struct splitter *splitter)
{
    ssize_t n;

    if (splitter->ended || !splitter_make_room(splitter)) {
        return false;
    }
    n = read(splitter->fd, splitter->buffer + splitter->end, splitter->capacity - splitter->end);
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? true : splitter_fail(splitter, errno);
    }
    splitter->end += (size_t)n;
    splitter->ended = n == 0;
    return true;
}
