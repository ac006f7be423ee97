//! Small files whose text depends on the folders of a system.

use std::fmt::Write as _;

use anyhow::Result;

use super::directives::Theme;
use super::ingredients::Ingredients;
use super::places::Places;

/// A drop-in for systemd that raises the limit of open files.
pub(crate) const SYSTEMD: &str = include_str!("../../package/apache2.service.conf");

/// The file for `pkg-config`.
pub(crate) fn pkg_config(places: &Places, version: &str) -> String {
    // In an archive, folders are relative to the file.
    let folder = |path: &str| match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("${{pcfiledir}}/../../{path}"),
    };
    include_str!("../../package/websocket-plugin.pc")
        .replace("{{include}}", &folder(places.include))
        .replace("{{plugins}}", &folder(places.plugins))
        .replace("{{crates}}", &folder(&format!("{}/crates", places.share)))
        .replace("{{version}}", version)
}

/// The manual page.
///
/// # Errors
/// The program `date` is missing.
pub(crate) fn manual_page(
    places: &Places,
    ingredients: &Ingredients<'_>,
    themes: &[Theme],
) -> Result<String> {
    let mut plugins = String::new();
    for (name, _) in &ingredients.built.plugins {
        write!(plugins, "\n.br\n.B {}.so", escaped(name))?;
    }
    let mut directives = String::new();
    for directive in themes.iter().flat_map(|theme| &theme.directives) {
        let syntax = escaped(&directive.syntax);
        let description = escaped(&directive.description);
        write!(directives, "\n.TP\n.B {syntax}\n{description}.")?;
        if let Some(default) = &directive.default {
            write!(directives, "\nDefault: {}", escaped(default))?;
        }
    }
    Ok(include_str!("../../package/mod_websocket.8")
        .replace("{{plugin_list}}", plugins.trim_start())
        .replace("{{directives}}", directives.trim_start())
        .replace("{{date}}", &ingredients.release.date("+%Y-%m-%d")?)
        .replace("{{version}}", &ingredients.release.version)
        .replace("{{modules}}", places.modules)
        .replace("{{plugins}}", places.plugins)
        .replace("{{load_file}}", places.load_file)
        .replace("{{settings_file}}", places.settings_file)
        .replace("{{doc}}", places.doc))
}

/// The manual page of the doctor.
///
/// # Errors
/// The program `date` is missing.
pub(crate) fn doctor_page(ingredients: &Ingredients<'_>) -> Result<String> {
    Ok(include_str!("../../package/mod_websocket-doctor.1")
        .replace("{{date}}", &ingredients.release.date("+%Y-%m-%d")?)
        .replace("{{version}}", &ingredients.release.version))
}

/// As roff has it: hyphens that are typed, and no line that begins with a dot.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.strip_prefix(['.', '\'']) {
        Some(_) => format!("\\&{text}"),
        None => text,
    }
}
