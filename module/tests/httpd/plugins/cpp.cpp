/* A plugin in C++, built with -fvisibility=hidden. It echoes, and logs new connections. */

#include <string>

#include "httpd.h"
#include "http_log.h"
#include "websocket_plugin.h"

APLOG_USE_MODULE(websocket);

namespace {

class Guest {
public:
    explicit Guest(const WebSocketServer *server) : server_(server)
    {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, server->request(server), "a guest of C++");
    }

    size_t echo(int type, const std::string &message) const
    {
        const unsigned char *bytes = reinterpret_cast<const unsigned char *>(message.data());

        return server_->send(server_, type, bytes, message.size());
    }

private:
    const WebSocketServer *server_;
};

void *CALLBACK on_connect(const WebSocketServer *server)
{
    return new Guest(server);
}

size_t CALLBACK on_message(void *guest, const WebSocketServer *, const int type,
                           unsigned char *buffer, const size_t size)
{
    const std::string message(reinterpret_cast<char *>(buffer), size);

    return static_cast<Guest *>(guest)->echo(type, message);
}

void CALLBACK on_disconnect(void *guest, const WebSocketServer *)
{
    delete static_cast<Guest *>(guest);
}

WebSocketPlugin plugin = {sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, nullptr,
                          on_connect, on_message, on_disconnect};

} // namespace

EXPORT WebSocketPlugin *CALLBACK cpp_init(void)
{
    return &plugin;
}
