/* The main of a fuzz target without libFuzzer:
 *
 *     fuzz_NAME DIRECTORY [MUTATIONS [SEED]]
 *
 * runs every file of the directory, then that many random mutations of them. The same seed gives
 * the same run; it is printed, and so is the input on which the target aborts. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proto_random.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define INPUT_SIZE_MAX 65536u
#define INPUT_COUNT_MAX 256

/* Weak: not every target has one. */
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max,
                                                     unsigned int seed);

struct input {
    uint8_t bytes[INPUT_SIZE_MAX];
    size_t size;
};

static struct random generator;
static struct input *inputs[INPUT_COUNT_MAX];
static size_t input_count;
static struct input current;

/* Async-signal-safe: only write(). */
static void print_current(int signal_number)
{
    static const char digits[] = "0123456789abcdef";
    char pair[2];
    size_t i;

    for (i = 0; i < current.size; i++) {
        pair[0] = digits[current.bytes[i] >> 4];
        pair[1] = digits[current.bytes[i] & 15];
        if (write(STDERR_FILENO, pair, sizeof pair) < 0) {
            break;
        }
    }
    if (write(STDERR_FILENO, "\n", 1) < 0) {
        _exit(1);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* Bytes that end where their memory ends, so that a sanitizer sees a read beyond. */
static void run_current(void)
{
    uint8_t *exact = malloc(current.size + (current.size == 0));

    REQUIRE(exact != NULL);
    memcpy(exact, current.bytes, current.size);
    (void)LLVMFuzzerTestOneInput(exact, current.size); /* Always 0 */
    free(exact);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* In the order of their names, for the order decides what a seed means. */
static void read_inputs(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_input, alphasort);
    int i;

    REQUIRE(count > 0);
    REQUIRE(count <= INPUT_COUNT_MAX);
    for (i = 0; i < count; i++) {
        char path[4096];
        FILE *file;

        (void)snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        file = fopen(path, "rb");
        REQUIRE(file != NULL);
        inputs[input_count] = malloc(sizeof *inputs[0]);
        REQUIRE(inputs[input_count] != NULL);
        inputs[input_count]->size = fread(inputs[input_count]->bytes, 1, INPUT_SIZE_MAX, file);
        input_count++;
        fclose(file);
        free(entries[i]);
    }
    free(entries);
}

static size_t below(size_t limit)
{
    return (size_t)random_below(&generator, limit);
}

/* Overwrite, in place, 1, 2, 4 or 8 bytes with a number that is often at a boundary. */
static void overwrite_number(uint8_t *data, size_t size)
{
    uint64_t value = random_number(&generator);
    size_t width = (size_t)1 << below(4);

    if (width <= size) {
        memcpy(data + below(size - width + 1), &value, width);
    }
}

static size_t insert_bytes(uint8_t *data, size_t size, size_t size_max)
{
    size_t count = 1 + below(16);
    size_t at = below(size + 1);

    if (count > size_max - size) {
        return size;
    }
    memmove(data + at + count, data + at, size - at);
    random_fill(&generator, data + at, count);
    return size + count;
}

static size_t remove_bytes(uint8_t *data, size_t size)
{
    size_t at = below(size);
    size_t count = 1 + below(size - at);

    memmove(data + at, data + at + count, size - at - count);
    return size - count;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max)
{
    size_t change;

    if (size == 0) {
        return insert_bytes(data, size, size_max);
    }
    switch (below(8)) {
    case 0:
        return insert_bytes(data, size, size_max);
    case 1:
        return remove_bytes(data, size);
    case 2:
        data[below(size)] = (uint8_t)random_u64(&generator);
        return size;
    case 3:
    case 4:
        overwrite_number(data, size);
        return size;
    default:
        change = below(size);
        data[change] = (uint8_t)(data[change] ^ (1u << below(8)));
        return size;
    }
}

static void mutate_current(void)
{
    size_t rounds = 1 + below(4);

    current = *inputs[below(input_count)];
    while (rounds-- > 0) {
        if (LLVMFuzzerCustomMutator != NULL) {
            current.size = LLVMFuzzerCustomMutator(current.bytes, current.size, INPUT_SIZE_MAX,
                                                   (unsigned int)random_u64(&generator));
        } else {
            current.size = LLVMFuzzerMutate(current.bytes, current.size, INPUT_SIZE_MAX);
        }
    }
}

int main(int argc, char **argv)
{
    unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned long i;

    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [MUTATIONS [SEED]]\n", argv[0]);
        return 2;
    }
    generator.state = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    signal(SIGABRT, print_current);
    read_inputs(argv[1]);
    printf("seed %llu, %zu files, %lu mutations\n", (unsigned long long)generator.state,
           input_count, mutations);
    fflush(stdout);
    for (i = 0; i < input_count; i++) {
        current = *inputs[i];
        run_current();
    }
    for (i = 0; i < mutations; i++) {
        mutate_current();
        run_current();
    }
    while (input_count > 0) {
        free(inputs[--input_count]);
    }
    return 0;
}
