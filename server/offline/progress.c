#include "server/offline/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAW_US 100000u
#define BAR 24u

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* Cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void progress_init(struct progress *progress, const char *doing, bool quiet)
{
    const char *term = getenv("TERM");

    memset(progress, 0, sizeof *progress);
    progress->doing = doing;
    progress->on = !quiet && isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

void progress_subject(struct progress *progress, const char *subject, uint64_t total)
{
    (void)snprintf(progress->subject, sizeof progress->subject, "%s", subject);
    progress->total = total;
    progress->done = 0;
    progress->start_us = now_us();
}

void progress_add(struct progress *progress, uint64_t bytes)
{
    progress->done += bytes;
}

const char *progress_size(char text[32], uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    unsigned unit = 0;

    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

void progress_draw(struct progress *progress)
{
    const uint64_t now = now_us();
    const uint64_t done = progress->done;
    const uint64_t elapsed = now - progress->start_us;
    char size[32];
    char all[32];
    char rate[32];
    char bar[BAR + 1];
    unsigned filled;

    if (!progress->on || now - progress->drawn_us < DRAW_US || elapsed < DRAW_US) {
        return;
    }
    progress->drawn_us = now;
    progress->visible = true;
    (void)progress_size(size, done);
    (void)progress_size(rate, elapsed == 0 ? 0 : done * 1000000u / elapsed);
    if (progress->total == 0) {
        (void)fprintf(stderr, "\r\033[K%s %s: %s, %s/s", progress->doing, progress->subject, size,
                      rate);
        return;
    }
    filled = (unsigned)(done >= progress->total ? BAR : done * BAR / progress->total);
    memset(bar, ' ', BAR);
    memset(bar, '#', filled);
    bar[BAR] = '\0';
    (void)fprintf(stderr, "\r\033[K%s %s [%s] %3u%%  %s of %s, %s/s", progress->doing,
                  progress->subject, bar,
                  (unsigned)(done >= progress->total ? 100 : done * 100 / progress->total), size,
                  progress_size(all, progress->total), rate);
}

void progress_clear(struct progress *progress)
{
    if (progress->visible) {
        (void)fputs("\r\033[K", stderr);
        progress->visible = false;
    }
}
