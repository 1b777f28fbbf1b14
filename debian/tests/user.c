/* A program of a user of libtusk: append an entry, and find it as the last one of its topic. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tusk.h>

static int complain(const struct tusk *t, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, tusk_last_error(t)->text);
    return 1;
}

static int append_and_read(struct tusk *t, const char *text)
{
    struct tusk_append_result result;
    struct tusk_read_options options = {.size = sizeof options};
    struct tusk_batch *batch;
    struct tusk_entry entry;
    int same;

    if (tusk_append(t, "users", text, strlen(text), 0, &result) != TUSK_OK) {
        return complain(t, "append");
    }
    options.from = (struct tusk_position){.kind = TUSK_FROM_OFFSET, .value = result.first_offset};
    if (tusk_read(t, "users", &options, &batch) != TUSK_OK) {
        return complain(t, "read");
    }
    same = tusk_batch_next(batch, &entry) == 1 && entry.size == strlen(text) &&
           memcmp(entry.data, text, entry.size) == 0;
    tusk_batch_free(batch);
    return same ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct tusk_options options = {.size = sizeof options, .path = getenv("TUSK_SOCKET")};
    struct tusk_failure failure;
    struct tusk *t;
    int rc;

    if (argc != 2 || tusk_connect(&options, &t, &failure) != TUSK_OK) {
        fprintf(stderr, "%s\n", argc != 2 ? "one argument is wanted" : failure.text);
        return 1;
    }
    rc = append_and_read(t, argv[1]);
    return tusk_close(t) == TUSK_OK ? rc : 1;
}
