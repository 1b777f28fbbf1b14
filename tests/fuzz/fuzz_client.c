/* libtusk against a server that means it harm. One thread: whenever the library waits, the peer of
 * fuzz_client_peer.c reads what was sent and acts out its next step. Whatever it does: no call hangs or
 * takes longer than it may, every call ends in a code that there is, every submission in exactly one
 * callback, and what is handed out as entries are the bytes whose checksums matched.
 *
 * The input: a byte of flags, a byte that counts calls, the calls, then the peer's steps. */
#include <sys/socket.h>
#include <unistd.h>

#include "client/tusk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_client_peer.h"
#include "tests/fuzz/fuzz_memory.h"

#include <string.h>

#define TIMEOUT_MS 100
#define CALLS_MAX 64u
/* Lists may take a timeout for each page, and there is no more than one reply for each step. */
#define PATIENCE_US ((uint64_t)TIMEOUT_MS * 1000 * 40)

static unsigned submitted;
static unsigned called_back;
static struct tusk *connection;
static struct tusk_producer *producer;
static struct tusk_consumer *consumer;
static uint64_t sum; /* Of all bytes handed out: so that each is read */

/* ---- what comes back ---- */

static void check_code(int code)
{
    REQUIRE(code <= TUSK_OK);
    REQUIRE(code >= TUSK_EUNSUPPORTED);
    REQUIRE(tusk_error_text(code)[0] != '\0');
}

static void check_text(const char *text, size_t size)
{
    REQUIRE(memchr(text, '\0', size) != NULL);
}

static void read_bytes(const void *data, size_t size)
{
    const uint8_t *at = data;

    while (size > 0) {
        sum += *at++;
        size--;
    }
}

static void check_entry(const struct tusk_entry *entry)
{
    REQUIRE(entry->data != NULL);
    read_bytes(entry->data, entry->size);
    if (peer_is_honest()) { /* It puts an entry's offset into the entry */
        REQUIRE(entry->size == sizeof entry->offset);
        REQUIRE(memcmp(entry->data, &entry->offset, sizeof entry->offset) == 0);
    }
}

/* Also frees it. */
static void check_batch(struct tusk_batch *batch)
{
    struct tusk_batch_info info = {.size = sizeof info};
    struct tusk_entry entry;
    uint64_t payload = 0;
    uint64_t next;
    uint32_t count = 0;

    REQUIRE(tusk_batch_info(batch, &info) == TUSK_OK);
    REQUIRE(info.from < info.to || (info.from == info.to && info.skipped_to != 0));
    next = info.from;
    while (tusk_batch_next(batch, &entry)) {
        check_entry(&entry);
        REQUIRE(entry.offset >= next);
        REQUIRE(entry.offset < info.to);
        next = entry.offset + 1;
        payload += entry.size;
        count++;
    }
    REQUIRE(count == info.entry_count);
    REQUIRE(payload == info.payload_size);
    tusk_batch_rewind(batch);
    REQUIRE(tusk_batch_next(batch, &entry) == (count > 0));
    tusk_batch_free(batch);
}

static void take_append(void *user, int code, const struct tusk_append_result *result)
{
    (void)user;
    check_code(code);
    REQUIRE((result != NULL) == (code == TUSK_OK));
    REQUIRE(result == NULL || result->first_offset <= result->last_offset);
    called_back++;
}

static void take_read(void *user, int code, struct tusk_batch *batch)
{
    (void)user;
    check_code(code);
    REQUIRE((batch != NULL) == (code == TUSK_OK));
    if (batch != NULL) {
        check_batch(batch);
    }
    called_back++;
}

static void take_checkpoint(void *user, int code, const struct tusk_cursor_place *place)
{
    (void)user;
    check_code(code);
    REQUIRE((place != NULL) == (code == TUSK_OK));
    called_back++;
}

static void take_delivery(void *user, const struct tusk_delivery *delivery)
{
    (void)user;
    check_code(delivery->code);
    REQUIRE(delivery->count > 0);
}

static int take_topic(void *user, const struct tusk_topic_info *info)
{
    (void)user;
    check_text(info->name, sizeof info->name);
    REQUIRE(info->setting_count <= TUSK_SETTINGS_MAX);
    return 0;
}

static int take_cursor(void *user, const struct tusk_cursor_info *info)
{
    (void)user;
    check_text(info->name, sizeof info->name);
    return 0;
}

static int take_namespace(void *user, const struct tusk_namespace_info *info)
{
    (void)user;
    check_text(info->name, sizeof info->name);
    check_text(info->reason, sizeof info->reason);
    REQUIRE(info->setting_count <= TUSK_SETTINGS_MAX);
    return 0;
}

static int take_slow(void *user, const struct tusk_slow_request *slow)
{
    (void)user;
    sum += strlen(slow->request) + strlen(slow->space) + strlen(slow->topic) + strlen(slow->client);
    return 0;
}

static int take_config(void *user, const struct tusk_config_item *item)
{
    (void)user;
    sum += strlen(item->section) + strlen(item->space) + strlen(item->key) + strlen(item->value) +
           strlen(item->fallback) + strlen(item->origin);
    return 0;
}

static int take_stat(void *user, const char *name, uint64_t value)
{
    (void)user;
    sum += value + strlen(name);
    return 0;
}

/* ---- calls ---- */

static int read_once(struct tusk *t, unsigned how)
{
    const struct tusk_read_options options = {.size = sizeof options,
                                              .from = {TUSK_FROM_OFFSET, how / 4},
                                              .max_bytes = how % 5 == 0 ? 0 : 64,
                                              .flags = how % 2 == 0 ? TUSK_READ_SKIP_DAMAGE : 0};
    struct tusk_batch *batch = NULL;
    int code;

    switch (how % 4) {
    case 0:
        code = tusk_read(t, "t", NULL, &batch);
        break;
    case 1:
        code = tusk_read(t, "t", &options, &batch);
        break;
    case 2:
        code = tusk_peek(t, "t", "c", NULL, &batch);
        break;
    default:
        code = tusk_consume(t, "t", "", NULL, &batch);
        break;
    }
    REQUIRE((batch != NULL) == (code == TUSK_OK));
    if (batch != NULL) {
        check_batch(batch);
    }
    return code;
}

static int append_once(struct tusk *t, unsigned how)
{
    const struct tusk_bytes entries[] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    struct tusk_append_result result;

    if (how % 2 == 0) {
        return tusk_append(t, "t", "x", 1, how % 4, &result);
    }
    return tusk_append_batch(t, "t", entries, 3, 0, &result);
}

static int submit(struct tusk *t, unsigned how)
{
    int code;

    switch (how % 3) {
    case 0:
        code = tusk_submit_append(t, "t", "entry", 5, 0, take_append, NULL);
        break;
    case 1:
        code = tusk_submit_read(t, "t", how % 2 == 0 ? NULL : "c", NULL, take_read, NULL);
        break;
    default:
        code = tusk_submit_checkpoint(t, "t", "c", how, 0, 0, take_checkpoint, NULL);
        break;
    }
    submitted += code == TUSK_OK;
    return code;
}

static int administer(struct tusk *t, unsigned how)
{
    static const struct tusk_setting setting = {.key = TUSK_SETTING_FSYNC, .value = 7};
    const struct tusk_position from = {.kind = TUSK_FROM_EARLIEST};
    struct tusk_topic_info info = {.size = sizeof info};
    struct tusk_access access = {.size = sizeof access};
    struct tusk_snapshot snapshot = {.size = sizeof snapshot};
    struct tusk_cursor_place place;
    uint64_t value;

    switch (how % 21) {
    case 0:
        return tusk_topic_create(t, "t", &setting, 1, &value);
    case 1:
        return tusk_topic_set(t, "t", &setting, 1);
    case 2:
        return tusk_topic_delete(t, "t");
    case 3:
        return tusk_topic_trim(t, "t", 3, &value);
    case 4:
        return tusk_topic_info(t, "t", &info);
    case 5:
    case 6:
        return tusk_topic_list(t, take_topic, NULL);
    case 7:
        return tusk_cursor_create(t, "t", "c", from, &place);
    case 8:
        return tusk_cursor_delete(t, "t", "c");
    case 9:
        return tusk_cursor_list(t, "t", take_cursor, NULL);
    case 10:
        return tusk_namespace_create(t, "n", &setting, 1);
    case 11:
        return tusk_namespace_set(t, "", &setting, 1);
    case 12:
        return tusk_namespace_list(t, take_namespace, NULL);
    case 13:
        return tusk_namespace_delete(t, "n");
    case 14:
        return tusk_stats(t, take_stat, NULL);
    case 15:
        return tusk_config(t, 0, take_config, NULL);
    case 16:
        return tusk_access(t, NULL, "n", &access);
    case 17:
        return tusk_snapshot_begin(t, &snapshot);
    case 18:
        return tusk_snapshot_end(t, 1);
    case 19:
        return how % 2 == 0 ? tusk_slowlog_forget(t, how) : tusk_slowlog(t, how, take_slow, NULL);
    default:
        return tusk_seek(t, "t", "c", from, &place);
    }
}

static void check_producer(void)
{
    struct tusk_producer_info info = {.size = sizeof info};

    REQUIRE(tusk_producer_info(producer, &info) == TUSK_OK);
    REQUIRE(info.taken == info.stored + info.not_stored + info.unknown + info.pending);
}

static int produce(struct tusk *t, unsigned how)
{
    const struct tusk_producer_options options = {.size = sizeof options,
                                                  .topic = "t",
                                                  .batch_count_max = 3,
                                                  .in_flight_max = 4,
                                                  .fn = take_delivery};
    int code = TUSK_OK;

    if (producer == NULL) {
        return tusk_producer_open(t, &options, &producer);
    }
    switch (how % 8) {
    case 0:
        code = tusk_producer_flush(producer, TIMEOUT_MS);
        break;
    case 1:
        tusk_producer_resume(producer);
        break;
    case 2:
        code = tusk_producer_process(producer);
        break;
    case 3:
        check_producer();
        code = tusk_producer_close(producer, TIMEOUT_MS);
        producer = NULL;
        return code;
    default:
        code = tusk_producer_append(producer, "produced", 8, (int)(how % 2) * TIMEOUT_MS);
        break;
    }
    check_producer();
    return code;
}

static int consume(struct tusk *t, unsigned how)
{
    const struct tusk_consumer_options options = {.size = sizeof options,
                                                  .topic = "t",
                                                  .cursor = how % 2 == 0 ? "c" : NULL,
                                                  .flags = how / 2 % 8,
                                                  .checkpoint_every = how / 16 % 3,
                                                  .wait_ms = 10};
    struct tusk_consumer_info info = {.size = sizeof info};
    struct tusk_entry entry;
    int code = TUSK_OK;

    if (consumer == NULL) {
        return tusk_consumer_open(t, &options, &consumer);
    }
    switch (how % 8) {
    case 0:
        code = tusk_consumer_checkpoint(consumer, TIMEOUT_MS);
        break;
    case 1:
        code = tusk_consumer_seek(consumer, (struct tusk_position){TUSK_FROM_OFFSET, how / 8});
        break;
    case 2:
        code = tusk_consumer_close(consumer, TIMEOUT_MS);
        consumer = NULL;
        return code;
    default:
        code = tusk_consumer_next(consumer, &entry, (int)(how % 2) * TIMEOUT_MS);
        if (code == TUSK_OK) {
            check_entry(&entry);
        }
        break;
    }
    REQUIRE(tusk_consumer_info(consumer, &info) == TUSK_OK);
    return code;
}

static int call(struct tusk *t, uint8_t what)
{
    const unsigned how = what / 8;
    struct tusk_cursor_place place;

    switch (what % 8) {
    case 0:
        return append_once(t, how);
    case 1:
        return read_once(t, how);
    case 2:
    case 3:
        return submit(t, how);
    case 4:
        return administer(t, how);
    case 5:
        return produce(t, how);
    case 6:
        return consume(t, how);
    default:
        break;
    }
    switch (how % 6) {
    case 0:
        return tusk_sync(t);
    case 1:
        return tusk_ping(t);
    case 2:
        return tusk_flush(t, TIMEOUT_MS);
    case 3:
        return tusk_process(t, TIMEOUT_MS);
    case 4:
        return tusk_checkpoint(t, "t", "c", how, 1, 0, &place);
    default:
        return tusk_process(t, 0);
    }
}

/* ---- the target ---- */

static void run_calls(const uint8_t *calls, size_t count)
{
    while (count-- > 0) {
        const uint64_t before = peer_now_us();
        const int code = call(connection, *calls++);

        check_code(code);
        REQUIRE(peer_now_us() - before <= PATIENCE_US);
        check_text(tusk_last_error(connection)->text, sizeof tusk_last_error(connection)->text);
        REQUIRE(tusk_in_flight(connection) <= 1024);
    }
}

static void finish(void)
{
    check_code(tusk_producer_close(producer, TIMEOUT_MS));
    check_code(tusk_consumer_close(consumer, TIMEOUT_MS));
    producer = NULL;
    consumer = NULL;
    REQUIRE(tusk_close(connection) == TUSK_OK);
    connection = NULL;
    REQUIRE(called_back == submitted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tusk_options options = {.size = sizeof options, .timeout_ms = TIMEOUT_MS};
    struct tusk_failure failure = {.code = TUSK_OK};
    size_t calls;
    int fds[2];
    int code;

    if (size < 2) {
        return 0;
    }
    calls = data[1] % (CALLS_MAX + 1);
    calls = calls < size - 2 ? calls : size - 2;
    submitted = 0;
    called_back = 0;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    fuzz_memory_begin((data[0] & PEER_FORGES_HELLO) != 0 ? FUZZ_MEMORY_FORGED : FUZZ_MEMORY_HONEST);
    peer_begin(fds[0], data[0], data + 2 + calls, size - 2 - calls);
    code = tusk_connect_fd(fds[1], &options, &connection, &failure);
    check_code(code);
    if (code == TUSK_OK) {
        run_calls(data + 2, calls);
        finish();
    } else {
        REQUIRE(failure.code == code);
        check_text(failure.text, sizeof failure.text);
        (void)close(fds[1]);
    }
    peer_end();
    fuzz_memory_end();
    return 0;
}
