/*
 * A library to be preloaded: it simulates a system that has no threads left, except the number in
 * the file that FEW_THREADS names. Without that file there is no limit.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static atomic_int started;

static int limit(void)
{
    const char *name = getenv("FEW_THREADS");
    FILE *file = name ? fopen(name, "r") : NULL;
    int most = -1;

    if (file) {
        if (fscanf(file, "%d", &most) != 1) {
            most = 0;
        }
        fclose(file);
    }
    return most;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    create *real = (create *)dlsym(RTLD_NEXT, "pthread_create");
    int most = limit();

    if (most < 0) {
        atomic_store(&started, 0);
    }
    else if (atomic_fetch_add(&started, 1) >= most) {
        return EAGAIN;
    }
    return real(thread, attributes, run, argument);
}
