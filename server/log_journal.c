#include "server/log_journal.h"

#ifdef TUSK_HAVE_SYSTEMD

#include <stdio.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* Of this file, which would be that of every message */
#include <systemd/sd-journal.h>

#include "core/check.h"

#define FIELDS_MAX 8u
#define FIELD_SIZE 1280u /* A message of log.c, or a namespace's name, and what it is called */

struct entry {
    char texts[FIELDS_MAX][FIELD_SIZE];
    struct iovec vectors[FIELDS_MAX];
    int count;
};

/* name ends with "=". A value may hold any byte: the journal is told its size. */
static void add(struct entry *entry, const char *name, const char *value)
{
    char *text;
    int size;

    CHECK(entry->count < (int)FIELDS_MAX);
    if (value == NULL) {
        return;
    }
    text = entry->texts[entry->count];
    size = snprintf(text, FIELD_SIZE, "%s%s", name, value);
    CHECK(size > 0);
    size = size < (int)FIELD_SIZE ? size : (int)FIELD_SIZE - 1; /* Cut is fine */
    entry->vectors[entry->count++] = (struct iovec){.iov_base = text, .iov_len = (size_t)size};
}

bool log_journal_send(const struct log_fields *fields)
{
    struct entry entry = {.count = 0};
    char number[16];

    add(&entry, "MESSAGE=", fields->text);
    (void)snprintf(number, sizeof number, "%d", fields->priority);
    add(&entry, "PRIORITY=", number);
    add(&entry, "SYSLOG_IDENTIFIER=", "tuskd");
    add(&entry, "TUSK_PART=", fields->part);
    add(&entry, "MESSAGE_ID=", fields->id);
    add(&entry, "TUSK_EVENT=", fields->event);
    add(&entry, "TUSK_NAMESPACE=", fields->space);
    if (fields->held > 0) {
        (void)snprintf(number, sizeof number, "%u", fields->held);
        add(&entry, "TUSK_HELD_BACK=", number);
    }
    return sd_journal_sendv(entry.vectors, entry.count) == 0;
}

#else

bool log_journal_send(const struct log_fields *fields)
{
    (void)fields;
    return false;
}

#endif
