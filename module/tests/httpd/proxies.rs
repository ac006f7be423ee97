//! Behind a proxy that terminates TLS: nginx, haproxy and another httpd, each with the
//! configuration of `docs/src/proxies.md`.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use xtask::apache::which;
use xtask::book::Page;
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::ServerRoot;

use crate::support::frame::masked;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases, wait_until};

cases! {
    "behind nginx with TLS, pages of the site connect once ServerName is set" => nginx,
    "behind haproxy with TLS, pages of the site connect once ServerName is set" => haproxy,
    "behind httpd with TLS, pages of the site connect once ServerName is set" => httpd,
    "a proxy that does not forward handshakes causes a warning" => not_passed_on,
}

/// A proxy that listens on loopback with TLS. Dropping it ends the proxy.
struct Proxy {
    address: SocketAddr,
    certificate: PathBuf,
    _process: Process,
}

enum Process {
    Httpd { _httpd: Box<Httpd> },
    Other { child: Child, _folder: TempDir },
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Other { child, .. } = self {
            // If it has ended by itself, this only waits for it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a proxy in front of a server. Returns `None` if the proxy is not installed.
type Start = fn(&Httpd) -> Result<Option<Proxy>>;

fn nginx(context: &Context) -> Result<()> {
    behind(context, start_nginx)
}

fn haproxy(context: &Context) -> Result<()> {
    behind(context, start_haproxy)
}

fn httpd(context: &Context) -> Result<()> {
    behind(context, |back| start_httpd(back).map(Some))
}

/// The proxy does not know the site's name; the server behind it must.
fn behind(context: &Context, start: Start) -> Result<()> {
    let back = |config: &str| {
        context
            .root()?
            .tls_port(free_port()?)
            .config(context.plugins().locations())
            .config(config)
            .start()
    };
    // Without ServerName, httpd takes the site's own pages for those of another site.
    let unnamed = back("")?;
    let Some(proxy) = start(&unnamed)? else {
        return Ok(());
    };
    ensure!(proxy.ask(&proxy.origin())? == 403);
    let line = unnamed.wait_for_log("TLS ends at a proxy", PATIENCE)?;
    let remedy = format!("set ServerName {}", proxy.origin());
    ensure!(line.contains(":warn]") && line.contains(&remedy), "{line}");
    drop((proxy, unnamed));

    let named = back("ServerName https://localhost")?;
    let proxy = start(&named)?.context("just started")?;
    proxy.converse()?;
    ensure!(proxy.ask("https://evil.example")? == 403);
    ensure!(proxy.ask(&proxy.origin().replace("https", "http"))? == 403);
    drop((proxy, named));

    let trusting = back(
        "WebSocketOriginCheck Trusted\n\
         WebSocketTrustedOrigin https://localhost https://shop.example",
    )?;
    let proxy = start(&trusting)?.context("just started")?;
    ensure!(proxy.ask("https://shop.example")? == 101);
    ensure!(proxy.ask("https://localhost")? == 101);
    ensure!(proxy.ask(&proxy.origin())? == 403);
    Ok(())
}

impl Proxy {
    fn origin(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    fn handshake(&self, origin: &str) -> Handshake {
        Handshake::to("/echo")
            .header("Host", &format!("localhost:{}", self.address.port()))
            .header("Origin", origin)
    }

    /// The status of the response to a page of `origin`.
    fn ask(&self, origin: &str) -> Result<u16> {
        let mut client = Client::connect_tls_at(self.address, &self.certificate)?;
        client.send(self.handshake(origin).to_bytes())?;
        Ok(client.response()?.status)
    }

    /// Checks that messages of all kinds pass in both directions.
    fn converse(&self) -> Result<()> {
        let mut client = Client::connect_tls_at(self.address, &self.certificate)?;
        client.upgrade(&self.handshake(&self.origin()))?;
        client.echo("hello")?;
        let payload = vec![7; 1 << 20];
        client.binary(&payload)?;
        client.expect(&Frame::binary(payload))?;
        client.send(masked(Opcode::PING, "ping"))?;
        client.expect(&Frame::pong("ping"))?;
        // The proxy decides how its own connection ends.
        client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        client.expect(&Frame::close(1000))
    }
}

/// The first configuration on the page of the book in which `word` stands.
fn example(word: &str) -> Result<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let blocks = Page::read(&repository, "docs/src/proxies.md")?.blocks();
    let block = blocks.into_iter().find(|block| block.code.contains(word));
    Ok(block.with_context(|| format!("no {word}"))?.code)
}

/// `text` with other places than in the example.
fn replace(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "no {old} in {text}");
    text.replace(old, new)
}

fn start_nginx(back: &Httpd) -> Result<Option<Proxy>> {
    start_nginx_with(back, &example("proxy_pass")?)
}

fn start_nginx_with(back: &Httpd, site: &str) -> Result<Option<Proxy>> {
    let root = back.root();
    let config = |folder: &str, port: u16| {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path \"{folder}/{name}\";\n"))
            .concat();
        let listen = format!(
            "listen 127.0.0.1:{port} ssl;\nssl_certificate \"{}\";\nssl_certificate_key \"{}\";",
            root.certificate().display(),
            root.certificate_key().display(),
        );
        let site = replace(site, "listen 443 ssl;", &listen);
        let site = replace(&site, "127.0.0.1:8080", &back.address().to_string());
        format!(
            "daemon off;\nmaster_process off;\npid \"{folder}/pid\";\nerror_log \"{folder}/log\";\n\
             events {{ worker_connections 64; }}\n\
             http {{\naccess_log off;\n{temporary}{site}}}\n"
        )
    };
    let command = |program: PathBuf, folder: &str, file: &str| {
        let mut command = Command::new(program);
        command.args(["-p", folder, "-c", file, "-e", &format!("{folder}/log")]);
        command
    };
    start_other(back, "nginx", config, command)
}

fn start_haproxy(back: &Httpd) -> Result<Option<Proxy>> {
    let root = back.root();
    let both = [root.certificate(), root.certificate_key()]
        .map(fs::read_to_string)
        .into_iter()
        .collect::<Result<String, _>>()?;
    let example = example("timeout tunnel")?;
    let config = |folder: &str, port: u16| {
        let pem = format!("{folder}/both.pem");
        fs::write(&pem, &both).expect("the folder is ours");
        let example = replace(&example, ":443", &format!("127.0.0.1:{port}"));
        let example = replace(&example, "/etc/haproxy/site.pem", &pem);
        let example = replace(&example, "127.0.0.1:8080", &back.address().to_string());
        format!("global\n maxconn 64\n{example}")
    };
    let command = |program: PathBuf, _: &str, file: &str| {
        let mut command = Command::new(program);
        command.args(["-db", "-f", file]);
        command
    };
    start_other(back, "haproxy", config, command)
}

/// Starts a proxy that runs in the foreground. `config` makes its configuration, given a folder and
/// a port, and `command` the command line, given that folder and the configuration file.
fn start_other(
    back: &Httpd,
    name: &str,
    config: impl Fn(&str, u16) -> String,
    command: impl Fn(PathBuf, &str, &str) -> Command,
) -> Result<Option<Proxy>> {
    let Some(program) = which(name) else {
        ensure!(env::var_os("CI").is_none(), "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
        return Ok(None);
    };
    let folder = tempfile::Builder::new().prefix("proxy-").tempdir()?;
    let path = folder.path().display().to_string();
    let port = free_port()?;
    let (file, output) = (format!("{path}/config"), format!("{path}/output"));
    fs::write(&file, config(&path, port))?;
    let log = fs::File::create(&output)?;
    let child = command(program, &path, &file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let mut process = Process::Other {
        child,
        _folder: folder,
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_until("the proxy listens", || {
        let Process::Other { child, .. } = &mut process else {
            unreachable!("made above");
        };
        if let Some(status) = child.try_wait()? {
            bail!("{name}: {status}: {}", fs::read_to_string(&output)?);
        }
        Ok(TcpStream::connect(address).is_ok())
    })?;
    Ok(Some(Proxy {
        address,
        certificate: back.root().certificate(),
        _process: process,
    }))
}

fn start_httpd(back: &Httpd) -> Result<Proxy> {
    let front = ServerRoot::temporary()?
        .tls_port(free_port()?)
        .stock_module("proxy")
        .stock_module("proxy_http")
        .stock_module("proxy_wstunnel")
        .config(replace(
            &example("ProxyPass")?,
            "127.0.0.1:8080",
            &back.address().to_string(),
        ))
        .start()?;
    Ok(Proxy {
        address: front.tls_address().context("it serves TLS")?,
        certificate: front.root().certificate(),
        _process: Process::Httpd {
            _httpd: Box::new(front),
        },
    })
}

fn not_passed_on(context: &Context) -> Result<()> {
    let back = context
        .root()?
        .tls_port(free_port()?)
        .config(context.plugins().locations())
        .start()?;
    // nginx's default: HTTP/1.0 without Upgrade.
    let example = example("proxy_pass")?;
    let is_default = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("proxy_http_version") && !line.starts_with("proxy_set_header")
    };
    let site: String = example.split_inclusive('\n').filter(is_default).collect();
    let Some(proxy) = start_nginx_with(&back, &site)? else {
        return Ok(());
    };
    ensure!(proxy.ask(&proxy.origin())? == 426);
    let line = back.wait_for_log("a WebSocket handshake came with HTTP/1.0", PATIENCE)?;
    ensure!(line.contains(":warn]"), "{line}");
    Ok(())
}
