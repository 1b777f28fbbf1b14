/* The recovery decision as a table: what was found at one place of the journal, and what follows
 * from it.
 *
 * Every combination of inputs maps to exactly one row; tests/unit/recovery_table_test.c enumerates
 * them, and simulation counts how often each row was reached. FORMAT.md, "Recovery", gives the
 * reasons row by row. */
#ifndef CORE_RECOVERY_TABLE_H
#define CORE_RECOVERY_TABLE_H

#include <stdbool.h>

/* What stands at the place the scan has reached. */
enum recovery_found {
    FOUND_GOOD,       /* A valid record: header, order, chain, body */
    FOUND_ZERO,       /* Zeros */
    FOUND_BAD,        /* A header that does not validate, or one whose chain or body does not */
    FOUND_BATCH_BAD,  /* Places and headers of a batch record are valid, a body in it is not */
    FOUND_DIRECT_BAD, /* A valid direct record whose bytes in the block do not verify */
    FOUND_UNREADABLE, /* The device reports an error */
    FOUND_UNKNOWN,    /* A type or flag this build does not know, under a valid checksum */
    FOUND_NOTHING,    /* No file reaches that place */
    FOUND_KINDS
};

enum recovery_decision {
    DECIDE_APPLY, /* Use the record and go on */
    DECIDE_END,   /* The history ends here; what is behind is dropped, counted and reported */
    DECIDE_HEAL,  /* Take the batch from its block, where it was applied; else refuse as damaged */
    DECIDE_BLOCK_DAMAGE,   /* Use the record; its bytes are damage in a block, found when read */
    DECIDE_SKIP_ACCEPTED,  /* A person accepted this loss: go on at the next valid record */
    DECIDE_REFUSE_DAMAGED, /* Damage before what is known durable: a person decides */
    DECIDE_REFUSE_UNREADABLE,
    DECIDE_REFUSE_VERSION
};

/* Rows of the table, as FORMAT.md numbers them. */
enum recovery_row {
    ROW_R1,  /* good: apply */
    ROW_R2,  /* zero, at or behind the mark: end */
    ROW_R3,  /* zero, before the mark: damaged */
    ROW_R4,  /* bad, at or behind the mark: end */
    ROW_R5,  /* bad, before the mark: damaged */
    ROW_R6,  /* batch body bad, at or behind the mark: end */
    ROW_R7,  /* batch body bad, before the mark: heal from the block */
    ROW_R8,  /* direct bad, at or behind the mark: end */
    ROW_R9,  /* direct bad, before the mark: damage in a block */
    ROW_R10, /* unreadable, anywhere: refused */
    ROW_R11, /* unknown, anywhere: refused */
    ROW_R12, /* nothing, at or behind the mark: end */
    ROW_R13, /* nothing, before the mark: damaged */
    ROW_R14, /* zero, bad or batch body bad, before the mark, loss accepted: skip */
    ROW_R15, /* no valid manifest: refused */
    ROW_R16, /* the newest manifest is damaged, the older one is valid: start from it */
    ROW_R17, /* no journal file reaches the manifest's R: damaged */
    ROW_R18, /* the last record is a clean close and nothing is behind it: clean */
    ROW_COUNT
};

struct recovery_input {
    enum recovery_found found;
    bool before_mark; /* The place lies before the greatest durable mark */
    bool accepted;    /* Loss here was accepted, now or in an accepted-loss record */
};

struct recovery_output {
    enum recovery_row row;
    enum recovery_decision decision;
};

struct recovery_output recovery_decide(const struct recovery_input *input);
/* A row in words, for a person: what was found and what follows. Never NULL. */
const char *recovery_row_text(enum recovery_row row);

#endif
