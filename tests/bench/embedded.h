/* A store in process: no server and no socket, a reference for what keeping the bytes costs. Keys
 * are numbers, values entries; the directory is the options' address and, in it, the topic.
 *
 *     open --> { put }*                                            appends
 *          --> scan_begin --> { scan, and save where }* --> scan_end   reads
 *
 * Lazy is a thread that calls sync each 200 ms; each is a store that syncs each put. */
#ifndef TESTS_BENCH_EMBEDDED_H
#define TESTS_BENCH_EMBEDDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMBEDDED_KEY_SIZE 8u

struct store {
    /* The directory is there. Returns the number behind the last key. */
    uint64_t (*open)(const char *directory, bool each);
    /* Store count values, at once or not at all, under keys from number on. May be called by many
     * threads. values are of one size, one behind the other. */
    void (*put)(uint64_t number, uint32_t count, const uint8_t *values, size_t size);
    void (*sync)(void);
    void (*scan_begin)(void);
    /* The next value; NULL at the end. */
    const uint8_t *(*scan)(size_t *size);
    void (*scan_end)(void);
    /* Keep the place of a reader, as durably as a put; while a scan is open, too. */
    void (*save)(uint64_t number);
};

void embedded_key(uint64_t number, char key[EMBEDDED_KEY_SIZE]);
uint64_t embedded_number(const void *key);
int embedded_main(int argc, char **argv, const struct store *store);

#endif
