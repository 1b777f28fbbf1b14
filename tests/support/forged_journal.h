/* A hand with a hex editor: records that check out, put behind the last one of a journal that no engine runs on. For tests of what
 * recovery makes of records that contradict each other, or the tables. */
#ifndef TESTS_SUPPORT_FORGED_JOURNAL_H
#define TESTS_SUPPORT_FORGED_JOURNAL_H

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

/* What the tables hold when the process dies: topics "t" (id 1, cursor "c" with id 1) and "u". */
struct forged_tables {
    uint64_t topic_id;
    uint64_t other_id;
    uint64_t next_offset;
    uint32_t last_crc;
    uint32_t seed;
    struct block block;
};

/* Make such a store, and crash. */
void forged_make_tables(struct fixture *f, struct forged_tables *tables);
/* "default" must be refused for a reason that says this, and the disk stay as it is. */
void forged_expect_refusal(struct fixture *f, const char *reason);

/* Put a record behind the last one, in the chain; bytes has room for the header, and its body behind that. */
void forged_add_record(struct fixture *f, uint8_t *bytes, uint16_t type, uint32_t size,
                       uint32_t body_crc);
struct forged_where {
    uint64_t gap;     /* Zeros before it */
    bool all_durable; /* Its mark is where it stands */
};
void forged_add_behind(struct fixture *f, uint8_t *bytes, uint16_t type, uint32_t size,
                       uint32_t body_crc, const struct forged_where *where);
void forged_add(struct fixture *f, const struct format_record *record);

/* A batch of one entry as a journal record: where it says it lies, and what it says it is. */
struct forged_batch {
    struct format_place place;
    uint64_t first_offset;
    uint32_t previous_crc;
    uint32_t seed;
    bool damaged; /* A bit of the payload */
};

void forged_add_batch(struct fixture *f, const struct forged_batch *forged);
/* The one that would come next in topic "t". */
struct forged_batch forged_good_batch(const struct forged_tables *tables);

/* The record of the cursor is damaged, and a person accepts that it is lost: what follows may speak of what went with it. */
void forged_lose_the_cursor(struct fixture *f);

#endif
