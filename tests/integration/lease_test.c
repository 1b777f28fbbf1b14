/* Reads that are answered with a place in a segment file: what comes along, and how long the block is
 * leased. */
#include "tests/integration/leases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what comes ---- */

/* The place holds byte for byte what a checked read gives, in every block of seven segments. The
 * descriptor comes when the segment is none of the four whose descriptors came last, and only then:
 * going over all of them again, each comes again. */
static void places_hold_what_checked_reads_give(void **state)
{
    struct daemon *daemon = *state;
    uint64_t last[MESSAGE_MAPPED_SEGMENTS] = {0};
    const uint8_t *maps[64] = {NULL};
    unsigned descriptors = 0;
    unsigned places = 0;
    unsigned at = 0;
    struct wire checked;
    struct wire wire;
    unsigned round;

    wire_open(&checked, daemon->socket, "default");
    lease_fill_blocks(&checked, "t", 13);
    assert_int_equal(lease_open(&wire, daemon, "default", LEASE_FEATURES), LEASE_FEATURES);
    for (round = 0; round < 2; round++) {
        uint64_t from = 0;

        while (from < 13 * LEASE_BLOCK_ENTRIES) {
            const struct lease_got got = lease_read_at(&wire, from, LEASE_FLAGS);
            const struct message_place *place = &got.reply.place;
            bool known = false;
            unsigned i;

            assert_int_equal(got.status, 0);
            from = got.reply.to;
            if (!got.reply.placed) {
                continue; /* Too small a rest of a block */
            }
            for (i = 0; i < MESSAGE_MAPPED_SEGMENTS; i++) {
                known = known || last[i] == place->segment;
            }
            assert_int_equal(got.fd >= 0, !known);
            assert_in_range(place->segment, 1, 63);
            if (got.fd >= 0) {
                last[at++ % MESSAGE_MAPPED_SEGMENTS] = place->segment;
                if (maps[place->segment] == NULL) {
                    maps[place->segment] = lease_map(&got);
                }
                assert_int_equal(close(got.fd), 0);
                descriptors++;
            }
            lease_expect_as_checked(&checked, maps[place->segment], &got);
            assert_int_equal(wire_stat(&checked, "leases"), 1);
            assert_int_equal(lease_release_one(&wire, place->lease), 0);
            assert_int_equal(wire_stat(&checked, "leases"), 0);
            places++;
        }
    }
    assert_true(descriptors >= 12);
    assert_true(places > descriptors);
    for (at = 0; at < 64; at++) {
        if (maps[at] != NULL) {
            assert_int_equal(munmap((void *)(uintptr_t)maps[at], 2 * LEASE_BLOCK_SIZE), 0);
        }
    }
    wire_close(&wire);
    wire_close(&checked);
}

/* Of a place only its few bytes are sent, not those it stands for. */
static void a_place_is_sent_instead_of_bytes(void **state)
{
    struct daemon *daemon = *state;
    struct lease_got got;
    struct wire other;
    struct wire wire;
    uint64_t sent;

    wire_open(&other, daemon->socket, "default");
    lease_fill_blocks(&other, "t", 1);
    (void)lease_open(&wire, daemon, "default", LEASE_FEATURES);
    sent = wire_stat(&other, "bytes_sent");
    got = lease_read_place(&wire, 0);
    assert_true(got.reply.place.size > LEASE_BLOCK_SIZE / 2);
    assert_true(wire_stat(&other, "bytes_sent") - sent < 20000); /* STATS itself, most of it */
    assert_int_equal(wire_stat(&other, "bytes_sent_from_cache"), 0);
    assert_int_equal(close(got.fd), 0);
    wire_close(&wire);
    wire_close(&other);
}

/* Whoever has the descriptor can change nothing through it: no write, no writable map, no
 * truncation. */
static void the_descriptor_only_reads(void **state)
{
    struct daemon *daemon = *state;
    struct lease_got got;
    struct wire other;
    struct wire wire;

    wire_open(&other, daemon->socket, "default");
    lease_fill_blocks(&other, "t", 1);
    (void)lease_open(&wire, daemon, "default", LEASE_FEATURES);
    got = lease_read_place(&wire, 0);
    assert_int_equal(fcntl(got.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(pwrite(got.fd, "x", 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, got.fd, 0), MAP_FAILED);
    assert_int_equal(errno, EACCES);
    assert_int_equal(ftruncate(got.fd, 0), -1);
    assert_int_equal(fallocate(got.fd, 0, 0, 4096), -1);
    assert_int_equal(close(got.fd), 0);
    wire_close(&wire);
    wire_close(&other);
}

/* Places come to connections that asked for the feature, when both flags are there: nobody else can
 * be expected to take a descriptor. */
static void places_come_to_who_asked_for_them(void **state)
{
    static const uint64_t without[] = {0, FEATURE_UNCHECKED};
    static const uint16_t flags[] = {0, READ_UNCHECKED, READ_MAPPED, READ_CONSUME | LEASE_FLAGS};
    struct daemon *daemon = *state;
    struct wire wire;
    struct lease_got got;
    size_t i;

    wire_open(&wire, daemon->socket, "default");
    lease_fill_blocks(&wire, "t", 1);
    wire_close(&wire);
    for (i = 0; i < 2; i++) {
        assert_int_equal(lease_open(&wire, daemon, "default", without[i]), without[i]);
        got = lease_read_at(&wire, 0, LEASE_FLAGS);
        assert_int_equal(got.status, 0);
        assert_false(got.reply.placed);
        assert_true(got.reply.data_size > 0);
        wire_close(&wire);
    }
    assert_int_equal(lease_open(&wire, daemon, "default", UINT64_MAX), LEASE_FEATURES);
    for (i = 0; i < 4; i++) {
        struct message message = wire_read_message("t", 0);

        message.u.read.flags = flags[i];
        message.u.read.max_bytes = UINT32_MAX;
        if ((flags[i] & READ_CONSUME) != 0) {
            message.u.read.position = (struct message_position){.kind = POSITION_CURSOR};
            message.u.read.cursor = wire_name("c");
        }
        got = lease_read(&wire, &message);
        assert_int_equal(got.status, 0);
        assert_false(got.reply.placed);
        assert_true(got.reply.data_size > 0);
    }
    assert_int_equal(wire_stat(&wire, "leases"), 0);
    wire_close(&wire);
}

/* ---- leases ---- */

/* A block that was given up stays as it is while it is leased, whatever else is appended; once it
 * is released it is used again. */
static void a_leased_block_is_used_again_when_released(void **state)
{
    struct daemon *daemon = *state;
    uint8_t *copy;
    const uint8_t *base;
    struct lease_got got;
    struct wire other;
    struct wire wire;
    unsigned i;

    wire_open(&other, daemon->socket, "default");
    lease_fill_blocks(&other, "t", 1);
    (void)lease_open(&wire, daemon, "default", LEASE_FEATURES);
    got = lease_read_place(&wire, 0);
    base = lease_map(&got);
    copy = malloc(got.reply.place.size);
    assert_non_null(copy);
    memcpy(copy, lease_batches(base, &got), got.reply.place.size);
    assert_int_equal(lease_trim(&other, "t", LEASE_BLOCK_ENTRIES), 0);
    lease_expect_held(&other, 1);
    lease_fill_blocks(&other, "more", 12);
    assert_int_equal(wire_stat(&other, "blocks_freeing"), 1);
    assert_int_equal(lease_generation(base, &got), got.reply.generation);
    assert_memory_equal(lease_batches(base, &got), copy, got.reply.place.size);
    assert_int_equal(lease_release_one(&wire, got.reply.place.lease), 0);
    lease_await(&other, "blocks_freeing", 0);
    for (i = 0; i < 40 && lease_generation(base, &got) == got.reply.generation; i++) {
        lease_fill_blocks(&other, "more", 1);
    }
    assert_int_not_equal(lease_generation(base, &got), got.reply.generation);
    free(copy);
    lease_unmap(base, &got);
    assert_int_equal(close(got.fd), 0);
    wire_close(&wire);
    wire_close(&other);
}

/* A lease that is not there, too large a number, or one given back twice, is INVALID, and all others
 * that are named are given back; a lease of somebody else's of the same number is not. */
static void release_gives_back_what_is_ones_own(void **state)
{
    struct daemon *daemon = *state;
    uint32_t leases[5];
    struct lease_got got[3];
    struct wire mine;
    struct wire theirs;
    unsigned i;

    wire_open(&mine, daemon->socket, "default");
    lease_fill_blocks(&mine, "t", 1);
    wire_close(&mine);
    (void)lease_open(&mine, daemon, "default", LEASE_FEATURES);
    (void)lease_open(&theirs, daemon, "default", LEASE_FEATURES);
    got[0] = lease_read_place(&theirs, 0);
    assert_int_equal(lease_release_one(&mine, got[0].reply.place.lease), TUSK_EINVALID);
    assert_int_equal(wire_stat(&theirs, "leases"), 1);
    got[1] = lease_read_place(&mine, 0);
    got[2] = lease_read_at(&mine, 0, LEASE_FLAGS);
    assert_true(got[2].reply.placed);
    assert_int_not_equal(got[1].reply.place.lease, got[2].reply.place.lease);
    assert_int_equal(wire_stat(&theirs, "leases"), 3);
    leases[0] = got[1].reply.place.lease;
    leases[1] = MESSAGE_LEASES_MAX - 1;
    leases[2] = UINT32_MAX;
    leases[3] = leases[0];
    leases[4] = got[2].reply.place.lease;
    assert_int_equal(lease_release(&mine, leases, 5), TUSK_EINVALID);
    assert_int_equal(wire_stat(&theirs, "leases"), 1);
    assert_int_equal(lease_release(&mine, leases, 1), TUSK_EINVALID);
    assert_int_equal(lease_release_one(&theirs, got[0].reply.place.lease), 0);
    assert_int_equal(wire_stat(&theirs, "leases"), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(close(got[i].fd), 0);
    }
    wire_close(&mine);
    wire_close(&theirs);
}

/* RELEASE of nothing in particular gives back all, what is not answered yet included: there are no
 * more leases for that connection. */
static void release_of_all_is_for_good(void **state)
{
    struct message waiting = wire_read_message("t", LEASE_BLOCK_ENTRIES + 1);
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct lease_got got;
    struct wire wire;
    struct wire other;

    wire_open(&other, daemon->socket, "default");
    lease_fill_blocks(&other, "t", 1);
    (void)lease_open(&wire, daemon, "default", LEASE_FEATURES);
    got = lease_read_place(&wire, 0);
    assert_int_equal(close(got.fd), 0);
    assert_int_equal(wire_stat(&other, "leases"), 1);
    waiting.u.read.flags = LEASE_FLAGS;
    waiting.u.read.wait_ms = WIRE_WAIT_MS;
    assert_int_not_equal(wire_send(&wire, &waiting), 0);
    assert_int_equal(lease_release(&wire, &got.reply.place.lease, 0),
                     0); /* Before the read that waits */
    assert_int_equal(wire_stat(&other, "leases"), 0);
    lease_fill_blocks(&other, "t", 1);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, 0);
    got = lease_read_at(&wire, 0, LEASE_FLAGS);
    assert_int_equal(got.status, 0);
    assert_false(got.reply.placed);
    assert_int_equal(wire_stat(&other, "leases"), 0);
    wire_close(&wire);
    wire_close(&other);
}

/* A connection has 64 leases, each with a number of its own; a read beyond gets bytes, the same as
 * stand in the place, until one is given back. */
static void the_sixty_fifth_read_gets_bytes(void **state)
{
    struct daemon *daemon = *state;
    bool seen[MESSAGE_LEASES_MAX] = {false};
    const uint8_t *base = NULL;
    struct lease_got first = {.fd = -1};
    struct lease_got got;
    struct wire wire;
    unsigned i;

    wire_open(&wire, daemon->socket, "default");
    lease_fill_blocks(&wire, "t", 1);
    wire_close(&wire);
    (void)lease_open(&wire, daemon, "default", LEASE_FEATURES);
    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        got = lease_read_at(&wire, 0, LEASE_FLAGS);
        assert_int_equal(got.status, 0);
        assert_true(got.reply.placed);
        assert_true(got.reply.place.lease < MESSAGE_LEASES_MAX);
        assert_false(seen[got.reply.place.lease]);
        seen[got.reply.place.lease] = true;
        assert_int_equal(got.fd >= 0, i == 0);
        if (i == 0) {
            first = got;
            base = lease_map(&first);
        }
    }
    assert_int_equal(wire_stat(&wire, "leases"), MESSAGE_LEASES_MAX);
    got = lease_read_at(&wire, 0, LEASE_FLAGS);
    assert_int_equal(got.status, 0);
    assert_false(got.reply.placed);
    assert_true(got.reply.data_size > LEASE_BLOCK_SIZE / 2);
    assert_true(got.reply.data_size <= first.reply.place.size);
    assert_memory_equal(got.reply.data, lease_batches(base, &first), got.reply.data_size);
    assert_int_equal(lease_release_one(&wire, 17), 0);
    got = lease_read_at(&wire, 0, LEASE_FLAGS);
    assert_true(got.reply.placed);
    assert_int_equal(got.reply.place.lease, 17);
    lease_unmap(base, &first);
    assert_int_equal(close(first.fd), 0);
    wire_close(&wire);
}

/* Where the daemon has no descriptors to watch one more process with, or to send, it sends bytes;
 * to those who came before it sends places all along. */
static void a_daemon_short_of_descriptors_sends_bytes(void **state)
{
    struct wire wires[64];
    struct daemon *daemon;
    unsigned placed = 0;
    unsigned count;

    assert_int_equal(fixture_setup(state), 0);
    daemon = *state;
    daemon->descriptors = 96;
    daemon_start_with(daemon, lease_options);
    wire_open(&wires[0], daemon->socket, "default");
    lease_fill_blocks(&wires[0], "t", 1);
    wire_close(&wires[0]);
    for (count = 0; count < 64 && placed == count; count++) {
        struct lease_got got;

        (void)lease_open(&wires[count], daemon, "default", LEASE_FEATURES);
        got = lease_read_at(&wires[count], 0, LEASE_FLAGS);
        assert_int_equal(got.status, 0);
        placed += got.reply.placed;
        if (got.fd >= 0) {
            assert_int_equal(close(got.fd), 0);
        }
        assert_true(got.reply.placed || got.reply.data_size > LEASE_BLOCK_SIZE / 2);
    }
    assert_true(placed > 0);
    assert_int_equal(placed, count - 1);
    assert_int_equal(wire_stat(&wires[0], "leases"), placed);
    while (count > 0) {
        wire_close(&wires[--count]);
    }
    assert_int_equal(fixture_teardown(state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEASE_TEST(places_hold_what_checked_reads_give),
        LEASE_TEST(a_place_is_sent_instead_of_bytes),
        LEASE_TEST(the_descriptor_only_reads),
        LEASE_TEST(places_come_to_who_asked_for_them),
        LEASE_TEST(a_leased_block_is_used_again_when_released),
        LEASE_TEST(release_gives_back_what_is_ones_own),
        LEASE_TEST(release_of_all_is_for_good),
        LEASE_TEST(the_sixty_fifth_read_gets_bytes),
        cmocka_unit_test(a_daemon_short_of_descriptors_sends_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
