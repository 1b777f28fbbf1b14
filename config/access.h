/* Who may do what with a namespace: the `allow` lines of [defaults] and [namespace "NAME"].
 *
 *     allow = WHO RIGHT[,RIGHT...][; WHO RIGHT...]...      WHO: user:NAME, group:NAME, anyone
 *     allow = none   (alone)                               RIGHT: read, append, admin
 *
 * Lines of one section and file add up. A namespace whose own section has any takes only those,
 * the others take those of [defaults]; without any nobody has rights but root and the daemon's own
 * user, who have all of them always. A user's rights are those of all rules that match.
 *
 * What a name means is asked of the system when all files have been read (access_resolve()). Who is
 * at the other end of a connection is the server's to know. */
#ifndef CONFIG_ACCESS_H
#define CONFIG_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/options.h"

struct config;

/* Bits. */
enum access_right {
    ACCESS_READ = 1,   /* Read, peek, consume; move, make and delete cursors */
    ACCESS_APPEND = 2, /* Append; an append may make its topic */
    ACCESS_ADMIN = 4, /* Make, set, trim and delete topics; set and delete the namespace, make it */
};
#define ACCESS_ALL (ACCESS_READ | ACCESS_APPEND | ACCESS_ADMIN)
#define ACCESS_TEXT_SIZE 32u /* Of access_text() */
#define ACCESS_RULES_MAX 1000u

enum access_kind { ACCESS_USER, ACCESS_GROUP, ACCESS_ANYONE };

struct access_rule {
    enum access_kind kind;
    uint32_t rights;
    uint32_t id;      /* Of the user or group; known after access_resolve() */
    const char *name; /* As written; borrowed from the struct config. NULL: anyone */
    struct option_origin origin;
};

struct access_rules {
    struct access_rule *rules; /* Owned */
    uint32_t count;
    bool none;                   /* "allow = none" stood there */
    struct option_origin origin; /* Of the first line; ORIGIN_DEFAULT: no line was given */
};

/* Who asks. */
struct access_who {
    uint32_t uid;
    const uint32_t *groups; /* Borrowed; all of them, the first one, too */
    size_t group_count;
};

/* Take over a line's value. What is wrong is added to the errors of *config. */
void access_parse(struct config *config, struct access_rules *rules, const char *value,
                  const struct option_origin *origin);
/* Ask the system who users and groups are, and report those it does not know, or that stand for
 * nobody in particular. */
void access_resolve(struct config *config);
void access_free(struct access_rules *rules);

/* Those that count for a namespace, whether it is there or not. */
const struct access_rules *access_of(const struct config *config, const char *name);
/* What they give. *rule, if it is not NULL: the first that matches, or NULL. The overflow ids, as
 * which the kernel shows users and groups that it has no number for, match nothing. */
uint32_t access_rights(const struct access_rules *rules, const struct access_who *who,
                       const struct access_rule **rule);
/* Whether they give somebody the right admin, on any namespace. */
bool access_administers(const struct config *config, const struct access_who *who);
/* Whether any rule gives anything to anybody. */
bool access_any(const struct config *config);
/* Whether two configurations give the same. */
bool access_same(const struct access_rules *a, const struct access_rules *b);

/* A number as it is written; false: it is none, or no id. */
bool access_number(const char *text, uint32_t *id);
/* "read,append", "none": in ACCESS_TEXT_SIZE bytes. */
void access_text(uint32_t rights, char *text);
/* All rules in one line, as they could be written; cut to size. */
void access_rules_text(const struct access_rules *rules, char *text, size_t size);
/* The ids that stand for nobody in particular. */
uint32_t access_overflow_uid(void);
uint32_t access_overflow_gid(void);

#endif
