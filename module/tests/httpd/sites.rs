//! Typical sites: virtual hosts, access rules, proxies in front.

use std::fs;

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::ServerRoot;

use crate::support::frame::masked;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};

cases! {
    "each virtual host has its own plugins and origins" => virtual_hosts,
    "Require rules apply to handshakes" => require,
    "with mod_remoteip the client's own address counts" => remote_address,
    "mod_proxy_wstunnel in front forwards WebSockets" => proxy,
}

/// The status of the response.
fn ask(httpd: &Httpd, handshake: &Handshake) -> Result<u16> {
    Ok(Client::ask(httpd.address(), handshake)?.status)
}

fn virtual_hosts(context: &Context) -> Result<()> {
    let host = |letter: &str| {
        let plugin = format!("twin_{letter}");
        let location = context.plugins().location("/who", &plugin, "");
        format!("<VirtualHost *:*>\nServerName {letter}.example\n{location}</VirtualHost>\n")
    };
    let config = [host("a"), host("b")].concat();
    let httpd = context.root()?.config(config).start()?;
    for (host, name) in [
        ("a.example", "a"),
        ("b.example", "b"),
        ("b.example:8080", "b"),
        ("unknown.example", "a"),
    ] {
        let handshake = Handshake::to("/who").header("Host", host);
        let mut client = Client::open(httpd.address(), &handshake)?;
        client.text("who are you")?;
        client.expect_text(name)?;
        client.close()?;
    }
    for (origin, status) in [("http://b.example", 101), ("http://a.example", 403)] {
        let handshake = Handshake::to("/who").header("Host", "b.example");
        ensure!(ask(&httpd, &handshake.header("Origin", origin))? == status);
    }
    Ok(())
}

fn require(context: &Context) -> Result<()> {
    const HERE: &str = "Require ip 127.0.0.1\n";
    const ELSEWHERE: &str = "Require ip 192.0.2.1\n";
    const USER: &str = "Require valid-user\n";
    let root = with_access_modules(context.root()?);
    let users = root.dir().join("users");
    fs::write(&users, "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")?; // "password"
    let basic = format!(
        "AuthType Basic\nAuthName x\nAuthUserFile \"{}\"\n",
        users.display()
    );
    let location = |(path, rules): (&str, String)| {
        let directives = format!("{basic}{rules}");
        context.plugins().location(path, "echo", &directives)
    };
    let locations = [
        ("/here", HERE.to_owned()),
        ("/elsewhere", ELSEWHERE.to_owned()),
        (
            "/any",
            format!("<RequireAny>\n{ELSEWHERE}{USER}</RequireAny>"),
        ),
        ("/all", format!("<RequireAll>\n{HERE}{USER}</RequireAll>")),
        (
            "/neither",
            format!("<RequireAll>\n{ELSEWHERE}{USER}</RequireAll>"),
        ),
        (
            "/not-here",
            "<RequireAll>\nRequire all granted\nRequire not ip 127.0.0.1\n</RequireAll>".into(),
        ),
    ];
    let config: String = locations.map(location).concat();
    let httpd = root.config(config).start()?;
    for (path, stranger, user) in [
        ("/here", 101, 101),
        ("/elsewhere", 403, 403),
        ("/any", 401, 101),
        ("/all", 401, 101),
        ("/neither", 403, 403),
        ("/not-here", 403, 403),
    ] {
        let handshake = Handshake::to(path);
        let known = handshake
            .clone()
            .header("Authorization", "Basic dXNlcjpwYXNzd29yZA==");
        let answers = (ask(&httpd, &handshake)?, ask(&httpd, &known)?);
        ensure!(answers == (stranger, user), "{path}: {answers:?}");
    }
    Ok(())
}

fn with_access_modules(root: ServerRoot) -> ServerRoot {
    [
        "auth_basic",
        "authn_core",
        "authn_file",
        "authz_host",
        "authz_user",
    ]
    .into_iter()
    .fold(root, ServerRoot::stock_module)
}

fn remote_address(context: &Context) -> Result<()> {
    let location = context
        .plugins()
        .location("/echo", "echo", "Require ip 192.0.2.7");
    let httpd = context
        .root()?
        .stock_module("authz_host")
        .stock_module("remoteip")
        .config("RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1")
        .config(location)
        .start()?;
    let handshake = Handshake::to("/echo");
    ensure!(ask(&httpd, &handshake)? == 403);
    for (address, status) in [("192.0.2.7", 101), ("192.0.2.8", 403)] {
        let forwarded = handshake.clone().header("X-Forwarded-For", address);
        ensure!(ask(&httpd, &forwarded)? == status, "{address}");
    }
    Ok(())
}

fn proxy(context: &Context) -> Result<()> {
    let back = context.httpd()?.address();
    let front = ServerRoot::temporary()?
        .stock_module("proxy")
        .stock_module("proxy_http")
        .stock_module("proxy_wstunnel")
        .config(format!(
            "ProxyPreserveHost On\n\
             ProxyPass /tunnel ws://{back}/echo\n\
             ProxyPass /upgrade http://{back}/echo upgrade=websocket"
        ))
        .start()?;
    for path in ["/tunnel", "/upgrade"] {
        let handshake = Handshake::to(path).header("Host", "site.example");
        let same = handshake.clone().header("Origin", "http://site.example");
        let mut client = Client::open(front.address(), &same)?;
        for length in [5, 1 << 20] {
            let payload = vec![1; length];
            client.binary(&payload)?;
            client.expect(&Frame::binary(payload))?;
        }
        client.send(masked(Opcode::PING, "ping"))?;
        client.expect(&Frame::pong("ping"))?;
        client.close()?;
        let other = handshake.header("Origin", "http://other.example");
        ensure!(ask(&front, &other)? == 403, "{path}");
    }
    Ok(())
}
