#include "server/offline/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "server/offline/progress.h"

#define SENTENCE_SIZE 2048

void out_init(struct out *out, FILE *file, enum out_format format)
{
    *out = (struct out){.file = file, .format = format};
}

static bool as_json(const struct out *out)
{
    return out->format != OUT_TEXT;
}

/* Bytes of a well-formed UTF-8 sequence at the front, or 0. */
static size_t sequence_size(const uint8_t *bytes, size_t size)
{
    const uint8_t first = bytes[0];
    const size_t wanted = first < 0x80   ? 1
                          : first < 0xc2 ? 0
                          : first < 0xe0 ? 2
                          : first < 0xf0 ? 3
                                         : 4;
    size_t i;

    if (wanted == 0 || wanted > size || first > 0xf4) {
        return 0;
    }
    for (i = 1; i < wanted; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
        (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f)) {
        return 0;
    }
    return wanted;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (at < size) {
        const size_t step = sequence_size(bytes + at, size - at);

        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

/* Quoted; what a terminal or JSON would not show as it is, escaped. */
static void put_quoted(struct out *out, const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    (void)fputc('"', out->file);
    while (at < size) {
        const size_t step = sequence_size(bytes + at, size - at);
        const uint8_t c = bytes[at];

        if (step == 0) {
            (void)fprintf(out->file, "\\x%02x", c);
        } else if (c == '"' || c == '\\') {
            (void)fprintf(out->file, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out->file, as_json(out) ? "\\u%04x" : "\\x%02x", c);
        } else {
            (void)fwrite(bytes + at, 1, step, out->file);
        }
        at += step == 0 ? 1 : step;
    }
    (void)fputc('"', out->file);
}

static void put_base64(struct out *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at;

    (void)fputc('"', out->file);
    for (at = 0; at < size; at += 3) {
        const size_t left = size - at;
        const uint32_t word = (uint32_t)bytes[at] << 16 |
                              (left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0) |
                              (left > 2 ? bytes[at + 2] : 0);

        (void)fputc(digits[word >> 18], out->file);
        (void)fputc(digits[word >> 12 & 63], out->file);
        (void)fputc(left > 1 ? digits[word >> 6 & 63] : '=', out->file);
        (void)fputc(left > 2 ? digits[word & 63] : '=', out->file);
    }
    (void)fputc('"', out->file);
}

/* ---- records ---- */

static void begin(struct out *out, const char *what)
{
    if (out->bar != NULL) {
        progress_clear(out->bar);
    }
    if (out->format == OUT_JSON) {
        (void)fputs(out->started ? ",\n" : "[\n", out->file);
        out->started = true;
    }
    if (as_json(out)) {
        (void)fprintf(out->file, "{\"what\":\"%s\"", what);
    }
    out->fields = as_json(out);
    out->sentence = false;
}

void out_begin(struct out *out, const char *what)
{
    begin(out, what);
    if (!as_json(out)) {
        (void)fputs(what, out->file);
        out->fields = true;
    }
}

void out_sentence(struct out *out, const char *what, const char *format, ...)
{
    char text[SENTENCE_SIZE];
    va_list args;

    begin(out, what);
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (as_json(out)) {
        out_text(out, "text", text);
    } else {
        (void)fputs(text, out->file);
    }
    out->sentence = true;
}

/* False: the field is left out. */
static bool key_of(struct out *out, const char *key, const char *suffix)
{
    if (as_json(out)) {
        (void)fprintf(out->file, ",\"%s%s\":", key, suffix);
        return true;
    }
    if (out->sentence) {
        return false;
    }
    (void)fprintf(out->file, " %s=", key);
    return true;
}

void out_number(struct out *out, const char *key, uint64_t value)
{
    if (key_of(out, key, "")) {
        (void)fprintf(out->file, "%" PRIu64, value);
    }
}

void out_hex(struct out *out, const char *key, uint64_t value)
{
    if (key_of(out, key, "")) {
        (void)fprintf(out->file, as_json(out) ? "\"0x%" PRIx64 "\"" : "0x%" PRIx64, value);
    }
}

void out_flag(struct out *out, const char *key, bool value)
{
    if (key_of(out, key, "")) {
        (void)fputs(value ? "true" : "false", out->file);
    }
}

void out_text(struct out *out, const char *key, const char *text)
{
    const size_t size = strlen(text);

    if (as_json(out) || strpbrk(text, " \"=") != NULL || !is_text((const uint8_t *)text, size)) {
        out_bytes(out, key, text, size);
    } else if (key_of(out, key, "")) {
        (void)fputs(text, out->file);
    }
}

void out_bytes(struct out *out, const char *key, const void *bytes, size_t size)
{
    const bool text = !as_json(out) || is_text(bytes, size);

    if (key_of(out, key, text ? "" : "_b64")) {
        if (text) {
            put_quoted(out, bytes, size);
        } else {
            put_base64(out, bytes, size);
        }
    }
}

void out_hex_bytes(struct out *out, const char *key, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    size_t i;

    if (!key_of(out, key, "")) {
        return;
    }
    (void)fputs(as_json(out) ? "\"" : "", out->file);
    for (i = 0; i < size; i++) {
        (void)fprintf(out->file, "%02x", at[i]);
    }
    (void)fputs(as_json(out) ? "\"" : "", out->file);
}

void out_end(struct out *out)
{
    if (as_json(out)) {
        (void)fputc('}', out->file);
    }
    if (out->format != OUT_JSON) {
        (void)fputc('\n', out->file);
    }
}

void out_flush(struct out *out)
{
    (void)fflush(out->file); /* out_finish() tells */
}

int out_finish(struct out *out)
{
    if (out->format == OUT_JSON) {
        (void)fputs(out->started ? "\n]\n" : "[]\n", out->file);
    }
    return fflush(out->file) != 0 || ferror(out->file) ? -1 : 0;
}
