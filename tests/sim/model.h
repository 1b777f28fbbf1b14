/* What the simulation believes about the store: a model that grows with every request, from the
 * specification only. No line of it comes from how core works, with one exception: when
 * a request got its place in the order is read from the request's own memory (engine.h), because replies alone
 * say it too vaguely to judge a single cut through the whole history of a namespace.
 *
 *     request ---> step, once staged ---> acked ---> promised written, or durable
 *                    |                                       |
 *                    +--- a crash, and what was found after it: kept, lost, or unknown ---> settled
 *
 * A *step* is one change in the order of a namespace. Its *tick* is when it was staged; ticks count
 * submissions and polls, so two steps with different ticks have a known order. Steps live as long as the world. */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"

enum step_kind {
    STEP_BATCH,
    STEP_TRIM, /* Asked for, or by retention */
    STEP_CREATE,
    STEP_DELETE,
    STEP_RULE, /* Of a topic's retention */
    STEP_CURSOR,
    STEP_SETTINGS
};

enum verdict { VERDICT_UNKNOWN, VERDICT_KEPT, VERDICT_LOST };

struct step {
    struct step *next_made; /* In the world's list of all steps */
    enum step_kind kind;
    uint64_t tick;
    uint64_t number;  /* Of the operation, for messages; 0: made by the engine */
    uint64_t mono_us; /* When staged */
    uint64_t turn;    /* The poll before it: steps of different turns lie in different records */
    uint64_t mark;    /* What was known durable then: its record says so at least */
    bool acked;
    bool written; /* Promised to survive the death of the process */
    bool durable; /* Promised to survive a power cut */
    bool loose;   /* An at-least-once move: its record may come later, or never */
    enum verdict verdict;
    struct model_topic *topic; /* NULL: settings */
    /* A batch: */
    uint64_t first; /* Also of a trim: first offset kept */
    uint64_t end;
    uint64_t time_us;
    uint8_t *bytes; /* Owned: as the producer sent it */
    size_t size;
    /* A cursor: */
    bool exists;
    uint64_t offset;
    uint64_t epoch;
    /* Settings: */
    struct engine_retention_rule rule;
    struct engine_settings settings;
};

/* Steps of one thing, in their order. For all but batches step 0 is the settled state. */
struct history {
    struct step **steps; /* Owned; the steps are not */
    uint32_t count;
    uint32_t room;
};

struct model_cursor {
    struct model_cursor *next;
    char name[32];
    size_t name_size;
    struct history states;
    bool busy; /* A request whose place in the order is not known yet moves it */
};

struct model_topic {
    struct model_topic *next;
    struct model_namespace *ns;
    uint64_t id;
    char name[ENGINE_NAME_SIZE_MAX];
    size_t name_size;
    uint64_t created_us;
    struct step *create; /* NULL: settled */
    struct step *delete; /* NULL: it lives */
    struct history batches;
    struct history firsts;
    struct history rules;
    struct model_cursor *cursors;
    uint64_t issued_end;   /* No offset before this may be given to anything again */
    uint64_t settled_end;  /* Its end as found after the last start */
    uint64_t told_durable; /* Greatest durable end the engine has told */
    uint64_t shown_low;    /* Readers saw at least and at most this much in a lazier schedule: */
    uint64_t shown_high;   /* that stays visible in schedule each */
    uint64_t
        promised_end; /* Entries before it were promised durable by strict cursors or readers */
    uint64_t last_time_us;
};

enum presence { ABSENT, PRESENT, MAYBE };

struct model_namespace {
    const char *name;
    enum presence presence;
    struct namespace *handle; /* While an engine is open */
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint32_t batch_size_max;
    uint32_t entry_size_max;
    uint32_t in_flight;
    struct history settings;
    struct history recent; /* All steps not settled */
    struct model_topic *topics;
    uint64_t durable_tick; /* What was staged before it survives a power cut */
    uint64_t written_tick; /* ... the death of the process */
    bool quota;            /* A quota was set since the start */
};

void history_push(struct history *history, struct step *step);
void history_deinit(struct history *history);

static inline struct step *history_last(const struct history *history)
{
    return history->steps[history->count - 1];
}

/* The topic of that name that is not deleted, or NULL. */
struct model_topic *model_topic_live(struct model_namespace *ns, const char *name, size_t size);
struct model_topic *model_topic_by_id(struct model_namespace *ns, uint64_t id);
struct model_cursor *model_cursor_find(struct model_topic *topic, const char *name, size_t size);
/* As it stands, or NULL when it does not exist. */
const struct step *model_cursor_state(const struct model_cursor *cursor);
static inline uint64_t model_first(const struct model_topic *topic)
{
    return history_last(&topic->firsts)->first;
}
static inline const struct engine_settings *model_settings(const struct model_namespace *ns)
{
    return &history_last(&ns->settings)->settings;
}
/* Whether a step is sure to survive the death of the process, or a power cut. */
bool model_is_written(const struct model_namespace *ns, const struct step *step);
bool model_is_durable(const struct model_namespace *ns, const struct step *step);
/* Readers see at least up to here, and at most up to there. */
uint64_t model_end_low(const struct model_topic *topic);
uint64_t model_end_high(const struct model_topic *topic);
/* Index of the first batch that ends behind an offset, or count. */
uint32_t model_batch_at(const struct model_topic *topic, uint64_t offset);
/* The least offset an entry has that is at or behind an offset; UINT64_MAX: none. */
uint64_t model_next_entry(const struct model_topic *topic, uint64_t offset);
/* Where "the first entry stored then or later" is, of those from `first` on; UINT64_MAX: none. */
uint64_t model_time_position(const struct model_topic *topic, uint64_t first, uint64_t time_us);
uint64_t model_entries(const struct model_topic *topic, uint64_t from, uint64_t to);
/* Forget all promises but those that the loss of any one record leaves standing: two records at least say that
 * what was staged before the returned tick is durable. */
void model_promise_marked(struct model_namespace *ns);
/* Promise, and with it everything before. */
void model_promise(struct model_namespace *ns, struct step *step, bool durable);
void model_promise_before(struct model_namespace *ns, uint64_t tick, bool durable);
void model_topic_free(struct model_topic *topic);
void model_namespace_clear(struct model_namespace *ns);

#endif
