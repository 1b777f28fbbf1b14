/* The commit, the crash and the recovery of one namespace, small enough to look at every state of it.
 *
 *     tests/model/run.sh
 *
 * What is modelled is FORMAT.md, "Order" and "Recovery": one journal, its durable mark, offset runs, one strict cursor a
 * topic, a disk that may keep or lose each record that was not synced, in any combination, and may keep one early. What is
 * left out: bytes, blocks, files, manifests, damage.
 *
 * SCHEDULE 0 is `each` (an entry is acknowledged when it is durable), 1 is lazy (when it is written). */
#ifndef SCHEDULE
#define SCHEDULE 0
#endif
#ifndef TOPICS
#define TOPICS 2
#endif
#ifndef ENTRIES
#define ENTRIES 3 /* Appends in all lives */
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#define LAST (TOPICS - 1)
#define RECORDS 14
#define RUN 2 /* Offsets a run reserves */
#define OFFSETS 12
#define NOBODY 0

/* A wrong version, to see that the model objects: run.sh tries each. */
#ifndef PLANT
#define PLANT 0
#endif
#define PLANT_RUN_NOT_DURABLE 1  /* Offsets are issued before the record of their run is durable */
#define PLANT_RUN_GOES_ON 2      /* A new life goes on in the run of the one before */
#define PLANT_SYNC_COVERS_ALL 3  /* A sync is believed for what was written while it ran */
#define PLANT_TAIL_COMES_BACK 4  /* What lay behind the end is not cut off */
#define PLANT_HOLE_IS_SKIPPED 5  /* Recovery goes on behind a record that is missing */
#define PLANT_CURSOR_AT_ONCE 6   /* A checkpoint is answered when it is written */

/* Kinds of record. */
#define FREE 0
#define OPEN_DIRTY 1
#define ENTRY 2
#define RESERVE 3
#define CURSOR 4

typedef record {
    byte kind;
    byte topic;
    byte value; /* ENTRY: offset; RESERVE: end of the run; CURSOR: position */
    byte id;    /* ENTRY: which append it was; never used twice */
    byte mark;  /* Durable mark when it was written */
    bool kept;  /* The disk has it */
};

/* The journal. A record's place is its LSN. */
record journal[RECORDS];
byte end;     /* Behind the last record written */
byte durable; /* Watermark */
byte covers;  /* What the sync under way is believed to cover, */
byte begun;   /* and what it does cover */
bool syncing;

/* The tables. */
byte next_offset[TOPICS];
byte run_end[TOPICS];     /* Durable: offsets before it may be issued */
byte run_pending[TOPICS]; /* Its record is written */
byte run_place[TOPICS];
byte cursor[TOPICS];
byte durable_next[TOPICS]; /* Behind the last entry that is durable */

/* What was promised. */
byte appended;                  /* The last id given */
byte owner[TOPICS * OFFSETS];   /* The id that an offset was ever issued to */
bool acked[ENTRIES + 1];        /* By id: told to be there whatever happens */
byte told_cursor[TOPICS];       /* The last position told as durable */
byte crashes;
byte first_of_life = 1;         /* The first id given since the last recovery */

#define issuable(t) (PLANT == PLANT_RUN_NOT_DURABLE -> run_pending[t] : run_end[t])
#define visible(t) (SCHEDULE == 1 -> next_offset[t] : durable_next[t])

/* ---- writing ---- */

inline put(k, t, v, i)
{
    journal[end].kind = k;
    journal[end].topic = t;
    journal[end].value = v;
    journal[end].id = i;
    journal[end].mark = durable;
    journal[end].kept = false;
    end++
}

inline append(t)
{
    /* No offset was issued to another append before, in this life or an earlier one. */
    assert(next_offset[t] < OFFSETS);
    appended++;
    assert(owner[t * OFFSETS + next_offset[t]] == NOBODY);
    owner[t * OFFSETS + next_offset[t]] = appended;
    put(ENTRY, t, next_offset[t], appended);
    next_offset[t]++
}

/* A sync covers what was written when it began. */
inline sync_end()
{
    if
    :: PLANT == PLANT_SYNC_COVERS_ALL -> covers = end
    :: else
    fi;
    i = 0;
    do
    :: i < covers ->
        journal[i].kept = journal[i].kept || i < begun;
        if
        :: journal[i].kind == ENTRY ->
            acked[journal[i].id] = true;
            if
            :: journal[i].value >= durable_next[journal[i].topic] ->
                durable_next[journal[i].topic] = journal[i].value + 1
            :: else
            fi
        :: journal[i].kind == CURSOR && journal[i].value > told_cursor[journal[i].topic] ->
            told_cursor[journal[i].topic] = journal[i].value
        :: else
        fi;
        i++
    :: else -> break
    od;
    t = 0;
    do
    :: t < TOPICS ->
        if
        :: run_pending[t] > run_end[t] && run_place[t] < covers -> run_end[t] = run_pending[t]
        :: else
        fi;
        t++
    :: else -> break
    od;
    durable = covers;
    syncing = false
}

/* ---- a power cut, and the recovery behind it ---- */

/* Each record that was not synced is on the disk, or is not: any subset. What is not there cannot be read. */
inline lose()
{
    i = 0;
    do
    :: i < RECORDS ->
        if
        :: i < end && !journal[i].kept -> journal[i].kept = true /* Written back by chance */
        :: i < end && !journal[i].kept -> journal[i].kind = FREE; journal[i].kept = true
        :: else
        fi;
        i++
    :: else -> break
    od
}

/* The greatest mark of any record that can be read, behind holes, too. */
inline survey()
{
    mark = 0;
    i = 0;
    do
    :: i < RECORDS ->
        if
        :: journal[i].kind != FREE && journal[i].mark > mark -> mark = journal[i].mark
        :: else
        fi;
        i++
    :: else -> break
    od
}

inline forget_tables()
{
    t = 0;
    do
    :: t < TOPICS ->
        next_offset[t] = 0;
        run_end[t] = 0;
        cursor[t] = 0;
        t++
    :: else -> break
    od
}

inline take(r)
{
    if
    :: r.kind == ENTRY ->
        assert(r.value >= next_offset[r.topic]);
        next_offset[r.topic] = r.value + 1
    :: r.kind == RESERVE && r.value > run_end[r.topic] -> run_end[r.topic] = r.value
    :: r.kind == CURSOR -> cursor[r.topic] = r.value
    :: r.kind == OPEN_DIRTY && PLANT != PLANT_RUN_GOES_ON -> step_over_runs()
    :: else
    fi
}

/* Fresh ground: offsets of a run may have been issued and lost. */
inline step_over_runs()
{
    u = 0;
    do
    :: u < TOPICS ->
        if
        :: run_end[u] > next_offset[u] -> next_offset[u] = run_end[u]
        :: else
        fi;
        u++
    :: else -> break
    od
}

inline replay()
{
    i = 0;
    do
    :: i < RECORDS && (journal[i].kind != FREE || PLANT == PLANT_HOLE_IS_SKIPPED) ->
        take(journal[i]);
        i++
    :: else -> break
    od;
    /* Nothing that was known durable is missing: that would be damage, and a refused namespace. */
    assert(i >= mark);
    /* Behind the end nothing comes alive again: the next file has another generation. */
    if
    :: PLANT != PLANT_TAIL_COMES_BACK ->
        u = i;
        do
        :: u < RECORDS -> journal[u].kind = FREE; journal[u].kept = true; u++
        :: else -> break
        od
    :: else
    fi;
    end = i
}

/* What was promised is there. */
inline judge()
{
    i = 0;
    do
    :: i < end ->
        if
        :: journal[i].kind == ENTRY ->
            /* Nothing is invented: the offset is the one that append was given. */
            assert(owner[journal[i].topic * OFFSETS + journal[i].value] == journal[i].id);
            seen[journal[i].id] = true
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 1;
    do
    :: i <= ENTRIES ->
        assert(!acked[i] || seen[i]);
        /* What a life lost is the end of what it wrote, in all topics alike. */
        assert(i <= first_of_life || !seen[i] || seen[i - 1]);
        i++
    :: else -> break
    od;
    first_of_life = appended + 1;
    i = 1;
    do
    :: i <= ENTRIES ->
        seen[i] = false;
        i++
    :: else -> break
    od;
    t = 0;
    do
    :: t < TOPICS ->
        assert(cursor[t] >= told_cursor[t]);
        assert(cursor[t] <= next_offset[t]);
        t++
    :: else -> break
    od
}

inline crash_and_recover()
{
    crashes++;
    syncing = false;
    lose();
    survey();
    forget_tables();
    replay();
    judge();
    t = 0;
    do
    :: t < TOPICS -> durable_next[t] = next_offset[t]; t++
    :: else -> break
    od;
    if
    :: PLANT != PLANT_RUN_GOES_ON -> step_over_runs()
    :: else
    fi;
    t = 0;
    do
    :: t < TOPICS -> run_pending[t] = run_end[t]; t++
    :: else -> break
    od;
    /* What is served is synced first, and so is the record that says where the next life begins. A power cut before that
     * finds the same as this one did, so it is no state of its own. */
    durable = end;
    put(OPEN_DIRTY, 0, 0, 0);
    journal[end - 1].kept = true;
    durable = end
}

active proctype daemon()
{
    byte i, t, u, mark;
    bool seen[ENTRIES + 1];

    /* When the budgets are used up it stops here, as it may. */
end_served:
    do
    /* An offset is issued only when the record of its run is durable. */
    :: d_step { appended < ENTRIES && end < RECORDS - 2 && next_offset[0] < issuable(0) ->
        append(0) }
    :: d_step { TOPICS > 1 && appended < ENTRIES && end < RECORDS - 2 &&
                next_offset[LAST] < issuable(LAST) ->
        append(LAST) }
    :: d_step { end < RECORDS - 2 && run_pending[0] == run_end[0] &&
                next_offset[0] == run_end[0] && run_end[0] + RUN <= OFFSETS ->
        run_pending[0] = next_offset[0] + RUN;
        run_place[0] = end;
        put(RESERVE, 0, run_pending[0], 0) }
    :: d_step { TOPICS > 1 && end < RECORDS - 2 && run_pending[LAST] == run_end[LAST] &&
                next_offset[LAST] == run_end[LAST] &&
                run_end[LAST] + RUN <= OFFSETS ->
        run_pending[LAST] = next_offset[LAST] + RUN;
        run_place[LAST] = end;
        put(RESERVE, LAST, run_pending[LAST], 0) }
    /* A consumer checkpoints what readers may see: in `each` what is durable, else what is written. */
    :: d_step { end < RECORDS - 2 && cursor[0] < visible(0) ->
        cursor[0] = visible(0);
        put(CURSOR, 0, cursor[0], 0);
        if
        :: PLANT == PLANT_CURSOR_AT_ONCE -> told_cursor[0] = cursor[0]
        :: else
        fi }
    :: d_step { !syncing && end > durable -> syncing = true; covers = end; begun = end }
    :: d_step { syncing -> sync_end() }
    :: atomic { crashes < CRASHES -> crash_and_recover() }
    od
}
