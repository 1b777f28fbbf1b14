/* What the offline tools say on standard output: for a person, or for a program.
 *
 *     out_init ---> { out_begin ---> fields* ---> out_end }* ---> out_finish
 *
 * Each thing said is a record. As text it is one line: its sentence, when it has one, else its
 * fields as key=value. As JSON it is an object with "what", the fields and the sentence as "text":
 * one a line, or all in one array. One thread at a time. */
#ifndef OFFLINE_OUT_H
#define OFFLINE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress;

enum out_format { OUT_TEXT, OUT_JSON, OUT_JSONL };

struct out {
    FILE *file; /* Borrowed */
    enum out_format format;
    bool started;         /* The array is open */
    bool fields;          /* The record has some */
    bool sentence;        /* The record is one, and text leaves its fields out */
    struct progress *bar; /* Borrowed; off the screen before anything is said. NULL: none */
};

void out_init(struct out *out, FILE *file, enum out_format format);
/* A record of fields. */
void out_begin(struct out *out, const char *what);
/* A record that is a sentence for a person. */
void out_sentence(struct out *out, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void out_number(struct out *out, const char *key, uint64_t value);
/* As 0x and hex digits; a string in JSON, because numbers there lose bits beyond 2^53. */
void out_hex(struct out *out, const char *key, uint64_t value);
void out_flag(struct out *out, const char *key, bool value);
void out_text(struct out *out, const char *key, const char *text);
/* Bytes that are text if they are UTF-8; else escaped in text, and in JSON "<key>_b64". */
void out_bytes(struct out *out, const char *key, const void *bytes, size_t size);
/* The same as hex digits. */
void out_hex_bytes(struct out *out, const char *key, const void *bytes, size_t size);
void out_end(struct out *out);
void out_flush(struct out *out);
/* Close the array. 0, or -1 when something could not be written. */
int out_finish(struct out *out);

#endif
