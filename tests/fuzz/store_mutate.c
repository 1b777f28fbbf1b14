#include "tests/fuzz/store_mutate.h"

#include <string.h>

#include "core/format.h"
#include "proto/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/store_seal.h"

#define FIELDS(table) (table), (sizeof(table) / sizeof(table)[0])

/* A field of a layout of FORMAT.md: where it begins, and its bytes. */
struct field {
    uint16_t offset;
    uint8_t width;
};

static const struct field journal_fields[] = {{8, 2},  {12, 4}, {16, 4}, {24, 8}, {40, 8},
                                              {48, 8}, {56, 8}, {64, 8}, {72, 8}, {80, 4}};
static const struct field record_fields[] = {{4, 2}, {6, 2}, {8, 8}, {16, 4}, {32, 8}, {40, 8}};
static const struct field block_fields[] = {{8, 2},  {12, 4}, {16, 4}, {20, 4}, {24, 8},
                                            {40, 8}, {48, 8}, {56, 8}, {64, 8}, {72, 8},
                                            {80, 8}, {88, 8}, {96, 2}};
static const struct field seal_fields[] = {{56, 8},  {64, 8},  {384, 4}, {388, 4}, {396, 4},
                                           {400, 8}, {408, 8}, {424, 8}, {8, 2},   {16, 4}};
static const struct field batch_fields[] = {{0, 2},  {2, 1},  {3, 1},  {8, 8},  {16, 8}, {24, 8},
                                            {32, 4}, {36, 4}, {40, 4}, {44, 4}, {52, 4}, {60, 4}};
static const struct field manifest_fields[] = {
    {8, 2},   {12, 4},  {16, 4},  {20, 4},  {24, 8},  {40, 8},  {48, 8},  {56, 8},  {64, 8},
    {72, 8},  {84, 4},  {88, 4},  {96, 8},  {104, 8}, {112, 8}, {120, 8}, {128, 8}, {136, 8},
    {144, 8}, {152, 8}, {160, 8}, {168, 8}, {176, 8}, {184, 8}, {192, 8}};
static const struct field topic_fields[] = {{0, 8},  {8, 8},  {16, 8}, {24, 8}, {32, 8},
                                            {40, 8}, {48, 8}, {56, 8}, {64, 8}, {72, 8},
                                            {80, 8}, {88, 4}, {92, 4}, {96, 4}, {100, 2}};
static const struct field cursor_fields[] = {{0, 8}, {8, 8}, {16, 8}, {24, 2}};
static const struct field topic_block_fields[] = {{0, 8},  {8, 8},  {16, 8}, {24, 8}, {32, 8},
                                                  {40, 4}, {44, 4}, {48, 4}, {52, 4}};
static const struct field place_fields[] = {{0, 8}, {8, 4}, {12, 2}, {14, 2}};

/* ---- values ---- */

/* Often one at a boundary, or near what stands there: that is where checks are wrong. */
static uint64_t draw_value(struct random *random, uint64_t old)
{
    static const uint64_t units[] = {1, 2, 16, 64, 4096, 8192, 32768, 65536};
    const uint64_t unit = units[random_below(random, sizeof units / sizeof *units)];

    switch (random_below(random, 8)) {
    case 0:
        return random_below(random, 8);
    case 1:
        return UINT64_MAX - random_below(random, 3);
    case 2:
        return UINT64_C(1) << random_below(random, 64);
    case 3:
        return (UINT64_C(1) << random_below(random, 64)) - 1;
    case 4:
        return old + unit;
    case 5:
        return old - unit;
    case 6:
        return old ^ (UINT64_C(1) << random_below(random, 64));
    default:
        return unit * random_below(random, 16);
    }
}

static void change_number(struct random *random, uint8_t *at, unsigned width)
{
    uint64_t value = 0;
    uint8_t bytes[8];

    memcpy(bytes, at, width);
    memset(bytes + width, 0, sizeof bytes - width);
    value = get_u64(bytes);
    put_u64(bytes, draw_value(random, value));
    memcpy(at, bytes, width);
}

/* One field of a table, if all of it lies within size. */
static void change_field(struct random *random, uint8_t *at, uint64_t size,
                         const struct field *fields, size_t count)
{
    const struct field *field = &fields[random_below(random, count)];

    if (field->offset + (uint64_t)field->width <= size) {
        change_number(random, at + field->offset, field->width);
    }
}

/* ---- the journal ---- */

static void cut_behind(struct store_file *file, uint32_t from)
{
    memset(file->bytes + from, 0, STORE_FILE_SIZE_MAX - from);
}

/* Move what stands behind `at` so that `size` bytes are free there; what falls off is gone. */
static void make_room(struct store_file *file, uint32_t at, uint32_t size)
{
    if (size <= file->size - at) {
        memmove(file->bytes + at + size, file->bytes + at, file->size - at - size);
    }
}

static void remove_bytes(struct store_file *file, uint32_t at, uint32_t size)
{
    memmove(file->bytes + at, file->bytes + at + size, file->size - at - size);
    memset(file->bytes + file->size - size, 0, size);
}

static void duplicate_record(struct store_file *file, uint32_t from, uint32_t to)
{
    static uint8_t copy[STORE_FILE_SIZE_MAX];
    const uint32_t size = seal_record_size(file, from);

    if (size > file->size - from || size > file->size - to) {
        return;
    }
    memcpy(copy, file->bytes + from, size);
    make_room(file, to, size);
    memcpy(file->bytes + to, copy, size);
}

/* A record of any type, its fields drawn small, so that it speaks of what may be there. */
static void insert_record(struct store_file *file, uint32_t at, struct random *random)
{
    uint8_t bytes[160] = {0};
    struct format_record record = {.type =
                                       (uint16_t)random_between(random, 1, RECORD_TYPE_END - 1)};
    uint32_t size;
    unsigned i;

    if (format_record_name(record.type) == NULL || format_record_has_items(record.type)) {
        return;
    }
    for (i = 0; i < FORMAT_FIELDS_MAX; i++) {
        record.field[i] =
            random_chance(random, 80) ? random_below(random, 6) : draw_value(random, 0);
    }
    record.name = "topic";
    record.name_size = (uint16_t)random_below(random, 6);
    size = format_record_size(&record);
    if (size > sizeof bytes || format_record_padded(size) > file->size - at) {
        return;
    }
    (void)format_record_body_encode(bytes, &record);
    put_u16(bytes + 4, record.type);
    put_u32(bytes + 16, size);
    make_room(file, at, (uint32_t)format_record_padded(size));
    memset(file->bytes + at, 0, format_record_padded(size));
    memcpy(file->bytes + at, bytes, size);
}

static void change_body(struct store_file *file, uint32_t at, struct random *random)
{
    const uint16_t type = get_u16(file->bytes + at + 4);
    const uint32_t size = get_u32(file->bytes + at + 16) - FORMAT_RECORD_HEADER_SIZE;
    uint8_t *body = file->bytes + at + FORMAT_RECORD_HEADER_SIZE;

    if (type == RECORD_BATCH || type == RECORD_DIRECT) {
        if (random_chance(random, 50)) {
            change_field(random, body, size, FIELDS(place_fields));
        } else if (size >= FORMAT_PLACE_SIZE) {
            change_field(random, body + FORMAT_PLACE_SIZE, size - FORMAT_PLACE_SIZE,
                         FIELDS(batch_fields));
        }
    } else if (size >= 8) {
        change_number(random, body + 8 * random_below(random, size / 8), 8);
    }
}

static void mutate_record(struct store_file *file, uint32_t at, uint32_t other,
                          struct random *random)
{
    uint8_t *record = file->bytes + at;

    switch (random_below(random, 14)) {
    case 0:
    case 1:
        change_field(random, record, file->size - at, FIELDS(record_fields));
        break;
    case 2:
        put_u16(record + 4, (uint16_t)random_below(random, RECORD_TYPE_END + 1));
        break;
    case 3:
        duplicate_record(file, at, other);
        break;
    case 4:
        remove_bytes(file, at, seal_record_size(file, at));
        break;
    case 5: /* Two change places */
        duplicate_record(file, at, other);
        if (other > at) {
            remove_bytes(file, at, seal_record_size(file, at));
        }
        break;
    case 6:
        cut_behind(file, at);
        break;
    case 7:
        memset(record, 0, FORMAT_RECORD_HEADER_SIZE);
        break;
    case 8:
        put_u64(record + 32, draw_value(random, get_u64(record + 32)));
        break;
    case 9:
    case 10:
        insert_record(file, at, random);
        break;
    default:
        change_body(file, at, random);
        break;
    }
}

static void mutate_journal(struct store_file *file, struct random *random)
{
    uint32_t offsets[SEAL_RECORDS_MAX];
    const unsigned count = seal_records(file, offsets);

    if (count == 0 || random_chance(random, 10)) {
        change_field(random, file->bytes, file->size, FIELDS(journal_fields));
        return;
    }
    mutate_record(file, offsets[random_below(random, count)], offsets[random_below(random, count)],
                  random);
}

/* ---- manifests ---- */

struct part {
    uint32_t begin;
    uint32_t end;
    const struct field *fields;
    size_t field_count;
    uint32_t counted_at; /* Where its kind is counted, in the file */
    unsigned counted_width;
};

#define PARTS_MAX 128u

struct parts {
    struct part list[PARTS_MAX];
    unsigned count;
};

static void add_part(struct parts *parts, const struct part *part)
{
    if (parts->count < PARTS_MAX) {
        parts->list[parts->count++] = *part;
    }
}

static bool find_topic_parts(struct parts *parts, const uint8_t *bytes, const uint8_t **at,
                             const uint8_t *end)
{
    const uint32_t begin = (uint32_t)(*at - bytes);
    struct format_topic topic;
    struct format_cursor cursor;
    struct format_topic_block block;
    const uint8_t *from;
    uint32_t i;

    if (format_topic_decode(&topic, at, end) != 0) {
        return false;
    }
    add_part(parts, &(struct part){begin, (uint32_t)(*at - bytes), FIELDS(topic_fields), 128, 8});
    for (i = 0; i < topic.cursor_count; i++) {
        from = *at;
        if (format_cursor_decode(&cursor, at, end) != 0) {
            return false;
        }
        add_part(parts, &(struct part){(uint32_t)(from - bytes), (uint32_t)(*at - bytes),
                                       FIELDS(cursor_fields), begin + 92, 4});
    }
    for (i = 0; i < topic.block_count; i++) {
        from = *at;
        if (format_topic_block_decode(&block, at, end) != 0) {
            return false;
        }
        add_part(parts, &(struct part){(uint32_t)(from - bytes), (uint32_t)(*at - bytes),
                                       FIELDS(topic_block_fields), begin + 96, 4});
    }
    return true;
}

static void find_parts(struct parts *parts, const struct store_file *file)
{
    const uint64_t body_size = get_u64(file->bytes + 72);
    const uint64_t incarnations = get_u64(file->bytes + 120);
    const uint8_t *at = file->bytes + FORMAT_PAGE;
    const uint8_t *end;

    parts->count = 0;
    if (file->size < FORMAT_PAGE || body_size > file->size - FORMAT_PAGE ||
        incarnations > body_size / FORMAT_INCARNATION_SIZE) {
        return;
    }
    end = at + body_size;
    at += incarnations * FORMAT_INCARNATION_SIZE;
    while (at < end && find_topic_parts(parts, file->bytes, &at, end)) {
    }
}

/* One more or one less of a part, and, mostly, of its count and of the size of the body. */
static void resize_parts(struct store_file *file, const struct part *part, bool more,
                         struct random *random)
{
    const uint32_t size = part->end - part->begin;
    const uint64_t change = more ? size : 0 - (uint64_t)size;
    uint64_t count = 0;

    if (more && size > STORE_FILE_SIZE_MAX - file->size) {
        return;
    }
    if (more) {
        file->size += size;
        memmove(file->bytes + part->end, file->bytes + part->begin, file->size - part->end);
    } else {
        remove_bytes(file, part->begin, size);
    }
    put_u64(file->bytes + 72, get_u64(file->bytes + 72) + change);
    if (random_chance(random, 90)) {
        uint8_t *at = file->bytes + part->counted_at;

        memcpy(&count, at, part->counted_width);
        count += more ? 1 : UINT64_MAX;
        memcpy(at, &count, part->counted_width);
    }
}

static void mutate_manifest(struct store_file *file, struct random *random)
{
    static struct parts parts;
    const struct part *part;

    find_parts(&parts, file);
    if (parts.count == 0 || random_chance(random, 30)) {
        change_field(random, file->bytes, file->size, FIELDS(manifest_fields));
        return;
    }
    part = &parts.list[random_below(random, parts.count)];
    if (random_chance(random, 20)) {
        resize_parts(file, part, random_chance(random, 50), random);
        return;
    }
    change_field(random, file->bytes + part->begin, part->end - part->begin, part->fields,
                 part->field_count);
}

/* ---- segments ---- */

static void mutate_batch(uint8_t *block, uint32_t limit, struct random *random)
{
    uint64_t left = random_below(random, 8);
    uint32_t at = FORMAT_BLOCK_DATA;

    while (left > 0 && at + 2 * BATCH_HEADER_SIZE <= limit && get_u16(block + at) == BATCH_MAGIC &&
           batch_padded_size(get_u32(block + at + 40)) < limit - at - BATCH_HEADER_SIZE) {
        at += (uint32_t)batch_padded_size(get_u32(block + at + 40));
        left--;
    }
    if (random_chance(random, 60)) {
        change_field(random, block + at, BATCH_HEADER_SIZE, FIELDS(batch_fields));
    } else {
        change_number(random, block + at + BATCH_HEADER_SIZE + random_below(random, 32), 4);
    }
}

static void mutate_segment(const struct store_image *image, struct store_file *file,
                           struct random *random)
{
    const uint32_t size = seal_block_size(image);
    const uint32_t count = file->size / size;
    uint8_t *block = file->bytes + (size_t)size * random_below(random, count);

    if (count == 0) {
        return;
    }
    switch (random_below(random, 8)) {
    case 0:
    case 1:
        change_field(random, block, FORMAT_PAGE, FIELDS(block_fields));
        break;
    case 2:
    case 3:
        change_field(random, block + FORMAT_PAGE, FORMAT_PAGE, FIELDS(seal_fields));
        break;
    case 4:
        change_number(random, block + size - FORMAT_PAGE + 4 * random_below(random, 32), 4);
        break;
    case 5: /* A misdirected write */
        memmove(block + FORMAT_PAGE * random_below(random, size / FORMAT_PAGE),
                file->bytes + FORMAT_PAGE * random_below(random, file->size / FORMAT_PAGE),
                FORMAT_PAGE);
        break;
    default:
        mutate_batch(block, format_block_limit(size), random);
        break;
    }
}

/* ---- files ---- */

static void copy_file(struct store_image *image, const struct store_file *from,
                      struct random *random)
{
    const uint64_t number = random_chance(random, 80) ? from->number + 1 + random_below(random, 3)
                                                      : draw_value(random, from->number);
    const uint32_t size = from->size;
    const uint8_t *bytes = from->bytes;
    struct store_file *to = store_image_add(image, from->kind, number, size);

    if (to == NULL) {
        return;
    }
    memcpy(to->bytes, bytes, size);
    if (size >= FORMAT_PAGE) {
        put_u64(to->bytes + 40, number); /* The same place in all three kinds */
    }
}

static void mutate_files(struct store_image *image, struct store_file *file, struct random *random)
{
    const uint32_t old = file->size;

    switch (random_below(random, 5)) {
    case 0:
        if (image->count > 1) {
            store_image_remove(image, (unsigned)(file - image->files));
        }
        break;
    case 1:
        copy_file(image, file, random);
        break;
    case 2:
        image->way = (uint8_t)random_u64(random);
        break;
    default:
        file->size = (uint32_t)(draw_value(random, old) % (STORE_FILE_SIZE_MAX + 1));
        if (file->size < old) {
            memset(file->bytes + file->size, 0, old - file->size);
        }
        break;
    }
}

/* What libFuzzer itself would do, to a few bytes that are not zero. */
static void mutate_bytes(struct store_file *file, struct random *random)
{
    uint32_t at = (uint32_t)random_below(random, file->size);
    unsigned tries;

    for (tries = 0; tries < 64 && file->bytes[at] == 0; tries++) {
        at = (uint32_t)random_below(random, file->size);
    }
    if (file->size - at >= 16) {
        (void)LLVMFuzzerMutate(file->bytes + at, 16, 16);
    }
}

void store_mutate(struct store_image *image, struct random *random)
{
    struct store_file *file = &image->files[random_below(random, image->count)];

    if (random_chance(random, 8)) {
        mutate_files(image, file, random);
        return;
    }
    if (file->size > 0 && random_chance(random, 8)) {
        mutate_bytes(file, random);
        return;
    }
    if (file->size < FORMAT_PAGE) {
        return;
    }
    switch (file->kind) {
    case STORE_MANIFEST:
        mutate_manifest(file, random);
        break;
    case STORE_JOURNAL:
        mutate_journal(file, random);
        break;
    case STORE_SEGMENT:
        mutate_segment(image, file, random);
        break;
    case STORE_SPARE:
    case STORE_KIND_END:
    default:
        mutate_bytes(file, random);
        break;
    }
}

/* ---- inputs ---- */

static void mutate_and_seal(struct store_image *image, struct random *random)
{
    const uint64_t seal = random_below(random, 10);
    uint64_t rounds;

    for (rounds = 1 + random_below(random, 3); rounds > 0 && image->count > 0; rounds--) {
        store_mutate(image, random);
    }
    if (seal > 0) { /* Without, only what checksums must refuse is reached */
        seal_store(image, seal > 3);
    }
}

size_t store_mutate_input(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    struct store_image image;
    struct random random;
    size_t written;

    random_init(&random, seed);
    if (!store_image_parse(&image, data, size) || image.count == 0) {
        store_image_deinit(&image);
        return LLVMFuzzerMutate(data, size, size_max);
    }
    mutate_and_seal(&image, &random);
    written = store_image_write(&image, data, size_max);
    store_image_deinit(&image);
    return written > 0 ? written : size;
}
