/* The settings of namespaces that the configuration gives: which they are, where they stand, and
 * bringing the namespaces in line with them before the daemon serves.
 *
 * A namespace's own section gives what it says; to "default", which is the daemon's own, also
 * [defaults], the environment and the command line do, as far as a value was given there. A setting
 * that nobody gives is the namespace's own: what is stored with it counts.
 *
 * Elsewhere: the same while the daemon serves (reload.h). */
#ifndef SERVER_CONFIGURED_H
#define SERVER_CONFIGURED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct engine_setting;
struct engine_settings;
struct namespace;
struct error;
struct option_origin;
struct option_row;
struct storage;

#define CONFIGURED_COUNT 9u /* Options that are settings of a namespace */

/* The index in options.def of each. */
int configured_option(uint32_t index);
/* The value that a namespace has. */
uint64_t configured_current(const struct engine_settings *settings, uint32_t index);
/* What the configuration gives to a namespace: where from, and *value. NULL: nothing. */
const struct option_origin *configured_find(const struct config *config, const char *name,
                                            uint32_t index, uint64_t *value);
/* What must be set on a namespace to bring it in line, into `to`, and what that replaces, into
 * `from`; CONFIGURED_COUNT places each. Returns how many. */
uint32_t configured_changes(const struct config *config, const char *name,
                            const struct engine_settings *settings, struct engine_setting *to,
                            struct engine_setting *from);
/* What a new namespace begins with: the defaults, and on top of them what its section says, into
 * CONFIGURED_COUNT places. */
void configured_initial(const struct config *config, const char *name, struct engine_setting *out);
/* Whether the files fix one of these settings to another value; then *text says where, and that
 * it is changed there. */
bool configured_fixed(const struct config *config, const char *name,
                      const struct engine_setting *settings, uint32_t count, char *text,
                      size_t size);
/* The option whose setting has this number. */
const struct option_row *configured_row(uint16_t key);
/* Bring every serving namespace in line, durably. Before the loop runs. */
int configured_apply(const struct storage *storage, const struct config *config, struct error *err);
/* Tell the log when a namespace uses more than a quota of its allows, and what follows from it. */
void configured_tell_quota(struct namespace *ns);

#endif
