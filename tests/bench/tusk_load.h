/* What the two halves of the load on tusk share. */
#ifndef TESTS_BENCH_TUSK_LOAD_H
#define TESTS_BENCH_TUSK_LOAD_H

#include "client/tusk.h"
#include "tests/bench/load.h"

/* End the process unless code is TUSK_OK. t may be NULL. */
void tusk_load_expect(struct tusk *t, int code, const char *what);
struct tusk *tusk_load_dial(const struct load_options *options, uint32_t send_buffer_size);

void tusk_load_append(struct load_worker *worker);
void tusk_load_latency(struct load_worker *worker);
void tusk_load_many(struct load_worker *worker);

#endif
