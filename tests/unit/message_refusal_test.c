/* What a body may not be: a row for each rule of PROTOCOL.md, with the sentence that the peer
 * is told, and rows on the allowed side of each limit. */
#include "proto/bytes.h"
#include "proto/message.h"
#include "proto/status.h"
#include "tests/unit/proto_hex.h"
#include "tests/unit/proto_mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Pieces of bodies. */
#define ID "0700000000000000"
#define NO_ID "0000000000000000"
#define U64 "0500000000000000"
#define ZERO64 "0000000000000000"
#define T "0100 74" /* The name "t" */
#define EMPTY "0000"
#define NO_SETTINGS "0000"
#define NUL_NAME "0300 610062"
#define BAD_NAME "0200 61ff"
#define HELLO_HEAD "5455534b 0100 0100 0000000000000000"
#define BATCH_OF(first, time, chain, stored)                                                       \
    "54420100 00000000" first time ZERO64 "00000000 01000000" stored stored "12345678" chain       \
    "00000000 00000000 0000000000"
#define BATCH BATCH_OF(ZERO64, ZERO64, "00000000", "05000000")
/* flags, name size, cursor size, kind, value, max bytes, max entries, reserved */
#define READ(flags, name, cursor, kind, value, bytes, entries, reserved)                           \
    flags name cursor kind value bytes entries "00000000" reserved "ffffffffffffffff"
#define ONE "01000000"
#define ZERO32 "00000000"

#define TOO_SHORT "the body is too short"
#define TOO_LONG "the body is too long"
#define RESERVED "reserved bytes are not zero"
#define FLAG "a flag is set that this version does not have"
#define BOTH "the topic has both an id and a name"
#define NEITHER "the topic has neither an id nor a name"
#define KEYS "the settings' keys do not ascend"
#define KIND "the position is of no kind that this request has"
#define VALUE "the position has a value that its kind does not have"
#define NOT_TEXT(noun) "the " noun " name is not UTF-8, or has a NUL"
#define NO_NAME(noun) "the " noun " name is empty"
#define MAX "max is not from 1 to 1000"

/* why is NULL where the body is good. */
struct row {
    uint16_t type;
    int rc;
    const char *why;
    const char *hex;
};

#define LEASES "the number of leases is not one of 0 to 64"
#define GOOD 0, NULL
#define BAD(why) TUSK_EINVALID, why
#define UNKNOWN_FLAG TUSK_EUNSUPPORTED, FLAG

/* What stands before the names of a slow request. */
#define SLOW ZERO64 ZERO64 ZERO64 ZERO64 ZERO64 ZERO64 ZERO64 ZERO64 ZERO64 ZERO64 "0000"

static const struct row hello_rows[] = {
    {MESSAGE_HELLO, GOOD, HELLO_HEAD EMPTY EMPTY},
    {MESSAGE_HELLO, GOOD, HELLO_HEAD T T},
    {MESSAGE_HELLO, BAD(TOO_LONG), HELLO_HEAD T T "00"},
    {MESSAGE_HELLO, BAD(TOO_SHORT), ""},
    {MESSAGE_HELLO, BAD("the magic is not TUSK"), "5455534c 0100 0100" ZERO64 EMPTY EMPTY},
    {MESSAGE_HELLO, BAD("the magic is not TUSK"), "4b535554 0100 0100" ZERO64 EMPTY EMPTY},
    {MESSAGE_HELLO, BAD("the range of versions is empty or begins at 0"),
     "5455534b 0000 0100" ZERO64 EMPTY EMPTY},
    {MESSAGE_HELLO, BAD("the range of versions is empty or begins at 0"),
     "5455534b 0200 0100" ZERO64 EMPTY EMPTY},
    {MESSAGE_HELLO, GOOD, "5455534b 0200 0200 ffffffffffffffff" EMPTY EMPTY},
    {MESSAGE_HELLO, GOOD, "5455534b 0100 ffff" ZERO64 EMPTY EMPTY},
    {MESSAGE_HELLO, BAD(NOT_TEXT("namespace")), HELLO_HEAD NUL_NAME EMPTY},
    {MESSAGE_HELLO, BAD(NOT_TEXT("namespace")), HELLO_HEAD BAD_NAME EMPTY},
    {MESSAGE_HELLO, BAD(NOT_TEXT("program's")), HELLO_HEAD EMPTY NUL_NAME},
    {MESSAGE_HELLO, BAD(NOT_TEXT("program's")), HELLO_HEAD EMPTY BAD_NAME},
    {MESSAGE_HELLO, BAD(TOO_SHORT), HELLO_HEAD "0200 61"},
    {MESSAGE_HELLO, BAD("the namespace name is longer than 255 bytes"), HELLO_HEAD "0001 61"},
    {MESSAGE_HELLO, BAD("the program's name is longer than 255 bytes"), HELLO_HEAD EMPTY "ffff"},
};

static const struct row nothing_rows[] = {
    {MESSAGE_PING, GOOD, ""},
    {MESSAGE_PING, BAD(TOO_LONG), "00"},
    {MESSAGE_SYNC, GOOD, ""},
    {MESSAGE_SYNC, BAD(TOO_LONG), "00"},
    {MESSAGE_STATS, GOOD, ""},
    {MESSAGE_STATS, BAD(TOO_LONG), "00"},
    {MESSAGE_CONFIG, GOOD, "01000000 ffffffff 0000"},
    {MESSAGE_CONFIG, GOOD, "e8030000 00000000 0100"},
    {MESSAGE_CONFIG, BAD(MAX), "00000000 00000000 0000"},
    {MESSAGE_CONFIG, BAD(MAX), "e9030000 00000000 0000"},
    {MESSAGE_CONFIG, BAD("a field that is 0 or 1 is neither"), "01000000 00000000 0200"},
    {MESSAGE_CONFIG, BAD(TOO_LONG), "01000000 00000000 0000 00"},
    {MESSAGE_RELEASE, GOOD, "0100 3f000000"},
    {MESSAGE_RELEASE, GOOD, "0200 00000000 ffffffff"},
    {MESSAGE_RELEASE, GOOD, "0000"},
    {MESSAGE_RELEASE, BAD(LEASES), "4100"},
    {MESSAGE_RELEASE, BAD(TOO_SHORT), "0200 00000000"},
    {MESSAGE_RELEASE, BAD(TOO_LONG), "0100 00000000 00"},
    {MESSAGE_SLOWLOG, GOOD, "01000000" ZERO64 "0000"},
    {MESSAGE_SLOWLOG, GOOD, "e8030000 ffffffffffffffff 0100"},
    {MESSAGE_SLOWLOG, BAD(MAX), "00000000" ZERO64 "0000"},
    {MESSAGE_SLOWLOG, BAD(MAX), "e9030000" ZERO64 "0000"},
    {MESSAGE_SLOWLOG, BAD("a field that is 0 or 1 is neither"), "01000000" ZERO64 "0200"},
    {MESSAGE_SLOWLOG, BAD(TOO_SHORT), "01000000" ZERO64 "00"},
    {MESSAGE_SLOWLOG, BAD(TOO_LONG), "01000000" ZERO64 "0000 00"},
    {MESSAGE_ACCESS, GOOD, EMPTY EMPTY},
    {MESSAGE_ACCESS, GOOD, T T},
    {MESSAGE_ACCESS, BAD(TOO_SHORT), T},
    {MESSAGE_ACCESS, BAD(TOO_LONG), T T "00"},
    {MESSAGE_SNAPSHOT_BEGIN, GOOD, ""},
    {MESSAGE_SNAPSHOT_BEGIN, BAD(TOO_LONG), "00"},
    {MESSAGE_SNAPSHOT_END, GOOD, "0000"},
    {MESSAGE_SNAPSHOT_END, BAD("a field that is 0 or 1 is neither"), "0200"},
    {MESSAGE_SNAPSHOT_END, BAD(TOO_LONG), "000000"},
};

static const struct row append_rows[] = {
    {MESSAGE_APPEND, GOOD, ID "0000 0000 00000000" BATCH},
    {MESSAGE_APPEND, GOOD, ID "0300 0000 00000000" BATCH},
    {MESSAGE_APPEND, GOOD, NO_ID "0000 0100 00000000 74" BATCH},
    {MESSAGE_APPEND, UNKNOWN_FLAG, ID "0400 0000 00000000" BATCH},
    {MESSAGE_APPEND, UNKNOWN_FLAG, ID "0080 0000 00000000" BATCH},
    {MESSAGE_APPEND, UNKNOWN_FLAG, ID "ffff 0000 00000000" BATCH},
    {MESSAGE_APPEND, BAD(RESERVED), ID "0000 0000 01000000" BATCH},
    {MESSAGE_APPEND, BAD(RESERVED), ID "0000 0000 00000080" BATCH},
    {MESSAGE_APPEND, BAD(BOTH), ID "0000 0100 00000000 74" BATCH},
    {MESSAGE_APPEND, BAD(NEITHER), NO_ID "0000 0000 00000000" BATCH},
    {MESSAGE_APPEND, BAD(NOT_TEXT("topic")), NO_ID "0000 0100 00000000 00" BATCH},
    {MESSAGE_APPEND, BAD(NOT_TEXT("topic")), NO_ID "0000 0100 00000000 80" BATCH},
    {MESSAGE_APPEND, BAD("the topic name is longer than 255 bytes"),
     NO_ID "0000 0001 00000000 74" BATCH},
    {MESSAGE_APPEND, BAD("the batch is shorter than its header"), ID "0000 0000 00000000"},
    {MESSAGE_APPEND, BAD("the batch is shorter than its header"), ID "0000 0000 00000000 5442"},
    {MESSAGE_APPEND, BAD("the batch is not as long as its header says"),
     ID "0000 0000 00000000" BATCH "00"},
    {MESSAGE_APPEND, BAD("the batch is not as long as its header says"),
     ID "0000 0000 00000000" BATCH_OF(ZERO64, ZERO64, "00000000", "06000000")},
    {MESSAGE_APPEND, BAD("the batch is not as long as its header says"),
     ID "0000 0000 00000000" BATCH_OF(ZERO64, ZERO64, "00000000", "c5ffffff")},
    {MESSAGE_APPEND, BAD("the batch has fields set that the daemon fills in"),
     ID "0000 0000 00000000" BATCH_OF(U64, ZERO64, "00000000", "05000000")},
    {MESSAGE_APPEND, BAD("the batch has fields set that the daemon fills in"),
     ID "0000 0000 00000000" BATCH_OF(ZERO64, U64, "00000000", "05000000")},
    {MESSAGE_APPEND, BAD("the batch has fields set that the daemon fills in"),
     ID "0000 0000 00000000" BATCH_OF(ZERO64, ZERO64, "00000001", "05000000")},
    {MESSAGE_APPEND, BAD("the batch has fields set that the daemon fills in"),
     ID "0000 0000 00000000 54420100 01000000" ZERO64 ZERO64 ZERO64
        "00000000 01000000 00000000 00000000 12345678 00000000 00000000 00000000"},
};

static const struct row read_rows[] = {
    {MESSAGE_READ, GOOD, ID READ("0000", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, GOOD, ID READ("0200", "0000", "0000", "0200", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, GOOD, ID READ("0000", "0000", "0000", "0300", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, GOOD, ID READ("0000", "0000", "0000", "0400", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, GOOD, ID READ("0300", "0000", "0000", "0500", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, GOOD, ID READ("0000", "0000", "0100", "0500", ZERO64, ONE, ONE, ZERO32) "63"},
    {MESSAGE_READ, GOOD,
     NO_ID READ("0100", "0100", "0100", "0500", ZERO64, ONE, ONE, ZERO32) "7463"},
    {MESSAGE_READ, GOOD, ID READ("0400", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, GOOD, ID READ("0c00", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, UNKNOWN_FLAG, ID READ("1000", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, UNKNOWN_FLAG, ID READ("0080", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, UNKNOWN_FLAG, ID READ("0004", "0000", "0000", "0500", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(KIND), ID READ("0000", "0000", "0000", "0000", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(KIND), ID READ("0000", "0000", "0000", "0600", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(KIND), ID READ("0000", "0000", "0000", "0101", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(KIND), ID READ("0000", "0000", "0000", "ffff", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(VALUE), ID READ("0000", "0000", "0000", "0300", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(VALUE), ID READ("0000", "0000", "0000", "0400", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(VALUE), ID READ("0000", "0000", "0000", "0500", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD("to consume, the position must be the cursor's"),
     ID READ("0100", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD("to consume, the position must be the cursor's"),
     ID READ("0300", "0000", "0000", "0400", ZERO64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD("a cursor is named, but the position is not the cursor's"),
     ID READ("0000", "0000", "0100", "0100", U64, ONE, ONE, ZERO32) "63"},
    {MESSAGE_READ, BAD("a cursor is named, but the position is not the cursor's"),
     ID READ("0000", "0000", "0100", "0300", ZERO64, ONE, ONE, ZERO32) "63"},
    {MESSAGE_READ, BAD("max bytes or max entries is 0"),
     ID READ("0000", "0000", "0000", "0100", U64, ZERO32, ONE, ZERO32)},
    {MESSAGE_READ, BAD("max bytes or max entries is 0"),
     ID READ("0000", "0000", "0000", "0100", U64, ONE, ZERO32, ZERO32)},
    {MESSAGE_READ, BAD(RESERVED), ID READ("0000", "0000", "0000", "0100", U64, ONE, ONE, ONE)},
    {MESSAGE_READ, BAD(BOTH), ID READ("0000", "0100", "0000", "0100", U64, ONE, ONE, ZERO32) "74"},
    {MESSAGE_READ, BAD(NEITHER), NO_ID READ("0000", "0000", "0000", "0100", U64, ONE, ONE, ZERO32)},
    {MESSAGE_READ, BAD(NOT_TEXT("topic")),
     NO_ID READ("0000", "0100", "0000", "0100", U64, ONE, ONE, ZERO32) "c0"},
    {MESSAGE_READ, BAD(NOT_TEXT("cursor")),
     ID READ("0000", "0000", "0100", "0500", ZERO64, ONE, ONE, ZERO32) "00"},
    {MESSAGE_READ, BAD("the cursor name is longer than 255 bytes"),
     ID READ("0000", "0000", "0001", "0500", ZERO64, ONE, ONE, ZERO32) "63"},
    {MESSAGE_READ, BAD(TOO_LONG),
     ID READ("0000", "0000", "0000", "0100", U64, ONE, ONE, ZERO32) "00"},
    {MESSAGE_READ, BAD(TOO_SHORT),
     ID READ("0000", "0000", "0200", "0500", ZERO64, ONE, ONE, ZERO32) "63"},
};

static const struct row cursor_rows[] = {
    {MESSAGE_CHECKPOINT, GOOD, ID U64 U64 "0000 0000" EMPTY EMPTY},
    {MESSAGE_CHECKPOINT, GOOD, NO_ID U64 U64 "0100 0000" T T},
    {MESSAGE_CHECKPOINT, UNKNOWN_FLAG, ID U64 U64 "0200 0000" EMPTY EMPTY},
    {MESSAGE_CHECKPOINT, UNKNOWN_FLAG, ID U64 U64 "0080 0000" EMPTY EMPTY},
    {MESSAGE_CHECKPOINT, BAD(RESERVED), ID U64 U64 "0000 0100" EMPTY EMPTY},
    {MESSAGE_CHECKPOINT, BAD(RESERVED), ID U64 U64 "0000 0001" EMPTY EMPTY},
    {MESSAGE_CHECKPOINT, BAD(BOTH), ID U64 U64 "0000 0000" T EMPTY},
    {MESSAGE_CHECKPOINT, BAD(NEITHER), NO_ID U64 U64 "0000 0000" EMPTY T},
    {MESSAGE_CHECKPOINT, BAD(NOT_TEXT("topic")), NO_ID U64 U64 "0000 0000" NUL_NAME EMPTY},
    {MESSAGE_CHECKPOINT, BAD(NOT_TEXT("cursor")), ID U64 U64 "0000 0000" EMPTY BAD_NAME},
    {MESSAGE_CHECKPOINT, BAD(TOO_LONG), ID U64 U64 "0000 0000" EMPTY EMPTY "00"},
    {MESSAGE_SEEK, GOOD, ID EMPTY EMPTY "0100 000000000000" U64},
    {MESSAGE_SEEK, GOOD, NO_ID T T "0200 000000000000" U64},
    {MESSAGE_SEEK, GOOD, NO_ID T T "0300 000000000000" ZERO64},
    {MESSAGE_SEEK, GOOD, NO_ID T T "0400 000000000000" ZERO64},
    {MESSAGE_SEEK, BAD(KIND), ID EMPTY EMPTY "0500 000000000000" ZERO64},
    {MESSAGE_SEEK, BAD(KIND), ID EMPTY EMPTY "0000 000000000000" ZERO64},
    {MESSAGE_SEEK, BAD(VALUE), ID EMPTY EMPTY "0300 000000000000" U64},
    {MESSAGE_SEEK, BAD(VALUE), ID EMPTY EMPTY "0400 000000000000" U64},
    {MESSAGE_SEEK, BAD(RESERVED), ID EMPTY EMPTY "0100 010000000000" U64},
    {MESSAGE_SEEK, BAD(RESERVED), ID EMPTY EMPTY "0100 000000000001" U64},
    {MESSAGE_SEEK, BAD(BOTH), ID T EMPTY "0100 000000000000" U64},
    {MESSAGE_SEEK, BAD(NEITHER), NO_ID EMPTY EMPTY "0100 000000000000" U64},
    {MESSAGE_SEEK, BAD(TOO_LONG), ID EMPTY EMPTY "0100 000000000000" U64 "00"},
    {MESSAGE_CURSOR_CREATE, GOOD, ID EMPTY T "0400 000000000000" ZERO64},
    {MESSAGE_CURSOR_CREATE, GOOD, ID EMPTY EMPTY "0100 000000000000" U64},
    {MESSAGE_CURSOR_CREATE, BAD(KIND), ID EMPTY T "0500 000000000000" ZERO64},
    {MESSAGE_CURSOR_CREATE, BAD(VALUE), ID EMPTY T "0400 000000000000" U64},
    {MESSAGE_CURSOR_CREATE, BAD(RESERVED), ID EMPTY T "0100 000001000000" U64},
    {MESSAGE_CURSOR_CREATE, BAD(NOT_TEXT("cursor")), ID EMPTY NUL_NAME "0100 000000000000" U64},
    {MESSAGE_CURSOR_LIST, GOOD, ID "01000000" EMPTY EMPTY "0100"},
    {MESSAGE_CURSOR_LIST, GOOD, ID "e8030000" EMPTY EMPTY "0000"},
    {MESSAGE_CURSOR_LIST, GOOD, NO_ID "01000000" T T "0000"},
    {MESSAGE_CURSOR_LIST, BAD(MAX), ID "00000000" EMPTY EMPTY "0100"},
    {MESSAGE_CURSOR_LIST, BAD(MAX), ID "e9030000" EMPTY EMPTY "0100"},
    {MESSAGE_CURSOR_LIST, BAD("a list from the first goes on after a name"),
     ID "01000000" EMPTY T "0100"},
    {MESSAGE_CURSOR_LIST, BAD("a field that is 0 or 1 is neither"),
     ID "01000000" EMPTY EMPTY "0200"},
    {MESSAGE_CURSOR_LIST, BAD("a field that is 0 or 1 is neither"),
     ID "01000000" EMPTY EMPTY "0001"},
    {MESSAGE_CURSOR_LIST, BAD(BOTH), ID "01000000" T EMPTY "0100"},
    {MESSAGE_CURSOR_LIST, BAD(NEITHER), NO_ID "01000000" EMPTY EMPTY "0100"},
    {MESSAGE_CURSOR_LIST, BAD(NOT_TEXT("last seen")), ID "01000000" EMPTY BAD_NAME "0000"},
    {MESSAGE_CURSOR_LIST, BAD(TOO_LONG), ID "01000000" EMPTY EMPTY "0100 00"},
    {MESSAGE_CURSOR_DELETE, GOOD, ID EMPTY EMPTY},
    {MESSAGE_CURSOR_DELETE, GOOD, NO_ID T T},
    {MESSAGE_CURSOR_DELETE, BAD(BOTH), ID T T},
    {MESSAGE_CURSOR_DELETE, BAD(NEITHER), NO_ID EMPTY T},
    {MESSAGE_CURSOR_DELETE, BAD(NOT_TEXT("cursor")), ID EMPTY NUL_NAME},
    {MESSAGE_CURSOR_DELETE, BAD(TOO_LONG), ID EMPTY EMPTY "00"},
};

static const struct row topic_rows[] = {
    {MESSAGE_TOPIC_CREATE, GOOD, T NO_SETTINGS},
    {MESSAGE_TOPIC_CREATE, GOOD, T "0100 0100 0000" U64},
    {MESSAGE_TOPIC_CREATE, GOOD, T "0200 0100 0000" U64 "0200 0000" U64},
    {MESSAGE_TOPIC_CREATE, BAD(NO_NAME("topic")), EMPTY NO_SETTINGS},
    {MESSAGE_TOPIC_CREATE, BAD(NOT_TEXT("topic")), NUL_NAME NO_SETTINGS},
    {MESSAGE_TOPIC_CREATE, BAD(NOT_TEXT("topic")), BAD_NAME NO_SETTINGS},
    {MESSAGE_TOPIC_CREATE, BAD(KEYS), T "0200 0200 0000" U64 "0100 0000" U64},
    {MESSAGE_TOPIC_CREATE, BAD(KEYS), T "0200 0100 0000" U64 "0100 0000" U64},
    {MESSAGE_TOPIC_CREATE, BAD(RESERVED), T "0100 0100 0100" U64},
    {MESSAGE_TOPIC_CREATE, BAD(RESERVED), T "0100 0100 0080" U64},
    {MESSAGE_TOPIC_CREATE, BAD(TOO_SHORT), T "0100 0100 0000"},
    {MESSAGE_TOPIC_CREATE, BAD(TOO_SHORT), T "0200 0100 0000" U64},
    {MESSAGE_TOPIC_CREATE, BAD("there are more than 32 settings"), T "2100"},
    {MESSAGE_TOPIC_CREATE, BAD("there are more than 32 settings"), T "ffff"},
    {MESSAGE_TOPIC_CREATE, BAD(TOO_LONG), T NO_SETTINGS "00"},
    {MESSAGE_TOPIC_SET, GOOD, ID EMPTY NO_SETTINGS},
    {MESSAGE_TOPIC_SET, GOOD, NO_ID T "0100 0100 0000" U64},
    {MESSAGE_TOPIC_SET, BAD(BOTH), ID T NO_SETTINGS},
    {MESSAGE_TOPIC_SET, BAD(NEITHER), NO_ID EMPTY NO_SETTINGS},
    {MESSAGE_TOPIC_SET, BAD(KEYS), ID EMPTY "0200 0200 0000" U64 "0200 0000" U64},
    {MESSAGE_TOPIC_DELETE, GOOD, ID EMPTY},
    {MESSAGE_TOPIC_DELETE, GOOD, NO_ID T},
    {MESSAGE_TOPIC_DELETE, BAD(BOTH), ID T},
    {MESSAGE_TOPIC_DELETE, BAD(NEITHER), NO_ID EMPTY},
    {MESSAGE_TOPIC_DELETE, BAD(TOO_LONG), ID EMPTY "00"},
    {MESSAGE_TOPIC_INFO, GOOD, ID EMPTY},
    {MESSAGE_TOPIC_INFO, BAD(BOTH), ID T},
    {MESSAGE_TOPIC_INFO, BAD(NEITHER), NO_ID EMPTY},
    {MESSAGE_TOPIC_INFO, BAD(NOT_TEXT("topic")), NO_ID BAD_NAME},
    {MESSAGE_TOPIC_TRIM, GOOD, ID U64 EMPTY},
    {MESSAGE_TOPIC_TRIM, GOOD, NO_ID ZERO64 T},
    {MESSAGE_TOPIC_TRIM, BAD(BOTH), ID U64 T},
    {MESSAGE_TOPIC_TRIM, BAD(NEITHER), NO_ID U64 EMPTY},
    {MESSAGE_TOPIC_LIST, GOOD, "01000000" EMPTY},
    {MESSAGE_TOPIC_LIST, GOOD, "e8030000" T},
    {MESSAGE_TOPIC_LIST, BAD(MAX), "00000000" EMPTY},
    {MESSAGE_TOPIC_LIST, BAD(MAX), "e9030000" EMPTY},
    {MESSAGE_TOPIC_LIST, BAD(MAX), "ffffffff" EMPTY},
    {MESSAGE_TOPIC_LIST, BAD(NOT_TEXT("last seen")), "01000000" NUL_NAME},
};

static const struct row namespace_rows[] = {
    {MESSAGE_NAMESPACE_CREATE, GOOD, T NO_SETTINGS},
    {MESSAGE_NAMESPACE_CREATE, BAD(NO_NAME("namespace")), EMPTY NO_SETTINGS},
    {MESSAGE_NAMESPACE_CREATE, BAD(NOT_TEXT("namespace")), BAD_NAME NO_SETTINGS},
    {MESSAGE_NAMESPACE_CREATE, BAD(KEYS), T "0200 1100 0000" U64 "1000 0000" U64},
    {MESSAGE_NAMESPACE_SET, GOOD, T NO_SETTINGS},
    {MESSAGE_NAMESPACE_SET, GOOD, EMPTY NO_SETTINGS},
    {MESSAGE_NAMESPACE_SET, BAD(NOT_TEXT("namespace")), NUL_NAME NO_SETTINGS},
    {MESSAGE_NAMESPACE_SET, BAD("there are more than 32 settings"), EMPTY "2100"},
    {MESSAGE_NAMESPACE_LIST, GOOD, "01000000" EMPTY},
    {MESSAGE_NAMESPACE_LIST, BAD(MAX), "00000000" EMPTY},
    {MESSAGE_NAMESPACE_LIST, BAD(MAX), "e9030000" EMPTY},
    {MESSAGE_NAMESPACE_DELETE, GOOD, T},
    {MESSAGE_NAMESPACE_DELETE, BAD(NO_NAME("namespace")), EMPTY},
    {MESSAGE_NAMESPACE_DELETE, BAD(NOT_TEXT("namespace")), NUL_NAME},
    {MESSAGE_NAMESPACE_DELETE, BAD(TOO_LONG), T "00"},
};

static void check_rows(const struct row *rows, size_t count)
{
    uint8_t bytes[512];
    size_t i;

    for (i = 0; i < count; i++) {
        struct message message;
        const char *why = NULL;
        size_t size = hex_decode(bytes, sizeof bytes, rows[i].hex);
        int rc = message_decode(&message, rows[i].type, bytes, size, &why);

        if (rc != rows[i].rc || (why == NULL) != (rows[i].why == NULL) ||
            (why != NULL && strcmp(why, rows[i].why) != 0)) {
            print_error("row %zu, type %u, %s: %s, not %s (%s)\n", i, rows[i].type, rows[i].hex,
                        why == NULL ? "good" : why, rows[i].why == NULL ? "good" : rows[i].why,
                        status_name(rc));
            fail();
        }
    }
}

/* Each rule that a request can break, alone, and the sentence for it. */
static void each_broken_rule_has_its_sentence(void **state)
{
    (void)state;
    check_rows(hello_rows, sizeof hello_rows / sizeof *hello_rows);
    check_rows(nothing_rows, sizeof nothing_rows / sizeof *nothing_rows);
    check_rows(append_rows, sizeof append_rows / sizeof *append_rows);
    check_rows(read_rows, sizeof read_rows / sizeof *read_rows);
    check_rows(cursor_rows, sizeof cursor_rows / sizeof *cursor_rows);
    check_rows(topic_rows, sizeof topic_rows / sizeof *topic_rows);
    check_rows(namespace_rows, sizeof namespace_rows / sizeof *namespace_rows);
}

/* What decoding a body says whose name between the two pieces has `size` letters. */
static int decode_name_of(uint16_t type, const char *before, size_t size, const char *after)
{
    uint8_t bytes[1024];
    struct message message;
    const char *why = NULL;
    size_t at = hex_decode(bytes, sizeof bytes, before);

    put_u16(bytes + at, (uint16_t)size);
    memset(bytes + at + 2, 'n', size);
    at += 2 + size;
    at += hex_decode(bytes + at, sizeof bytes - at, after);
    return message_decode(&message, type, bytes, at, &why);
}

/* A name has at most 255 bytes, wherever it stands. */
static void names_end_at_255_bytes(void **state)
{
    static const struct {
        uint16_t type;
        const char *before;
        const char *after;
    } rows[] = {
        {MESSAGE_HELLO, HELLO_HEAD, EMPTY},
        {MESSAGE_HELLO, HELLO_HEAD EMPTY, ""},
        {MESSAGE_CHECKPOINT, NO_ID U64 U64 "0000 0000", EMPTY},
        {MESSAGE_CHECKPOINT, ID U64 U64 "0000 0000" EMPTY, ""},
        {MESSAGE_SEEK, NO_ID, EMPTY "0100 000000000000" U64},
        {MESSAGE_SEEK, ID EMPTY, "0100 000000000000" U64},
        {MESSAGE_TOPIC_CREATE, "", NO_SETTINGS},
        {MESSAGE_TOPIC_SET, NO_ID, NO_SETTINGS},
        {MESSAGE_TOPIC_DELETE, NO_ID, ""},
        {MESSAGE_TOPIC_TRIM, NO_ID U64, ""},
        {MESSAGE_TOPIC_LIST, "01000000", ""},
        {MESSAGE_TOPIC_INFO, NO_ID, ""},
        {MESSAGE_CURSOR_CREATE, NO_ID, EMPTY "0100 000000000000" U64},
        {MESSAGE_CURSOR_LIST, NO_ID "01000000", EMPTY "0000"},
        {MESSAGE_CURSOR_LIST, ID "01000000" EMPTY, "0000"},
        {MESSAGE_CURSOR_DELETE, NO_ID, EMPTY},
        {MESSAGE_CURSOR_DELETE, ID EMPTY, ""},
        {MESSAGE_NAMESPACE_CREATE, "", NO_SETTINGS},
        {MESSAGE_NAMESPACE_SET, "", NO_SETTINGS},
        {MESSAGE_NAMESPACE_LIST, "01000000", ""},
        {MESSAGE_NAMESPACE_DELETE, "", ""},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(decode_name_of(rows[i].type, rows[i].before, 1, rows[i].after), 0);
        assert_int_equal(decode_name_of(rows[i].type, rows[i].before, 255, rows[i].after), 0);
        assert_int_equal(decode_name_of(rows[i].type, rows[i].before, 256, rows[i].after),
                         TUSK_EINVALID);
    }
}

/* 32 settings are allowed, 33 are not, though all their bytes are there. */
static void settings_end_at_32(void **state)
{
    uint16_t count;

    (void)state;
    for (count = 31; count <= 33; count++) {
        uint8_t bytes[5 + 33 * 12] = {1, 0, 't'};
        struct message message;
        const char *why = NULL;
        uint16_t i;

        put_u16(bytes + 3, count);
        for (i = 0; i < count; i++) {
            put_u16(bytes + 5 + i * 12, (uint16_t)(i + 1));
        }
        assert_int_equal(
            message_decode(&message, MESSAGE_TOPIC_CREATE, bytes, 5u + count * 12u, &why),
            count <= 32 ? 0 : TUSK_EINVALID);
    }
}

#define INFO_HEAD ID U64 U64 U64 U64 U64 U64 U64 ONE ONE

static const struct {
    enum reply_kind kind;
    bool good;
    const char *hex;
} reply_rows[] = {
    {REPLY_ERROR, true, U64 U64 T},
    {REPLY_ERROR, true, U64 U64 EMPTY},
    {REPLY_ERROR, false, U64 U64 NUL_NAME},
    {REPLY_ERROR, false, U64 U64 BAD_NAME},
    {REPLY_ERROR, false, U64 U64 "0104"},
    {REPLY_READ, true, ID U64 U64 U64 U64 U64 U64 U64 U64 ONE "00000000"},
    {REPLY_READ, true, ID U64 U64 U64 U64 U64 U64 U64 U64 ONE "02000000 0102"},
    {REPLY_READ, false, ID U64 U64 U64 U64 U64 U64 U64 U64 ONE "02000000 01"},
    {REPLY_READ, false, ID U64 U64 U64 U64 U64 U64 U64 U64 ONE "02000000 010203"},
    {REPLY_READ, false, ID U64 U64 U64 U64 U64 U64 U64 U64 ONE "ffffffff 010203"},
    {REPLY_TOPIC_INFO, true, INFO_HEAD T NO_SETTINGS},
    {REPLY_TOPIC_INFO, false, INFO_HEAD EMPTY NO_SETTINGS},
    {REPLY_TOPIC_INFO, false, INFO_HEAD BAD_NAME NO_SETTINGS},
    {REPLY_TOPIC_INFO, false, INFO_HEAD T "0100 0100 0100" U64},
    {REPLY_TOPIC_INFO, false, INFO_HEAD T "0200 0100 0000" U64 "0100 0000" U64},
    {REPLY_TOPIC_LIST, true, "0000 0000"},
    {REPLY_TOPIC_LIST, false, "0100 0000"},
    {REPLY_TOPIC_LIST, false, "0200 0000"},
    {REPLY_TOPIC_LIST, true, "0100 0100" INFO_HEAD T NO_SETTINGS},
    {REPLY_TOPIC_LIST, false, "0000 0000 00"},
    {REPLY_TOPIC_LIST, false, "0000 0200" INFO_HEAD T NO_SETTINGS},
    {REPLY_TOPIC_LIST, false, "0000 e903"},
    {REPLY_TOPIC_LIST, false, "0000 ffff" INFO_HEAD T NO_SETTINGS},
    {REPLY_CURSOR_LIST, true, "0000 0100" U64 U64 U64 U64 EMPTY},
    {REPLY_CURSOR_LIST, true, "0000 0100" U64 U64 U64 U64 T},
    {REPLY_CURSOR_LIST, false, "0000 0100" U64 U64 U64 U64 NUL_NAME},
    {REPLY_CURSOR_LIST, false, "0000 0100" U64 U64 U64 U64 T "00"},
    {REPLY_NAMESPACE_LIST, true, "0000 0100" U64 U64 "0000" T EMPTY NO_SETTINGS},
    {REPLY_NAMESPACE_LIST, true, "0000 0100" U64 U64 "0200" T T NO_SETTINGS},
    {REPLY_NAMESPACE_LIST, false, "0000 0100" U64 U64 "0300" T T NO_SETTINGS},
    {REPLY_NAMESPACE_LIST, false, "0000 0100" U64 U64 "0001" T T NO_SETTINGS},
    {REPLY_NAMESPACE_LIST, false, "0000 0100" U64 U64 "0000" EMPTY T NO_SETTINGS},
    {REPLY_NAMESPACE_LIST, false, "0000 0100" U64 U64 "0000" T BAD_NAME NO_SETTINGS},
    {REPLY_SLOWLOG, true, "0000 0000"},
    {REPLY_SLOWLOG, true, "0100 0100" SLOW T T T T},
    {REPLY_SLOWLOG, true, "0000 0100" SLOW T EMPTY EMPTY EMPTY},
    {REPLY_SLOWLOG, false, "0100 0000"},
    {REPLY_SLOWLOG, false, "0000 0100" SLOW EMPTY T T T},
    {REPLY_SLOWLOG, false, "0000 0100" SLOW T BAD_NAME T T},
    {REPLY_SLOWLOG, false, "0000 0100" SLOW T T BAD_NAME T},
    {REPLY_SLOWLOG, false, "0000 0100" SLOW T T T BAD_NAME},
    {REPLY_SLOWLOG, false, "0000 0100" SLOW T T T T "00"},
    {REPLY_CONFIG, true, "0000 0000"},
    {REPLY_CONFIG, true, "0000 0100 0000" T EMPTY T T T EMPTY},
    {REPLY_CONFIG, true, "0100 0100 0100" T T T EMPTY EMPTY T},
    {REPLY_CONFIG, false, "0000 0100 0200" T EMPTY T T T EMPTY},
    {REPLY_CONFIG, false, "0000 0100 0000" EMPTY EMPTY T T T EMPTY},
    {REPLY_CONFIG, false, "0000 0100 0000" T EMPTY EMPTY T T EMPTY},
    {REPLY_CONFIG, false, "0000 0100 0000" T EMPTY T BAD_NAME T EMPTY},
    {REPLY_CONFIG, false, "0000 0100 0000" T EMPTY T T T EMPTY "00"},
    {REPLY_ACCESS, true, "01020304 0700" EMPTY EMPTY},
    {REPLY_ACCESS, true, "01020304 ffff" T T},
    {REPLY_ACCESS, false, "01020304 0700" BAD_NAME T},
    {REPLY_ACCESS, false, "01020304 0700" T BAD_NAME},
    {REPLY_ACCESS, false, "01020304 0700" T T "00"},
    {REPLY_SNAPSHOT, true, U64 U64 U64 U64 U64 U64 T T},
    {REPLY_SNAPSHOT, true, U64 U64 U64 U64 U64 U64 EMPTY EMPTY},
    {REPLY_SNAPSHOT, false, U64 U64 U64 U64 U64 U64 T},
    {REPLY_SNAPSHOT, false, U64 U64 U64 U64 U64 U64 T BAD_NAME},
    {REPLY_SNAPSHOT, false, U64 U64 U64 U64 U64 U64 NUL_NAME T},
    {REPLY_SNAPSHOT, false, U64 U64 U64 U64 U64 U64 T T "00"},
    {REPLY_STATS, true, "0000"},
    {REPLY_STATS, true, "0200" T U64 T U64},
    {REPLY_STATS, false, "0200" T U64},
    {REPLY_STATS, false, "0100" EMPTY U64},
    {REPLY_STATS, false, "0100" T U64 "00"},
    {REPLY_HELLO, false, "0100 0100" ONE U64 U64 U64 U64 U64 ONE ONE ONE ONE U64 EMPTY},
    {REPLY_HELLO, true, "0100 0000" ONE U64 U64 U64 U64 U64 ONE ONE ONE ONE U64 EMPTY},
    {REPLY_HELLO, false, "0100 0000" ONE U64 U64 U64 U64 U64 ONE ONE ONE ONE U64 BAD_NAME},
};

/* What a reply may not be: refused by its decoder, or somewhere on the way through its list. */
static void bad_replies_are_refused(void **state)
{
    uint8_t bytes[256];
    uint8_t again[256];
    size_t again_size;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof reply_rows / sizeof *reply_rows; i++) {
        size_t size = hex_decode(bytes, sizeof bytes, reply_rows[i].hex);
        int rc = mirror_reply(reply_rows[i].kind, bytes, size, again, &again_size);

        if (rc != (reply_rows[i].good ? 0 : TUSK_EINVALID)) {
            print_error("row %zu\n", i);
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_rule_has_its_sentence),
        cmocka_unit_test(names_end_at_255_bytes),
        cmocka_unit_test(settings_end_at_32),
        cmocka_unit_test(bad_replies_are_refused),
    };

    return cmocka_run_group_tests_name("message refusal", tests, NULL, NULL);
}
