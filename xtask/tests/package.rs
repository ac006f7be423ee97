//! `cargo xtask package`: what the packages contain, and what they do to a system.

#[path = "package/debian.rs"]
mod debian;
#[path = "package/development.rs"]
mod development;
#[path = "package/image.rs"]
mod image;
#[path = "package/linked.rs"]
mod linked;
#[path = "package/made.rs"]
mod made;
#[path = "package/visitor.rs"]
mod visitor;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tungstenite::Message;
use xtask::book::{Block, Page, pages};
use xtask::command::output_of;
use xtask::server_root::ServerRoot;

use self::debian::Debian;
use self::made::{VERSION, deb_name, development_deb_name, made, make, rpm_macro, rpm_name};
use self::visitor::Visitor;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn lintian_finds_no_errors() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    output_of(
        Command::new("lintian")
            .args([
                "--allow-root",
                "--fail-on",
                "error",
                "--tag-display-limit",
                "0",
            ])
            .args([made.join(deb_name()?), made.join(development_deb_name())]),
    )?;
    Ok(())
}

#[test]
fn the_same_files_give_the_same_bytes() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let folder = TempDir::new()?;
    let again = folder.path().join("again");
    // Other habits of a machine: its time zone, its umask, its folder for temporary files.
    let other = make(&again)?;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077 && exec \"$0\" \"$@\""])
        .arg(other.get_program())
        .args(other.get_args())
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "C")
        .env("TMPDIR", folder.path());
    output_of(&mut shell)?;
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS"));
    let expected = sums(made)?;
    ensure!(expected.lines().count() == 6, "{expected}");
    ensure!(sums(&again)? == expected, "{expected}\n{}", sums(&again)?);
    output_of(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(made),
    )?;
    Ok(())
}

#[test]
fn debian_installs_upgrades_and_removes_the_package() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let Some(debian) = Debian::install()? else {
        return Ok(());
    };
    let first = made.join(deb_name()?);
    debian.lend(made)?;
    let files = debian.files()?;
    debian.start()?;

    let pages = pages(root())?;
    debian.after_reload(|| debian.follow(&installing()?))?;
    ensure!(debian.version()? == format!("{VERSION}-1"));
    debian.configure(&lines_of_the_page()?)?;
    debian.add_page(visitor::PAGE)?;
    debian.after_reload(|| debian.run(&["invoke-rc.d", "apache2", "reload"]))?;
    let page = format!("http://{}/page.html", debian.address());
    if let Some(_visitor) = Visitor::open(&page)? {
        debian.wait_for_request("/echoed/hello")?;
    }
    let mut said = String::new();
    // One of the pages restarts Apache.
    debian.after_reload(|| {
        for page in &pages {
            said += &debian.follow(page)?;
        }
        Ok(said.clone())
    })?;
    ensure!(said.contains("good"), "{said}");
    let mut old = debian.connect()?;
    old.send("hello".into())?;
    ensure!(old.read()? == Message::text("hello"));

    debian.edit_settings(
        "#WebSocketMaxMessageSize 33554432",
        "WebSocketMaxMessageSize 1000",
    )?;
    let second = Debian::next_version(&first)?;
    let keep = ["--force-confold", "-i"];
    debian.after_reload(|| debian.dpkg(&keep, &second))?;
    ensure!(debian.version()? == format!("{VERSION}-2"));
    // The old process has the old settings, and the new one those that were edited.
    let long = "x".repeat(2000);
    old.send(long.as_str().into())?;
    ensure!(old.read()? == Message::text(&*long), "a live WebSocket");
    let mut new = debian.connect()?;
    new.send(long.as_str().into())?;
    let Message::Close(Some(close)) = new.read()? else {
        anyhow::bail!("the settings were not kept");
    };
    ensure!(u16::from(close.code) == 1009, "{close}");

    debian.run(&["a2dismod", "--quiet", "websocket"])?;
    debian.dpkg(&keep, &second)?;
    ensure!(!debian.is_enabled(), "an upgrade enabled the module again");
    debian.run(&["a2enmod", "--quiet", "websocket"])?;
    debian.after_reload(|| debian.run(&["invoke-rc.d", "apache2", "reload"]))?;
    let mut enabled = debian.connect()?;
    enabled.send("again".into())?;
    ensure!(enabled.read()? == Message::text("again"));

    debian.after_reload(|| debian.run(&["dpkg", "-r", debian::PACKAGE]))?;
    ensure!(!debian.is_enabled() && debian.has_settings());
    ensure!(debian.connect().is_err(), "the module is still loaded");
    debian.run(&["dpkg", "-P", debian::PACKAGE])?;
    debian.stop()?;
    debian.forget_site()?;
    let left = debian.files()?;
    let difference: Vec<_> = left.symmetric_difference(&files).collect();
    ensure!(difference.is_empty(), "{difference:#?}");
    Ok(())
}

/// The page that says how to install the packages.
fn installing() -> Result<Page> {
    Page::read(root(), "docs/src/install.md")
}

/// The configuration that it has for the package.
fn lines_of_the_page() -> Result<String> {
    let blocks = installing()?.blocks();
    let is_meant = |block: &Block| block.code.contains("/usr/lib/apache2/websocket/");
    let block = blocks.into_iter().find(is_meant);
    Ok(block.context("no lines for the package")?.code)
}

#[test]
fn fedora_keeps_the_settings_and_knows_what_the_package_needs() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let package = made.join(rpm_name()?);
    let ask = |words: &[&str]| {
        let mut rpm = Command::new("rpm");
        output_of(rpm.arg("-qp").args(words).arg(&package))
    };
    let files = "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEFLAGS:fflags}\n]";
    let files = ask(&["--queryformat", files])?;
    for line in [
        "/etc/httpd/conf.d/websocket.conf -rw-r--r-- root cn",
        "/etc/httpd/conf.modules.d/10-websocket.conf -rw-r--r-- root cn",
        "/usr/lib64/httpd/modules/mod_websocket.so -rw-r--r-- root ",
        "/usr/lib64/httpd/websocket drwxr-xr-x root ",
        "/usr/lib64/httpd/websocket/echo.so -rw-r--r-- root ",
        "/usr/share/doc/mod_websocket drwxr-xr-x root ",
        "/usr/share/doc/mod_websocket/book drwxr-xr-x root ",
        "/usr/share/man/man8/mod_websocket.8.gz -rw-r--r-- root d",
    ] {
        ensure!(files.lines().any(|it| it == line), "no {line}\n{files}");
    }
    let is_of_others = |line: &str| line.contains(" drwx") && !line.contains("websocket");
    ensure!(!files.lines().any(is_of_others), "{files}");
    let needs = ask(&["--requires"])?;
    let interface = rpm_macro("httpd-mmn = 20120211%{__isa_name}%{__isa_bits}")?;
    for need in [&*interface, "libc.so.6(GLIBC_2.34)(64bit)"] {
        ensure!(needs.lines().any(|it| it == need), "no {need}\n{needs}");
    }
    Ok(())
}

#[test]
fn the_archive_is_served_where_it_is_unpacked() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let server = ServerRoot::temporary()?;
    let blocks = installing()?.blocks();
    let is_meant = |block: &Block| block.code.starts_with("tar ");
    let block = blocks.into_iter().find(is_meant);
    let command = block
        .context("install.md does not unpack the archive")?
        .code;
    let folder = server.dir().display().to_string();
    let command = command.replace("/usr/local/apache2", &folder);
    let command = command.replace("target/packages", &made.display().to_string());
    output_of(Command::new("sh").args(["-euc", &command]))?;
    // As the Dockerfile does it.
    let plugins = "docs/docker/websocket-plugins.conf";
    fs::copy(
        root().join(plugins),
        server.dir().join("conf/extra/websocket-plugins.conf"),
    )?;
    let httpd = server
        .config("Include conf/extra/websocket-plugins.conf")
        .start()?;
    let (mut client, _) = tungstenite::connect(format!("ws://{}/echo", httpd.address()))?;
    client.send("hello".into())?;
    ensure!(client.read()? == Message::text("hello"));
    Ok(())
}
