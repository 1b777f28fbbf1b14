/* The hostile server of fuzz_client: it acts whenever the library waits (ppoll(), recvmsg() and
 * clock_gettime() are wrapped by the linker), on a clock that only its waiting moves.
 *
 * Steps, each a byte, whose lower four bits say what and whose upper four which of the requests that wait
 * for an answer (modulo their number):
 *
 *     0 success, as a daemon would      u8 what it says
 *     1 an error                        u8 code, u8 details
 *     2 the next success, changed       u8 count, then for each: u16 where, u8 exclusive or
 *     3 the same, and then its batch gets right checksums again
 *     4 a body of the input's           u16 status, u16 size, bytes
 *     5 bytes of the input's            u16 size, bytes
 *     6 only a part of the next step    u16 size; the rest goes out with the step after it
 *     7 nothing: the library's wait times out
 *     8 the end of the stream
 *     9 as 2, and 0 for a request of another type than what was asked
 *    10 a place instead of batches     u8 each: segment, bits of its size, lease, descriptor; u16 each:
 *                                      block and size, in units of 64
 *
 * When the steps are used up the peer closes. */
#ifndef TESTS_FUZZ_FUZZ_CLIENT_PEER_H
#define TESTS_FUZZ_FUZZ_CLIENT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_FORGES_HELLO 1u  /* HELLO is answered by a step, too */
#define PEER_HAS_FEATURES 64u /* HELLO grants unchecked and mapped reads */
/* What the library may allocate: buffers, and a reply within the limits that HELLO announced. */
#define FUZZ_MEMORY_HONEST (16u << 20)
#define FUZZ_MEMORY_FORGED (96u << 20)

/* fd is moved; steps are borrowed until peer_end(). */
void peer_begin(int fd, uint8_t flags, const uint8_t *steps, size_t size);
void peer_end(void);
/* Nothing was sent yet that could be an entry the peer has not made. */
bool peer_is_honest(void);
uint64_t peer_now_us(void);

#endif
