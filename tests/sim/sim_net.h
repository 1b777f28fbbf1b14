/* Connections in memory: what a Unix stream socket is to its two ends, without a kernel.
 *
 *     client: up ------> [bytes the kernel has] ------> server reads
 *     client takes <---- [bytes the kernel has] <------ down: server writes
 *
 * Bytes arrive in order and whole; how many at a time is the two ends' choice, so every cut of a frame
 * happens. What a client wrote before it went can still be read, as with a socket; what the server wrote
 * before it closed, too. Both directions have a bound, behind which the writer waits. */
#ifndef TESTS_SIM_SIM_NET_H
#define TESTS_SIM_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A queue of bytes. Zeroed: empty. */
struct sim_bytes {
    uint8_t *data; /* Owned */
    size_t begin;
    size_t end;
    size_t room;
};

static inline size_t sim_bytes_size(const struct sim_bytes *bytes)
{
    return bytes->end - bytes->begin;
}

/* Where they are; never NULL. */
static inline const uint8_t *sim_bytes_data(const struct sim_bytes *bytes)
{
    return bytes->data == NULL ? (const uint8_t *)"" : bytes->data + bytes->begin;
}

void sim_bytes_put(struct sim_bytes *bytes, const void *data, size_t size);
/* Drop the first size bytes. */
void sim_bytes_take(struct sim_bytes *bytes, size_t size);
void sim_bytes_deinit(struct sim_bytes *bytes);

/* A descriptor on its way to the client: the file behind it. */
struct sim_right {
    uint64_t at; /* The byte it comes with, counted from the first that the server wrote */
    uint32_t file;
};

struct sim_link {
    int fd;       /* The server's */
    uint32_t uid; /* Of the client, as the kernel says */
    struct sim_bytes up;
    struct sim_bytes down;
    struct sim_bytes rights; /* In order; what they hold is the link's until it is taken */
    uint64_t written;        /* Bytes, by the server */
    size_t up_room;
    size_t down_room;
    bool accepted;
    bool up_ended;    /* The client has shut its half */
    bool client_gone; /* Nobody takes what is written any more */
    bool reset;       /* It went without taking everything: reading says so */
    bool server_gone; /* No more will come, or be read */
};

void sim_link_deinit(struct sim_link *link);

/* The server's end. Bytes, 0 at the end, or a negative errno. */
int sim_link_read(struct sim_link *link, void *data, size_t size);
int sim_link_write(struct sim_link *link, const void *data, size_t size);
/* The same, and a descriptor comes with the first byte, if any is taken. */
int sim_link_write_right(struct sim_link *link, const void *data, size_t size, uint32_t file);
bool sim_link_readable(const struct sim_link *link);
bool sim_link_writable(const struct sim_link *link);

/* The client's end: how many bytes of size can be written now, and writing them. */
size_t sim_link_send(struct sim_link *link, const void *data, size_t size);
/* The first descriptor of those that come with a byte before `before`. False: there is none. */
bool sim_link_take_right(struct sim_link *link, uint64_t before, struct sim_right *right);
/* The client closes, without reading what is there. */
void sim_link_vanish(struct sim_link *link);

#endif
