#include "proto/status_help.h"

#include "proto/status.h"

#include <stddef.h>

/* By number, in the order of the map. */
static const struct status_help helps[] = {
    {"It was done, as durably as was asked.", "Nothing went wrong.", "Nothing."},
    [-TUSK_ENOMEM] = {"There was no memory for the request; it was not done.",
                      "The machine, or the daemon's control group, is short of memory.",
                      "Try again later. Look at buffer_bytes of `tusk stat`, at MemoryMax of the "
                      "unit, and lower "
                      "total_bytes_max (tuskd.conf(5)) or make room."},
    [-TUSK_EIO] =
        {"The disk or the file system failed. The namespace has stopped: nothing is appended to it "
         "or read from it until the daemon is started again.",
         "A write or an fsync was refused by the device. It is not tried again, because the second "
         "fsync would succeed and lie.",
         "Read the daemon's log and the kernel's (`journalctl -k`). Mend or replace the disk, then "
         "start the daemon: recovery reads what the device holds and says what is missing."},
    [-TUSK_ENOSPACE] =
        {"The file system of the data directory is full; nothing of the append was stored. Reads, "
         "checkpoints and deletes go on.",
         "Blocks and journal have taken the space there was, or something else on the same file "
         "system has.",
         "Make room: `tusk topics` shows what takes how much; trim or delete topics, or give them "
         "a "
         "retention (`tusk topic set`). Appends resume by themselves."},
    [-TUSK_ECORRUPT] =
        {"Stored bytes do not match their checksum. The entries in the range that is named cannot "
         "be read; all others can.",
         "The disk changed them, lost a write, or put one elsewhere; or somebody edited the files.",
         "Read on behind it with `tusk read --skip-damage`, and see all of it with `tusk verify "
         "DIR` "
         "(the daemon stopped). Check the disk. `tusk salvage` takes what validates into a new "
         "store; what is gone comes back from a backup only."},
    [-TUSK_EVERSION] =
        {"The other side, or a file, speaks a version that this program does not. Nothing was "
         "changed.",
         "Client and daemon are of different releases, or a newer release wrote the store.",
         "Compare `tusk --version` with `tuskd --version`, and use the newer of both."},
    [-TUSK_ENOTFOUND] =
        {"There is no namespace, topic, cursor or user of that name. Nothing was changed.",
         "It was not created yet, was deleted, is spelled otherwise, or lies in another namespace "
         "or behind another socket.",
         "List what there is: `tusk ns ls`, `tusk topics`, `tusk cursors TOPIC`. Check -n, "
         "TUSK_NAMESPACE, --socket and TUSK_SOCKET."},
    [-TUSK_ETOOBIG] =
        {"The entry, batch, name or request is larger than a limit, which the message names. "
         "Nothing was stored.",
         "The limits keep one client from taking the memory of all.",
         "`tusk info` tells the limits. Split the entry or the batch, or raise the limit "
         "(tuskd.conf(5))."},
    [-TUSK_EBUSY] =
        {"A limit on what may exist or be under way is reached. Nothing was done.",
         "Too many requests in flight, connections, topics or cursors; or what is to be deleted is "
         "in use.",
         "Try again later, or wait for the answers that are due. The message names the limit; "
         "tuskd.conf(5) tells how to raise it."},
    [-TUSK_ECLOSED] =
        {"The connection is over. What was not sent was not done.",
         "The daemon is stopping or was restarted, or the connection had ended before.",
         "Connect again. `systemctl status tuskd` and the daemon's log say why it stopped."},
    [-TUSK_EINVALID] =
        {"The request makes no sense as it is; the message says which part. Nothing was done.",
         "An offset beyond the end, a setting that does not go with another one, a name that is "
         "empty or too long, or one that the configuration fixes.",
         "Correct it: `tusk COMMAND --help` says what is allowed."},
    [-TUSK_EEXISTS] = {"Something of that name is there already. It was not changed.",
                       "It was created before, perhaps by somebody else.",
                       "Use it as it is, change it with `set`, or take another name."},
    [-TUSK_EDENIED] =
        {"This user may not do that. Nothing was done.",
         "Without `allow` lines only root and the daemon's own user may do anything; with them, "
         "each right has to be given: read, append, admin.",
         "`tusk whoami` tells what you may do, and by which rule. Add an `allow` line "
         "(tuskd.conf(5), ACCESS) and reload, or run it as the daemon's user: sudo -u tusk tusk "
         "..."},
    [-TUSK_EUNKNOWN] =
        {"Nobody can tell whether it was done: stored, or not stored.",
         "The request may have reached the daemon, and the connection broke, or the disk failed, "
         "before the answer came.",
         "Look before repeating it: `tusk info TOPIC` tells the end, `tusk read --from OFFSET` "
         "what "
         "is there. Sent again, it may be stored twice."},
    [-TUSK_ETRIMMED] =
        {"The entries asked for were given up; the first that is kept is named.",
         "Retention, or `tusk topic trim`, went past that offset before it was read.",
         "Read on from the first offset kept. A reader that falls behind needs a longer retention, "
         "or `retention=consumed`, which waits for cursors."},
    [-TUSK_EEND] = {"There is nothing to read there yet. No entry was lost.",
                    "The end of the topic is reached.",
                    "Wait for more: `tusk read --follow`, or ask again later."},
    [-TUSK_ESTALE] =
        {"The cursor was moved by a seek since it was read; the checkpoint was not done.",
         "Somebody else used `tusk seek`, or two consumers share one cursor.",
         "Read again from where the cursor stands now (`tusk cursors`). Give each consumer a "
         "cursor "
         "of its own."},
    [-TUSK_EQUOTA] =
        {"The namespace has used what it may: bytes, topics or cursors. Nothing was stored.",
         "Its quota is reached, though the disk may have room.",
         "`tusk ns ls` shows the quota. Raise it (`tusk ns set NS quota-bytes=SIZE`), trim or "
         "delete, or set a retention."},
    [-TUSK_ELOCKED] =
        {"Another process has the data directory, and only one may. Nothing was changed.",
         "A daemon runs on it, or an offline command looks at it.",
         "The message names the process. Stop it first, or give each daemon a directory of its "
         "own."},
    [-TUSK_ETIMEOUT] =
        {"No answer came in time. What should have changed did not, unless the message says "
         "otherwise.",
         "The daemon is busy, its disk is slow, or the time was too short.",
         "Raise --timeout. Look at waiting_appends, unsynced_bytes and sync_us of `tusk stat`, and "
         "at the daemon's log."},
    [-TUSK_EUNREACHABLE] =
        {"No daemon answers at that socket, or it went away. Nothing was sent, unless the message "
         "says otherwise.",
         "It is not running, listens elsewhere, or the socket's file is left over from an earlier "
         "run.",
         "`systemctl status tuskd`; then check --socket and TUSK_SOCKET against the line that "
         "tuskd "
         "prints when it is ready."},
    [-TUSK_EPROTOCOL] =
        {"What came over the socket is not tusk's protocol. The connection is dead.",
         "Something else listens there, or one of the two programs has a fault.",
         "Check the path of the socket. If it is tuskd's, keep the log and report it."},
    [-TUSK_EUNSUPPORTED] = {"This daemon does not have what was asked for. Nothing was done.",
                            "It is older than the client, or was built without it.",
                            "Upgrade the daemon, or do without."},
};

#define HELP_COUNT (sizeof helps / sizeof helps[0])

/* The map ends where the texts end: neither a status without one, nor one without a status. */
enum {
    STATUS_COUNT = 1
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a term of a sum */
#define X(name, number, text) +1
    TUSK_STATUS_MAP(X)
#undef X
};
_Static_assert(HELP_COUNT == STATUS_COUNT, "each status has its texts");

const struct status_help *status_help(int code)
{
    /* The negative form: every int has one, while -INT_MIN does not exist. */
    const int negative = code > 0 ? -code : code;

    if (negative <= -(int)HELP_COUNT) {
        return NULL;
    }
    return &helps[-negative];
}
