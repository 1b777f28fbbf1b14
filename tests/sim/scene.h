/* A scene: one seed's world of the server simulation. The daemon's request handling runs above the engine on a
 * simulated disk, and clients talk to it through connections in memory, through several lives of the daemon.
 *
 *     start: engine_open, judge --> serve: uv_run { clients act, the server answers } --> stop, or a crash --> start ...
 *
 * Everything in it follows from its seed, on a virtual clock and in one thread.
 *
 * Elsewhere: the loop (uv_sim.h), the connections (sim_net.h), the seams to the system (server_seams.c,
 * scene_descriptors.c), the processes of clients and what they map (lessee.h), what clients
 * do (scene_client.c), ask (scene_ask.c, scene_frame.c, scene_release.c,
 * scene_access.c) and may be told (scene_reply.c, scene_told.c, scene_read.c), what they know of the store
 * (ledger.h), the configuration (scene_options.c), many scenes (drive.h). */
#ifndef TESTS_SIM_SCENE_H
#define TESTS_SIM_SCENE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "core/engine.h"
#include "proto/message.h"
#include "proto/status.h"
#include "server/server.h"
#include "tests/sim/drive.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/ledger.h"
#include "tests/sim/random.h"
#include "tests/sim/sim_net.h"

#define SCENE_LOG 60u
#define SCENE_LINE 220u
#define SCENE_CLIENTS 10u
#define SCENE_STATUSES 24u

/* Descriptors of the simulated process. */
#define SEAM_FD_FIRST 100000
#define SEAM_FD_LISTENER 100000
#define SEAM_FD_ENGINE 100001
#define SEAM_FD_CLIENT 100010
#define SEAM_FD_PROCESS 1000000 /* Of a client's process, by the client's number */
#define SEAM_FD_SHARED 2000000  /* Of a file that is handed on, by its slot */
#define SEAM_FD_LIMIT 1024
#define SEAM_SHARED_MAX 256u
#define SEAM_PID_FIRST 1000 /* Processes are numbered as their clients are */
#define SEAM_UID 1000u
#define SEAM_UID_FOREIGN 65500u

enum scene_kind {
    SCENE_PLAIN,       /* Crashes only */
    SCENE_SYNC_FAULT,  /* An fsync fails */
    SCENE_WRITE_FAULT, /* A change of the disk fails, once or from then on */
    SCENE_NO_SPACE,    /* The disk is nearly full for a while */
    SCENE_KIND_COUNT
};

/* Added up over scenes. */
struct scene_report {
    uint64_t hash;
    uint64_t scenes;
    uint64_t counted; /* With at least 200 requests and a crash */
    uint64_t requests;
    uint64_t replies;
    uint64_t connections;
    uint64_t cut;        /* Closed by the server */
    uint64_t from_cache; /* Bytes sent without a copy */
    uint64_t lives;
    uint64_t crashes;
    uint64_t stops;
    uint64_t failed_disks;
    uint64_t places; /* Given instead of batches, */
    uint64_t descriptors;
    uint64_t looks; /* at what they name, later ones */
    uint64_t released;
    uint64_t leases_left;    /* Not released when the connection ended, */
    uint64_t leases_of_dead; /* or when the process did */
    uint64_t farewells;      /* Clients that gave all back as the last thing they said */
    uint64_t retired;        /* Of processes that could not be watched in the end */
    uint64_t kept;
    uint64_t lost;
    uint64_t kinds[SCENE_KIND_COUNT];
    uint64_t types[MESSAGE_TYPE_END];
    uint64_t statuses[SCENE_STATUSES];
};

/* How the life before ended. */
enum scene_ending { ENDING_CLEAN, ENDING_PROCESS, ENDING_POWER };

enum scene_plan { PLAN_POWER, PLAN_PROCESS, PLAN_STOP };

enum client_habit {
    HABIT_PLAIN,
    HABIT_SLOW,     /* Takes its replies a little at a time */
    HABIT_DEAF,     /* Takes none */
    HABIT_STALLER,  /* Half a request, and then nothing */
    HABIT_MUTE,     /* Never says HELLO */
    HABIT_FOREIGN,  /* Another user */
    HABIT_NONSENSE, /* Sends what is no request now and then */
    HABIT_COUNT
};

/* Bits of call.may. */
#define MAY(status) (1u << (unsigned)(status))
#define MAY_OK 1u

/* A request under way. */
struct call {
    struct call *next;
    uint64_t id;
    uint16_t type;
    uint32_t may;        /* Statuses that are a right answer: bits by number */
    uint64_t order;      /* Of the client's requests */
    uint64_t stream_end; /* Of its last byte, counted from the connection's beginning */
    uint64_t asked;      /* Event, */
    uint64_t asked_us;   /* and time */
    struct ledger_append *append;
    struct ledger_space *space; /* NULL: not known then */
    struct ledger_topic *topic; /* NULL: not known then */
    unsigned space_index;
    unsigned name_index;
    unsigned cursor;
    bool creates; /* A topic may come of it */
    bool early;   /* Asked before HELLO was answered */
    uint64_t end; /* Of the topic, as told when it was asked, */
    uint64_t durable_end;
    uint64_t first;
    uint64_t epoch; /* and of the cursor */
    uint64_t offset;
    struct message message; /* Numbers of it; what its names point at is gone */
};

struct client {
    struct scene *scene;
    uint64_t number;
    enum client_habit habit;
    struct lessee *lessee;        /* Its process */
    bool maps;                    /* Asks for places */
    struct ledger_topic *drained; /* Its last read was of, NULL: none, */
    uint64_t drained_to;          /* and ended at */
    bool has_right;               /* A descriptor came with the frame at hand, */
    bool right_dropped;           /* but the kernel had none to spare */
    uint32_t right_file;
    struct sim_link link;
    struct sim_bytes out;
    struct sim_bytes in;
    uint64_t in_taken; /* Bytes of frames that are through */
    unsigned space_index;
    unsigned last_name;         /* Index of the topic of the last request that named one */
    struct ledger_space *space; /* NULL: HELLO is not answered yet */
    bool said_hello;
    bool greeted;
    bool space_deleted; /* By this client, perhaps */
    bool half_closed;
    bool gone;       /* It went, and nothing of it matters any more */
    bool may_be_cut; /* It gave the server a reason to close the connection */
    struct message_hello_reply hello;
    uint64_t doom; /* Where in its stream the frame ends behind which nothing is taken; NEVER */
    uint64_t next_id;
    uint64_t order;
    uint64_t queued; /* Bytes ever put into out, */
    uint64_t sent;   /* and of these given to the kernel */
    uint64_t depth;  /* Most requests under way */
    unsigned lull;   /* Times it had nothing to do, one behind the other */
    uint64_t budget; /* Requests it still wants to make */
    uint64_t wake_us;
    uint64_t leave_us;    /* It has had enough by then */
    uint64_t began_us;    /* When it connected, */
    uint64_t taken_on_us; /* the server took the connection, */
    uint64_t partial_us;  /* began the frame that is not whole; NEVER: none is */
    uint64_t sent_us;     /* sent something, */
    uint64_t taken_us;    /* took something, or found nothing to take, */
    uint64_t replied_us;  /* and had a reply */
    struct call *calls;
    uint64_t call_count;
};

struct scene_taste {
    unsigned weights[MESSAGE_TYPE_END];
    unsigned topics;
    unsigned clients;
    unsigned same_percent; /* That a request is for the topic of the one before */
    unsigned durable_percent;
    unsigned entry_max;
    unsigned big_percent;
    unsigned nonsense_percent;
    unsigned habit_percent; /* Of clients that are not plain */
    unsigned vanish_percent;
    unsigned maps_percent; /* Of clients that ask for places, */
    bool fills_blocks;     /* and they and their segments are many, and are given up */
    unsigned depth_max;
    unsigned gap_bits; /* Pauses of clients are up to 2^this microseconds */
    bool tiny_memory;
    bool tiny_journal;
    bool retention; /* Entries may go by a rule, or for a quota */
    bool quota;
    bool clock_jumps;
    bool descriptors_short;
};

/* A file that the daemon has opened to hand it on. */
struct seam_shared {
    bool open;
    uint32_t file;
};

struct scene {
    struct drive_limits limits;
    struct scene_report *report;
    enum scene_kind kind;
    struct random random;
    struct random engine_random;
    struct scene_taste taste;
    struct engine_options engine_options;
    struct config config; /* Its options only */
    struct sim_disk *disk;
    struct io *io;
    struct engine *engine;
    struct server *server; /* Owned, while a life lasts */
    int64_t wall_offset;
    uint64_t event;
    uint64_t life_event; /* When this life began */
    unsigned life;
    unsigned lives;
    uint64_t requests;      /* Of the scene so far */
    uint64_t requests_goal; /* Of this life: then it ends */
    uint64_t crashes;
    enum scene_plan plan;
    bool quiet_first; /* Everybody is answered before the life ends, */
    bool empty_first; /* and no process is left */
    bool serving;
    bool dead; /* The process has died, or lost its power */
    bool full; /* It may have no room */
    bool stopping;
    uint64_t stop_us;   /* When it was asked to stop */
    uint64_t quiet_us;  /* Since when nobody asks any more; 0: they do */
    uint64_t fired;     /* Faults of earlier lives */
    uint64_t die_write; /* The process dies at this write to a socket; 0: not */
    uint64_t waits;
    uint64_t engine_us; /* When the engine's descriptor becomes readable */
    unsigned descriptors_short_for;
    enum scene_ending ending;
    struct client *clients[SCENE_CLIENTS];
    struct lessee *lessees; /* Owned, in the order they came */
    struct seam_shared shared[SEAM_SHARED_MAX];
    uint64_t client_count; /* Ever */
    struct ledger ledger;
    uint64_t results; /* Hash of everything clients got */
    char log[SCENE_LOG][SCENE_LINE];
    uint64_t log_count;
};

/* Run one scene. A broken promise prints what is known and ends the process with status 1. */
void scene_run(const struct drive_limits *limits, struct scene_report *report);
const char *scene_kind_name(enum scene_kind kind);

/* ---- for the parts of the simulation ---- */

_Noreturn void scene_fail(struct scene *scene, const char *promise, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void scene_log(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t scene_now_us(const struct scene *scene);
uint64_t scene_wall_us(const struct scene *scene);
static inline uint64_t scene_below(struct scene *scene, uint64_t limit)
{
    return random_below(&scene->random, limit);
}
static inline bool scene_chance(struct scene *scene, unsigned percent)
{
    return random_chance(&scene->random, percent);
}
/* Errors of the disk are no broken promise now. */
bool scene_excused(const struct scene *scene);
/* What was in memory is gone, and with it everybody who could look. */
bool scene_lost_power(const struct scene *scene);

/* scene_options.c */
void scene_choose(struct scene *scene);
void scene_choose_life(struct scene *scene);
void scene_arm_faults(struct scene *scene);
void scene_print_options(const struct scene *scene);

/* scene_serve.c: one life, from the first accept to the end of the loop. */
void scene_serve(struct scene *scene);
/* A write to a socket: the process may die of it, or is dead. */
bool scene_dies_writing(struct scene *scene);

/* scene_descriptors.c: what server_seams.c and the loop ask. */
extern struct scene *seam_scene;
struct sim_link *scene_link(void *scene, int fd);
/* The descriptor of a new connection, or -1 with errno. */
int scene_accept(struct scene *scene);
int scene_lowest_descriptor(struct scene *scene);
/* A descriptor that becomes readable when the process is gone, or -1. */
int scene_watch(struct scene *scene, int pid, int socket_fd);
/* Send with a descriptor of a file; what sendmsg(2) returns. */
ssize_t scene_send_right(struct scene *scene, int fd, const void *data, size_t size, int shared);
void scene_close(struct scene *scene, int fd);
/* The loop's, and the disk's: see uv_sim.h, io_sim.h. */
bool scene_readable(void *scene, int fd);
int scene_refuse_poll(void *scene, int fd);
int scene_share(void *scene, uint32_t file);
/* All files handed on are closed. */
void scene_check_shared(struct scene *scene);

/* scene_client.c */
void client_connect(struct scene *scene, unsigned slot);
/* Take, ask, send: whatever it feels like. */
void client_act(struct client *client);
/* The server has died: what it wrote before may still be taken. */
void client_lose(struct client *client, bool takes_rest);
void client_free(struct client *client);
/* Nothing is under way, and nothing will be. */
bool client_is_quiet(const struct client *client);
/* Bytes of the call, put behind what the client sends. */
void client_queue(struct client *client, struct call *call, const void *bytes, size_t size);
/* How many requests under way may be answered with a place. */
uint32_t client_places_asked(const struct client *client);
/* A new call, the last of its client's. */
struct call *client_call(struct client *client, uint16_t type);

/* scene_ask.c */
void ask_something(struct client *client);
/* scene_release.c: what it has had for long enough, if there is anything; */
void ask_release_due(struct client *client);
/* and anything, had or not. */
void ask_release(struct client *client);
void ask_release_all(struct client *client);
/* scene_access.c */
void ask_access(struct client *client);
void reply_snapshot(struct client *client, struct call *call, const uint8_t *body, size_t size);
/* A request that is little but its type. */
void ask_simple(struct client *client, uint16_t type);
void reply_access(struct client *client, struct call *call, const uint8_t *body, size_t size);
/* scene_slowlog.c */
void ask_slowlog(struct client *client);
void reply_slowlog(struct client *client, struct call *call, const uint8_t *body, size_t size);
/* scene_frame.c */
void ask_hello(struct client *client);
void ask_nonsense(struct client *client);
#define ASK_BATCH_MAX 48000u
/* Encode and queue; batch: behind an APPEND, of at most ASK_BATCH_MAX and its header. */
void ask_send(struct client *client, struct call *call, const struct message *message,
              const void *batch, size_t batch_size);
struct message_name ask_name(const char *text);

/* scene_reply.c */
/* The first frame of what was received; false: none is whole. */
bool reply_take(struct client *client);
/* The connection ended: what is under way has no reply. */
void reply_none(struct client *client, struct call *call);
/* scene_told.c: a reply of status 0. */
void reply_told(struct client *client, struct call *call, const uint8_t *body, size_t size);
_Noreturn void reply_unreadable(struct client *client, const struct call *call);
/* scene_read.c */
void reply_read(struct client *client, struct call *call, const struct message_read_reply *reply);
/* It ended with END, or with TRIMMED. */
void reply_read_end(struct client *client, struct call *call, const struct message_error *error);
void reply_read_trimmed(struct client *client, struct call *call,
                        const struct message_error *error);

#endif
