/* tuskd: the order of a start.
 *
 *     configuration ---> directory ---> io ---> engine (lock, recovery)
 *                                                   ---> loop ---> socket ---> READY
 *
 * Nothing is created before the options are known to be good, nothing is changed before the lock
 * is held, no client is taken before recovery is done, and the last thing is to say so. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/access.h"
#include "config/config.h"
#include "core/engine.h"
#include "core/error.h"
#include "core/io.h"
#include "server/clock.h"
#include "server/configured.h"
#include "server/data_dir.h"
#include "server/descriptors.h"
#include "server/exit_status.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/reload.h"
#include "server/scrape.h"
#include "server/server.h"
#include "server/storage.h"

#define READY_SIZE 3072u

static volatile sig_atomic_t stop_wanted;

static void on_early_signal(int number)
{
    (void)number;
    stop_wanted = 1;
}

static bool go_on(void)
{
    return stop_wanted == 0;
}

/* Until the loop watches them, signals that stop are noted here. Those that other daemons take for
 * a wish are ignored: sent here by mistake, their default would be to end the process. */
static void prepare_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_handler = on_early_signal};
    size_t i;

    (void)sigemptyset(&action.sa_mask); /* None of these can fail with these arguments */
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    for (i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        (void)sigaction(ignored[i], &action, NULL);
    }
    /* A mask is inherited: a parent that blocks SIGTERM would keep us from ever stopping. */
    (void)sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
}

/* ---- options ---- */

static const char *get_environment(const char *name)
{
    return getenv(name);
}

static void print_all(const struct config_report *report, const char *kind)
{
    uint32_t i;

    for (i = 0; i < report->count; i++) {
        (void)fprintf(stderr, "tuskd: %s%s\n", kind, report->texts[i]);
    }
    if (report->left_off > 0) {
        (void)fprintf(stderr, "tuskd: %sand %u more\n", kind, report->left_off);
    }
}

/* Read the configuration. EXIT_STATUS_OK, or how to exit, after saying why: every reason. */
static int load_config(struct config *config, const struct config_source *source)
{
    const int rc = config_load(config, source);

    print_all(&config->warnings, "warning: ");
    print_all(&config->errors, "");
    if (rc != 0) {
        return config->usage ? EXIT_STATUS_USAGE : EXIT_STATUS_CONFIG;
    }
    return EXIT_STATUS_OK;
}

/* What is asked of the command line only. True if that was all. */
static bool answer_command(const struct config *config)
{
    const struct options_command *command = &config->command;

    if (command->help) {
        options_help(stdout);
    } else if (command->version) {
        (void)printf("tuskd %s\n", TUSK_VERSION);
    } else if (command->check_config) {
        (void)printf("tuskd: the configuration is valid (%s)\n",
                     config->file[0] != '\0' ? config->file : "no file is named");
    } else {
        return false;
    }
    return true;
}

/* ---- starting ---- */

static int status_of_open(const struct error *err)
{
    switch (err->code) {
    case TUSK_ECLOSED:
        return EXIT_STATUS_OK; /* A signal, before anything was changed */
    case TUSK_ELOCKED:
        return EXIT_STATUS_LOCKED;
    case TUSK_ECORRUPT:
    case TUSK_EVERSION:
        return EXIT_STATUS_DAMAGE;
    case TUSK_EINVALID:
    case TUSK_EBUSY: /* Too few descriptors */
        return EXIT_STATUS_CONFIG;
    case TUSK_EDENIED:
    case TUSK_ENOSPACE:
    case TUSK_EEXISTS:
    case TUSK_ENOTFOUND:
        return EXIT_STATUS_CREATE;
    default:
        return EXIT_STATUS_IO;
    }
}

static int fail_start(const char *part, const struct error *err)
{
    if (err->code == TUSK_ECLOSED) {
        log_info(part, "stopped by a signal during recovery");
    } else {
        log_error(part, "%s", err->text);
    }
    return status_of_open(err);
}

/* Whether what recovery found permits serving. */
static int judge_namespaces(const struct storage *storage, const struct options *options)
{
    struct storage_tally tally;

    storage_tally(storage, &tally);
    if (tally.serving == 0 && tally.without_space == tally.refused) {
        log_error("start", "no namespace can be served before there is space on the disk");
        return EXIT_STATUS_CREATE;
    }
    if (tally.serving == 0) {
        log_error("start", "no namespace can be served");
        return EXIT_STATUS_DAMAGE;
    }
    if (tally.refused > 0 && options->strict_start) {
        log_error("start", "%u damaged namespaces, and strict_start is set", tally.refused);
        return EXIT_STATUS_DAMAGE;
    }
    return EXIT_STATUS_OK;
}

/* systemd's sockets, or our own. */
static int open_sockets(struct listener *listener, struct scrape **scrape,
                        const struct config *config, struct error *err)
{
    struct notify_sockets passed;
    int rc = notify_listen_fds(&passed, err);

    if (rc != 0) {
        return rc;
    }
    if (passed.clients >= 0) {
        listener_adopt(listener, passed.clients);
    } else {
        rc = listener_open(listener, config->options.socket, access_any(config), err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = scrape_open(scrape, &config->options, passed.metrics, err);
    return rc == 0 ? 0 : error_wrap(err, "metrics_socket");
}

static int status_of_socket(const struct error *err)
{
    return err->code == TUSK_EINVALID ? EXIT_STATUS_CONFIG : EXIT_STATUS_CREATE;
}

struct recovered {
    uint64_t records;
    uint64_t dropped;
    unsigned refused;
};

static void add_recovered(void *arg, const char *name, uint64_t value)
{
    struct recovered *sum = arg;

    if (strcmp(name, "recovered_records") == 0) {
        sum->records += value;
    } else if (strcmp(name, "recovered_dropped") == 0) {
        sum->dropped += value;
    }
}

/* What recovery found, of all namespaces, in a few words. */
static void describe_recovery(const struct storage *storage, char *text, size_t size)
{
    struct recovered sum = {0};
    struct namespace *ns = engine_namespace_next(storage->engine, NULL, 0);
    char refused[64] = "";

    if (storage->findings == 0) {
        (void)snprintf(text, size, "clean");
        return;
    }
    while (ns != NULL) {
        struct engine_namespace_info info;

        engine_namespace_info(ns, &info);
        if (info.state == ENGINE_SERVING) {
            engine_stats(ns, add_recovered, &sum);
        } else {
            sum.refused++;
        }
        ns = engine_namespace_next(storage->engine, info.name, strlen(info.name));
    }
    if (sum.refused > 0) {
        (void)snprintf(refused, sizeof refused, ", namespaces refused: %u", sum.refused);
    }
    (void)snprintf(text, size, "%llu records replayed, %llu dropped%s (see the log)",
                   (unsigned long long)sum.records, (unsigned long long)sum.dropped, refused);
}

static void say_ready(const struct server *server, const struct storage *storage)
{
    const struct options *options = server->options;
    struct namespace *ns = engine_namespace_find(storage->engine, "default", 7);
    struct engine_namespace_info info = {.settings.fsync_ms = options->fsync};
    char fsync_text[VALUE_TEXT_SIZE];
    char recovery[160];
    char line[READY_SIZE];

    if (ns != NULL) {
        engine_namespace_info(ns, &info);
    }
    value_format(VALUE_FSYNC, info.settings.fsync_ms, fsync_text, sizeof fsync_text);
    describe_recovery(storage, recovery, sizeof recovery);
    (void)snprintf(line, sizeof line,
                   "tuskd %s ready: socket=%s data_dir=%s io=%s fsync=%s recovery=%s", TUSK_VERSION,
                   server->listener.path != NULL ? options->socket : "systemd", options->data_dir,
                   storage->io_name, fsync_text, recovery);
    /* Once where both go to the journal, and there with its id. */
    if (log_is_journal(STDERR_FILENO)) {
        log_event(LOG_EVENT_READY, "start", NULL, "%s", line);
    }
    if (!log_is_journal(STDERR_FILENO) || !log_is_journal(STDOUT_FILENO)) {
        (void)printf("%s\n", line);
        (void)fflush(stdout); /* Whoever reads it is free to go away */
    }
    notify_ready(line);
}

/* Nothing was served: a clean stop all the same, or the next start would find a crash to recover
 * from. */
static void stop_unused(struct storage *storage)
{
    const struct engine_time now = {.wall_us = clock_wall_us(), .mono_us = clock_mono_us()};
    struct error err;

    if (engine_stop(storage->engine, &now, &err) != 0) {
        log_warning("engine", "the stop is not clean, the next start recovers: %s", err.text);
    }
}

/* With the storage open: listen, serve, stop. */
/* Open the sockets and begin to accept. EXIT_STATUS_OK, or how to exit, after saying why. */
static int listen_all(struct server *server, struct scrape **scrape, const struct config *config)
{
    struct error err;
    int status = EXIT_STATUS_OK;

    if (open_sockets(&server->listener, scrape, config, &err) != 0) {
        status = status_of_socket(&err);
    } else if (listener_start(&server->listener, server, &err) != 0 ||
               (*scrape != NULL && scrape_start(*scrape, server, &err) != 0)) {
        status = EXIT_STATUS_IO;
    }
    if (status != EXIT_STATUS_OK) {
        log_error("start", "%s", err.text);
    }
    return status;
}

static int serve(struct storage *storage, struct config *config, const struct config_source *source)
{
    static struct server server;
    static struct reload reload;
    struct scrape *scrape = NULL;
    struct error err;
    int status;

    if (server_init(&server, config, storage->engine, io_poll_fd(storage->io), &err) != 0) {
        log_error("start", "%s", err.text);
        stop_unused(storage);
        return EXIT_STATUS_IO;
    }
    status = listen_all(&server, &scrape, config);
    if (status != EXIT_STATUS_OK) {
        stop_unused(storage);
        server_deinit(&server);
        scrape_free(scrape);
        return status;
    }
    reload_init(&reload, &server, config, source);
    server.reload = &reload;
    say_ready(&server, storage);
    if (!go_on()) {
        (void)raise(SIGTERM); /* It came before the loop watched for it */
    }
    status = server_run(&server);
    scrape_stop(scrape);
    if (status == EXIT_STATUS_IO) {
        /* Nothing is tidied up behind a failed disk: what is in memory must not reach it, and
         * waiting for it could take for ever. */
        _exit(status);
    }
    storage_close_engine(storage);
    reload_deinit(&reload);
    server_deinit(&server);
    scrape_free(scrape);
    return status;
}

/* As which the kernel shows every peer that it has no number for: they would all be our own. */
static void warn_of_own_user(void)
{
    if (geteuid() == access_overflow_uid()) {
        log_warning("start",
                    "the daemon runs as user id %lu, as which the kernel shows everybody it has no "
                    "number for: only root and whom allow lines name may use it; give it a user of "
                    "its own",
                    (unsigned long)geteuid());
    }
}

static int run(struct config *config, const struct config_source *source)
{
    const struct options *options = &config->options;
    const struct options_command *command = &config->command;
    struct storage storage;
    struct error err;
    int status;

    warn_of_own_user();
    if (data_dir_prepare(options->data_dir, &err) != 0) {
        log_error("start", "%s", err.text);
        return err.code == TUSK_EINVALID ? EXIT_STATUS_CONFIG : EXIT_STATUS_CREATE;
    }
    if (storage_open(&storage, options, command->accept_loss, go_on, &err) != 0) {
        status = fail_start("start", &err);
        if (status == EXIT_STATUS_LOCKED) {
            log_error("start", "stop that process, or give this one another --data-dir than \"%s\"",
                      options->data_dir);
        }
        return status;
    }
    if (command->accept_loss != NULL &&
        engine_namespace_find(storage.engine, command->accept_loss, strlen(command->accept_loss)) ==
            NULL) {
        log_warning("start", "--accept-loss %s: there is no such namespace", command->accept_loss);
    }
    status = judge_namespaces(&storage, options);
    if (status == EXIT_STATUS_OK && configured_apply(&storage, config, &err) != 0) {
        status = fail_start("start", &err);
    }
    if (status == EXIT_STATUS_OK && !descriptors_enough()) {
        status = EXIT_STATUS_CONFIG;
    }
    if (status == EXIT_STATUS_OK) {
        status = serve(&storage, config, source);
    } else {
        stop_unused(&storage);
    }
    storage_close(&storage);
    return status;
}

int main(int argc, char **argv)
{
    const struct config_source source = {.argc = argc, .argv = argv, .get = get_environment};
    static struct config config;
    int status = load_config(&config, &source);

    if (status == EXIT_STATUS_OK && answer_command(&config)) {
        status = fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_IO;
    } else if (status == EXIT_STATUS_OK) {
        log_init((enum log_level)config.options.log);
        prepare_signals();
        descriptors_raise(&config.options);
        status = run(&config, &source);
    }
    config_free(&config);
    return status;
}
