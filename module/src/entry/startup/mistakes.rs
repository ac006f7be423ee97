//! Finds settings that httpd accepts but that have no effect, or not the intended one.
//!
//! They cause warnings and not errors, because the C module starts with all of them. There is no
//! warning if a request could still give the setting a meaning: through a section that this does
//! not look into, an `.htaccess` file, or another module.

use std::collections::BTreeMap;

use crate::entry::config::{HANDLER, HtaccessPlugins};
use crate::httpd::lines::{Line, Scope};

/// What the checks need to know besides the lines.
pub(super) struct Facts {
    /// For each `WebSocketHandler`, by the id of its line, whether the plugin is written in Rust.
    pub(super) is_rust: BTreeMap<usize, bool>,
    pub(super) htaccess_plugins: HtaccessPlugins,
}

/// The warnings about a configuration, in the order of its lines.
pub(super) fn find(lines: &[Line], facts: &Facts) -> Vec<String> {
    let find = Finder { lines, facts };
    let about = |line: &Line| match &*line.name {
        "websocketorigincheck" => find.trusted_without_origins(line),
        "websockettrustedorigin" => find.origins_without_trusted(line),
        "websocketpluginoption" => find.option_for_c(line),
        "websocketcompressionlevel"
        | "websocketcompressionthreshold"
        | "websocketcompressioncontext" => find.compression_that_is_off(line),
        "websockethandler" => find.plugin_without_handler(line),
        "sethandler" | "addhandler" => find.handler_without_plugin(line),
        _ => None,
    };
    let warning = |line: &Line| Some(format!("{}: {}", line.place, about(line)?));
    let mut warnings: Vec<String> = Vec::new();
    for warning in lines.iter().filter_map(warning) {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
}

struct Finder<'a> {
    lines: &'a [Line],
    facts: &'a Facts,
}

impl<'a> Finder<'a> {
    /// The lines with these names that may concern a request in `scope`.
    fn meeting(&self, scope: &'a Scope, names: &'a [&str]) -> impl Iterator<Item = &'a Line> {
        self.lines
            .iter()
            .filter(move |line| names.contains(&&*line.name) && line.scope.may_meet(scope))
    }

    fn trusted_without_origins(&self, line: &Line) -> Option<String> {
        let is_trusted = line
            .arguments
            .trim_matches('"')
            .eq_ignore_ascii_case("trusted");
        let mut origins = self.meeting(&line.scope, &["websockettrustedorigin"]);
        (is_trusted && origins.next().is_none()).then(|| {
            "'WebSocketOriginCheck Trusted' refuses every web page, because no \
             WebSocketTrustedOrigin is set here; write 'WebSocketTrustedOrigin \
             https://www.example.com' with the origins of the pages that may connect"
                .into()
        })
    }

    fn origins_without_trusted(&self, line: &Line) -> Option<String> {
        let mut checks = self.meeting(&line.scope, &["websocketorigincheck"]);
        let is_used = checks.any(|check| check.mentions("trusted") || check.is_computed());
        let is_first = self.is_first_of_section(line);
        (is_first && !is_used).then(|| {
            "WebSocketTrustedOrigin has no effect without 'WebSocketOriginCheck Trusted', which is \
             not set here; write that too"
                .into()
        })
    }

    fn option_for_c(&self, line: &Line) -> Option<String> {
        let plugins: Vec<_> = self.meeting(&line.scope, &["websockethandler"]).collect();
        let is_c = |plugin: &&Line| self.facts.is_rust.get(&plugin.id) == Some(&false);
        (self.is_first_of_section(line) && !plugins.is_empty() && plugins.iter().all(is_c)).then(
            || {
                format!(
                    "WebSocketPluginOption has no effect: it is for plugins written in Rust, and \
                     '{}' ({}) is in C; remove the option",
                    plugins[0].arguments, plugins[0].place
                )
            },
        )
    }

    fn compression_that_is_off(&self, line: &Line) -> Option<String> {
        let mut switches = self.meeting(&line.scope, &["websocketcompression"]);
        let is_on = switches.any(|switch| switch.mentions("on") || switch.is_computed())
            || self.is_left_to_htaccess(&line.scope, &["authconfig", "websocketcompression"]);
        let is_first = self.is_first_of_section(line);
        (is_first && !is_on).then(|| {
            "settings of compression have no effect without 'WebSocketCompression On', which is \
             not set here; write that too"
                .into()
        })
    }

    fn plugin_without_handler(&self, line: &Line) -> Option<String> {
        let is_set = self.lines.iter().any(|other| {
            let names_it = other.mentions(HANDLER) && !other.name.starts_with("websocket");
            let may_name_it = other.is_computed()
                && [
                    "sethandler",
                    "addhandler",
                    "rewriterule",
                    "forcetype",
                    "addtype",
                ]
                .contains(&&*other.name);
            (names_it || may_name_it) && other.scope.may_meet(&line.scope)
        });
        let by_program =
            |line: &Line| line.name.starts_with("perl") || line.name.starts_with("lua");
        let by_others = self.lines.iter().any(by_program)
            || self.is_left_to_htaccess(
                &line.scope,
                &[
                    "fileinfo",
                    "sethandler",
                    "addhandler",
                    "forcetype",
                    "addtype",
                    "rewriterule",
                ],
            );
        (!is_set && !by_others).then(|| {
            "WebSocketHandler has no effect: no request gets the handler here; write 'SetHandler \
             websocket-handler' beside it"
                .into()
        })
    }

    fn handler_without_plugin(&self, line: &Line) -> Option<String> {
        if !line.mentions(HANDLER) || line.is_computed() {
            return None;
        }
        let has_plugin = self
            .meeting(&line.scope, &["websockethandler"])
            .next()
            .is_some();
        let may_load = match self.facts.htaccess_plugins {
            HtaccessPlugins::Named => self.lines.iter().any(|line| line.is("websockethandler")),
            HtaccessPlugins::Any => true,
            HtaccessPlugins::None => false,
        };
        let by_htaccess =
            may_load && self.is_left_to_htaccess(&line.scope, &["authconfig", "websockethandler"]);
        (!has_plugin && !by_htaccess).then(|| {
            "requests get the handler websocket-handler here, but no plugin serves them; write \
             'WebSocketHandler LIBRARY INIT-FUNCTION' beside it"
                .into()
        })
    }

    /// Whether `.htaccess` files may hold one of the directives, or groups of directives, in
    /// `names`.
    fn is_left_to_htaccess(&self, scope: &'a Scope, names: &[&str]) -> bool {
        let overrides = ["allowoverride", "allowoverridelist"];
        self.lines
            .iter()
            .filter(|line| overrides.contains(&&*line.name) && line.scope.may_meet(scope))
            .any(|line| {
                line.is_computed()
                    || (line.is("allowoverride") && line.mentions("all"))
                    || names.iter().any(|name| line.mentions(name))
            })
    }

    /// Whether the line is the first with its name in its section: one warning is enough.
    fn is_first_of_section(&self, line: &Line) -> bool {
        let same = |other: &&Line| other.name == line.name && other.scope == line.scope;
        self.lines
            .iter()
            .find(same)
            .is_some_and(|first| first.id == line.id)
    }
}

#[cfg(test)]
mod tests;
