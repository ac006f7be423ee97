/*
 * An httpd module that stops the thread which hands a connection over at the worst moment: after
 * all hooks, when it is about to write to the connection for the last time (event.c,
 * notify_suspend).
 *
 * It does so while the folder HELD_THREAD has a file "arm". It creates the file "held" when a
 * thread is stopped. When there is a file "go", it lets the thread continue and creates the file
 * "went". If another thread comes first, it creates the file "missed". The memory that is written
 * to must begin its own page: see create_connection, and MALLOC_MMAP_THRESHOLD_ for the block that
 * contains it.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "mpm_common.h"

#define PAGE ((uintptr_t)4096)

/*
 * The largest distance between the start of the MPM's record of a connection and its public
 * part.
 */
#define BEFORE 256

static char armed[512], held[512], missed[512], go[512], went[512];
/*
 * The write-protected page, until a thread writes to it, and the last page that was
 * write-protected.
 */
static atomic_uintptr_t guarded, last;
static atomic_long holder;

static long this_thread(void)
{
    return syscall(SYS_gettid);
}

static void make(const char *file)
{
    int descriptor = open(file, O_CREAT | O_WRONLY, 0644);

    if (descriptor >= 0) {
        close(descriptor);
    }
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    uintptr_t page = (uintptr_t)info->si_addr & ~(PAGE - 1);
    uintptr_t expected = page;

    (void)context;
    if (page == 0 || page != atomic_load(&last)) {
        /* The fault happens again, and ends the process. */
        signal(signal_number, SIG_DFL);
        return;
    }
    if (!atomic_compare_exchange_strong(&guarded, &expected, 0)) {
        /* Another thread is making it writable. */
        return;
    }
    mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
    if (this_thread() != atomic_load(&holder)) {
        make(missed);
        return;
    }
    make(held);
    while (access(go, F_OK) != 0) {
        usleep(1000);
    }
    atomic_store(&last, 0);
    make(went);
}

static conn_rec *create_connection(apr_pool_t *pool, server_rec *server, apr_socket_t *socket,
                                   long id, void *place,
                                   apr_bucket_alloc_t *buckets)
{
    (void)server;
    (void)socket;
    (void)id;
    (void)place;
    (void)buckets;
    /*
     * The MPM has allocated its record from the pool before this, and httpd allocates its own
     * afterwards.
     */
    apr_palloc(pool, 3 * PAGE);
    return NULL;
}

static void suspend_connection(conn_rec *connection, request_rec *request)
{
    uintptr_t record = (uintptr_t)connection->cs;
    uintptr_t page = record & ~(PAGE - 1);

    if (!request || connection->cs->state != CONN_STATE_SUSPENDED || access(armed, F_OK) != 0) {
        return;
    }
    if ((record - BEFORE) / PAGE != page / PAGE || (uintptr_t)connection / PAGE == page / PAGE) {
        make(missed);
        return;
    }
    atomic_store(&holder, this_thread());
    atomic_store(&last, page);
    atomic_store(&guarded, page);
    mprotect((void *)page, PAGE, PROT_READ);
}

static void child_init(apr_pool_t *pool, server_rec *server)
{
    const char *folder = getenv("HELD_THREAD");
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

    (void)pool;
    (void)server;
    snprintf(armed, sizeof(armed), "%s/arm", folder);
    snprintf(held, sizeof(held), "%s/held", folder);
    snprintf(missed, sizeof(missed), "%s/missed", folder);
    snprintf(go, sizeof(go), "%s/go", folder);
    snprintf(went, sizeof(went), "%s/went", folder);
    sigaction(SIGSEGV, &action, NULL);
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_LAST);
    ap_hook_create_connection(create_connection, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_suspend_connection(suspend_connection, NULL, NULL, APR_HOOK_REALLY_LAST + 10);
}

AP_DECLARE_MODULE(held_thread) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, AP_MODULE_FLAG_NONE
};
