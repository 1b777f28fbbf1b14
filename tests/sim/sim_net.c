#include "tests/sim/sim_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

void sim_bytes_put(struct sim_bytes *bytes, const void *data, size_t size)
{
    if (bytes->begin == bytes->end) {
        bytes->begin = bytes->end = 0;
    }
    if (size > bytes->room - bytes->end) {
        bytes->room = 2 * bytes->room + size + 256;
        bytes->data = realloc(bytes->data, bytes->room);
        CHECK(bytes->data != NULL);
    }
    if (size > 0) {
        memcpy(bytes->data + bytes->end, data, size);
    }
    bytes->end += size;
}

void sim_bytes_take(struct sim_bytes *bytes, size_t size)
{
    CHECK(size <= sim_bytes_size(bytes));
    bytes->begin += size;
}

void sim_bytes_deinit(struct sim_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct sim_bytes){0};
}

void sim_link_deinit(struct sim_link *link)
{
    sim_bytes_deinit(&link->up);
    sim_bytes_deinit(&link->down);
    sim_bytes_deinit(&link->rights);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

int sim_link_read(struct sim_link *link, void *data, size_t size)
{
    const size_t part = least(size, sim_bytes_size(&link->up));

    if (part > 0) {
        memcpy(data, sim_bytes_data(&link->up), part);
        sim_bytes_take(&link->up, part);
        return (int)part;
    }
    if (link->reset) {
        return -ECONNRESET;
    }
    return link->up_ended || link->client_gone ? 0 : -EAGAIN;
}

int sim_link_write(struct sim_link *link, const void *data, size_t size)
{
    const size_t held = sim_bytes_size(&link->down);

    if (link->client_gone) {
        return -EPIPE;
    }
    if (held >= link->down_room) {
        return -EAGAIN;
    }
    size = least(size, link->down_room - held);
    sim_bytes_put(&link->down, data, size);
    link->written += size;
    return (int)size;
}

int sim_link_write_right(struct sim_link *link, const void *data, size_t size, uint32_t file)
{
    const struct sim_right right = {.at = link->written, .file = file};
    const int taken = sim_link_write(link, data, size);

    if (taken > 0) {
        sim_bytes_put(&link->rights, &right, sizeof right);
    }
    return taken;
}

bool sim_link_take_right(struct sim_link *link, uint64_t before, struct sim_right *right)
{
    if (sim_bytes_size(&link->rights) == 0) {
        return false;
    }
    memcpy(right, sim_bytes_data(&link->rights), sizeof *right);
    if (right->at >= before) {
        return false;
    }
    sim_bytes_take(&link->rights, sizeof *right);
    return true;
}

bool sim_link_readable(const struct sim_link *link)
{
    return sim_bytes_size(&link->up) > 0 || link->up_ended || link->client_gone;
}

bool sim_link_writable(const struct sim_link *link)
{
    return link->client_gone || sim_bytes_size(&link->down) < link->down_room;
}

size_t sim_link_send(struct sim_link *link, const void *data, size_t size)
{
    const size_t held = sim_bytes_size(&link->up);

    if (link->server_gone || held >= link->up_room) {
        return 0;
    }
    size = least(size, link->up_room - held);
    sim_bytes_put(&link->up, data, size);
    return size;
}

void sim_link_vanish(struct sim_link *link)
{
    link->reset = sim_bytes_size(&link->down) > 0;
    link->up_ended = true;
    link->client_gone = true;
}
