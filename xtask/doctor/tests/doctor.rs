//! The doctor against real servers, each with one fault.

mod support;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::debian_apache::DebianApache;
use xtask::port::free_port;
use xtask::server_root::{Mpm, ServerRoot, quoted};
use xtask::workspace::{Workspace, module_library};

use support::{Nginx, echo, echo_with, examine, examine_url, location, server};

#[test]
fn nothing_is_wrong_with_a_server_that_works() -> Result<()> {
    let httpd = server().config(echo()?).start()?;
    let said = examine(&httpd, &[&format!("ws://{}/echo", httpd.address())])?;
    ensure!(said.is_well, "{said}");
    said.has("good   the MPM is event")?;
    said.has("good   the configuration loads the module")?;
    said.has("WebSocketHandler ")?;
    said.has("the WebSocket opens for http://127.0.0.1")?;
    Ok(())
}

#[test]
fn a_module_that_is_not_loaded() -> Result<()> {
    let httpd = ServerRoot::temporary()?.start()?;
    let said = examine(&httpd, &[&format!("ws://{}/echo", httpd.address())])?;
    said.is_wrong(
        "the configuration does not load the module",
        "a2enmod websocket",
    )?;
    said.is_wrong("no plugin serves any path", "SetHandler websocket-handler")?;
    said.is_wrong("404", "SetHandler websocket-handler")
}

#[test]
fn a_module_that_awaits_a_restart() -> Result<()> {
    let mut httpd = ServerRoot::temporary()?.start()?;
    let load = format!(
        "LoadModule websocket_module {}\n",
        quoted(&module_library()?)
    );
    httpd.replace_config(load + &echo()?)?;
    let said = examine(&httpd, &[])?;
    said.is_wrong("runs without the module", "apachectl restart")?;
    httpd.restart()?;
    ensure!(examine(&httpd, &[])?.is_well);
    Ok(())
}

#[test]
fn a_configuration_that_httpd_rejects_and_a_server_that_does_not_run() -> Result<()> {
    let mut root = server().config(echo()?);
    root.write()?;
    let file = root.config_file();
    let arguments = support::of_config(&file)?;
    support::run(&arguments)?.is_wrong("httpd does not run", "apachectl start")?;
    fs::write(&file, fs::read_to_string(&file)? + "NoSuchDirective On\n")?;
    let said = support::run(&arguments)?;
    if fs::metadata("/proc/self")?.uid() != 0 {
        return said.has("NoSuchDirective"); // only root sees everything that httpd does
    }
    said.is_wrong("NoSuchDirective", "Correct the line")
}

/// `apachectl` of Fedora takes one word.
#[test]
fn a_program_that_passes_nothing_on_to_httpd() -> Result<()> {
    let mut root = server().config(echo()?);
    root.write()?;
    let [_, httpd, f, file] = &support::of_config(&root.config_file())?[..] else {
        anyhow::bail!("other arguments");
    };
    let program = root.dir().join("apachectl");
    let text = format!(
        "#!/bin/sh\n[ $# -eq 1 ] || {{ echo no arguments >&2; exit 1; }}\n{httpd} {f} {file} $1\n"
    );
    fs::write(&program, text)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let program = program.display().to_string();
    let said = support::run(&["--apachectl", &program])?;
    said.is_wrong("httpd does not list its configuration", "--apachectl httpd")?;
    said.has("no arguments")?;
    said.has_not("does not load the module")?;
    said.has_not("no plugin")?;
    said.has_not("does not run")
}

#[test]
fn a_location_without_set_handler_or_without_plugin() -> Result<()> {
    let httpd = server()
        .config(echo()?.replace("SetHandler websocket-handler", ""))
        .start()?;
    let said = examine(&httpd, &[&format!("ws://{}/echo", httpd.address())])?;
    said.is_wrong("WebSocketHandler has no effect", "Troubleshooting")?;
    said.is_wrong("404", "SetHandler websocket-handler")?;

    let httpd = server()
        .config(location("/echo", "SetHandler websocket-handler"))
        .start()?;
    let said = examine(&httpd, &[&format!("ws://{}/echo", httpd.address())])?;
    said.is_wrong("no plugin serves them", "Troubleshooting")?;
    said.is_wrong("500", "WebSocketHandler")?;
    said.has("no WebSocketHandler is set for")
}

#[test]
fn pages_of_another_site() -> Result<()> {
    let httpd = server().config(echo()?).start()?;
    let url = format!("ws://{}/echo", httpd.address());
    let said = examine(&httpd, &[&url, "--origin", "https://shop.example"])?;
    said.is_wrong(
        "pages of https://shop.example may not open it",
        "WebSocketTrustedOrigin https://shop.example",
    )?;
    said.has("(origin): the origin")
}

#[test]
fn access_control_of_httpd() -> Result<()> {
    let denied = server()
        .stock_module("authz_host")
        .config(echo_with("Require all denied")?)
        .start()?;
    let said = examine_url(&format!("ws://{}/echo", denied.address()))?;
    said.is_wrong("403", "Require all granted")?;

    let root = server();
    let users = root.dir().join("users");
    let asks = format!(
        "AuthType Basic\nAuthName it\nAuthBasicProvider file\nAuthUserFile {}\nRequire valid-user",
        quoted(&users)
    );
    fs::write(&users, "a:b\n")?;
    let modules = ["authn_core", "authn_file", "auth_basic", "authz_user"];
    let root = modules.into_iter().fold(root, ServerRoot::stock_module);
    let asking = root.config(echo_with(&asks)?).start()?;
    let said = examine_url(&format!("ws://{}/echo", asking.address()))?;
    said.is_wrong("401", "ticket")
}

#[test]
fn limits_that_are_reached() -> Result<()> {
    let limits = [
        ("WebSocketMaxConnectionsPerClient 1", "429"),
        ("WebSocketMaxConnections 1", "503"),
    ];
    for (limit, status) in limits {
        let httpd = server().config(limit).config(echo()?).start()?;
        let url = format!("ws://{}/echo", httpd.address());
        let (_open, _) = tungstenite::connect(&url)?;
        let said = examine(&httpd, &[&url])?;
        let name = limit.split(' ').next().context("a name")?;
        said.is_wrong(status, name)?;
        said.has("try again in")?;
    }
    Ok(())
}

#[test]
fn other_mpms_and_http2_are_noted() -> Result<()> {
    let httpd = server().mpm(Mpm::Prefork).config(echo()?).start()?;
    let said = examine(&httpd, &[])?;
    ensure!(said.is_well, "{said}");
    said.has("note   the MPM is prefork: each WebSocket holds a process")?;

    let http2 = |more: &str| {
        let config = format!("Protocols h2 http/1.1\n{more}\n");
        server()
            .stock_module("http2")
            .config(config + &echo()?)
            .start()
    };
    let said = examine(&http2("")?, &[])?;
    said.has("HTTP/2 is on without H2WebSockets")?;
    let said = examine(&http2("H2WebSockets on")?, &[])?;
    said.has("H2WebSockets is on: each WebSocket over HTTP/2 holds a thread")
}

#[test]
fn http2_alone_still_lets_browsers_in() -> Result<()> {
    let httpd = server().tls_port(free_port()?).stock_module("http2");
    let httpd = httpd
        .config("Protocols h2\n".to_owned() + &echo()?)
        .start()?;
    let port = httpd.tls_address().context("no TLS")?.port();
    let certificate = httpd.root().certificate().display().to_string();
    let said = examine(
        &httpd,
        &[
            "--ca",
            &certificate,
            &format!("wss://localhost:{port}/echo"),
        ],
    )?;
    ensure!(said.is_well, "{said}");
    said.has("is the virtual host of localhost")
}

#[test]
fn few_open_files() -> Result<()> {
    let target = Workspace::find()?.target_dir().to_owned();
    let Some(debian) = DebianApache::unpack_if_possible(&target)? else {
        return Ok(());
    };
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(()); // `apachectl` sets the limit as root only
    }
    let envvars = debian.conf_dir().join("envvars");
    let text = fs::read_to_string(&envvars)? + "\nAPACHE_ULIMIT_MAX_FILES='ulimit -n 512'\n";
    fs::write(&envvars, text)?;
    let settings = debian.conf_dir().join("conf-enabled/many.conf");
    debian.start("start")?;
    let said = support::run_in(&debian)?;
    said.is_wrong("does not load the module", "a2enmod websocket")?;
    said.has("note   the settings allow about 405 WebSockets")?;
    said.has("may have 512 open files, and needs at most 189")?;
    fs::write(settings, "AsyncRequestWorkerFactor 74\n")?;
    let said = support::run_in(&debian)?;
    said.has("note   process")?;
    said.has("may have 512 open files, but accepts up to 1875 connections")?;
    said.has("APACHE_ULIMIT_MAX_FILES='ulimit -n 65536'")
}

#[test]
fn tls_and_certificates() -> Result<()> {
    let httpd = server().tls_port(free_port()?).config(echo()?).start()?;
    let port = httpd.tls_address().context("no TLS")?.port();
    let certificate = httpd.root().certificate().display().to_string();
    let url = format!("wss://localhost:{port}/echo");
    let trusting = ["--remote", "--ca", &certificate];
    ensure!(support::run(&[&trusting[..], &[&url]].concat())?.is_well);

    examine_url(&url)?.is_wrong("browsers refuse the certificate", "SSLCertificateFile")?;
    let plain = httpd.address().port();
    let said = examine_url(&format!("wss://localhost:{plain}/echo"))?;
    said.is_wrong("no TLS at this port", "SSLEngine on")?;
    let said = examine_url(&format!("ws://localhost:{port}/echo"))?;
    said.is_wrong("the port is for TLS", "Use wss://")
}

#[test]
fn a_certificate_for_another_name() -> Result<()> {
    let httpd = server().tls_port(free_port()?).config(echo()?).start()?;
    let port = httpd.tls_address().context("no TLS")?.port();
    let certificate = httpd.root().certificate().display().to_string();
    // Every address of this network is this machine; the certificate has only the first.
    let url = format!("wss://127.0.0.1:{port}/echo");
    let trusting = ["--remote", "--ca", &certificate];
    ensure!(support::run(&[&trusting[..], &[&url]].concat())?.is_well);
    drop(httpd);

    let port = free_port()?;
    let elsewhere = server().stock_module("ssl").stock_module("socache_shmcb");
    let files = server().tls_port(free_port()?).config(echo()?).start()?;
    let own = files.root();
    let host = format!(
        "Listen 127.0.0.2:{port} https\n<VirtualHost *:{port}>\nSSLEngine on\n\
         SSLCertificateFile {}\nSSLCertificateKeyFile {}\n</VirtualHost>\n",
        quoted(&own.certificate()),
        quoted(&own.certificate_key()),
    );
    let _httpd = elsewhere.config(host + &echo()?).start()?;
    let certificate = own.certificate().display().to_string();
    let url = format!("wss://127.0.0.2:{port}/echo");
    let said = support::run(&["--remote", "--ca", &certificate, &url])?;
    said.is_wrong("not valid for name", "certificate for this name")
}

#[test]
fn a_certificate_that_has_expired() -> Result<()> {
    let root = server().tls_port(free_port()?).config(echo()?);
    let (file, key) = (root.certificate(), root.certificate_key());
    let httpd = root.start()?;
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    let pair = rcgen::KeyPair::generate()?;
    fs::write(&file, params.self_signed(&pair)?.pem())?;
    fs::write(key, pair.serialize_pem())?;
    httpd.restart()?;
    let port = httpd.tls_address().context("no TLS")?.port();
    let url = format!("wss://localhost:{port}/echo");
    let said = support::run(&["--remote", "--ca", &file.display().to_string(), &url])?;
    said.is_wrong("expired", "that is valid today")
}

#[test]
fn a_server_that_asks_for_a_certificate() -> Result<()> {
    let root = server().tls_port(free_port()?).config(echo()?);
    let authority = root.certificate();
    let asks = format!(
        "SSLVerifyClient require\nSSLCACertificateFile {}",
        quoted(&authority)
    );
    let httpd = root.config(asks).start()?;
    let port = httpd.tls_address().context("no TLS")?.port();
    let url = format!("wss://localhost:{port}/echo");
    let said = support::run(&["--remote", "--ca", &authority.display().to_string(), &url])?;
    said.is_wrong("CertificateRequired", "SSLVerifyClient")
}

#[test]
fn nobody_answers() -> Result<()> {
    let port = free_port()?;
    let said = examine_url(&format!("ws://127.0.0.1:{port}/echo"))?;
    said.is_wrong("nothing listens at", "Listen")?;

    let silent = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("ws://{}/echo", silent.local_addr()?);
    let said = support::run(&["--remote", "--timeout", "1", &url])?;
    said.is_wrong("no answer within 1 seconds", "Many connections")?;

    let said = examine_url("ws://no-such-host.invalid/echo")?;
    said.is_wrong("the name no-such-host.invalid has no address", "DNS")
}

/// It accepts the WebSocket, then sends for ten seconds and never answers.
#[test]
fn a_server_that_sends_and_sends_but_does_not_answer() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("ws://{}/echo", listener.local_addr()?);
    let server = thread::spawn(move || -> Result<()> {
        let mut client = tungstenite::accept(listener.accept()?.0)?;
        for _ in 0..100 {
            if client.send("tick".into()).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
    let said = support::run(&["--remote", "--timeout", "1", &url])?;
    server.join().expect("the server does not panic")?;
    said.is_wrong("no pong comes", "LogLevel websocket:info")
}

#[test]
fn something_else_serves_the_path() -> Result<()> {
    let httpd = server()
        .stock_module("alias")
        .config(echo()?.replace("SetHandler websocket-handler", ""))
        .config("RedirectMatch ^/old$ /echo")
        .start()?;
    fs::write(httpd.root().dir().join("htdocs/echo"), "a file")?;
    let said = examine_url(&format!("ws://{}/echo", httpd.address()))?;
    said.is_wrong("200", "SetHandler websocket-handler")?;
    let said = examine_url(&format!("ws://{}/old", httpd.address()))?;
    said.is_wrong("which browsers do not follow", "wss:// for https://")
}

#[test]
fn a_proxy_without_a_server_behind_it() -> Result<()> {
    let port = free_port()?;
    let httpd = ServerRoot::temporary()?
        .stock_module("proxy")
        .stock_module("proxy_http")
        .config(format!(
            "ProxyPass / http://127.0.0.1:{port}/ upgrade=websocket"
        ))
        .start()?;
    let said = examine_url(&format!("ws://{}/echo", httpd.address()))?;
    said.is_wrong("503", "a proxy does not reach")
}

#[test]
fn nginx_that_does_not_pass_on_the_headers() -> Result<()> {
    let httpd = server().config(echo()?).start()?;
    let pass = format!("proxy_pass http://{};", httpd.address());
    let Some(nginx) = Nginx::start("", &pass)? else {
        return Ok(());
    };
    let said = examine(&httpd, &[&format!("ws://127.0.0.1:{}/echo", nginx.port())])?;
    said.is_wrong("426 from nginx", "proxy_set_header Upgrade $http_upgrade")?;
    said.has("a WebSocket handshake came with HTTP/1.0")
}

#[test]
fn nginx_that_ends_tls() -> Result<()> {
    let httpd = server().tls_port(free_port()?).config(echo()?).start()?;
    let root = httpd.root();
    let tls = format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        quoted(&root.certificate()),
        quoted(&root.certificate_key()),
    );
    let pass = format!(
        "proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Host $http_host;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
        httpd.address()
    );
    let Some(nginx) = Nginx::start(&tls, &pass)? else {
        return Ok(());
    };
    let certificate = root.certificate().display().to_string();
    let url = format!("wss://localhost:{}/echo", nginx.port());
    let said = examine(&httpd, &["--ca", &certificate, &url])?;
    let origin = format!("https://localhost:{}", nginx.port());
    said.is_wrong(
        &format!("httpd takes {origin} for another site"),
        &format!("ServerName {origin}"),
    )?;
    said.has("TLS ends at a proxy")
}
