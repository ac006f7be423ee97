//! Plugins in Rust: the examples, and the promises of `websocket-plugin` to their authors.

pub(crate) mod asynchronous;
pub(crate) mod detach;
pub(crate) mod examples;
pub(crate) mod handshake;
pub(crate) mod life;
pub(crate) mod logging;
pub(crate) mod options;
pub(crate) mod panics;
pub(crate) mod path_info;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::ServerRoot;

use crate::support::{Client, Context, Handshake, PATIENCE};

/// The plugins in the common library of the tests. Each example has its own library.
const TEST_PLUGINS: [&str; 19] = [
    "author",
    "book_keeper",
    "census",
    "clerk",
    "clinger",
    "fragile",
    "herald",
    "hermit",
    "metronome",
    "miser",
    "pendulum",
    "porter",
    "scribe",
    "settings",
    "unmakeable",
    "valve",
    "visitor",
    "waiter",
    "witness",
];

/// The directive that names a plugin.
pub(crate) fn handler(context: &Context, name: &str) -> String {
    let library = if TEST_PLUGINS.contains(&name) {
        "test_plugins"
    } else {
        name
    };
    let plugins = context.plugins();
    plugins.handler_with(&format!("rust/{library}"), &format!("{name}_init"))
}

/// A location with a plugin and additional directives.
pub(crate) fn location(context: &Context, path: &str, name: &str, directives: &str) -> String {
    let handler = handler(context, name);
    format!(
        "<Location {path}>\nSetHandler websocket-handler\n{handler}\n{directives}\n</Location>\n"
    )
}

/// A server root, and the directives that allow only the user `user` with the password `password`.
pub(crate) fn root_with_user(context: &Context) -> Result<(ServerRoot, String)> {
    let root = context.root()?;
    let users = root.dir().join("users");
    fs::write(&users, "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")?;
    let modules = ["auth_basic", "authn_core", "authn_file", "authz_user"];
    let root = modules.into_iter().fold(root, ServerRoot::stock_module);
    let directives = format!(
        "AuthType Basic\nAuthName x\nAuthUserFile \"{}\"\nRequire valid-user",
        users.display()
    );
    Ok((root, directives))
}

/// Two locations with a plugin and additional directives, at `/NAME`, and at `/NAME_detached` with
/// detached connections.
pub(crate) fn attached_and_detached(context: &Context, name: &str, directives: &str) -> String {
    let detached = format!("{directives}\nWebSocketDetach On");
    location(context, &format!("/{name}"), name, directives)
        + &location(context, &format!("/{name}_detached"), name, &detached)
}

/// The credentials for [`root_with_user`].
pub(crate) const CREDENTIALS: &str = "Basic dXNlcjpwYXNzd29yZA==";

/// Makes a folder with an `.htaccess` file and a file `room` that httpd finds.
pub(crate) fn write_site(folder: &Path, htaccess: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    fs::write(folder.join("room"), "")?;
    Ok(fs::write(folder.join(".htaccess"), htaccess)?)
}

/// Allows `.htaccess` files to load plugins that nothing else loads.
const ANY_PLUGIN: &str = "WebSocketHtaccessPlugins Any";

/// Serves a folder at `/site`, with additional directives, and reads its `.htaccess` files.
pub(crate) fn site(folder: &Path, directives: &str) -> String {
    format!(
        "Alias /site \"{0}\"\n<Directory \"{0}\">\nRequire all granted\n\
         AllowOverride AuthConfig FileInfo\n{directives}\n</Directory>\n",
        folder.display()
    )
}

pub(crate) fn open(httpd: &Httpd, target: &str) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to(target))
}

/// Sends a text and expects this answer.
fn ask(client: &mut Client, question: &str, answer: &str) -> Result<()> {
    client.text(question)?;
    client.expect_text(answer)
}

/// The client's name in httpd's error log.
fn name_in_log(client: &Client) -> Result<String> {
    Ok(format!("[client {}] ", client.stream.local_addr()?))
}

/// Waits for a line with `text` in the error log. The line must contain all the `others`, too.
fn expect_log(httpd: &Httpd, text: &str, others: &[&str]) -> Result<()> {
    let line = httpd.wait_for_log(text, PATIENCE)?;
    for other in others {
        ensure!(line.contains(other), "no `{other}` in {line}");
    }
    Ok(())
}
