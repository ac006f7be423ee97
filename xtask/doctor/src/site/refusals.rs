//! What the status of a response means, and what to write.

use crate::client::{Attempt, Response};
use crate::finding::Finding;

/// What the module says of a handshake that has lost its headers (`module/src/entry/plain.rs`).
const LOST: &str = "has lost its headers";

/// What httpd says of a plain request at a port of TLS.
const PLAIN_AT_TLS: &str = "plain HTTP to an SSL-enabled";

/// The lines for a proxy, from "Behind a proxy" in the documentation.
const NGINX: &str = "\
Write into the `location` of nginx:
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection \"upgrade\";";
const PROXY: &str = "\
The proxy must speak HTTP/1.1 to httpd and pass on the headers Upgrade and Connection. In httpd:
  ProxyPass \"/\" \"http://127.0.0.1:8080/\" upgrade=websocket
nginx, haproxy and others: see \"Behind a proxy\" in the documentation.";

pub(super) fn explain(attempt: &Attempt<'_>, response: &Response) -> Finding {
    let wrong =
        |text: &str| Finding::wrong(format!("{}: {}, {text}", attempt.url, status(response)));
    match response.status {
        200..=299 => wrong("a page: something else serves this path").remedy(
            "Write `SetHandler websocket-handler` beside `WebSocketHandler`, and see that no \
             `Alias`, `ProxyPass` or `RewriteRule` takes the path first.",
        ),
        300..=399 => redirected(response, wrong),
        400 if response.page().contains(PLAIN_AT_TLS) => {
            wrong("the port is for TLS").remedy("Use wss://.")
        }
        400 => wrong("the request is not valid where it arrives").remedy(
            "`LogLevel websocket:info` says what is wrong with it. A proxy may have changed it.",
        ),
        401 | 407 => wrong("a user name and password, or a certificate, is asked for").remedy(
            "`Require` or `AuthType` hold for the path. Browsers send what they have for the \
             site's pages; JavaScript cannot set it. Use a cookie or a ticket in the URL, or write \
             `Require all granted` into the <Location>.",
        ),
        403 => forbidden(attempt, response),
        404 => wrong("nothing is served at this path").remedy(
            "Write a <Location> for this path, into the virtual host that serves this name, with \
             `SetHandler websocket-handler` and `WebSocketHandler`. `apachectl -M` must list \
             websocket_module.",
        ),
        426 => lost_headers(response, wrong),
        429 => wrong("this client has too many WebSockets or opens them too often").remedy(limits(
            response,
            "WebSocketMaxConnectionsPerClient or WebSocketHandshakeRate",
        )),
        500 => wrong("the server's configuration or the plugin is at fault").remedy(
            "The error log says why. Often `WebSocketHandler` is missing beside `SetHandler`, or \
             `on_connect` of the plugin has failed.",
        ),
        502 | 504 => wrong("a proxy does not reach the server behind it")
            .remedy("Start httpd; correct the address and port in the proxy."),
        // The module always says when to try again.
        503 if response.header("Retry-After").is_none() => {
            wrong("and not when to try again: that is not the module").remedy(
                "If a proxy is on the way, a proxy does not reach httpd: start httpd, or correct \
                 the address and port in the proxy.",
            )
        }
        503 => wrong("the server takes no more WebSockets for now").remedy(limits(
            response,
            "WebSocketMaxConnections, WebSocketReserve (see \"Many connections\") or the number \
             of open files",
        )),
        _ => wrong("which the plugin or a proxy has chosen"),
    }
}

/// The status, and who says so.
fn status(response: &Response) -> String {
    let server = response.header("Server");
    let server = server.map_or(String::new(), |server| format!(" from {server}"));
    format!("{}{server}", response.status)
}

fn redirected(response: &Response, wrong: impl Fn(&str) -> Finding) -> Finding {
    let target = response.header("Location").unwrap_or("nowhere");
    wrong(&format!(
        "a redirect to {target}, which browsers do not follow"
    ))
    .remedy(
        "Use that URL (with wss:// for https://), or exclude the path of the WebSocket from \
         `Redirect` and `RewriteRule`.",
    )
}

fn lost_headers(response: &Response, wrong: impl Fn(&str) -> Finding) -> Finding {
    let is_nginx = response
        .header("Server")
        .is_some_and(|server| server.to_ascii_lowercase().contains("nginx"));
    let text = if response.page().contains(LOST) {
        "a proxy on the way has taken away the headers of the handshake"
    } else {
        "the server was not asked for a WebSocket; a proxy on the way may have changed the request"
    };
    wrong(text).remedy(if is_nginx { NGINX } else { PROXY })
}

/// Tries again without a page, to tell the check of origins from access control.
fn forbidden(attempt: &Attempt<'_>, response: &Response) -> Finding {
    let wrong =
        |text: String| Finding::wrong(format!("{}: {}, {text}", attempt.url, status(response)));
    let without_page = Attempt {
        origin: None,
        ..*attempt
    };
    let is_by_origin = attempt.origin.is_some()
        && without_page
            .open()
            .is_ok_and(|opening| opening.response.status != 403);
    let Some(origin) = attempt.origin.filter(|_| is_by_origin) else {
        return wrong("with any origin".to_owned()).remedy(
            "Access control of httpd holds for the path: write `Require all granted`, or what you \
             want, into the <Location>. Or the plugin refuses the client.",
        );
    };
    let trust = format!("WebSocketOriginCheck Trusted\n  WebSocketTrustedOrigin {origin}");
    if origin == attempt.url.origin() {
        return wrong(format!("because httpd takes {origin} for another site")).remedy(format!(
            "A proxy in front ends TLS or does not pass on `Host`. Have it pass on `Host`, and \
             write\n  ServerName {origin}\ninto the virtual host; or write\n  {trust}"
        ));
    }
    wrong(format!("because pages of {origin} may not open it")).remedy(format!(
        "If they may, write into the <Location>:\n  {trust}"
    ))
}

fn limits(response: &Response, directives: &str) -> String {
    let again = match response.header("Retry-After") {
        Some(seconds) => format!("The server says: try again in {seconds} seconds. "),
        None => String::new(),
    };
    format!(
        "{again}The error log says which limit is reached: {directives}. Behind a proxy all \
         clients are one, unless mod_remoteip is set up."
    )
}
