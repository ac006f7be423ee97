//! A plugin's library as httpd serves it, and the lines of `httpd.conf` for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::demo::START_BOTH;
use xtask::plugin_source::{PluginSource, init_of};
use xtask::server_root::quoted;

use super::options::PluginOptions;

/// A copy of a library. Each build is served under a name of its own: httpd's parent process may
/// keep an earlier one, and the loader would take a library of the same name for the same one.
pub(super) struct Served {
    copy: PathBuf,
    path: String,
    init: String,
}

impl Served {
    /// Copies the library of a plugin that was built for the `number`th time into `folder`.
    ///
    /// # Errors
    /// It has no init function, or cannot be copied.
    pub(super) fn new(
        options: &PluginOptions,
        source: &PluginSource,
        library: &Path,
        folder: &Path,
        number: usize,
    ) -> Result<Self> {
        let init = match &options.init {
            Some(init) => init.clone(),
            None => init_of(library)?,
        };
        let name = source.name_of(library);
        let copy = folder.join(format!("{name}.{number}.so"));
        fs::create_dir_all(folder)?;
        fs::copy(library, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
        Ok(Self {
            copy,
            path: format!("/{name}"),
            init,
        })
    }

    /// The path of the plugin's location.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether `library` is the same, byte for byte.
    pub(super) fn is_copy_of(&self, library: &Path) -> Result<bool> {
        Ok(fs::read(&self.copy)? == fs::read(library)?)
    }

    /// Deletes the copy. Processes that use it go on.
    pub(super) fn delete(self) -> Result<()> {
        Ok(fs::remove_file(self.copy)?)
    }

    /// The lines of `httpd.conf`.
    pub(super) fn configuration(&self, options: &PluginOptions) -> String {
        let plugin_options: String = options
            .options
            .iter()
            .map(|(name, value)| {
                let (name, value) = (quoted(Path::new(name)), quoted(Path::new(value)));
                format!("    WebSocketPluginOption {name} {value}\n")
            })
            .collect();
        format!(
            "{START_BOTH}\n\
             LogLevel warn websocket:info\n\
             # Clients of a build that is replaced are to come back at once.\n\
             WebSocketDrainTime 0\n\
             {page}\n\
             <Location {path}>\n    SetHandler websocket-handler\n    \
             WebSocketHandler {library} {init}\n{plugin_options}</Location>",
            page = self.page(options),
            path = quoted(Path::new(&self.path)),
            library = quoted(&self.copy),
            init = self.init,
        )
    }

    fn page(&self, options: &PluginOptions) -> String {
        match options.page().as_deref().and_then(Path::file_name) {
            Some(file) => format!("DirectoryIndex {}", quoted(Path::new(file))),
            None => format!("RedirectMatch ^/$ /plugin.html?path={}", self.path),
        }
    }
}
