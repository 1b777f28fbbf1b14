/* Copying from a file's map, where a load can fail: the page lies behind an end that somebody
 * moved, or the device cannot read it. The kernel then sends SIGBUS; under the guard that becomes
 * a return value.
 *
 * The handler is the one piece of state in core that belongs to the process. It is installed once,
 * by the first io_guard_install(), and hands every SIGBUS that is not a guarded load to the handler
 * before it (so a program's own handler is installed earlier, or chains the same way). */
#ifndef CORE_IO_GUARD_H
#define CORE_IO_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Safe to call again, from any thread. */
void io_guard_install(void);
/* Copy size bytes. False: a byte of `from` could not be loaded, and `to` holds anything. Any
 * thread, several at once. */
bool io_guard_copy(uint8_t *to, const uint8_t *from, size_t size);

#endif
