/* Which files are read, and in which order everything counts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

#define MAIN_NAME "tuskd.conf"
#define DROPINS_NAME "conf.d"
#define DROPIN_SUFFIX ".conf"

/* ---- reports, names ---- */

void config_report(struct config_report *report, const char *format, ...)
{
    char text[OPTIONS_ERROR_SIZE + OPTIONS_ORIGIN_SIZE];
    va_list args;
    char **more;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* Cut is fine */
    va_end(args);
    if (report->count < CONFIG_REPORT_MAX) {
        more = realloc(report->texts, (report->count + 1) * sizeof *more);
        if (more != NULL) {
            report->texts = more;
            more[report->count] = strdup(text);
            /* fanalyzer-suppress malloc-leak: it is in report->texts, which realloc() moved */
            if (more[report->count] != NULL) {
                report->count++;
                return;
            }
        }
    }
    report->left_off++;
}

static void free_report(struct config_report *report)
{
    while (report->count > 0) {
        free(report->texts[--report->count]);
    }
    free(report->texts);
}

const char *config_name(struct config *config, const char *name)
{
    char **more;
    char *copy;
    uint32_t i;

    for (i = 0; i < config->name_count; i++) {
        if (strcmp(config->names[i], name) == 0) {
            return config->names[i];
        }
    }
    copy = strdup(name);
    more = realloc(config->names, (config->name_count + 1) * sizeof *more);
    if (more != NULL) {
        config->names = more;
    }
    if (copy == NULL || more == NULL) {
        free(copy);
        return NULL;
    }
    config->names[config->name_count++] = copy;
    return copy;
}

void config_free(struct config *config)
{
    while (config->name_count > 0) {
        free(config->names[--config->name_count]);
    }
    free(config->names);
    while (config->namespace_count > 0) {
        access_free(&config->namespaces[--config->namespace_count].access);
    }
    free(config->namespaces);
    access_free(&config->access);
    free_report(&config->errors);
    free_report(&config->warnings);
    memset(config, 0, sizeof *config);
}

const struct config_namespace *config_namespace_find(const struct config *config, const char *name)
{
    uint32_t i;

    for (i = 0; i < config->namespace_count; i++) {
        if (strcmp(config->namespaces[i].name, name) == 0) {
            return &config->namespaces[i];
        }
    }
    return NULL;
}

bool config_take(struct config *to, const struct config *from, int index)
{
    const struct option_origin *origin = &from->options.origin[index];
    const char *name = origin->name;

    if (origin->kind == ORIGIN_FILE) {
        name = config_name(to, name);
        if (name == NULL) {
            return false;
        }
    }
    options_copy(&to->options, &from->options, index);
    to->options.origin[index].name = name;
    return true;
}

/* ---- files ---- */

/* Others who may write it may configure the daemon; the operator is told, and may have reasons. */
static void warn_of_rights(struct config *config, const char *path, const struct stat *there)
{
    if ((there->st_mode & S_IWOTH) != 0) {
        config_report(&config->warnings, "%s: everybody may write it (mode %04o)", path,
                      (unsigned)(there->st_mode & 07777));
    }
    if (there->st_uid != 0 && there->st_uid != geteuid()) {
        config_report(&config->warnings,
                      "%s: belongs to user %lu, neither root nor the daemon's own", path,
                      (unsigned long)there->st_uid);
    }
}

/* Read size bytes and, to see whether it grows, one more. The bytes read, or -1. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t used = 0;
    ssize_t got = 1;

    while (got > 0 && used < size + 1) {
        got = read(fd, bytes + used, size + 1 - used);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got < 0) {
            got = 1;
            continue;
        }
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* With the file open. */
static void parse_open(struct config *config, const char *path, int fd)
{
    struct stat before;
    struct stat after;
    char *bytes;
    ssize_t size;

    if (fstat(fd, &before) != 0) {
        config_report(&config->errors, "%s: cannot be looked at: %s", path, strerror(errno));
        return;
    }
    if (!S_ISREG(before.st_mode)) {
        config_report(&config->errors, "%s: is %s, not a file", path,
                      S_ISDIR(before.st_mode) ? "a directory" : "something else");
        return;
    }
    if (before.st_size > (off_t)CONFIG_FILE_SIZE_MAX) {
        config_report(&config->errors, "%s: has %lld bytes, at most %u are read", path,
                      (long long)before.st_size, CONFIG_FILE_SIZE_MAX);
        return;
    }
    warn_of_rights(config, path, &before);
    bytes = malloc((size_t)before.st_size + 2);
    if (bytes == NULL) {
        config_report(&config->errors, "%s: out of memory", path);
        return;
    }
    size = read_all(fd, bytes, (size_t)before.st_size);
    if (size < 0) {
        config_report(&config->errors, "%s: cannot be read: %s", path, strerror(errno));
    } else if (fstat(fd, &after) != 0 || size != before.st_size || !same_file(&before, &after)) {
        config_report(&config->errors, "%s: changed while it was read; try again", path);
    } else {
        bytes[size] = '\0';
        config_parse(config, path, bytes, (size_t)size);
    }
    free(bytes);
}

/* may_miss: a file that is not there is as good as an empty one. */
static void read_file(struct config *config, const char *path, bool may_miss)
{
    /* What is no file must not hold the daemon up, or become its terminal. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        if (errno != ENOENT || !may_miss) {
            config_report(&config->errors, "%s: cannot be opened: %s", path, strerror(errno));
        }
        return;
    }
    parse_open(config, path, fd);
    (void)close(fd); /* Nothing was written to it */
}

/* ---- conf.d ---- */

static bool is_dropin(const char *name)
{
    const size_t size = strlen(name);
    const size_t suffix = strlen(DROPIN_SUFFIX);

    return name[0] != '.' && size > suffix && strcmp(name + size - suffix, DROPIN_SUFFIX) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of drop-ins in byte order: owned, *count of them. False: said why not. */
static bool list_dropins(struct config *config, const char *dir, DIR *open_dir, char **names,
                         size_t *count)
{
    struct dirent *entry;

    *count = 0;
    while ((void)(errno = 0), (entry = readdir(open_dir)) != NULL) {
        if (!is_dropin(entry->d_name)) {
            continue;
        }
        if (*count == CONFIG_FILES_MAX) {
            config_report(&config->errors, "%s: has more than %u files", dir, CONFIG_FILES_MAX);
            return false;
        }
        names[*count] = strdup(entry->d_name);
        /* fanalyzer-suppress malloc-leak: the caller frees the *count first of its names */
        if (names[*count] == NULL) {
            config_report(&config->errors, "%s: out of memory", dir);
            return false;
        }
        ++*count;
    }
    if (errno != 0) {
        config_report(&config->errors, "%s: cannot be read: %s", dir, strerror(errno));
        return false;
    }
    qsort(names, *count, sizeof *names, compare_names);
    return true;
}

static void read_dropins(struct config *config, const char *dir)
{
    static const size_t names_size = CONFIG_FILES_MAX * sizeof(char *);
    DIR *open_dir = opendir(dir);
    char path[OPTIONS_PATH_SIZE];
    struct stat there;
    size_t count = 0;
    char **names;
    size_t i;

    if (open_dir == NULL) {
        if (errno != ENOENT) {
            config_report(&config->errors, "%s: cannot be opened: %s", dir, strerror(errno));
        }
        return;
    }
    if (fstat(dirfd(open_dir), &there) == 0) {
        warn_of_rights(config, dir, &there);
    }
    names = malloc(names_size);
    if (names == NULL) {
        config_report(&config->errors, "%s: out of memory", dir);
    } else if (list_dropins(config, dir, open_dir, names, &count)) {
        for (i = 0; i < count; i++) {
            if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, names[i]) >= sizeof path) {
                config_report(&config->errors, "%s: the path is too long", path);
                continue;
            }
            read_file(config, path, false);
        }
    }
    while (count > 0) {
        free(names[--count]);
    }
    free(names);
    (void)closedir(open_dir); /* Nothing was written to it */
}

/* ---- all of it ---- */

static const char *from_environment(options_getenv_fn *get, const char *name)
{
    const char *value = get(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Which main file, into config->file. May one that is named by systemd's directory miss? Yes. */
static bool name_main_file(struct config *config, options_getenv_fn *get, bool *may_miss)
{
    const char *given = config->command.config;
    const char *dir = from_environment(get, "CONFIGURATION_DIRECTORY");
    int size = 0;

    if (given == NULL) {
        given = from_environment(get, "TUSK_CONFIG");
    }
    *may_miss = given == NULL;
    if (given != NULL) {
        size = snprintf(config->file, sizeof config->file, "%s", given);
    } else if (dir != NULL) {
        size = snprintf(config->file, sizeof config->file, "%.*s/%s", (int)strcspn(dir, ":"), dir,
                        MAIN_NAME);
    }
    if ((size_t)size >= sizeof config->file) {
        config_report(&config->errors, "%s: the path is too long", config->file);
        return false;
    }
    return config->file[0] != '\0';
}

void config_read_files(struct config *config, options_getenv_fn *get)
{
    char dropins[OPTIONS_PATH_SIZE + sizeof DROPINS_NAME];
    const char *slash;
    bool may_miss;

    if (!name_main_file(config, get, &may_miss)) {
        return;
    }
    slash = strrchr(config->file, '/');
    (void)snprintf(dropins, sizeof dropins, "%.*s%s",
                   slash == NULL ? 0 : (int)(slash + 1 - config->file), config->file, DROPINS_NAME);
    read_file(config, config->file, may_miss);
    read_dropins(config, dropins);
}

/* A namespace that keeps entries by age needs an age: what is stored with it is not known here. */
static void check_namespace(struct config *config, const struct config_namespace *space)
{
    const bool given = space->origin[OPTION_retention].kind == ORIGIN_FILE;
    const uint64_t kind = space->value[OPTION_retention];
    const int needed = kind == VALUE_RETAIN_AGE ? OPTION_retention_age : OPTION_retention_size;
    char where[OPTIONS_ORIGIN_SIZE];

    if (!given || (kind != VALUE_RETAIN_AGE && kind != VALUE_RETAIN_SIZE) ||
        space->value[needed] != 0) {
        return;
    }
    option_origin_text(&space->origin[OPTION_retention], where);
    config_report(&config->errors,
                  "%s: retention = %s of namespace \"%s\" needs a %s that is not 0 beside it",
                  where, kind == VALUE_RETAIN_AGE ? "age" : "size", space->name,
                  options_rows()[needed].key);
}

static void check(struct config *config)
{
    struct options_error error;
    uint32_t i;

    if (options_check(&config->options, &error) != 0) {
        config_report(&config->errors, "%s", error.text);
    }
    for (i = 0; i < config->namespace_count; i++) {
        check_namespace(config, &config->namespaces[i]);
    }
    access_resolve(config);
}

static bool wrong(const struct config *config)
{
    return config->errors.count + config->errors.left_off > 0;
}

int config_load(struct config *config, const struct config_source *source)
{
    struct options_command command;
    struct options_error error;
    struct options scratch;

    memset(config, 0, sizeof *config);
    /* The arguments first, since they name the file; and again at the end, since they win. */
    memset(&scratch, 0, sizeof scratch);
    if (options_arguments(&scratch, &command, source->argc, source->argv, &error) != 0) {
        config->usage = true;
        config_report(&config->errors, "%s", error.text);
        return -1;
    }
    config->command = command;
    if (command.help || command.version) {
        return 0;
    }
    if (options_default(&config->options, source->get, &error) != 0) {
        config_report(&config->errors, "%s", error.text);
        return -1;
    }
    config_read_files(config, source->get);
    if (options_environment(&config->options, source->get, &error) != 0 ||
        options_arguments(&config->options, &command, source->argc, source->argv, &error) != 0) {
        config_report(&config->errors, "%s", error.text);
    }
    /* Values that were refused would make others look wrong, too. */
    if (!wrong(config)) {
        check(config);
    }
    return wrong(config) ? -1 : 0;
}
