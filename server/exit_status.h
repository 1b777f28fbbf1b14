/* How tuskd exits; scripts and the systemd unit rely on the numbers (sysexits.h has them too). */
#ifndef SERVER_EXIT_STATUS_H
#define SERVER_EXIT_STATUS_H

enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_USAGE = 64,
    EXIT_STATUS_DAMAGE = 65, /* Damaged data that needs a decision */
    EXIT_STATUS_CREATE = 73, /* Cannot create a directory, file or socket */
    EXIT_STATUS_IO = 74,     /* A disk failed: fail-stop */
    EXIT_STATUS_LOCKED = 75, /* Another daemon has the data directory */
    EXIT_STATUS_CONFIG = 78,
};

#endif
