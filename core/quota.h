/* The quota of bytes: whether a topic may take one more block, and what is done when it may not.
 *
 *     reject        the append is refused (TUSK_EQUOTA), as every topic or cursor too many is
 *     drop-oldest   the oldest full blocks of the namespace go, until one more fits
 *     wait          the append waits in its topic until one more fits
 *
 * What drop-oldest may not take now (a block that somebody reads or maps, or that is not durable)
 * it waits for. Whoever waits is refused after options->quota_wait_us, or when its client is gone.
 * No more than a share of what a namespace may keep of waiting appends waits here: the rest is
 * refused at once, so that neither other topics nor other namespaces are held up by it. */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct engine_append;
struct namespace;
struct topic;

/* 1: the topic may take a block. 0: not now; it *waits for the quota* when `needed`.
 * TUSK_EQUOTA. */
int quota_admits(struct topic *topic, bool needed);
/* Whether an append that has to wait for the quota may do so. */
bool quota_may_wait(const struct namespace *ns, const struct engine_append *append);
/* The topic has to wait for the quota: see that its first append is looked at in time. */
void quota_note(struct topic *topic);
/* Whether what somebody may wait for has come about since quota_work() looked. */
bool quota_can_go_on(const struct namespace *ns);
/* Refuse those whose time is up, or whose client is gone. */
void quota_work(struct namespace *ns);
/* Finish an append with TUSK_EQUOTA, with what is used and what is allowed. */
void quota_refuse(struct namespace *ns, struct engine_append *append);

#endif
