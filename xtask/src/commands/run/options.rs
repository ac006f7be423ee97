//! The options of `cargo xtask run` for a plugin of one's own.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(super) struct PluginOptions {
    /// Serve a plugin of your own instead of the demo: the folder of its Cargo package, or a file
    /// in C or C++
    #[arg(long, value_name = "PATH")]
    pub(super) plugin: Option<PathBuf>,
    /// The plugin's init function [default: the only exported function *_init]
    #[arg(long, value_name = "NAME", requires = "plugin")]
    pub(super) init: Option<String>,
    /// An option for the plugin (WebSocketPluginOption). May be repeated
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = parse_option, requires = "plugin")]
    pub(super) options: Vec<(String, String)>,
    /// The page at /, served with the files beside it [default: page/index.html in the folder of
    /// the package if there is one, otherwise a client for any plugin]
    #[arg(long, value_name = "FILE", requires = "plugin")]
    page: Option<PathBuf>,
    /// Build again and restart httpd gracefully whenever the source changes
    #[arg(long, requires = "plugin")]
    pub(super) watch: bool,
    /// Build the plugin with optimizations
    #[arg(long, requires = "plugin")]
    pub(super) release: bool,
    /// Serve with this build of mod_websocket instead of building it
    #[arg(long, value_name = "FILE", requires = "plugin")]
    pub(super) module: Option<PathBuf>,
}

impl PluginOptions {
    /// The page at /, if it is not the client for any plugin.
    pub(super) fn page(&self) -> Option<PathBuf> {
        let own = || Some(self.plugin.as_deref()?.join("page/index.html"));
        self.page
            .clone()
            .or_else(|| own().filter(|page| page.is_file()))
    }
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
