/* Snapshots: the daemon holds the files of a namespace still while somebody copies them. */
#include "client/blocking.h"

#include <string.h>

/* A path from the wire, which may be as long as a text there. */
static void path_copy(char *to, const struct message_name *path)
{
    const size_t size = path->size < TUSK_PATH_SIZE_MAX ? path->size : TUSK_PATH_SIZE_MAX;

    memcpy(to, path->data, size);
    to[size] = '\0';
}

int tusk_snapshot_begin(struct tusk *t, struct tusk_snapshot *snapshot)
{
    const struct message message = {.type = MESSAGE_SNAPSHOT_BEGIN};
    struct message_snapshot_reply decoded;
    struct tusk_snapshot all = {.size = 0};
    struct call call;
    int rc = call_run(t, &call, &message, false, 0);

    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_snapshot_reply_decode(&decoded, call.reply.u.body.data, call.reply.u.body.size);
    if (rc == TUSK_OK) {
        all.manifest_first = decoded.manifest_first;
        all.manifest_last = decoded.manifest_last;
        all.journal_first = decoded.journal_first;
        all.journal_last = decoded.journal_last;
        all.journal_used = decoded.journal_used;
        all.segments_end = decoded.segments_end;
        path_copy(all.root, &decoded.root);
        path_copy(all.dir, &decoded.dir);
        rc = struct_out(snapshot, snapshot->size, &all, sizeof all);
    } else {
        rc = admin_malformed(t);
    }
    return call_end(&call, rc);
}

int tusk_snapshot_end(struct tusk *t, int shared)
{
    const struct message message = {.type = MESSAGE_SNAPSHOT_END,
                                    .u.snapshot_end.shared = shared != 0};
    struct call call;

    return call_run(t, &call, &message, false, 0);
}
