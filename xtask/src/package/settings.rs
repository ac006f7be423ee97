//! The files that have httpd load the module, and that administrators edit.

use std::fmt::Write as _;

use anyhow::Result;

use super::directives::{Directive, Theme};
use super::places::Places;

/// The file with the `LoadModule` line.
pub(crate) fn load_file(places: &Places) -> String {
    format!(
        "LoadModule websocket_module {}/mod_websocket.so\n",
        places.modules
    )
}

/// The file for the administrator. It says what each directive does, and changes nothing until
/// lines are uncommented.
///
/// # Errors
/// Never: text is written to memory.
pub(crate) fn settings_file(places: &Places, themes: &[Theme]) -> Result<String> {
    let mut text = format!(
        "\
# Settings of mod_websocket. All lines are comments, so the defaults apply.
# httpd reads this file when it starts, and at each restart or reload.
#
# A plugin serves WebSockets at a path, such as ws://HOST/echo. These lines,
# which may also be in a virtual host, name its library and its init function:
#
#<Location \"/echo\">
#    SetHandler websocket-handler
#    WebSocketHandler {plugins}/echo.so echo_init
#</Location>
#
# Below, each directive has its purpose, its syntax, and a line with its
# default, if it has one. {doc}/book/directives.md
# says more about them.

<IfModule mod_websocket.c>
",
        plugins = places.plugins,
        doc = places.doc
    );
    for Theme { title, directives } in themes {
        let mut directives = directives.iter().filter(|it| it.is_of_server).peekable();
        if directives.peek().is_none() {
            continue;
        }
        write!(text, "\n    # {title}\n")?;
        for directive in directives {
            write_directive(&mut text, directive)?;
        }
    }
    text.push_str("\n</IfModule>\n");
    Ok(text)
}

fn write_directive(text: &mut String, directive: &Directive) -> Result<()> {
    let Directive {
        description,
        syntax,
        default,
        ..
    } = directive;
    write!(text, "\n    # {description}.\n    #   {syntax}\n")?;
    if let Some(default) = default {
        writeln!(text, "    #{default}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use xtask::workspace::Workspace;

    use super::super::directives;
    use super::super::format::Format;
    use super::*;

    #[test]
    fn nothing_is_set_until_a_line_is_uncommented() {
        let themes = directives::themes(&Workspace::find().unwrap()).unwrap();
        let text = settings_file(&Places::of(Format::Deb), &themes).unwrap();
        let lines = text.lines().map(str::trim);
        let set: Vec<_> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(set, ["<IfModule mod_websocket.c>", "</IfModule>"]);
        assert!(
            text.contains("\n    #WebSocketMaxMessageSize 33554432\n"),
            "{text}"
        );
    }
}
