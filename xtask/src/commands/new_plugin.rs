//! `cargo xtask new-plugin`.

use std::path::{PathBuf, absolute};

use anyhow::{Context, Result};
use clap::Args;
use xtask::server_root::quoted;
use xtask::workspace::{Workspace, target_dir_of};

use crate::template::{self, Origin, PluginName, Style};

#[derive(Args)]
pub(crate) struct Options {
    /// The name of the package: lower-case words, separated by - or _
    name: PluginName,
    /// The folder to create [default: NAME in the current folder]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Depend on the version of websocket-plugin that crates.io has, instead of these sources
    #[arg(long)]
    registry: bool,
    #[command(flatten)]
    styles: Styles,
}

#[derive(Args)]
#[group(multiple = false)]
struct Styles {
    /// Write a plugin with async callbacks, which run on Tokio
    #[arg(long = "async")]
    is_async: bool,
    /// Write a plugin with rooms, which are topics
    #[arg(long = "topics")]
    has_topics: bool,
    /// Write a plugin with messages in JSON
    #[arg(long = "json")]
    has_json: bool,
}

impl Styles {
    fn style(&self) -> Style {
        match self {
            Self { is_async: true, .. } => Style::Async,
            Self {
                has_topics: true, ..
            } => Style::Topics,
            Self { has_json: true, .. } => Style::Json,
            _ => Style::Echo,
        }
    }
}

pub(super) fn new_plugin(options: &Options) -> Result<()> {
    let Options {
        name,
        path,
        registry,
        styles,
    } = options;
    let folder = path.clone().unwrap_or_else(|| name.to_string().into());
    let folder =
        absolute(&folder).with_context(|| format!("no such folder: {}", folder.display()))?;
    let workspace = Workspace::find()?;
    let origin = if *registry {
        Origin::of_registry()
    } else {
        Origin::of_checkout(&workspace)?
    };
    template::write(name, styles.style(), &origin, &folder, &workspace)?;

    let library = target_dir_of(&folder)?.join("release").join(name.library());
    println!(
        "\
The plugin is in {folder}. Test and build it:

  cd {folder}
  cargo test
  cargo build --release

Then name it in httpd's configuration. The first line shows what the plugin logs:

LogLevel warn websocket:info
<Location \"/{name}\">
    SetHandler websocket-handler
    WebSocketHandler {library} {symbol}
</Location>",
        folder = folder.display(),
        library = quoted(&library),
        symbol = name.symbol(),
    );
    Ok(())
}
