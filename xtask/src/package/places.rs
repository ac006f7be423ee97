//! Where the files of a package go.

use super::format::Format;

/// The folders of a system. Those of an archive are relative to `ServerRoot`.
#[derive(Debug)]
pub(crate) struct Places {
    /// The module's library.
    pub(crate) modules: &'static str,
    /// The plugins.
    pub(crate) plugins: &'static str,
    /// The doctor.
    pub(crate) programs: &'static str,
    /// The file with the `LoadModule` line.
    pub(crate) load_file: &'static str,
    /// The file with the administrator's settings.
    pub(crate) settings_file: &'static str,
    /// The documentation of the package with the module.
    pub(crate) doc: &'static str,
    /// The documentation of the package for authors of plugins.
    pub(crate) development_doc: &'static str,
    /// The manual pages.
    pub(crate) man: &'static str,
    /// The C header.
    pub(crate) include: &'static str,
    /// The file for `pkg-config`.
    pub(crate) pkg_config: &'static str,
    /// The sources of the crates, and the templates of plugins.
    pub(crate) share: &'static str,
}

const DEBIAN: Places = Places {
    modules: "/usr/lib/apache2/modules",
    plugins: "/usr/lib/apache2/websocket",
    programs: "/usr/bin",
    load_file: "/etc/apache2/mods-available/websocket.load",
    settings_file: "/etc/apache2/mods-available/websocket.conf",
    doc: "/usr/share/doc/libapache2-mod-websocket",
    development_doc: "/usr/share/doc/libapache2-mod-websocket-dev",
    man: "/usr/share/man",
    include: "/usr/include/apache2",
    pkg_config: "/usr/share/pkgconfig",
    share: "/usr/share/mod_websocket",
};

const FEDORA: Places = Places {
    modules: "/usr/lib64/httpd/modules",
    plugins: "/usr/lib64/httpd/websocket",
    programs: "/usr/bin",
    load_file: "/etc/httpd/conf.modules.d/10-websocket.conf",
    settings_file: "/etc/httpd/conf.d/websocket.conf",
    doc: "/usr/share/doc/mod_websocket",
    development_doc: "/usr/share/doc/mod_websocket-devel",
    man: "/usr/share/man",
    include: "/usr/include/httpd",
    pkg_config: "/usr/share/pkgconfig",
    share: "/usr/share/mod_websocket",
};

const SERVER_ROOT: Places = Places {
    modules: "modules",
    plugins: "modules/websocket",
    programs: "bin",
    load_file: "conf/extra/websocket-load.conf",
    settings_file: "conf/extra/websocket.conf",
    doc: "share/doc/mod_websocket",
    development_doc: "share/doc/mod_websocket-devel",
    man: "man",
    include: "include",
    pkg_config: "share/pkgconfig",
    share: "share/mod_websocket",
};

impl Places {
    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::Deb => DEBIAN,
            Format::Rpm => FEDORA,
            Format::Tar => SERVER_ROOT,
        }
    }
}
