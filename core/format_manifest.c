/* Manifests and file names: the offsets of FORMAT.md, "Manifest" and "Files". */
#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "core/format.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

static const char manifest_magic[FORMAT_MAGIC_SIZE] = FORMAT_MAGIC_MANIFEST;

static void settings_encode(uint8_t *at, const struct engine_settings *settings)
{
    CHECK(at != NULL);
    CHECK(settings != NULL);
    put_u64(at, settings->retention.kind);
    put_u64(at + 8, settings->retention.age_ms);
    put_u64(at + 16, settings->retention.bytes);
    put_u64(at + 24, settings->fsync_ms);
    put_u64(at + 32, settings->consistency);
    put_u64(at + 40, settings->quota_bytes);
    put_u64(at + 48, settings->quota_topics);
    put_u64(at + 56, settings->quota_cursors);
    put_u64(at + 64, settings->quota_policy);
}

static void settings_decode(struct engine_settings *settings, const uint8_t *at)
{
    CHECK(settings != NULL);
    CHECK(at != NULL);
    settings->retention.kind = get_u64(at);
    settings->retention.age_ms = get_u64(at + 8);
    settings->retention.bytes = get_u64(at + 16);
    settings->fsync_ms = get_u64(at + 24);
    settings->consistency = get_u64(at + 32);
    settings->quota_bytes = get_u64(at + 40);
    settings->quota_topics = get_u64(at + 48);
    settings->quota_cursors = get_u64(at + 56);
    settings->quota_policy = format_quota_policy(get_u64(at + 64));
}

void format_manifest_encode(uint8_t page[FORMAT_PAGE], const struct format_manifest *manifest)
{
    memset(page, 0, FORMAT_PAGE);
    memcpy(page, manifest_magic, 8);
    put_u16(page + 8, FORMAT_VERSION);
    put_u16(page + 10, FORMAT_PAGE);
    put_u32(page + 20, manifest->block_size);
    memcpy(page + 24, manifest->store_id, ENGINE_STORE_ID_SIZE);
    put_u64(page + 40, manifest->number);
    put_u64(page + 48, manifest->lsn);
    put_u64(page + 56, manifest->mark);
    put_u64(page + 64, manifest->time_us);
    put_u64(page + 72, manifest->body_size);
    put_u32(page + 80, manifest->body_crc);
    put_u32(page + 84, manifest->chain_crc);
    put_u32(page + 88, manifest->blocks_per_segment);
    put_u64(page + 96, manifest->next_topic_id);
    put_u64(page + 104, manifest->next_segment);
    put_u64(page + 112, manifest->incarnation_ordinal);
    put_u64(page + 120, manifest->incarnation_count);
    put_u64(page + 128, manifest->topic_count);
    settings_encode(page + 136, &manifest->settings);
    put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
}

int format_manifest_decode(struct format_manifest *manifest, const uint8_t page[FORMAT_PAGE])
{
    CHECK(manifest != NULL);
    CHECK(page != NULL);
    if (memcmp(page, manifest_magic, 8) != 0 ||
        get_u32(page + FORMAT_PAGE - 4) != crc32c(0, page, FORMAT_PAGE - 4)) {
        return TUSK_ECORRUPT;
    }
    if (get_u16(page + 8) != FORMAT_VERSION || get_u32(page + 16) != 0) {
        return TUSK_EVERSION;
    }
    manifest->block_size = get_u32(page + 20);
    memcpy(manifest->store_id, page + 24, ENGINE_STORE_ID_SIZE);
    manifest->number = get_u64(page + 40);
    manifest->lsn = get_u64(page + 48);
    manifest->mark = get_u64(page + 56);
    manifest->time_us = get_u64(page + 64);
    manifest->body_size = get_u64(page + 72);
    manifest->body_crc = get_u32(page + 80);
    manifest->chain_crc = get_u32(page + 84);
    manifest->blocks_per_segment = get_u32(page + 88);
    manifest->next_topic_id = get_u64(page + 96);
    manifest->next_segment = get_u64(page + 104);
    manifest->incarnation_ordinal = get_u64(page + 112);
    manifest->incarnation_count = get_u64(page + 120);
    manifest->topic_count = get_u64(page + 128);
    settings_decode(&manifest->settings, page + 136);
    return manifest->lsn < FORMAT_COUNTER_MAX && manifest->lsn % FORMAT_RECORD_ALIGN == 0 &&
                   manifest->mark < FORMAT_COUNTER_MAX &&
                   manifest->number < FORMAT_COUNTER_MAX &&
                   manifest->next_segment <= FORMAT_COUNTER_MAX &&
                   manifest->next_topic_id <= FORMAT_COUNTER_MAX
               ? 0
               : TUSK_ECORRUPT;
}

size_t format_incarnation_encode(uint8_t *out, const struct format_incarnation *incarnation)
{
    CHECK(out != NULL);
    put_u64(out, incarnation->ordinal);
    put_u64(out + 8, incarnation->id);
    put_u64(out + 16, incarnation->time_us);
    put_u64(out + 24, incarnation->lsn);
    return FORMAT_INCARNATION_SIZE;
}

int format_incarnation_decode(struct format_incarnation *incarnation, const uint8_t **at,
                              const uint8_t *end)
{
    CHECK(incarnation != NULL);
    CHECK(*at <= end);
    if ((size_t)(end - *at) < FORMAT_INCARNATION_SIZE) {
        return TUSK_ECORRUPT;
    }
    incarnation->ordinal = get_u64(*at);
    incarnation->id = get_u64(*at + 8);
    incarnation->time_us = get_u64(*at + 16);
    incarnation->lsn = get_u64(*at + 24);
    *at += FORMAT_INCARNATION_SIZE;
    return 0;
}

#define TOPIC_FIXED 108u
#define CURSOR_FIXED 26u

size_t format_topic_encode(uint8_t *out, const struct format_topic *topic)
{
    CHECK(topic->name_size <= FORMAT_NAME_SIZE_MAX);
    put_u64(out, topic->id);
    put_u64(out + 8, topic->created_us);
    put_u64(out + 16, topic->retention.kind);
    put_u64(out + 24, topic->retention.age_ms);
    put_u64(out + 32, topic->retention.bytes);
    put_u64(out + 40, topic->first);
    put_u64(out + 48, topic->next_offset);
    put_u64(out + 56, topic->run_end);
    put_u64(out + 64, topic->run_size);
    put_u64(out + 72, topic->last_time_us);
    put_u64(out + 80, topic->next_cursor_id);
    put_u32(out + 88, topic->last_crc);
    put_u32(out + 92, topic->cursor_count);
    put_u32(out + 96, topic->block_count);
    put_u16(out + 100, topic->name_size);
    memset(out + 102, 0, 6);
    memcpy(out + TOPIC_FIXED, topic->name, topic->name_size);
    return TOPIC_FIXED + topic->name_size;
}

int format_topic_decode(struct format_topic *topic, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *in = *at;

    CHECK(topic != NULL);
    CHECK(in <= end);
    if ((size_t)(end - in) < TOPIC_FIXED) {
        return TUSK_ECORRUPT;
    }
    topic->id = get_u64(in);
    topic->created_us = get_u64(in + 8);
    topic->retention.kind = get_u64(in + 16);
    topic->retention.age_ms = get_u64(in + 24);
    topic->retention.bytes = get_u64(in + 32);
    topic->first = get_u64(in + 40);
    topic->next_offset = get_u64(in + 48);
    topic->run_end = get_u64(in + 56);
    topic->run_size = get_u64(in + 64);
    topic->last_time_us = get_u64(in + 72);
    topic->next_cursor_id = get_u64(in + 80);
    topic->last_crc = get_u32(in + 88);
    topic->cursor_count = get_u32(in + 92);
    topic->block_count = get_u32(in + 96);
    topic->name_size = get_u16(in + 100);
    topic->name = (const char *)in + TOPIC_FIXED;
    if (topic->name_size > FORMAT_NAME_SIZE_MAX ||
        (size_t)(end - in) - TOPIC_FIXED < topic->name_size) {
        return TUSK_ECORRUPT;
    }
    *at = in + TOPIC_FIXED + topic->name_size;
    return 0;
}

size_t format_cursor_encode(uint8_t *out, const struct format_cursor *cursor)
{
    CHECK(out != NULL);
    CHECK(cursor->name_size <= FORMAT_NAME_SIZE_MAX);
    put_u64(out, cursor->id);
    put_u64(out + 8, cursor->offset);
    put_u64(out + 16, cursor->epoch);
    put_u16(out + 24, cursor->name_size);
    memcpy(out + CURSOR_FIXED, cursor->name, cursor->name_size);
    return CURSOR_FIXED + cursor->name_size;
}

int format_cursor_decode(struct format_cursor *cursor, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *in = *at;

    CHECK(cursor != NULL);
    CHECK(in <= end);
    if ((size_t)(end - in) < CURSOR_FIXED) {
        return TUSK_ECORRUPT;
    }
    cursor->id = get_u64(in);
    cursor->offset = get_u64(in + 8);
    cursor->epoch = get_u64(in + 16);
    cursor->name_size = get_u16(in + 24);
    cursor->name = (const char *)in + CURSOR_FIXED;
    if (cursor->name_size > FORMAT_NAME_SIZE_MAX ||
        (size_t)(end - in) - CURSOR_FIXED < cursor->name_size) {
        return TUSK_ECORRUPT;
    }
    *at = in + CURSOR_FIXED + cursor->name_size;
    return 0;
}

size_t format_topic_block_encode(uint8_t *out, const struct format_topic_block *block)
{
    CHECK(block->first_offset <= block->end_offset);
    CHECK(block->sealed <= 1);
    put_u64(out, block->segment);
    put_u64(out + 8, block->generation);
    put_u64(out + 16, block->first_offset);
    put_u64(out + 24, block->end_offset);
    put_u64(out + 32, block->last_time_us);
    put_u32(out + 40, block->index);
    put_u32(out + 44, block->end);
    put_u32(out + 48, block->entries);
    put_u32(out + 52, block->sealed);
    return FORMAT_TOPIC_BLOCK_SIZE;
}

int format_topic_block_decode(struct format_topic_block *block, const uint8_t **at,
                              const uint8_t *end)
{
    const uint8_t *in = *at;

    CHECK(block != NULL);
    CHECK(in <= end);
    if ((size_t)(end - in) < FORMAT_TOPIC_BLOCK_SIZE) {
        return TUSK_ECORRUPT;
    }
    block->segment = get_u64(in);
    block->generation = get_u64(in + 8);
    block->first_offset = get_u64(in + 16);
    block->end_offset = get_u64(in + 24);
    block->last_time_us = get_u64(in + 32);
    block->index = get_u32(in + 40);
    block->end = get_u32(in + 44);
    block->entries = get_u32(in + 48);
    block->sealed = get_u32(in + 52);
    *at = in + FORMAT_TOPIC_BLOCK_SIZE;
    return 0;
}

static bool stands_for_itself(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool format_name_encode(char out[FORMAT_ENCODED_NAME_SIZE], const char *name, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    size_t i;

    CHECK(name != NULL || size == 0);
    for (i = 0; i < size; i++) {
        const size_t need = stands_for_itself(name[i]) ? 1 : 3;

        if (used + need >= FORMAT_ENCODED_NAME_SIZE) {
            return false;
        }
        if (need == 1) {
            out[used] = name[i];
        } else {
            out[used] = '%';
            out[used + 1] = digits[(unsigned char)name[i] >> 4];
            out[used + 2] = digits[(unsigned char)name[i] & 15u];
        }
        used += need;
    }
    out[used] = '\0';
    CHECK(used < FORMAT_ENCODED_NAME_SIZE);
    return used > 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    CHECK(c < '0' || c > '9');
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t format_name_decode(char *out, const char *encoded)
{
    char again[FORMAT_ENCODED_NAME_SIZE];
    const char *at = encoded;
    size_t size = 0;

    CHECK(encoded != NULL);
    while (*at != '\0' && size < FORMAT_NAME_SIZE_MAX) {
        if (*at == '%') {
            const int high = hex_value(at[1]);
            const int low = high < 0 ? -1 : hex_value(at[2]);

            if (low < 0) {
                return 0;
            }
            out[size++] = (char)(high * 16 + low);
            at += 3;
        } else {
            out[size++] = *at++;
        }
    }
    CHECK(size <= FORMAT_NAME_SIZE_MAX);
    out[size] = '\0';
    /* One name, one directory: only the form that encoding gives counts. */
    if (*at != '\0' || !format_name_encode(again, out, size) || strcmp(again, encoded) != 0) {
        return 0;
    }
    return size;
}

bool format_file_number(const char *file_name, const char *prefix, const char *suffix,
                        uint64_t *number)
{
    const size_t prefix_size = strlen(prefix);
    uint64_t value = 0;
    unsigned i;

    CHECK(file_name != NULL);
    CHECK(number != NULL);
    if (strncmp(file_name, prefix, prefix_size) != 0) {
        return false;
    }
    file_name += prefix_size;
    for (i = 0; i < 16; i++) {
        const int digit = hex_value(file_name[i]);

        if (digit < 0) {
            return false;
        }
        value = value * 16 + (uint64_t)digit;
    }
    if (strcmp(file_name + 16, suffix) != 0) {
        return false;
    }
    *number = value;
    return value < FORMAT_COUNTER_MAX;
}
