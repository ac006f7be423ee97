//! `cargo xtask package`: what the packages contain, and what they do to a system.

#[path = "package/debian.rs"]
mod debian;
#[path = "package/image.rs"]
mod image;
#[path = "package/made.rs"]
mod made;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tungstenite::Message;
use xtask::command::output_of;
use xtask::python::Environment;
use xtask::server_root::ServerRoot;
use xtask::workspace::target_dir_of;

use self::debian::Debian;
use self::made::{
    VERSION, deb_name, development_deb_name, made, make, rpm_macro, rpm_name, tar_name,
};

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
    let files = debian.files()?;
    debian.start()?;

    debian.after_reload(|| debian.dpkg(&["-i"], &first))?;
    let mut old = debian.connect()?;
    old.send("hello".into())?;
    ensure!(old.read()? == Message::text("hello"));

    let url = format!("ws://{}/echo", debian.address());
    let said = debian.run(&["mod_websocket-doctor", &url])?;
    ensure!(said.contains("good"), "{said}");

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
    let left = debian.files()?;
    let difference: Vec<_> = left.symmetric_difference(&files).collect();
    ensure!(difference.is_empty(), "{difference:#?}");
    Ok(())
}

#[test]
fn a_plugin_in_c_is_compiled_with_the_development_package() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let folder = TempDir::new()?;
    let tree = extracted(&made.join(development_deb_name()), folder.path())?;
    let flags = output_of(
        Command::new("pkg-config")
            .args(["--cflags", "websocket-plugin"])
            .env("PKG_CONFIG_PATH", tree.join("usr/share/pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", &tree),
    )?;
    let doc = "usr/share/doc/libapache2-mod-websocket-dev/examples/c/echo.c";
    output_of(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-Werror", "-o"])
            .arg(folder.path().join("echo.so"))
            .args(flags.split_whitespace())
            .arg(tree.join(doc)),
    )?;
    Ok(())
}

#[test]
fn a_plugin_in_rust_is_built_with_the_development_package() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let folder = TempDir::new()?;
    let tree = extracted(&made.join(development_deb_name()), folder.path())?;
    let share = tree.join("usr/share/mod_websocket");
    for kind in ["async", "echo", "json", "topics"] {
        let manifest = share.join("templates").join(kind).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let installed = "/usr/share/mod_websocket/crates/plugin-core";
        ensure!(text.contains(installed), "{text}");
        let here = share.join("crates/plugin-core");
        fs::write(
            &manifest,
            text.replace(installed, &here.display().to_string()),
        )?;
    }
    output_of(
        Command::new(env!("CARGO"))
            // With the versions that the template brings along.
            .args(["check", "--quiet", "--offline"])
            .current_dir(share.join("templates/echo"))
            .env("CARGO_TARGET_DIR", target_dir_of(root())?),
    )?;
    Ok(())
}

/// The files of a package of Debian, in a folder below `folder`.
fn extracted(package: &Path, folder: &Path) -> Result<std::path::PathBuf> {
    let tree = folder.join("tree");
    output_of(Command::new("dpkg-deb").arg("-x").arg(package).arg(&tree))?;
    Ok(tree)
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
    output_of(
        Command::new("tar")
            .args(["--extract", "--strip-components=1", "--file"])
            .arg(made.join(tar_name()))
            .arg("--directory")
            .arg(server.dir()),
    )?;
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

/// Has the schema of the list of what is linked.
const CYCLONEDX: &str = "cyclonedx-python-lib[json-validation]==11.12.0";

const VALIDATION: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))
";

#[test]
fn the_list_of_what_is_linked_is_complete_and_valid() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let file = made.join(format!("mod_websocket-{VERSION}.cdx.json"));
    let list: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let components = list["components"].as_array().context("no components")?;
    let find = |name: &str| components.iter().find(|it| it["name"] == name);
    for name in [
        "abi_stable",
        "async-nats",
        "heed",
        "redis",
        "websocket-chat",
        "zlib-rs",
    ] {
        ensure!(find(name).is_some(), "no {name}");
    }
    for name in ["bindgen", "syn", "tungstenite", "windows-sys", "xtask"] {
        ensure!(find(name).is_none(), "{name} is not linked");
    }
    let sums = components.iter().filter(|it| it["hashes"].is_array());
    ensure!(sums.count() > 50, "too few hashes");

    let target = target_dir_of(root())?;
    let Some(python) = Environment::install_if_possible(&target, CYCLONEDX, "cyclonedx")? else {
        return Ok(());
    };
    let verdict = output_of(python.python().args(["-c", VALIDATION]).arg(&file))?;
    ensure!(verdict == "None", "{verdict}");
    Ok(())
}
