#include "client/cli_source.h"

#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int source_open(struct source *source, char **arguments, int argument_count, const char *file,
                const struct split_rule *rule, size_t entry_size_max)
{
    *source = (struct source){
        .arguments = arguments, .argument_count = argument_count, .file = file, .fd = STDIN_FILENO};
    if (file != NULL && strcmp(file, "-") != 0) {
        source->fd = open(file, O_RDONLY | O_CLOEXEC);
        if (source->fd < 0) {
            cli_say("cannot open %s: %s", file, strerror(errno));
            return CLI_FAILED;
        }
    }
    if (!splitter_init(&source->splitter, rule, source->fd, entry_size_max)) {
        cli_say("out of memory");
        return CLI_FAILED;
    }
    return CLI_DONE;
}

void source_close(struct source *source)
{
    splitter_deinit(&source->splitter);
    if (source->fd > STDIN_FILENO) {
        (void)close(source->fd);
    }
}

bool source_next(struct source *source, const uint8_t **data, size_t *size)
{
    if (source->argument_count == 0) {
        return splitter_next(&source->splitter, data, size);
    }
    if (source->argument == source->argument_count) {
        return false;
    }
    *data = (const uint8_t *)source->arguments[source->argument++];
    *size = strlen((const char *)*data);
    return true;
}

bool source_read(struct source *source)
{
    return source->argument_count == 0 && splitter_read(&source->splitter);
}

int source_result(const struct source *source)
{
    const char *name = source->file != NULL ? source->file : "standard input";

    switch (source->splitter.error) {
    case 0:
        return CLI_DONE;
    case EMSGSIZE:
        cli_say("%s: an entry has more than the %zu bytes that the daemon takes; see --split", name,
                source->splitter.entry_size_max);
        return CLI_FAILED;
    case EBADMSG:
        cli_say("%s: the last entry is cut short", name);
        return CLI_FAILED;
    default:
        cli_say("cannot read %s: %s", name, strerror(source->splitter.error));
        return CLI_FAILED;
    }
}

bool source_ended(const struct source *source)
{
    return source->argument_count > 0 ? source->argument == source->argument_count
                                      : source->splitter.ended;
}
