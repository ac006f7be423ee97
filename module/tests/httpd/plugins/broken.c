/* Init functions of plugins that cannot be used, and one whose plugin is larger than known. */

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    return server->send(server, type, buffer, size);
}

#define BROKEN(name, size_, version_, on_message_)                                                 \
    EXPORT WebSocketPlugin *CALLBACK name(void);                                                   \
    EXPORT WebSocketPlugin *CALLBACK name(void)                                                    \
    {                                                                                              \
        static WebSocketPlugin plugin = {                                                          \
            .size = size_, .version = version_, .on_message = on_message_};                        \
        return &plugin;                                                                            \
    }

BROKEN(version_init, sizeof(WebSocketPlugin), 7, on_message)
BROKEN(small_init, sizeof(WebSocketPlugin) - 1, WEBSOCKET_PLUGIN_VERSION_0, on_message)
BROKEN(no_on_message_init, sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, NULL)

EXPORT WebSocketPlugin *CALLBACK null_init(void);
EXPORT WebSocketPlugin *CALLBACK null_init(void)
{
    return NULL;
}

/* A plugin of a later version: the module must not read the fields after those that it knows. */
static struct {
    WebSocketPlugin known;
    void *unknown[4];
} larger = {
    .known = {.size = sizeof(larger), .on_message = on_message},
    .unknown = {(void *)1, (void *)2, (void *)3, (void *)4},
};

EXPORT WebSocketPlugin *CALLBACK larger_init(void);
EXPORT WebSocketPlugin *CALLBACK larger_init(void)
{
    return &larger.known;
}

/* Symbols that are not init functions, and results that are not tables. */

EXPORT extern WebSocketPlugin variable;
EXPORT WebSocketPlugin variable = {.size = sizeof(WebSocketPlugin), .on_message = on_message};

EXPORT extern const int constant;
EXPORT const int constant = 0xc3; /* which would return at once */

EXPORT int number_init(void);
EXPORT int number_init(void)
{
    return 12345;
}

EXPORT void *odd_init(void);
EXPORT void *odd_init(void)
{
    return (char *)&variable + 1;
}

EXPORT void *stack_init(void);
EXPORT void *stack_init(void)
{
    WebSocketPlugin local = variable;
    WebSocketPlugin *volatile kept = &local;

    return kept;
}

/* A table of which only `length` bytes are in readable memory. */
static void *at_the_end_of_memory(size_t length, unsigned int size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *table = pages + page - length;
    WebSocketPlugin plugin = variable;

    plugin.size = size;
    mprotect(pages + page, page, PROT_NONE);
    memcpy(table, &plugin, length < sizeof(plugin) ? length : sizeof(plugin));
    return table;
}

EXPORT void *cut_init(void);
EXPORT void *cut_init(void)
{
    return at_the_end_of_memory(sizeof(WebSocketPlugin) - 8, sizeof(WebSocketPlugin));
}

EXPORT void *boast_init(void);
EXPORT void *boast_init(void)
{
    return at_the_end_of_memory(sizeof(WebSocketPlugin), 1000);
}

/* A table at the very end of readable memory is valid. */
EXPORT void *last_init(void);
EXPORT void *last_init(void)
{
    return at_the_end_of_memory(sizeof(WebSocketPlugin), sizeof(WebSocketPlugin));
}

EXPORT WebSocketPlugin *CALLBACK data_init(void);
EXPORT WebSocketPlugin *CALLBACK data_init(void)
{
    static WebSocketPlugin plugin = {.size = sizeof(WebSocketPlugin), .on_message = on_message};

    plugin.on_disconnect = (WS_OnDisconnect)(size_t)&plugin;
    return &plugin;
}
