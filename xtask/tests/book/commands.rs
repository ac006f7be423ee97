//! The commands in the documentation are run where that is possible.
//!
//! [`Place`] has the words with which a fence says where. `package.rs` runs those for a Debian.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::apache::which;
use xtask::book::{Page, Place, pages};
use xtask::command::output_of;
use xtask::httpd::Httpd;
use xtask::server_root::ServerRoot;
use xtask::workspace::module_library;

use super::root;

/// A page, and what its commands make.
const RESULTS: [(&str, &str); 4] = [
    ("docs/src/c-plugins.md", "echo.so"),
    ("docs/src/first-hour.md", "../my-chat/src/lib.rs"),
    ("docs/src/install.md", "modules/mod_chat.so"),
    ("examples/README.md", "echo.so"),
];

#[test]
fn commands_that_can_run_anywhere_do() -> Result<()> {
    let mut count = 0;
    for page in pages(root())? {
        let mut copy = None;
        for block in page.blocks() {
            if Place::of(&block).context(page.path.display().to_string())? != Some(Place::Sources) {
                continue;
            }
            let copy = match &mut copy {
                Some(copy) => copy,
                none => none.insert(Copy::of(&page)?),
            };
            let place = || format!("{}:{}", page.path.display(), block.line);
            copy.run(&block.code).with_context(place)?;
            count += 1;
        }
        let result = RESULTS
            .iter()
            .find(|(path, _)| page.path == Path::new(path));
        if let Some((_, file)) = result {
            let copy = copy.with_context(|| format!("{}: no commands", page.path.display()))?;
            let content = fs::read(copy.folder().join(file)).context(*file)?;
            ensure!(!content.is_empty() && content != OLD, "{file}");
        }
    }
    ensure!(count >= 6, "{count} blocks");
    Ok(())
}

const OLD: &[u8; 3] = b"old";

/// The sources in a folder, beside which commands may write, for the commands of one page.
struct Copy {
    folder: TempDir,
    httpd: Option<Httpd>,
}

impl Copy {
    fn of(page: &Page) -> Result<Self> {
        let mut copy = Self {
            folder: TempDir::new()?,
            httpd: None,
        };
        let folder = copy.folder();
        fs::create_dir(&folder)?;
        for entry in fs::read_dir(root())? {
            let entry = entry?;
            let is_source = ![".git", "target"]
                .iter()
                .any(|name| entry.file_name() == *name);
            if is_source {
                symlink(entry.path().canonicalize()?, folder.join(entry.file_name()))?;
            }
        }
        copy.write_cargo()?;
        copy.add_what_the_page_speaks_of(page)?;
        Ok(copy)
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Cargo would build `xtask` again, because the folder is another one.
    fn write_cargo(&self) -> Result<()> {
        fs::create_dir(self.programs())?;
        let file = self.programs().join("cargo");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = xtask ]; then shift; exec '{}' \"$@\"; fi\nexec '{}' \"$@\"\n",
            env!("CARGO_BIN_EXE_xtask"),
            env!("CARGO"),
        );
        fs::write(&file, script)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn add_what_the_page_speaks_of(&mut self, page: &Page) -> Result<()> {
        let blocks = page.blocks();
        let code = |language: &str| {
            let block = blocks.iter().find(|block| block.language == language);
            Ok(&block.with_context(|| format!("no {language}"))?.code)
        };
        let folder = self.folder();
        match page.path.to_str() {
            Some("docs/src/c-plugins.md") => {
                let code: Result<_> = code("c");
                fs::write(folder.join("echo.c"), code?)?;
            }
            Some("docs/src/install.md") => {
                for (name, content) in [("new", b"new"), ("modules", OLD)] {
                    fs::create_dir(folder.join(name))?;
                    fs::write(folder.join(name).join("mod_chat.so"), content)?;
                }
            }
            Some("docs/src/publish.md") => {
                let root = ServerRoot::temporary()?
                    .stock_module("authz_host")
                    .load_module("websocket_module", module_library()?)
                    .config(code("apache")?);
                self.httpd = Some(root.start()?);
            }
            _ => {}
        }
        Ok(())
    }

    fn run(&self, code: &str) -> Result<()> {
        let mut code = code.to_owned();
        if let Some(httpd) = &self.httpd {
            code = code.replace("//localhost/", &format!("//{}/", httpd.address()));
        }
        if code.starts_with("curl ") {
            if which("curl").is_none() && std::env::var_os("CI").is_none() {
                eprintln!("SKIPPED: no curl");
                return Ok(());
            }
            code = code.replace("curl ", "curl --fail --no-progress-meter ");
        }
        let old = std::env::var("PATH").unwrap_or_default();
        output_of(
            Command::new("sh")
                .args(["-euc", &code])
                .current_dir(self.folder())
                .env("PATH", format!("{}:{old}", self.programs().display()))
                .env("CARGO_TARGET_DIR", target()?),
        )?;
        Ok(())
    }
}

/// The target folder of this test, so that dependencies are not built twice.
fn target() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("no target folder")?;
    Ok(target.to_owned())
}
