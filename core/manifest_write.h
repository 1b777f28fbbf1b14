/* Writing a snapshot out: manifest.c's other half, and nobody else's. */
#ifndef CORE_MANIFEST_WRITE_H
#define CORE_MANIFEST_WRITE_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct manifest;

/* Sync every segment written since its last sync; step SYNCING_DATA, pending counts them. */
void manifest_sync_data(struct manifest *manifest);
/* The snapshot is complete: write it to the spare, sync, rename, sync the directory, make the next
 * spare. */
void manifest_write(struct manifest *manifest);
/* The same, waiting for the disk. */
int manifest_write_blocking(struct manifest *manifest, struct error *err);
/* A full disk gives no more journal files: the next manifest would give some back. */
bool manifest_journal_starves(const struct manifest *manifest);
/* Give this one up; appends are told at the journal's limit; try again in a second. */
void manifest_abandon(struct manifest *manifest, uint64_t mono_us);

#endif
