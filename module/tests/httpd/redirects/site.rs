//! A server whose requests reach a WebSocket in all ways that httpd has.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot, Sizing};

use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake};

/// Ways to an echo WebSocket, and paths that take them.
pub(super) const WAYS: &[(&str, &str)] = &[
    ("a location", "/echo"),
    ("mod_rewrite in .htaccess", "/htaccess/socket"),
    ("mod_rewrite in a directory", "/rewritten/socket"),
    ("mod_rewrite, twice", "/rewritten/twice"),
    ("mod_rewrite's handler in a directory", "/rewritten/handler"),
    ("Action", "/action"),
    ("a CGI program", "/cgi/socket"),
    ("a CGI program and mod_rewrite", "/cgi/rewritten"),
    ("a file sent as it is", "/asis/socket.asis"),
    ("FallbackResource", "/fallback/absent"),
    ("DirectoryIndex", "/index/"),
    ("MultiViews", "/multi/room"),
    ("a type map", "/multi/map.var"),
    ("If", "/if"),
];

/// Ways that only the host without TLS has, because a host does not inherit rules of mod_rewrite.
pub(super) const HOST_WAYS: &[(&str, &str)] = &[
    ("mod_rewrite at the host", "/host"),
    ("mod_rewrite's handler at the host", "/handler"),
];

/// A running server with one child at first, and its children at that time.
pub(super) struct Site {
    httpd: Httpd,
    pub(super) children: Vec<u32>,
}

impl Deref for Site {
    type Target = Httpd;

    fn deref(&self) -> &Httpd {
        &self.httpd
    }
}

impl Site {
    /// With a plugin in C and additional configuration.
    pub(super) fn start(context: &Context, config: &str) -> Result<Self> {
        Self::start_with(context, &[], config)
    }

    /// With additional modules of httpd.
    pub(super) fn start_with(
        context: &Context,
        modules: &[&'static str],
        config: &str,
    ) -> Result<Self> {
        let socket = context.plugins().handler("echo");
        Self::start_for(context, &socket, modules, config)
    }

    /// With a plugin in Rust and `WebSocketDetach`.
    pub(super) fn start_detached(context: &Context) -> Result<Self> {
        let plugins = context.plugins();
        let socket = plugins.handler_with("rust/test_plugins", "hermit_init");
        let socket = format!("{socket}\nWebSocketDetach On");
        let detour = format!("<Location /detour>\n{socket}\n</Location>");
        Self::start_for(context, &socket, &[], &detour)
    }

    /// With an async plugin, and with `WebSocketDetach` if `is_detached`.
    pub(super) fn start_async(context: &Context, is_detached: bool) -> Result<Self> {
        let plugins = context.plugins();
        let socket = plugins.handler_with("rust/test_plugins", "waiter_init");
        let detach = if is_detached { "On" } else { "Off" };
        let socket = format!("{socket}\nWebSocketDetach {detach}");
        Self::start_for(context, &socket, &[], "")
    }

    fn start_for(
        context: &Context,
        socket: &str,
        modules: &[&'static str],
        config: &str,
    ) -> Result<Self> {
        let cgi = if context.mpm == Mpm::Prefork {
            "cgi"
        } else {
            "cgid"
        };
        let stock = [
            "actions",
            "alias",
            "asis",
            "auth_basic",
            "authn_core",
            "authn_file",
            "authz_user",
            "http2",
            "include",
            "negotiation",
            "rewrite",
            cgi,
        ];
        let sizing = Sizing {
            processes: 1,
            threads: 32,
        };
        let root = context.root()?.sizing(sizing).tls_port(port::free_port()?);
        let folder = root.dir().join("site");
        write_site(&folder)?;
        let cache = root.dir().join("cache");
        fs::create_dir(&cache)?;
        fs::set_permissions(&cache, Permissions::from_mode(0o777))?;
        let root = stock
            .iter()
            .chain(modules)
            .copied()
            .filter(|module| *module != "http2" || context.mpm != Mpm::Prefork)
            .fold(root, ServerRoot::stock_module);
        let children = if context.mpm == Mpm::Prefork {
            "StartServers 8\nMinSpareServers 1\nMaxSpareServers 100"
        } else {
            ""
        };
        let plugins = context.plugins();
        let httpd = root
            .document_root(&folder)
            .load_module("detour_module", plugins.library("detour"))
            .config(children)
            .config(plugins.locations())
            .config(site_config(&folder, socket))
            .config(plugins.rust_location("/witness", "witness"))
            .config(plugins.rust_location("/fragile", "fragile"))
            .config(config)
            .start()?;
        Ok(Self {
            children: httpd.child_pids()?,
            httpd,
        })
    }

    pub(super) fn open(&self, handshake: &Handshake) -> Result<Client> {
        Client::open(self.address(), handshake)
    }

    /// Checks that an ordinary request gets a response and that no child has ended.
    pub(super) fn expect_alive(&self) -> Result<()> {
        let page = Handshake::to("/page.txt")
            .without("Upgrade")
            .header("Connection", "close");
        let response = Client::ask(self.address(), &page)?;
        ensure!(response.status == 200, "{response:?}");
        self.expect_children()?;
        ensure_healthy(&self.error_log()?)
    }

    /// Checks that no child has ended.
    pub(super) fn expect_children(&self) -> Result<()> {
        let children = self.child_pids()?;
        let has_ended = |child: &&u32| !children.contains(child);
        let ended: Vec<_> = self.children.iter().filter(has_ended).collect();
        ensure!(ended.is_empty(), "children {ended:?} have ended");
        Ok(())
    }
}

fn write_site(folder: &Path) -> Result<()> {
    let redirect = |target: &str| {
        format!("#!/bin/sh\nprintf 'Location: {target}\\n\\n'\nprintf 'a body nobody reads'\n")
    };
    let map = "URI: room.socket\nContent-Type: text/plain\n";
    for (name, text) in [
        ("page.txt", "a page"),
        ("users", "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"), // "password"
        (
            "htaccess/.htaccess",
            "RewriteEngine On\nRewriteRule ^socket$ /echo [L]\n",
        ),
        ("rewritten/handler", ""),
        ("cgi/socket", &redirect("/echo")),
        ("cgi/rewritten", &redirect("/rewritten/socket")),
        ("cgi/request", &redirect("/request?by=cgi")),
        ("cgi/broken", "#!/bin/sh\nexit 1\n"),
        (
            "asis/socket.asis",
            "Location: /echo\n\na body nobody reads\n",
        ),
        ("fallback/page.socket", ""),
        ("index/page.socket", ""),
        ("multi/room.socket", ""),
        ("multi/map.var", map),
        ("sockets/401.html", "the page for 401"),
        ("sockets/403.html", "the page for 403"),
        ("sockets/404.html", "the page for 404"),
        ("sockets/500.html", "the page for 500"),
        ("sockets/part.html", "a part"),
        (
            "included/page.shtml",
            "before, <!--#include virtual=\"/sockets/part.html\" -->, after",
        ),
    ] {
        let path = folder.join(name);
        let parent = path.parent().expect("in the folder");
        fs::create_dir_all(parent)?;
        for folder in [folder, parent] {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        // Closed before it runs, because a program that is open for writing cannot be executed.
        fs::File::create(&path)?.write_all(text.as_bytes())?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// `socket` is the directive of the echo plugin.
fn site_config(folder: &Path, socket: &str) -> String {
    let folder = folder.display();
    let sockets = format!("SetHandler websocket-handler\n{socket}\n");
    let users = format!("AuthType Basic\nAuthName x\nAuthUserFile \"{folder}/users\"");
    let documents: String = [401, 403, 404, 500]
        .map(|status| format!("ErrorDocument {status} /sockets/{status}.html\n"))
        .concat();
    let into_redirects: String = [401, 403, 404, 500]
        .map(|status| format!("ErrorDocument {status} /rewritten/document-{status}\n"))
        .concat();
    format!(
        "<Directory \"{folder}\">
             Require all granted
             AllowOverride All
             Options ExecCGI FollowSymLinks MultiViews
             {socket}
             AddHandler websocket-handler .socket
             AddHandler type-map .var
             AddHandler send-as-is .asis
             AddType application/x-socket .socket
         </Directory>
         <Directory \"{folder}/rewritten\">
             RewriteEngine On
             RewriteRule ^socket$ /echo [L]
             RewriteRule ^twice$ /htaccess/socket [L]
             RewriteRule ^handler$ - [H=websocket-handler]
             RewriteRule ^request$ /request?by=rewrite [L]
             RewriteRule ^detour$ /detour/plugin?inner=yes [L]
             RewriteRule ^fragile$ /fragile [L]
             RewriteRule ^witness$ /witness [L]
             RewriteRule ^refused$ /kitchen_sink [L]
             RewriteRule ^fails$ - [R=500]
             RewriteRule ^round$ /rewritten/round [L]
             RewriteRule ^document-(.*)$ /sockets/$1.html [L]
         </Directory>
         <Location /handler>\n{socket}\n</Location>
         <Location /echo>\n{sockets}</Location>
         <Location /sockets>\n{sockets}</Location>
         <Location /action>\nSetHandler to-echo\nAction to-echo /echo virtual\n</Location>
         ScriptAlias /cgi \"{folder}/cgi\"
         <Directory \"{folder}/fallback\">\nFallbackResource /fallback/page.socket\n</Directory>
         <Directory \"{folder}/index\">\nDirectoryIndex page.socket\n</Directory>
         <Location /if>\n<If \"%{{HTTP:Upgrade}} == 'websocket'\">\n{sockets}</If>\n</Location>
         <Directory \"{folder}/included\">
             Options +Includes
             AddOutputFilter INCLUDES .shtml
         </Directory>
         <Location /members>\n{users}\nRequire valid-user\n{documents}</Location>
         <Location /forbidden>\nRequire all denied\n{documents}</Location>
         <Location /absent>\n{documents}</Location>
         <Location /rewritten/fails>\n{documents}</Location>
         <Location /rewritten/refused>\nErrorDocument 403 /sockets/403.html\n</Location>
         <Location /kitchen_sink>\nErrorDocument 403 /sockets/403.html\n</Location>
         <Location /cgi/broken>\n{documents}</Location>
         <Location /members/far>\n{into_redirects}</Location>
         <Location /forbidden/far>\n{into_redirects}</Location>
         <Location /absent/far>\n{into_redirects}</Location>
         <Location /absent/socket>\nErrorDocument 404 /echo\n</Location>
         <Location /forbidden/socket>\nErrorDocument 403 /htaccess/socket\n</Location>
         <Location /absent/round>\nErrorDocument 404 /absent/round/again\n</Location>
         <LocationMatch ^/detour/(late|fails|reads|again|quick.*|begun)$>
             SetHandler detour
         </LocationMatch>
         ErrorDocument 500 /sockets/500.html
         <VirtualHost *:*>
             ServerName localhost
             RewriteEngine On
             RewriteRule ^/host$ /echo [PT]
             RewriteRule ^/handler$ - [H=websocket-handler]
         </VirtualHost>
         <VirtualHost *:*>
             ServerName members.example
             <Location />\n{sockets}{users}\nRequire valid-user\n
                 ErrorDocument 401 /sockets/401.html\n</Location>
             <Location /sockets>\nRequire all granted\n</Location>
         </VirtualHost>\n"
    )
}
