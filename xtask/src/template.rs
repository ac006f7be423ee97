//! The package that `cargo xtask new-plugin` creates.

use std::env;
use std::fmt::{self, Display};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use xtask::workspace::Workspace;

/// The files of the package, with their contents, which contain placeholders.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../template/manifest.toml")),
    (".gitignore", include_str!("../template/gitignore")),
    ("README.md", include_str!("../template/readme.md")),
    ("page/index.html", include_str!("../template/page.html")),
];

/// What the new plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A `Plugin` that sends every message back.
    Echo,
    /// An `AsyncPlugin` that does so later.
    Async,
    /// A `Plugin` with rooms, which are topics.
    Topics,
    /// A `Plugin` with messages in JSON.
    Json,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Echo => include_str!("../template/lib.rs"),
            Self::Async => include_str!("../template/lib_async.rs"),
            Self::Topics => include_str!("../template/lib_topics.rs"),
            Self::Json => include_str!("../template/lib_json.rs"),
        }
    }

    /// The message that the page offers.
    fn message(self) -> &'static str {
        match self {
            Self::Echo | Self::Async | Self::Topics => "hello",
            Self::Json => "{&quot;add&quot;: [1, 2]}",
        }
    }

    /// What the page connects to, behind the path of the plugin.
    fn below(self) -> &'static str {
        match self {
            Self::Echo | Self::Async | Self::Json => "",
            Self::Topics => "/red",
        }
    }

    /// The lines of the manifest for `websocket-plugin` from there.
    fn dependencies(self, Origin(plugin_core): &Origin) -> String {
        let (others, features) = match self {
            Self::Echo | Self::Topics => ("", ""),
            Self::Async => (
                "tokio = { version = \"1\", features = [\"time\"] }\n",
                ", features = [\"tokio\"]",
            ),
            Self::Json => (
                "serde = { version = \"1\", features = [\"derive\"] }\n",
                ", features = [\"json\"]",
            ),
        };
        format!("log = \"0.4\"\n{others}websocket-plugin = {{ {plugin_core}{features} }}")
    }
}

/// With these names the package would not compile.
const RESERVED: &str = "abstract alloc as async await become box break const continue core crate \
    do dyn else enum extern false final fn for gen if impl in let loop macro match mod move mut \
    override priv proc_macro pub ref return self static std struct super test trait true try type \
    typeof union unsafe unsized use virtual websocket_plugin where while yield";

/// Names that the code of the package uses for something else.
const TAKEN_TYPES: [&str; 22] = [
    "Answer",
    "AsyncPlugin",
    "Close",
    "CloseCode",
    "Default",
    "Deserialize",
    "Duration",
    "Err",
    "Handshake",
    "Host",
    "Message",
    "Ok",
    "Plugin",
    "Question",
    "Received",
    "Rejection",
    "Request",
    "Result",
    "Sender",
    "Serialize",
    "Some",
    "String",
];

/// The name of a plugin's package: lower-case words of letters and digits, separated by `-` or `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginName(String);

impl FromStr for PluginName {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let is_word = |word: &str| {
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            !word.is_empty() && word.chars().all(is_part)
        };
        ensure!(
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.split(['-', '_']).all(is_word),
            "it must start with a letter and consist of lower-case words and digits, \
             separated by `-` or `_`"
        );
        ensure!(name.len() <= 64, "it has more than 64 characters");
        let plugin = Self(name.to_owned());
        let is_reserved = RESERVED
            .split_whitespace()
            .any(|word| word == plugin.crate_name());
        ensure!(!is_reserved, "Rust or this project reserves that word");
        Ok(plugin)
    }
}

impl Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PluginName {
    /// The exported init function.
    pub(crate) fn symbol(&self) -> String {
        format!("{}_init", self.crate_name())
    }

    /// The file name of the shared library.
    pub(crate) fn library(&self) -> String {
        let name = self.crate_name();
        format!(
            "{}{name}{}",
            env::consts::DLL_PREFIX,
            env::consts::DLL_SUFFIX
        )
    }

    fn crate_name(&self) -> String {
        self.0.replace('-', "_")
    }

    /// The name of the type, in CamelCase.
    fn type_name(&self) -> String {
        let mut name = String::new();
        for word in self.0.split(['-', '_']) {
            let (first, rest) = word.split_at(1);
            name.push_str(&first.to_ascii_uppercase());
            name.push_str(rest);
        }
        if TAKEN_TYPES.contains(&&*name) {
            name.push_str("Plugin");
        }
        name
    }
}

/// Where the package gets `websocket-plugin` from, as its manifest says it.
pub(crate) struct Origin(String);

impl Origin {
    /// The sources beside this tool.
    ///
    /// # Errors
    /// Their path cannot be written into a manifest.
    pub(crate) fn of_checkout(workspace: &Workspace) -> Result<Self> {
        Self::of_folder(&workspace.root().join("plugin-core"))
    }

    /// The sources in a folder.
    ///
    /// # Errors
    /// As [`Origin::of_checkout`].
    pub(crate) fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder
            .to_str()
            .with_context(|| format!("the path {} is not UTF-8", folder.display()))?;
        Ok(Self(format!("path = {}", toml_string(path))))
    }

    /// crates.io, with the version of these sources. `websocket-plugin` has the same one.
    pub(crate) fn of_registry() -> Self {
        Self(format!("version = \"{}\"", env!("CARGO_PKG_VERSION")))
    }
}

/// Writes the package into `folder`, which must not exist yet. The package depends on the
/// `websocket-plugin` of `origin`, and uses the versions of other crates that are tested in
/// `workspace`.
///
/// # Errors
/// The folder exists, or cannot be written.
pub(crate) fn write(
    name: &PluginName,
    style: Style,
    origin: &Origin,
    folder: &Path,
    workspace: &Workspace,
) -> Result<()> {
    create(folder)?;
    for inner in ["src", "page"] {
        fs::create_dir(folder.join(inner))?;
    }
    let code = [("src/lib.rs", style.code())];
    let dependencies = style.dependencies(origin);
    for (file, template) in FILES.into_iter().chain(code) {
        let text = template
            .replace("{{name}}", &name.0)
            .replace("{{type}}", &name.type_name())
            .replace("{{symbol}}", &name.symbol())
            .replace("{{path}}", &format!("/{name}{}", style.below()))
            .replace("{{message}}", style.message())
            .replace("{{library}}", &name.library())
            .replace("{{dependencies}}", &dependencies);
        fs::write(folder.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    fs::copy(
        workspace.root().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    Ok(())
}

/// Creates the folder, and its parents if they do not exist.
fn create(folder: &Path) -> Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!(
                "{} exists already; choose another folder with --path",
                folder.display()
            )
        }
        created => created.with_context(|| format!("cannot create {}", folder.display())),
    }
}

fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        for good in ["chat", "my-chat", "my_chat", "v2-chat", "a-1"] {
            assert!(good.parse::<PluginName>().is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in [
            "",
            "-",
            "-a",
            "a-",
            "a--b",
            "1a",
            "Chat",
            "caf\u{e9}",
            "a b",
            "a/b",
            "..",
            "a.b",
            "fn",
            "std",
            "proc-macro",
            "websocket-plugin",
            "websocket_plugin",
            &long,
        ] {
            assert!(bad.parse::<PluginName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_names_that_are_derived_from_the_name_of_the_package() {
        for (name, type_name, symbol) in [
            ("chat", "Chat", "chat_init"),
            ("my-chat_2", "MyChat2", "my_chat_2_init"),
            ("close", "ClosePlugin", "close_init"),
            ("async-plugin", "AsyncPluginPlugin", "async_plugin_init"),
        ] {
            let name: PluginName = name.parse().unwrap();
            assert_eq!((&*name.type_name(), &*name.symbol()), (type_name, symbol));
        }
    }

    #[test]
    fn existing_folders_are_not_overwritten() {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Workspace::find().unwrap();
        let error = write(
            &"chat".parse().unwrap(),
            Style::Echo,
            &Origin::of_registry(),
            temp.path(),
            &workspace,
        )
        .unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(temp.path().read_dir().unwrap().count(), 0);
    }
}
