#include "config/access.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define BLANKS " \t"
#define WORD_SIZE 256u /* A line is shorter */
#define OVERFLOW_ID 65534u
#define LOOKUP_SIZE 65536u

static const struct {
    const char *name;
    uint32_t right;
} right_names[] = {{"read", ACCESS_READ}, {"append", ACCESS_APPEND}, {"admin", ACCESS_ADMIN}};

/* ---- a line ---- */

struct line {
    struct config *config;
    const struct option_origin *origin;
};

static void complain(const struct line *line, const char *what, const char *word)
{
    char where[OPTIONS_ORIGIN_SIZE];

    option_origin_text(line->origin, where);
    config_report(
        &line->config->errors,
        "%s: allow: %s \"%s\"; a rule is WHO RIGHTS: user:NAME, group:NAME or anyone, and "
        "read, append, admin with commas between them",
        where, what, word);
}

/* The word at *at, which moves behind it. False: there is none. */
static bool take_word(const char **at, const char *ends, char *word)
{
    size_t size;

    *at += strspn(*at, BLANKS);
    size = strcspn(*at, ends);
    while (size > 0 && strchr(BLANKS, (*at)[size - 1]) != NULL) {
        size--;
    }
    if (size == 0 || size >= WORD_SIZE) {
        return false;
    }
    memcpy(word, *at, size);
    word[size] = '\0';
    *at += size;
    *at += strspn(*at, BLANKS);
    return true;
}

static bool parse_who(const struct line *line, struct access_rule *rule, const char *word)
{
    const char *colon = strchr(word, ':');
    const size_t size = colon != NULL ? (size_t)(colon - word) : 0;

    if (strcmp(word, "anyone") == 0) {
        rule->kind = ACCESS_ANYONE;
        return true;
    }
    if (size == 4 && strncmp(word, "user", size) == 0) {
        rule->kind = ACCESS_USER;
    } else if (size == 5 && strncmp(word, "group", size) == 0) {
        rule->kind = ACCESS_GROUP;
    } else {
        complain(line, "who is", word);
        return false;
    }
    if (colon[1] == '\0') {
        complain(line, "there is no name in", word);
        return false;
    }
    rule->name = config_name(line->config, colon + 1);
    if (rule->name == NULL) {
        complain(line, "out of memory at", word);
    }
    return rule->name != NULL;
}

static bool parse_right(const struct line *line, struct access_rule *rule, const char *word)
{
    size_t i;

    for (i = 0; i < sizeof right_names / sizeof right_names[0]; i++) {
        if (strcmp(word, right_names[i].name) == 0) {
            rule->rights |= right_names[i].right;
            return true;
        }
    }
    complain(line, "there is no right", word);
    return false;
}

/* One rule, up to ';' or the end. */
static bool parse_rule(const struct line *line, const char **at, struct access_rule *rule)
{
    char word[WORD_SIZE] = "";

    *rule = (struct access_rule){.origin = *line->origin};
    if (!take_word(at, BLANKS ";", word)) {
        complain(line, "there is no rule at", *at);
        return false;
    }
    if (!parse_who(line, rule, word)) {
        return false;
    }
    do {
        if (!take_word(at, ",;", word)) {
            complain(line, "there is no right behind", word);
            return false;
        }
        if (!parse_right(line, rule, word)) {
            return false;
        }
    } while (**at == ',' && (*at)++ != NULL);
    return true;
}

static bool add(const struct line *line, struct access_rules *rules, const struct access_rule *rule)
{
    struct access_rule *more;

    if (rules->count == ACCESS_RULES_MAX) {
        complain(line, "more rules than a section may have, from", rule->name);
        return false;
    }
    more = realloc(rules->rules, (rules->count + 1) * sizeof *more);
    if (more == NULL) {
        complain(line, "out of memory at", rule->name);
        return false;
    }
    rules->rules = more;
    more[rules->count++] = *rule;
    return true;
}

void access_parse(struct config *config, struct access_rules *rules, const char *value,
                  const struct option_origin *origin)
{
    const struct line line = {.config = config, .origin = origin};
    const char *at = value;
    struct access_rule rule;

    if (rules->origin.kind != ORIGIN_FILE || rules->origin.name != origin->name) {
        access_free(rules); /* Another file is overruled */
        rules->origin = *origin;
    }
    if (strcmp(value, "none") == 0 && rules->count == 0) {
        rules->none = true;
        return;
    }
    if (rules->none) {
        complain(&line, "there is \"none\" before it in this file, which stands alone:", value);
        return;
    }
    do {
        if (!parse_rule(&line, &at, &rule) || !add(&line, rules, &rule)) {
            return;
        }
    } while (*at == ';' && *++at != '\0');
}

void access_free(struct access_rules *rules)
{
    free(rules->rules);
    *rules = (struct access_rules){.rules = NULL};
}

/* ---- what names mean ---- */

/* A number stands for itself, whether the system knows it or not. */
bool access_number(const char *text, uint32_t *id)
{
    char *end;
    uintmax_t value;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    value = strtoumax(text, &end, 10);
    *id = (uint32_t)value;
    return errno == 0 && *end == '\0' && value < UINT32_MAX;
}

/* False: there is no such user or group, or nobody can say. */
static bool look_up(const struct access_rule *rule, uint32_t *id)
{
    static char room[LOOKUP_SIZE];
    struct passwd *user = NULL;
    struct group *group = NULL;
    struct passwd user_room;
    struct group group_room;

    if (access_number(rule->name, id)) {
        return true;
    }
    if (rule->kind == ACCESS_USER) {
        (void)getpwnam_r(rule->name, &user_room, room, sizeof room, &user);
        *id = user != NULL ? user->pw_uid : 0;
    } else {
        (void)getgrnam_r(rule->name, &group_room, room, sizeof room, &group);
        *id = group != NULL ? group->gr_gid : 0;
    }
    return user != NULL || group != NULL;
}

static uint32_t read_overflow_id(const char *path)
{
    FILE *file = fopen(path, "re");
    char text[32] = "";
    uint32_t id = OVERFLOW_ID;

    if (file != NULL) {
        if (fgets(text, sizeof text, file) != NULL) {
            text[strcspn(text, "\n")] = '\0';
        }
        (void)fclose(file); /* Nothing was written to it */
    }
    return access_number(text, &id) && id != 0 ? id : OVERFLOW_ID;
}

uint32_t access_overflow_uid(void)
{
    static uint32_t id;

    return id != 0 ? id : (id = read_overflow_id("/proc/sys/kernel/overflowuid"));
}

uint32_t access_overflow_gid(void)
{
    static uint32_t id;

    return id != 0 ? id : (id = read_overflow_id("/proc/sys/kernel/overflowgid"));
}

static void resolve_rule(struct config *config, struct access_rule *rule)
{
    const char *kind = rule->kind == ACCESS_USER ? "user" : "group";
    char where[OPTIONS_ORIGIN_SIZE];

    if (rule->kind == ACCESS_ANYONE) {
        return;
    }
    option_origin_text(&rule->origin, where);
    if (!look_up(rule, &rule->id)) {
        config_report(&config->errors,
                      "%s: allow: there is no %s \"%s\" on this system; a number is taken as it is",
                      where, kind, rule->name);
    } else if (rule->id ==
               (rule->kind == ACCESS_USER ? access_overflow_uid() : access_overflow_gid())) {
        config_report(&config->errors,
                      "%s: allow: %s \"%s\" (%" PRIu32
                      ") stands for everybody whom the kernel has no "
                      "number for, and can be given nothing",
                      where, kind, rule->name, rule->id);
    }
}

void access_resolve(struct config *config)
{
    uint32_t space;
    uint32_t i;

    for (i = 0; i < config->access.count; i++) {
        resolve_rule(config, &config->access.rules[i]);
    }
    for (space = 0; space < config->namespace_count; space++) {
        struct access_rules *rules = &config->namespaces[space].access;

        for (i = 0; i < rules->count; i++) {
            resolve_rule(config, &rules->rules[i]);
        }
    }
}

/* ---- what they give ---- */

const struct access_rules *access_of(const struct config *config, const char *name)
{
    const struct config_namespace *space = config_namespace_find(config, name);

    return space != NULL && space->access.origin.kind == ORIGIN_FILE ? &space->access
                                                                     : &config->access;
}

static bool in_group(const struct access_who *who, uint32_t id)
{
    size_t i;

    for (i = 0; i < who->group_count; i++) {
        if (who->groups[i] == id && id != access_overflow_gid()) {
            return true;
        }
    }
    return false;
}

uint32_t access_rights(const struct access_rules *rules, const struct access_who *who,
                       const struct access_rule **rule)
{
    uint32_t rights = 0;
    uint32_t i;

    if (rule != NULL) {
        *rule = NULL;
    }
    if (who->uid == access_overflow_uid() || who->uid == UINT32_MAX) {
        return 0;
    }
    for (i = 0; i < rules->count; i++) {
        const struct access_rule *at = &rules->rules[i];

        if (at->kind == ACCESS_ANYONE || (at->kind == ACCESS_USER && at->id == who->uid) ||
            (at->kind == ACCESS_GROUP && in_group(who, at->id))) {
            rights |= at->rights;
            if (rule != NULL && *rule == NULL) {
                *rule = at;
            }
        }
    }
    return rights;
}

bool access_administers(const struct config *config, const struct access_who *who)
{
    uint32_t rights = access_rights(&config->access, who, NULL);
    uint32_t i;

    for (i = 0; i < config->namespace_count; i++) {
        rights |= access_rights(&config->namespaces[i].access, who, NULL);
    }
    return (rights & ACCESS_ADMIN) != 0;
}

bool access_any(const struct config *config)
{
    bool any = config->access.count > 0;
    uint32_t i;

    for (i = 0; i < config->namespace_count && !any; i++) {
        any = config->namespaces[i].access.count > 0;
    }
    return any;
}

bool access_same(const struct access_rules *a, const struct access_rules *b)
{
    bool same = a->count == b->count && a->origin.kind == b->origin.kind;
    uint32_t i;

    for (i = 0; i < a->count && same; i++) {
        same = a->rules[i].kind == b->rules[i].kind && a->rules[i].id == b->rules[i].id &&
               a->rules[i].rights == b->rules[i].rights;
    }
    return same;
}

/* ---- as text ---- */

void access_text(uint32_t rights, char *text)
{
    size_t used = 0;
    size_t i;

    (void)snprintf(text, ACCESS_TEXT_SIZE, "none");
    for (i = 0; i < sizeof right_names / sizeof right_names[0]; i++) {
        if ((rights & right_names[i].right) != 0) {
            used += (size_t)snprintf(text + used, ACCESS_TEXT_SIZE - used, "%s%s",
                                     used > 0 ? "," : "", right_names[i].name);
        }
    }
}

void access_rules_text(const struct access_rules *rules, char *text, size_t size)
{
    static const char *const kinds[] = {
        [ACCESS_USER] = "user:", [ACCESS_GROUP] = "group:", [ACCESS_ANYONE] = "anyone"};
    char rights[ACCESS_TEXT_SIZE];
    size_t used = 0;
    uint32_t i;

    (void)snprintf(text, size, "none");
    for (i = 0; i < rules->count && used < size; i++) {
        const struct access_rule *rule = &rules->rules[i];

        access_text(rule->rights, rights);
        used += (size_t)snprintf(text + used, size - used, "%s%s%s %s", i > 0 ? "; " : "",
                                 kinds[rule->kind], rule->name != NULL ? rule->name : "", rights);
    }
}
