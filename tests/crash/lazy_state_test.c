/* The file system that forgets, held to what it says: nothing that was synced is lost, and
 * everything else can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/crash/lazy_state.h"

#define SEEDS 200u
#define PAGE 4096u

struct scene {
    struct lazy_state state;
    struct lazy_node *root;
    struct random random;
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    assert_non_null(scene);
    lazy_state_init(&scene->state);
    scene->root = lazy_state_node(&scene->state, 1);
    random_init(&scene->random, 1);
    *state = scene;
    return 0;
}

static int free_scene(void **state)
{
    struct scene *scene = *state;

    lazy_state_deinit(&scene->state);
    free(scene);
    return 0;
}

static struct lazy_node *make(struct scene *scene, struct lazy_node *dir, const char *name,
                              bool directory)
{
    struct lazy_node *node = NULL;

    assert_int_equal(lazy_state_make(&scene->state, dir, name, directory, &node), 0);
    return node;
}

/* A durable file of the root that holds text. */
static struct lazy_node *make_durable(struct scene *scene, const char *name, const char *text)
{
    struct lazy_node *node = make(scene, scene->root, name, false);

    assert_int_equal(lazy_file_write(&node->file, text, strlen(text), 0), 0);
    lazy_state_sync(&scene->state, node);
    lazy_state_sync(&scene->state, scene->root);
    return node;
}

static void clear(struct scene *scene)
{
    const struct lazy_cut cut = {.random = &scene->random};

    lazy_state_cut(&scene->state, &cut);
}

static bool is_there(struct scene *scene, struct lazy_node *dir, const char *name)
{
    struct lazy_node *node;

    return lazy_state_find(&scene->state, dir, name, &node) == 0;
}

static void expect_file(struct scene *scene, const char *name, const char *text)
{
    struct lazy_node *node;

    assert_int_equal(lazy_state_find(&scene->state, scene->root, name, &node), 0);
    assert_int_equal(node->file.seen.size, strlen(text));
    assert_memory_equal(node->file.seen.bytes, text, strlen(text));
}

/* The bytes of a file and its name are two things: each needs a sync of its own. */
static void a_name_and_its_bytes_are_synced_apart(void **state)
{
    struct scene *scene = *state;
    struct lazy_node *bytes = make(scene, scene->root, "bytes", false);
    struct lazy_node *name;

    assert_int_equal(lazy_file_write(&bytes->file, "one", 3, 0), 0);
    lazy_state_sync(&scene->state, bytes);
    clear(scene);
    assert_false(is_there(scene, scene->root, "bytes"));

    name = make(scene, scene->root, "name", false);
    assert_int_equal(lazy_file_write(&name->file, "one", 3, 0), 0);
    lazy_state_sync(&scene->state, scene->root);
    clear(scene);
    expect_file(scene, "name", "");

    (void)make_durable(scene, "both", "one");
    clear(scene);
    expect_file(scene, "both", "one");
}

/* What was done to a durable file and not synced is undone, whatever it was. */
static void unsynced_changes_of_a_file_are_undone(void **state)
{
    struct scene *scene = *state;
    struct lazy_node *written = make_durable(scene, "written", "old");
    struct lazy_node *longer = make_durable(scene, "longer", "old");
    struct lazy_node *shorter = make_durable(scene, "shorter", "old");
    struct lazy_node *punched = make_durable(scene, "punched", "old");

    assert_int_equal(lazy_file_write(&written->file, "newer", 5, 0), 0);
    assert_int_equal(lazy_file_allocate(&longer->file, 9 * PAGE), 0);
    assert_int_equal(lazy_file_resize(&shorter->file, 1), 0);
    assert_int_equal(lazy_file_punch(&punched->file, 0, PAGE), 0);
    assert_int_equal(punched->file.seen.bytes[0], 0);
    expect_file(scene, "written", "newer");
    expect_file(scene, "shorter", "o");
    clear(scene);
    expect_file(scene, "written", "old");
    expect_file(scene, "longer", "old");
    expect_file(scene, "shorter", "old");
    expect_file(scene, "punched", "old");
}

/* Also renames and removals happen when their directory is synced, and not before. */
static void unsynced_changes_of_names_are_undone(void **state)
{
    struct scene *scene = *state;
    unsigned turn;

    for (turn = 0; turn < 2; turn++) {
        (void)make_durable(scene, "from", "new");
        (void)make_durable(scene, "to", "old");
        (void)make_durable(scene, "gone", "old");
        assert_int_equal(lazy_state_rename(&scene->state, scene->root, "from", "to"), 0);
        assert_int_equal(lazy_state_remove(&scene->state, scene->root, "gone", false), 0);
        if (turn == 0) {
            clear(scene);
            expect_file(scene, "from", "new");
            expect_file(scene, "to", "old");
            expect_file(scene, "gone", "old");
            assert_int_equal(lazy_state_remove(&scene->state, scene->root, "from", false), 0);
            assert_int_equal(lazy_state_remove(&scene->state, scene->root, "to", false), 0);
            assert_int_equal(lazy_state_remove(&scene->state, scene->root, "gone", false), 0);
        }
    }
    lazy_state_sync(&scene->state, scene->root);
    clear(scene);
    expect_file(scene, "to", "new");
    assert_false(is_there(scene, scene->root, "from"));
    assert_false(is_there(scene, scene->root, "gone"));
}

/* A directory whose own name was never synced takes along what was synced in it. */
static void a_lost_directory_takes_what_is_in_it_along(void **state)
{
    struct scene *scene = *state;
    struct lazy_node *dir = make(scene, scene->root, "dir", true);
    struct lazy_node *file = make(scene, dir, "file", false);

    lazy_state_sync(&scene->state, file);
    lazy_state_sync(&scene->state, dir);
    clear(scene);
    assert_false(is_there(scene, scene->root, "dir"));
    assert_int_equal(scene->state.node_count, 1);

    dir = make(scene, scene->root, "dir", true);
    (void)make(scene, dir, "file", false);
    lazy_state_sync(&scene->state, dir);
    assert_int_equal(lazy_state_rename(&scene->state, scene->root, "dir", "other"), 0);
    lazy_state_sync(&scene->state, scene->root);
    clear(scene);
    assert_int_equal(lazy_state_find(&scene->state, scene->root, "other", &dir), 0);
    assert_true(is_there(scene, dir, "file"));
}

/* Where each change has its own fate, every combination of them comes about. */
static void each_change_is_lost_by_itself(void **state)
{
    struct scene *scene = *state;
    const struct lazy_cut cut = {.random = &scene->random, .keep_bytes = 50, .keep_names = 50};
    unsigned seen_bytes = 0;
    unsigned seen_names = 0;
    unsigned turn;

    for (turn = 0; turn < SEEDS; turn++) {
        struct lazy_node *file = make_durable(scene, "file", "..");

        assert_int_equal(lazy_file_write(&file->file, "a", 1, 0), 0);
        assert_int_equal(lazy_file_write(&file->file, "b", 1, 1), 0);
        (void)make(scene, scene->root, "one", false);
        (void)make(scene, scene->root, "two", false);
        lazy_state_cut(&scene->state, &cut);
        assert_int_equal(lazy_state_find(&scene->state, scene->root, "file", &file), 0);
        seen_bytes |= 1u << ((file->file.seen.bytes[0] == 'a' ? 1u : 0) +
                             (file->file.seen.bytes[1] == 'b' ? 2u : 0));
        seen_names |= 1u << ((is_there(scene, scene->root, "one") ? 1u : 0) +
                             (is_there(scene, scene->root, "two") ? 2u : 0));
        (void)lazy_state_remove(&scene->state, scene->root, "file", false);
        (void)lazy_state_remove(&scene->state, scene->root, "one", false);
        (void)lazy_state_remove(&scene->state, scene->root, "two", false);
        lazy_state_sync(&scene->state, scene->root);
    }
    assert_int_equal(seen_bytes, 15);
    assert_int_equal(seen_names, 15);
}

/* Cut with the last `count` changes of a file torn, and tell how many of the bytes of a text of
 * `size` equal letters arrived over one of dots, and whether one arrived behind one that did
 * not. */
static uint32_t arrived(struct scene *scene, uint32_t size, uint32_t count, bool *disorder)
{
    static char dots[LAZY_TORN_MAX * PAGE];
    static char letters[LAZY_TORN_MAX * PAGE];
    struct lazy_cut cut = {.random = &scene->random, .torn_count = count};
    struct lazy_node *file;
    uint32_t sum = 0;
    uint32_t i;

    memset(dots, '.', size);
    memset(letters, 'x', size);
    file = make(scene, scene->root, "file", false);
    assert_int_equal(lazy_file_write(&file->file, dots, size, 0), 0);
    lazy_state_sync(&scene->state, file);
    lazy_state_sync(&scene->state, scene->root);
    for (i = 0; i < count; i++) {
        assert_int_equal(lazy_file_write(&file->file, letters, size / count, i * (size / count)),
                         0);
    }
    cut.torn = file;
    lazy_state_cut(&scene->state, &cut);
    for (i = 0; i < size; i++) {
        assert_true(file->file.durable.bytes[i] == 'x' || file->file.durable.bytes[i] == '.');
        sum += file->file.durable.bytes[i] == 'x';
        *disorder = *disorder || (i > 0 && file->file.durable.bytes[i] == 'x' &&
                                  file->file.durable.bytes[i - 1] == '.');
    }
    assert_int_equal(lazy_state_remove(&scene->state, scene->root, "file", false), 0);
    lazy_state_sync(&scene->state, scene->root);
    return sum;
}

/* Of a torn write something arrives and something does not, and it need not be its beginning. */
static void a_torn_write_arrives_in_parts(void **state)
{
    struct scene *scene = *state;
    bool disorder = false;
    unsigned turn;

    for (turn = 0; turn < SEEDS; turn++) {
        const uint32_t size = (uint32_t)random_between(&scene->random, 2, 3 * PAGE);
        const uint32_t sum = arrived(scene, size, 1, &disorder);

        assert_in_range(sum, 1, size - 1);
    }
    assert_true(disorder);
}

/* Of a torn sequence whole writes arrive, not all, and later ones without those before them. */
static void a_torn_sequence_arrives_out_of_order(void **state)
{
    struct scene *scene = *state;
    bool disorder = false;
    unsigned turn;

    for (turn = 0; turn < SEEDS; turn++) {
        const uint32_t count = (uint32_t)random_between(&scene->random, 2, LAZY_TORN_MAX);
        const uint32_t sum = arrived(scene, count * 100, count, &disorder);

        assert_in_range(sum, 100, (count - 1) * 100);
        assert_int_equal(sum % 100, 0);
    }
    assert_true(disorder);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, make_scene, free_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_name_and_its_bytes_are_synced_apart),
        SCENE(unsynced_changes_of_a_file_are_undone),
        SCENE(unsynced_changes_of_names_are_undone),
        SCENE(a_lost_directory_takes_what_is_in_it_along),
        SCENE(each_change_is_lost_by_itself),
        SCENE(a_torn_write_arrives_in_parts),
        SCENE(a_torn_sequence_arrives_out_of_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
