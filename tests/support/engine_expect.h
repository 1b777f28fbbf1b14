/* What several tests of recovery do and expect with a fixture, looking further into core than
 * engine.h shows. */
#ifndef TESTS_SUPPORT_ENGINE_EXPECT_H
#define TESTS_SUPPORT_ENGINE_EXPECT_H

#include "core/recovery_table.h"
#include "tests/support/engine_fixture.h"

/* Open: "default" must be refused for a reason that says this, or by this row of recovery's table
 * (and then say why in a sentence, and take no append), and not a byte of the disk change. */
void fixture_expect_refusal(struct fixture *f, const char *reason);
void fixture_expect_row_refusal(struct fixture *f, enum recovery_row row);
/* One batch of `count` entries of one byte; the offset behind it. */
uint64_t fixture_append_many(struct fixture *f, const char *topic, uint32_t count);

#endif
