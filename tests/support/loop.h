/* A small file system of its own for a test: an ext4 image, loop-mounted in a private mount
 * namespace, so that nothing is left behind whatever happens. Takes root, loop devices and
 * mkfs.ext4. */
#ifndef TESTS_SUPPORT_LOOP_H
#define TESTS_SUPPORT_LOOP_H

#include <stdbool.h>

/* Make an image of so many MiB beside dir, and mount it at dir, which is made. False where that is
 * impossible here; *why then says what is missing. */
bool loop_mount(const char *dir, unsigned size_mib, const char **why);
void loop_unmount(const char *dir);
/* As if the power had failed under the file system: whatever was not synced is lost, and everything
 * that goes to the device from now on fails. False: this file system cannot. */
bool loop_cut_power(const char *dir);

#endif
