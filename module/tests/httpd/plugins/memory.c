/*
 * Sends every message back. "limit KIB" also limits the process to this much more memory than it
 * has. Reserved address space, such as glibc's for the heaps of threads, does not count.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "journal.h"

static int limit_memory(unsigned long more_kib)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    struct rlimit limit;
    int is_read = file != NULL && fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) == 1;

    if (file != NULL) {
        fclose(file);
    }
    if (!is_read || getrlimit(RLIMIT_DATA, &limit) != 0) {
        return -1;
    }
    limit.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + more_kib * 1024;
    return setrlimit(RLIMIT_DATA, &limit);
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    buffer[size] = '\0';
    if (strncmp((const char *)buffer, "limit ", 6) == 0
        && limit_memory(strtoul((const char *)buffer + 6, NULL, 10)) != 0) {
        return say(server, strerror(errno));
    }
    return server->send(server, type, buffer, size);
}

PLUGIN(memory, NULL, on_message, NULL)
