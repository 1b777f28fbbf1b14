/* Requests that change tables: what command.c, which takes every one of them, and cursor.c share.
 *
 *     engine_command ---> refused, or its record put ---> durable ---> finished
 *                   \---> a position by time is looked up first (cursor.c) --/
 *
 * Each function on cursors is a command's first step: afterwards the command is finished (with a
 * status and a text when it was refused), or waits for its record, or, a seek by time, for a read.
 * The journal has admitted the record before. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include "core/namespace.h"

/* cursor.c */
/* The cursor stands where the command says or farther; it is created unless the command says no. */
void cursor_checkpoint(struct namespace *ns, struct engine_command *command, struct topic *topic);
/* SEEK and CURSOR_CREATE. What the command points at is copied if it is needed later. */
void cursor_seek(struct namespace *ns, struct engine_command *command, struct topic *topic);
/* Afterwards the topic has no such cursor, at once. */
void cursor_delete(struct namespace *ns, struct engine_command *command, struct topic *topic);

/* command.c */
/* Finish the command with err as its status and text. */
void command_error(struct namespace *ns, struct engine_command *command, const struct error *err);

#endif
