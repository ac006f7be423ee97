//! The configurations in the documentation.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xtask::apache::Apache;
use xtask::book::{Block, pages};
use xtask::c_plugin;
use xtask::port::free_port;
use xtask::server_root::ServerRoot;
use xtask::workspace::module_library;

use crate::support::{Context, Driver, cases};

cases! {
    "the book: httpd accepts each configuration, and warns of none" => configurations,
}

/// Modules of httpd whose directives the pages use without loading them.
const STOCK: [&str; 6] = [
    "alias",
    "authz_host",
    "headers",
    "proxy",
    "proxy_http",
    "proxy_wstunnel",
];

fn configurations(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    for page in pages(&repository)? {
        for block in page.blocks() {
            if block.language == "apache" {
                count += 1;
                let place = format!("{}:{}", page.path.display(), block.line);
                check(context, &repository, &block).context(place)?;
            }
        }
    }
    ensure!(count > 15, "{count} configurations");
    Ok(())
}

/// Where Debian's package has the plugins, and where this test has them.
const OF_PACKAGE: [&str; 2] = ["/usr/lib/apache2/websocket/", "modules/libwebsocket_"];

fn check(context: &Context, repository: &Path, block: &Block) -> Result<()> {
    let code = block.code.replace(OF_PACKAGE[0], OF_PACKAGE[1]);
    let root = context.root()?.tls_port(free_port()?).config(&code);
    let mut root = STOCK
        .iter()
        .fold(root, |root, module| root.stock_module(*module));
    root.write()?;
    supply(context, repository, &root, &code)?;
    let checked = root.check_config()?;
    ensure!(checked.ok, "{}", checked.message);
    let is_quiet = !checked.message.contains("WebSocket");
    ensure!(is_quiet, "{}", checked.message);
    Ok(())
}

/// Puts the libraries and files that the configuration names into the server root.
fn supply(context: &Context, repository: &Path, root: &ServerRoot, code: &str) -> Result<()> {
    let certificate = root.certificate();
    for line in code.lines() {
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            let file = word.trim_start_matches("file:").trim_start_matches("ca:");
            let path = root.dir().join(file);
            if path.exists() {
                continue;
            }
            if file.starts_with("modules/") {
                let init = words.clone().next().unwrap_or_default();
                let library = library(context, repository, root, file, init)?;
                fs::create_dir_all(root.dir().join("modules"))?;
                symlink(library, path)?;
            } else if file.ends_with(".key") {
                fs::copy(root.certificate_key(), path)?;
            } else if file.ends_with(".crt") || file.ends_with(".pem") {
                fs::copy(&certificate, path)?;
            } else if word.starts_with("file:") {
                fs::write(path, "secret\n")?;
            }
        }
    }
    Ok(())
}

/// The library that a page calls `file`: the module, an example, or one of httpd's modules.
/// Otherwise it is a plugin of the reader's, with the function `init`.
fn library(
    context: &Context,
    repository: &Path,
    root: &ServerRoot,
    file: &str,
    init: &str,
) -> Result<PathBuf> {
    let name = file.trim_start_matches("modules/").trim_end_matches(".so");
    if let Some(example) = name.strip_prefix("libwebsocket_") {
        return Ok(context.plugins().library(&format!("rust/{example}")));
    }
    if name == "mod_websocket" {
        return module_library();
    }
    if let Some(stock) = name.strip_prefix("mod_").filter(|_| init.is_empty()) {
        return Ok(Apache::find()?.stock_module(stock));
    }
    let echo = fs::read_to_string(repository.join("examples/c/echo.c"))?;
    let source = root.dir().join(name).with_extension("c");
    fs::write(&source, echo.replace("echo_init", init))?;
    let folder = root.dir().join("compiled");
    c_plugin::compile(source, folder, repository.join("plugin-core/include"))
}
