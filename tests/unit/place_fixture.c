#include "tests/unit/place_fixture.h"

#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer place_peer;
int place_file = -1;
static unsigned descriptors_before;
unsigned place_released[MESSAGE_LEASES_MAX];
unsigned place_checkpoints;

/* ---- the daemon ---- */

unsigned place_count_descriptors(void)
{
    DIR *list = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(list);
    while (readdir(list) != NULL) {
        count++;
    }
    (void)closedir(list);
    return count;
}

void place_write(const void *bytes, size_t size, uint64_t at)
{
    assert_int_equal(pwrite(place_file, bytes, size, (off_t)at), size);
}

void place_write_generation(uint64_t generation)
{
    uint8_t bytes[8];
    unsigned i;

    for (i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(generation >> 8 * i);
    }
    place_write(bytes, sizeof bytes, PLACE_BLOCK + PLACE_GENERATION_AT);
}

void place_begin(void)
{
    struct message_hello_reply hello = peer_hello();
    uint32_t i;

    descriptors_before = place_count_descriptors();
    memset(place_released, 0, sizeof place_released);
    place_checkpoints = 0;
    hello.features = PLACE_FEATURES;
    peer_open(&place_peer, &hello, NULL);
    place_peer.model.position = PLACE_DATA_AT;
    peer_model_fill(&place_peer, PLACE_BATCHES, PLACE_EACH);
    place_file = memfd_create("segment", MFD_CLOEXEC);
    assert_true(place_file >= 0);
    assert_int_equal(ftruncate(place_file, PLACE_SEGMENT_SIZE), 0);
    place_write_generation(PEER_GENERATION);
    for (i = 0; i < PLACE_BATCHES; i++) {
        const struct peer_batch *batch = &place_peer.model.batches[i];

        place_write(batch->bytes, batch->size, PLACE_BLOCK + batch->position);
    }
}

void place_end(void)
{
    peer_close(&place_peer);
    (void)close(place_file);
    assert_int_equal(place_count_descriptors(), descriptors_before);
}

int place_setup(void **state)
{
    (void)state;
    place_begin();
    return 0;
}

int place_teardown(void **state)
{
    (void)state;
    place_end();
    return 0;
}

struct message_read_reply place_of(uint32_t first, uint32_t last)
{
    const struct peer_batch *begins = &place_peer.model.batches[first];
    const struct peer_batch *ends = &place_peer.model.batches[last - 1];

    return (struct message_read_reply){
        .topic_id = PEER_TOPIC_ID,
        .from = (uint64_t)first * PLACE_EACH,
        .to = (uint64_t)last * PLACE_EACH,
        .end = PLACE_COUNT,
        .durable_end = PLACE_COUNT,
        .generation = PEER_GENERATION,
        .position = begins->position,
        .placed = true,
        .place = {.segment = PLACE_SEGMENT,
                  .segment_size = PLACE_SEGMENT_SIZE,
                  .block = PLACE_BLOCK,
                  .size = ends->position + ends->size - begins->position,
                  .lease = PLACE_LEASE,
                  .descriptor = true},
    };
}

void place_send(const uint8_t *bytes, size_t size, unsigned descriptors)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(PLACE_DESCRIPTORS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    unsigned i;

    assert_true(descriptors <= PLACE_DESCRIPTORS_MAX);
    if (descriptors > 0) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        for (i = 0; i < descriptors; i++) {
            memcpy(CMSG_DATA(header) + i * sizeof(int), &place_file, sizeof(int));
        }
    }
    assert_int_equal(sendmsg(place_peer.fd, &message, MSG_NOSIGNAL), size);
}

size_t place_encode(uint8_t bytes[512], const struct peer_request *request,
                    const struct message_read_reply *reply)
{
    struct frame frame = {.type = MESSAGE_READ | FRAME_REPLY, .id = request->frame.id};

    frame.size =
        (uint32_t)(FRAME_HEADER_SIZE + message_read_reply_encode(bytes + FRAME_HEADER_SIZE, reply));
    frame_encode(bytes, &frame);
    return frame.size;
}

void place_answer(const struct peer_request *request, const struct message_read_reply *reply,
                  unsigned descriptors)
{
    uint8_t bytes[512];

    place_send(bytes, place_encode(bytes, request, reply), descriptors);
}

bool place_take(struct peer_request *request)
{
    while (peer_has_request(&place_peer)) {
        const struct message_release *release = &request->message.u.release;
        uint8_t cursor[16] = {0};
        uint16_t i;

        peer_take(&place_peer, request);
        if (request->message.type == MESSAGE_CHECKPOINT) {
            place_checkpoints++;
            peer_answer(&place_peer, &request->frame, 0, cursor, sizeof cursor);
        } else if (request->message.type == MESSAGE_RELEASE) {
            for (i = 0; i < release->count; i++) {
                assert_true(release->leases[i] < MESSAGE_LEASES_MAX);
                place_released[release->leases[i]]++;
            }
            peer_answer(&place_peer, &request->frame, 0, NULL, 0);
        } else {
            return true;
        }
    }
    return false;
}

void place_take_read(struct peer_request *request, uint16_t flags)
{
    memset(request, 0, sizeof *request);
    assert_true(place_take(request));
    assert_int_equal(request->message.type, MESSAGE_READ);
    assert_int_equal(request->message.u.read.flags, flags);
}

void place_expect_released(unsigned lease, unsigned count)
{
    struct peer_request request;

    assert_int_equal(tusk_process(place_peer.t, 0), TUSK_OK);
    if (place_take(&request)) { /* A read ahead */
        assert_int_equal(request.message.type, MESSAGE_READ);
        assert_false(place_take(&request));
    }
    assert_int_equal(place_released[lease], count);
}

/* ---- the consumer ---- */

struct tusk_consumer *place_open_consumer(uint32_t flags, uint32_t checkpoint_every)
{
    const struct tusk_consumer_options options = {.size = sizeof options,
                                                  .topic = "t",
                                                  .cursor = checkpoint_every > 0 ? "c" : NULL,
                                                  .flags = flags | TUSK_CONSUMER_STOP_AT_END,
                                                  .checkpoint_every = checkpoint_every};
    struct tusk_consumer *consumer;

    assert_int_equal(tusk_consumer_open(place_peer.t, &options, &consumer), TUSK_OK);
    return consumer;
}

void place_ask(struct tusk_consumer *consumer, struct peer_request *request, uint16_t flags)
{
    struct tusk_entry entry;

    assert_int_equal(tusk_consumer_next(consumer, &entry, 0), TUSK_ETIMEOUT);
    place_take_read(request, flags);
}

void place_expect_next(struct tusk_consumer *consumer, uint64_t from, uint64_t to)
{
    struct tusk_entry entry;
    uint64_t value;

    for (; from < to; from++) {
        assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), TUSK_OK);
        assert_int_equal(entry.offset, from);
        assert_int_equal(entry.size, sizeof value);
        memcpy(&value, entry.data, sizeof value);
        assert_int_equal(value, from);
    }
}

void place_close_consumer(struct tusk_consumer *consumer)
{
    assert_int_equal(tusk_consumer_close(consumer, 0), TUSK_OK);
}

struct tusk_consumer *place_consumer(uint32_t checkpoint_every)
{
    struct tusk_consumer *consumer = place_open_consumer(0, checkpoint_every);
    const struct message_read_reply reply = place_of(0, PLACE_BATCHES);
    struct peer_request request;

    place_ask(consumer, &request, PLACE_FLAGS);
    place_answer(&request, &reply, 1);
    return consumer;
}
