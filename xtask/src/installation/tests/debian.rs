//! Installing into Debian's Apache, and out of it again.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use websocket_doctor::descriptors::{Limit, Origin};
use xtask::c_plugin;
use xtask::debian_apache::DebianApache;
use xtask::workspace::Workspace;

use super::*;
use crate::commands::install::{Built, put_in};
use crate::commands::uninstall::take_out;

/// What is built, without the time that an optimized build takes.
fn built(folder: &Path) -> Result<Built> {
    let root = Workspace::find()?.root().to_owned();
    let include = root.join("plugin-core/include");
    let compile =
        |name: &str| c_plugin::compile(root.join("examples/c").join(name), folder, &include);
    Ok(Built {
        module: module_library()?,
        examples: [compile("echo.c")?, compile("dumb_increment.c")?],
        header: include.join("websocket_plugin.h"),
    })
}

/// The installation whose configuration is this Apache's. Its libraries go to folders of it, too.
fn installation_of(debian: &DebianApache) -> Result<Installation> {
    let mut apache = Apache::find()?.clone();
    apache.conf_dir = debian.conf_dir();
    apache.module_dir = debian.folder().join("modules");
    apache.include_dir = debian.folder().join("include");
    let environment = debian.environment().into_iter();
    Ok(Installation {
        // Each test has one.
        apache: Box::leak(Box::new(apache)),
        layout: Layout::Debian,
        privileges: Privileges::Root,
        destdir: None,
        tools: Tools {
            checker: Some(debian.programs().join("apachectl")),
            folder: Some(debian.programs().to_owned()),
            notes: debian.folder().join("state"),
            environment: environment
                .map(|(name, path)| (name, path.into()))
                .collect(),
        },
    })
}

/// Debian's Apache, an installation in it, and what to install. `None` where there is no Debian.
fn fixture() -> Result<Option<(DebianApache, Installation, TempDir, Built)>> {
    let target = Workspace::find()?.target_dir().to_owned();
    let Some(debian) = DebianApache::unpack_if_possible(&target)? else {
        return Ok(None);
    };
    let installation = installation_of(&debian)?;
    let folder = TempDir::new()?;
    let built = built(folder.path())?;
    Ok(Some((debian, installation, folder, built)))
}

/// Every file and link with its contents, mode and time. What httpd itself writes is left out.
fn snapshot(debian: &DebianApache) -> Result<BTreeMap<PathBuf, String>> {
    let mut snapshot = BTreeMap::new();
    let mut folders = vec![debian.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            let kind = metadata.file_type();
            let what = if kind.is_symlink() {
                format!("to {}", fs::read_link(&path)?.display())
            } else if kind.is_dir() {
                let is_of_httpd = ["log", "run"]
                    .map(|it| debian.folder().join(it))
                    .contains(&path);
                folders.extend((!is_of_httpd).then(|| path.clone()));
                format!("folder {:o}", metadata.mode())
            } else {
                let bytes = fs::read(&path)?;
                let sum = bytes.iter().fold(7_u64, |sum, &byte| {
                    sum.wrapping_mul(31).wrapping_add(byte.into())
                });
                format!(
                    "{:o} {} {sum:x} {:?}",
                    metadata.mode(),
                    bytes.len(),
                    metadata.modified()?
                )
            };
            snapshot.insert(path, what);
        }
    }
    Ok(snapshot)
}

fn site(debian: &DebianApache, text: &str) -> Result<PathBuf> {
    let file = debian.conf_dir().join("sites-enabled/site.conf");
    fs::write(&file, text)?;
    Ok(file)
}

fn location(plugin: &Path) -> String {
    format!(
        "<Location /echo>\nSetHandler websocket-handler\nWebSocketHandler {} echo_init\n\
         Require all granted\n</Location>",
        plugin.display()
    )
}

fn echoes(address: SocketAddr) -> Result<()> {
    let (mut client, _) = tungstenite::connect(format!("ws://{address}/echo"))?;
    client.send("hello".into())?;
    ensure!(client.read()? == Message::text("hello"));
    Ok(())
}

fn error_of(result: Result<()>) -> Result<String> {
    let error = result.err().context("it went well")?;
    Ok(format!("{error:#}"))
}

#[test]
fn a_running_apache_gets_the_module_and_loses_it_without_a_trace() -> Result<()> {
    let Some((debian, installation, _folder, built)) = fixture()? else {
        return Ok(());
    };
    debian.start("start")?;
    let before = snapshot(&debian)?;
    put_in(&installation, &built, true, false)?;
    site(
        &debian,
        &format!(
            "<IfModule mod_websocket.c>\n{}\n</IfModule>",
            location(&installation.example("echo"))
        ),
    )?;
    debian.start("graceful")?;
    echoes(debian.address())?;

    let site = debian.conf_dir().join("sites-enabled/site.conf");
    take_out(&installation, false)?;
    fs::remove_file(site)?;
    let mut after = snapshot(&debian)?;
    // `a2dismod` leaves a folder for its notes.
    after.remove(&debian.folder().join("state/module/disabled_by_admin"));
    let differs = |it: &(&PathBuf, &String)| before.get(it.0) != Some(it.1);
    let differences: Vec<_> = after.iter().filter(differs).collect();
    ensure!(
        differences.is_empty() && after.len() == before.len(),
        "{differences:?}"
    );
    debian.start("graceful")
}

#[test]
fn the_folder_of_a_package_gets_the_files_whatever_this_machine_has() -> Result<()> {
    let (folder, libraries) = (TempDir::new()?, TempDir::new()?);
    let installation = installation(folder.path())?;
    put_in(&installation, &built(libraries.path())?, false, false)?;
    for file in [
        installation.module(),
        installation.example("echo"),
        installation.header(),
    ] {
        ensure!(
            file.starts_with(folder.path()) && file.is_file(),
            "{}",
            file.display()
        );
    }
    Ok(())
}

#[test]
fn nothing_changes_if_httpd_rejects_its_configuration_already() -> Result<()> {
    let Some((debian, installation, _folder, built)) = fixture()? else {
        return Ok(());
    };
    let site = site(&debian, "NoSuchDirective On\n")?;
    let before = snapshot(&debian)?;
    let error = error_of(put_in(&installation, &built, true, false))?;
    ensure!(
        error.contains("NoSuchDirective") && error.contains("nothing was changed"),
        "{error}"
    );
    ensure!(snapshot(&debian)? == before);

    put_in(&installation, &built, true, true)?;
    ensure!(installation.module().is_file());
    fs::remove_file(site)?;
    debian.start("start")
}

/// The configuration has a section for the module that was never in effect.
#[test]
fn all_files_are_restored_if_httpd_rejects_what_was_installed() -> Result<()> {
    let Some((debian, installation, _folder, built)) = fixture()? else {
        return Ok(());
    };
    let wrong = location(Path::new("/no/such/plugin.so"));
    site(
        &debian,
        &format!("<IfModule mod_websocket.c>\n{wrong}\n</IfModule>\n"),
    )?;
    debian.start("start")?;
    let before = snapshot(&debian)?;
    let error = error_of(put_in(&installation, &built, true, false))?;
    ensure!(
        error.contains("/no/such/plugin.so") && error.contains("as they were"),
        "{error}"
    );
    ensure!(snapshot(&debian)? == before);
    debian.start("graceful")
}

#[test]
fn an_upgrade_that_httpd_rejects_leaves_the_old_version() -> Result<()> {
    let Some((debian, installation, folder, built)) = fixture()? else {
        return Ok(());
    };
    put_in(&installation, &built, true, false)?;
    site(&debian, &location(&installation.example("echo")))?;
    let settings = installation.settings_file().context("no settings")?;
    fs::write(settings, "# mine\n")?;
    debian.start("start")?;
    let before = snapshot(&debian)?;

    let module = folder.path().join("broken.so");
    fs::write(&module, "no library")?;
    let error = error_of(put_in(
        &installation,
        &Built { module, ..built },
        true,
        false,
    ))?;
    ensure!(error.contains("mod_websocket.so"), "{error}");
    ensure!(snapshot(&debian)? == before);
    debian.start("graceful")?;
    echoes(debian.address())
}

#[test]
fn uninstall_names_the_lines_that_need_the_module() -> Result<()> {
    let Some((debian, installation, _folder, built)) = fixture()? else {
        return Ok(());
    };
    put_in(&installation, &built, true, false)?;
    let site = site(&debian, &location(&installation.example("echo")))?;
    let before = snapshot(&debian)?;
    let error = error_of(take_out(&installation, false))?;
    let place = format!("{}:3: WebSocketHandler", site.display());
    ensure!(
        error.contains(&place) && error.contains("--force"),
        "{error}"
    );
    ensure!(snapshot(&debian)? == before);

    take_out(&installation, true)?;
    ensure!(!installation.module().exists());
    let control = installation.control()?.context("no apachectl")?;
    ensure!(matches!(
        control.check()?,
        websocket_doctor::control::Verdict::Bad(_)
    ));
    Ok(())
}

/// dpkg with a database of its own, which says that a package has the module.
#[test]
fn files_of_a_package_are_left_alone() -> Result<()> {
    let Some((debian, mut installation, _folder, built)) = fixture()? else {
        return Ok(());
    };
    put_in(&installation, &built, true, false)?;
    let database = TempDir::new()?;
    let module = installation.module();
    let package = "Package: a-package\nStatus: install ok installed\nMaintainer: a\n\
                   Architecture: all\nVersion: 1\nDescription: a\n";
    fs::write(database.path().join("status"), package)?;
    for folder in ["info", "updates"] {
        fs::create_dir(database.path().join(folder))?;
    }
    fs::write(database.path().join("info/format"), "1\n")?;
    let files = format!("{}\n", module.display());
    fs::write(database.path().join("info/a-package.list"), files)?;
    let admin = ("DPKG_ADMINDIR", database.path().into());
    installation.tools.environment.push(admin);

    let before = snapshot(&debian)?;
    for refused in [
        put_in(&installation, &built, true, false),
        take_out(&installation, false),
    ] {
        let error = error_of(refused)?;
        let said = format!("{} belongs to the package a-package", module.display());
        ensure!(
            error.contains(&said) && error.contains("--force"),
            "{error}"
        );
    }
    ensure!(snapshot(&debian)? == before);
    take_out(&installation, true)?;
    ensure!(!module.exists());
    Ok(())
}

#[test]
fn the_limit_of_open_files_in_envvars_is_the_one_of_httpd() -> Result<()> {
    let Some((debian, ..)) = fixture()? else {
        return Ok(());
    };
    let limit = Limit::at_start(&debian.conf_dir()).context("no limit")?;
    ensure!(limit.files == 8192 && limit.advice().is_none(), "{limit}");
    if !rustix::process::geteuid().is_root() {
        return Ok(()); // `apachectl` sets it as root only
    }
    let envvars = debian.conf_dir().join("envvars");
    let text = fs::read_to_string(&envvars)? + "\nAPACHE_ULIMIT_MAX_FILES='ulimit -n 512'\n";
    fs::write(&envvars, text)?;
    let limit = Limit::at_start(&debian.conf_dir()).context("no limit")?;
    debian.start("start")?;
    ensure!(limit.files == Limit::of_process(debian.pid()?)?.files);
    ensure!(limit.origin == Origin::Envvars(envvars.clone()));
    let advice = limit.advice().context("no advice")?;
    ensure!(
        advice.contains(&format!("into {}", envvars.display())),
        "{advice}"
    );
    Ok(())
}
