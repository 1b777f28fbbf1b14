/* The inside of the simulated disk, shared by the io_sim*.c files only.
 *
 *     io_sim.c          struct io on the disk: immediate operations, queue, polls
 *     io_sim_calls.c    what an operation does, whole or in part
 *     io_sim_faults.c   which operation fails or meets the power cut; clock, trace, settings
 *     io_sim_memory.c   slabs
 *     io_sim_file.c     contents and sizes of files: write, sync, lose, read
 *     io_sim_names.c    directories and their pending operations
 *     io_sim_crash.c    what a crash leaves
 *     io_sim_tools.c    damage, inspection, clones
 *     io_sim_share.c    files handed on to other processes
 *
 * Nodes are named by their index, never by address, so that no decision depends on memory layout
 * and a clone is a copy. Index 0 is the data directory. */
#ifndef TESTS_SIM_IO_SIM_DISK_H
#define TESTS_SIM_IO_SIM_DISK_H

#include "core/io.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/random.h"

#define SIM_SECTORS (SIM_CHUNK / SIM_SECTOR)
#define SIM_NO_NODE UINT32_MAX
#define SIM_TRACE_PATH 40u
#define SIM_FIRST_PID 100u
#define SIM_WARM 8u /* Ranges that read-ahead keeps in memory */

/* Items of one size out of slabs: a world is made and thrown away a thousand times a second. */
struct sim_pool {
    size_t item_size;
    void *items; /* Free ones, linked by their first word */
    void *slabs; /* Owned, linked by their first word */
};

/* A pending version of a sector that a newer one has replaced in the cache. */
struct sim_version {
    struct sim_version *next;
    uint64_t sequence;
    unsigned sector;
    uint8_t data[SIM_SECTOR];
};

/* A page of the cache that says something else than the device, or did. Bit i of a mask is
 * sector i. */
struct sim_page {
    uint64_t sequence[SIM_SECTORS]; /* When the sector got its present bytes; valid where dirty */
    struct sim_version *versions;   /* Owned; of one sector newest first */
    unsigned dirty;                 /* Pending */
    unsigned lost;                  /* Clean, but a failed sync never wrote it */
    uint8_t data[SIM_CHUNK];
};

struct sim_chunk {
    uint8_t *durable;       /* Owned; NULL: zeros */
    struct sim_page *page;  /* Owned; NULL: the cache says what the device holds */
    bool allocated;         /* Space is taken, as the cache sees it */
    bool allocated_durable; /* ... and a power cut would not give it back */
    bool listed;            /* In the node's list of changed chunks */
};

struct sim_size {
    uint64_t sequence;
    uint64_t size;
};

struct sim_entry {
    char *name; /* Owned */
    uint32_t node;
};

struct sim_table {
    struct sim_entry *entries; /* Owned */
    uint32_t count;
    uint32_t room;
};

/* A file or a directory. */
struct sim_node {
    bool is_dir;
    bool counted;       /* Its space is part of disk->used */
    unsigned refs;      /* Entries of both images, pending operations, struct sim_file */
    unsigned links;     /* Entries in the cache: 0 or 1 */
    unsigned opens;     /* Descriptors of living processes */
    uint32_t locked_by; /* id of an io, 0 none */

    struct sim_chunk *chunks; /* Owned */
    uint32_t chunk_count;
    uint32_t allocated; /* Chunks with allocated set */
    uint32_t *changed;  /* Owned; indexes of chunks with a page or pending allocation */
    uint32_t changed_count;
    uint32_t changed_room;
    uint64_t size; /* As the cache has it */
    uint64_t durable_size;
    uint64_t durable_size_sequence;      /* Of the sync that made it so */
    struct sim_size sizes[SIM_VERSIONS]; /* Pending ones, oldest first; the last is `size` */
    unsigned size_count;

    struct sim_table names; /* Of a directory, as the cache has them */
    struct sim_table durable_names;
};

/* A change of names that is not durable yet. */
struct sim_name_op {
    struct sim_name_op *next;
    uint64_t sequence;
    enum sim_kind kind;
    uint32_t node;
    uint32_t dir;
    char *name;        /* Owned */
    uint32_t dir_from; /* Of a rename; else as dir */
    char *name_from;   /* Owned; NULL but for a rename */
};

/* What a sync covers: decided when it is submitted. */
struct sim_snapshot {
    uint64_t sequence;
    uint64_t size;
};

struct sim_fault {
    unsigned kinds; /* 0: the slot is free */
    uint64_t left;  /* Operations until it fires; 0: fires on each */
    bool from_then_on;
    int os_error;
    enum sim_effect effect;
};

struct sim_trace {
    uint64_t now_us;
    enum sim_kind kind;
    int os_error;
    uint64_t offset;
    uint64_t size;
    char path[SIM_TRACE_PATH]; /* Its end, if longer */
};

struct sim_range {
    uint32_t node;
    uint64_t offset;
    uint64_t size;
};

struct sim_disk {
    struct random random;
    uint64_t sequence; /* Counts sectors written, sizes set and names changed */
    uint32_t epoch;    /* Counts crashes: an io of an earlier one is dead */
    bool down;
    sim_send_fn *send; /* NULL: there are no sockets */
    void *send_arg;
    sim_share_fn *share; /* NULL: there is nobody to share with */
    void *share_arg;
    struct sim_io *ios; /* Open ones */
    uint32_t io_count;  /* Opened so far */

    struct sim_node **nodes; /* Owned; a slot is NULL once its node is gone */
    uint32_t node_count;
    uint32_t node_room;
    struct sim_name_op *ops; /* Owned, oldest first */
    struct sim_name_op **ops_end;
    struct sim_pool data; /* SIM_CHUNK bytes each */
    struct sim_pool pages;
    struct sim_pool versions;
    uint64_t used;     /* In chunks */
    uint64_t capacity; /* In chunks */

    enum sim_policy policy;
    sim_delay_fn *delay;
    void *delay_arg;
    sim_watch_fn *watch;
    void *watch_arg;
    unsigned cut_kinds;
    uint64_t cut_left; /* 0: not armed */
    enum sim_moment cut_moment;
    struct sim_fault faults[SIM_FAULTS];
    uint64_t fired;
    struct sim_range unreadable[SIM_UNREADABLE];
    unsigned unreadable_count;

    struct sim_range warm[SIM_WARM]; /* Asked for, the last ones, in turn; size 0: none */
    unsigned warm_at;
    unsigned cold_percent;
    unsigned pace_percent;
    uint32_t op_us_max;
    uint32_t sync_us_max;
    uint64_t now_us;
    uint64_t operations[SIM_KIND_COUNT];
    uint64_t trace_hash;
    struct sim_trace *trace; /* Owned ring */
    unsigned trace_room;
    uint64_t trace_count;
};

struct sim_file {
    struct io_file base;
    struct sim_disk *disk;
    uint32_t node; /* Holds a reference */
    uint32_t epoch;
    bool writable;
    char *path; /* Owned; for messages */
};

/* One operation, immediate or submitted. */
struct sim_call {
    enum sim_kind kind;
    struct sim_file *file;
    const char *path;
    const char *path_to;
    const struct iovec *iov;
    int iov_count;
    uint8_t *data;
    uint64_t offset;
    uint64_t size;
    size_t *got;
    struct sim_snapshot snapshot;
    bool then_sync;      /* ALLOCATE, submitted */
    bool sync_failed;    /* ALLOCATE: the space is there, its sync failed */
    io_list_fn *list_fn; /* LIST_DIR */
    void *list_arg;
    int list_result;
    struct sim_file *out_file; /* OPEN, CREATE: owned by whoever called */
    enum io_open_mode mode;
    uint32_t holder; /* LOCK: id of the io that has it */
};

/* A submitted operation. */
struct sim_queued {
    struct io_op *op;
    struct sim_snapshot snapshot;
    uint64_t submitted_us;
    bool ran;
    int os_error; /* Once it ran */
    struct sim_file *out_file;
};

struct sim_io {
    struct io base;
    struct sim_disk *disk;
    struct sim_io *next;
    uint32_t id;
    uint32_t epoch;
    unsigned open_files;
    struct sim_queued *queue; /* Owned */
    unsigned queue_count;
    unsigned queue_room;
};

/* What happens to an operation before it happens. */
enum sim_fate {
    SIM_GO,
    SIM_REFUSED,
    SIM_PARTLY,
    SIM_FIRST, /* As SIM_REFUSED, but for the first byte of a write */
    SIM_HALF,  /* Its first half */
    SIM_LOST,
    SIM_IGNORED
};

struct sim_verdict {
    enum sim_fate fate;
    int os_error; /* 0 if SIM_GO; of no meaning if SIM_IGNORED */
    bool cut;     /* The power fails in the middle of it */
};

/* io_sim_faults.c */
struct sim_verdict sim_begin(struct sim_disk *disk, enum sim_kind kind);
void sim_record(struct sim_disk *disk, const struct sim_call *call, int os_error);
const char *sim_kind_name(enum sim_kind kind);
uint64_t sim_mix(uint64_t hash, uint64_t value);
bool sim_is_unreadable(const struct sim_disk *disk, uint32_t node, uint64_t offset, uint64_t size);
/* Whether the bytes are found not to be in memory, this time. */
bool sim_is_cold(struct sim_disk *disk, uint32_t node, uint64_t offset, uint64_t size);
void sim_warm(struct sim_disk *disk, uint32_t node, uint64_t offset, uint64_t size);
uint64_t sim_unreadable_from(const struct sim_disk *disk, uint32_t node, uint64_t offset);

/* io_sim_calls.c */
static inline bool sim_io_dead(const struct sim_io *io)
{
    return io->epoch != io->disk->epoch;
}
/* Returns an errno. */
int sim_run(struct sim_io *io, struct sim_call *call);
void sim_file_close(struct sim_io *io, struct sim_file *file);

/* io_sim.c: run what a dying process had submitted, each by a coin. */
void sim_io_abandon(struct sim_io *io);
/* A sync of the node is queued whose snapshot lies in [from, to). */
bool sim_io_sync_between(const struct sim_disk *disk, uint32_t node, uint64_t from, uint64_t to);

/* io_sim_share.c */
int sim_share(struct io_file *file, int *fd);

/* io_sim_memory.c */
void *sim_alloc(size_t size); /* Zeroed; never NULL */
char *sim_copy_string(const char *text);
void *sim_grow(void *items, uint32_t *room, uint32_t count, size_t item_size);
void *sim_pool_take(struct sim_pool *pool);
void sim_pool_give(struct sim_pool *pool, void *item);
void sim_pool_deinit(struct sim_pool *pool);

/* io_sim_file.c. Return an errno where they can fail. */
void sim_file_reserve(struct sim_node *node, uint64_t chunk_count);
void sim_file_mark(struct sim_node *node, uint32_t index);
void sim_page_forget(struct sim_disk *disk, struct sim_page *page, unsigned sector,
                     uint64_t sequence);
void sim_page_release(struct sim_disk *disk, struct sim_chunk *chunk);
uint8_t *sim_chunk_durable(struct sim_disk *disk, struct sim_chunk *chunk);
int sim_file_write(struct sim_disk *disk, uint32_t index, uint64_t offset, const uint8_t *data,
                   uint64_t size);
void sim_file_truncate(struct sim_disk *disk, uint32_t index, uint64_t size);
void sim_file_punch(struct sim_disk *disk, uint32_t index, uint64_t offset, uint64_t size);
int sim_file_allocate(struct sim_disk *disk, uint32_t index, uint64_t offset, uint64_t size);
/* Returns how many bytes there were. device: as O_DIRECT sees it. */
uint64_t sim_file_read(const struct sim_node *node, uint64_t offset, uint8_t *data, uint64_t size,
                       bool device);
struct sim_snapshot sim_file_snapshot(const struct sim_disk *disk, const struct sim_node *node);
/* percent: how many of the sectors get there; below 100 sizes stay pending. */
void sim_file_commit(struct sim_disk *disk, struct sim_node *node, struct sim_snapshot snapshot,
                     unsigned percent);
void sim_file_lose(struct sim_disk *disk, struct sim_node *node, uint64_t sequence);
void sim_file_free(struct sim_disk *disk, struct sim_node *node);

/* io_sim_names.c. Return an errno where they can fail. */
uint32_t sim_node_new(struct sim_disk *disk, bool is_dir);
void sim_node_put(struct sim_disk *disk, uint32_t index);
void sim_node_settle_space(struct sim_disk *disk, struct sim_node *node);
uint32_t sim_table_find(const struct sim_table *table, const char *name);
void sim_table_clear(struct sim_disk *disk, struct sim_table *table);
void sim_table_copy(struct sim_disk *disk, struct sim_table *to, const struct sim_table *from);
int sim_names_lookup(const struct sim_disk *disk, const char *path, uint32_t *node);
int sim_names_create(struct sim_disk *disk, const char *path, bool is_dir, uint32_t *node);
int sim_names_remove(struct sim_disk *disk, const char *path, bool is_dir);
int sim_names_rename(struct sim_disk *disk, const char *from, const char *to);
void sim_names_sync(struct sim_disk *disk, uint32_t dir, uint64_t sequence);
/* Apply or drop one pending operation where it is consistent, and forget it. */
void sim_names_decide(struct sim_disk *disk, struct sim_name_op **link, bool keep);
/* The path of a node in the cache, "" for the root and for what has no name. */
void sim_names_path(const struct sim_disk *disk, uint32_t node, char path[IO_PATH_SIZE]);

#endif
