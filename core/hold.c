#include "core/hold.h"

#include "core/check.h"
#include "core/namespace.h"

/* What was held back may go, in this turn and the next ones. */
static void let_go(struct namespace *ns)
{
    CHECK(ns->hold.state != HOLD_NONE);
    CHECK(ns->space.held_count <= ns->space.freeing_count);
    ns->space.held_count = 0; /* Look again */
    ns->space.unpinned = true;
    ns->retry_stalled = true;
}

void hold_give_up(struct namespace *ns)
{
    CHECK(ns->engine != NULL);
    CHECK(ns->hold.state <= HOLD_GIVEN_UP);
    if (ns->hold.state == HOLD_ON) {
        ns->hold.state = HOLD_GIVEN_UP;
        let_go(ns);
    }
}

int engine_snapshot_begin(struct namespace *ns, struct error *err)
{
    const struct manifest *manifest = &ns->manifest;

    CHECK(err != NULL);
    if (namespace_broken(ns) || ns->stopping) {
        return error_set(err, ns->stopping ? TUSK_ECLOSED : TUSK_EIO, "namespace \"%s\": %s",
                         ns->name, ns->stopping ? "the daemon is stopping" : ns->reason);
    }
    if (ns->hold.state != HOLD_NONE) {
        return error_set(err, TUSK_EBUSY,
                         "a snapshot of namespace \"%s\" is being taken already; wait for its end",
                         ns->name);
    }
    CHECK(manifest->have_newest);
    ns->hold = (struct hold){.state = HOLD_ON,
                             .manifest_first =
                                 manifest->have_older ? manifest->older_number : manifest->number,
                             .manifest_last = manifest->number,
                             .journal_first = ns->journal.files->number};
    return 0;
}

void engine_snapshot_place(const struct namespace *ns, struct engine_snapshot *out)
{
    const struct journal_file *file = ns->journal.files;
    const uint64_t written = ns->journal.written;

    CHECK(ns->hold.state != HOLD_NONE);
    CHECK(file->first_lsn <= written);
    while (file->next != NULL && file->next->first_lsn <= written) {
        file = file->next;
    }
    *out = (struct engine_snapshot){.dir = ns->dir,
                                    .manifest_first = ns->hold.manifest_first,
                                    .manifest_last = ns->hold.manifest_last,
                                    .journal_first = ns->hold.journal_first,
                                    .journal_last = file->number,
                                    .journal_used = FORMAT_PAGE + (written - file->first_lsn),
                                    .segments_end = ns->space.next_segment};
    CHECK(out->journal_used <= file->size);
}

/* Manifests that others have followed, and that would have been recycled. */
static void remove_held_manifests(struct namespace *ns)
{
    const struct manifest *manifest = &ns->manifest;
    const uint64_t oldest = manifest->have_older ? manifest->older_number : manifest->number;
    uint64_t number;

    CHECK(ns->hold.manifest_last - ns->hold.manifest_first <= 1);
    for (number = ns->hold.manifest_first; number <= ns->hold.manifest_last && number < oldest;
         number++) {
        char path[IO_PATH_SIZE];

        manifest_path(ns, path, number);
        (void)io_unlink(ns->io, path, NULL); /* One that stays means nothing: two newer ones do */
    }
}

int engine_snapshot_end(struct namespace *ns, bool shared, struct error *err)
{
    const enum hold_state state = ns->hold.state;

    CHECK(err != NULL);
    CHECK(ns->hold.manifest_first <= ns->hold.manifest_last);
    CHECK(state != HOLD_NONE);
    if (!namespace_broken(ns) && ns->state == ENGINE_SERVING) {
        remove_held_manifests(ns);
        if (shared) {
            space_shared(&ns->space);
        }
        let_go(ns);
    }
    ns->hold.state = HOLD_NONE;
    if (state == HOLD_GIVEN_UP) {
        return error_set(
            err, TUSK_ENOSPACE,
            "the disk of namespace \"%s\" became full while its snapshot was taken, and "
            "what was held back for it was needed: make room, and begin again",
            ns->name);
    }
    return 0;
}
