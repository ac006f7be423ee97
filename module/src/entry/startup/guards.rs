//! Checks that `Require` guards the locations where requests publish to topics.
//!
//! httpd tells a handler whether a user has logged in, but not which rule has admitted a request:
//! an address, or `Require all granted`. So the rules have to be next to `WebSocketPublish`, where
//! they are found when the configuration is read. `WebSocketPublish` is not allowed in `.htaccess`
//! files.

use crate::entry::publish::HANDLER;
use crate::httpd::lines::Line;

/// The errors, in the order of the lines.
pub(super) fn find(lines: &[Line]) -> Vec<String> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let fault = match &*line.name {
            "websocketpublish" if !seen.contains(&place(line)) => {
                seen.push(place(line));
                fault(lines, index)
            }
            "sethandler" | "addhandler" => handler_without_patterns(lines, line),
            _ => None,
        };
        errors.extend(fault.map(|fault| format!("{}: {fault}", line.place)));
    }
    errors
}

/// Where a line is: its virtual host, and those sections around it that select requests.
fn place(line: &Line) -> (Option<usize>, Vec<&str>) {
    const OTHERS: [&str; 8] = [
        "<ifmodule ",
        "<ifdefine ",
        "<ifversion ",
        "<iffile ",
        "<ifdirective ",
        "<ifsection ",
        "<require",
        "<limit",
    ];
    let around = line.scope.around.iter().map(String::as_str);
    let selects = |section: &&str| !OTHERS.iter().any(|other| section.starts_with(other));
    (line.scope.host, around.filter(selects).collect())
}

fn fault(lines: &[Line], index: usize) -> Option<String> {
    let line = &lines[index];
    let beside: Vec<_> = lines
        .iter()
        .filter(|other| place(other) == place(line))
        .collect();
    if let Some(open) = beside.iter().copied().find(|other| opens(other)) {
        return Some(format!(
            "'{}' ({}) lets everybody publish; say with Require who may, such as 'Require local', \
             'Require ip 10.0.0.0/8' or 'Require valid-user'",
            written(open),
            open.place
        ));
    }
    if !beside.iter().any(|other| guards(other)) {
        return Some(
            "WebSocketPublish needs a Require in the same section that says who may publish, such \
             as 'Require local', 'Require ip 10.0.0.0/8' or 'Require valid-user'"
                .into(),
        );
    }
    // httpd lets later sections, and sections of virtual hosts, override this one.
    let is_later = |(at, other): (usize, &Line)| match (line.scope.host, other.scope.host) {
        (None, Some(_)) => true,
        (Some(_), None) => false,
        _ => at > index,
    };
    let overriding = lines
        .iter()
        .enumerate()
        .filter(|(at, other)| is_later((*at, other)))
        .map(|(_, other)| other)
        .find(|other| opens(other) && other.scope.shares_location(&line.scope));
    overriding.map(|other| {
        format!(
            "'{}' ({}) holds here, too, and lets everybody publish; put its section before this \
             one, or say there who may",
            written(other),
            other.place
        )
    })
}

fn handler_without_patterns(lines: &[Line], line: &Line) -> Option<String> {
    if !line.mentions(HANDLER) || line.is_computed() {
        return None;
    }
    let mut patterns = lines.iter().filter(|other| other.is("websocketpublish"));
    let has_patterns = patterns.any(|other| other.scope.may_meet(&line.scope));
    (!has_patterns).then(|| {
        "requests get the handler websocket-publish here, but may publish to no topic; write \
         'WebSocketPublish PATTERN' beside it, and Require who may"
            .into()
    })
}

fn written(line: &Line) -> String {
    let name = match &*line.name {
        "require" => "Require",
        "satisfy" => "Satisfy",
        _ => "AuthMerging",
    };
    format!("{name} {}", line.arguments)
}

/// Whether a line admits everybody, alone or together with other lines.
fn opens(line: &Line) -> bool {
    let mut words = words(line);
    match &*line.name {
        "require" => match words.next().as_deref() {
            Some("all") => words.next().as_deref() == Some("granted"),
            // Every client can choose its method.
            Some("method") => !is_one_of_all(line),
            _ => false,
        },
        // With `Or`, rules of another section are enough.
        "authmerging" => words.next().as_deref() == Some("or"),
        "satisfy" => words.next().as_deref() == Some("any"),
        _ => false,
    }
}

/// Whether a line admits only some requests, whatever their method.
fn guards(line: &Line) -> bool {
    let is_limited = |section: &String| section.starts_with("<limit");
    let is_of_none = |section: &String| section.starts_with("<requirenone");
    let around = &line.scope.around;
    let is_open = ["not", "method"].contains(&&*words(line).next().unwrap_or_default());
    line.is("require")
        && !is_open
        && !around
            .iter()
            .any(|section| is_limited(section) || is_of_none(section))
}

/// Whether the innermost section demands that all its lines match.
fn is_one_of_all(line: &Line) -> bool {
    let innermost = line.scope.around.last();
    innermost.is_some_and(|section| section.starts_with("<requireall"))
}

fn words(line: &Line) -> impl Iterator<Item = String> {
    let words = line.arguments.split_whitespace();
    words.map(|word| word.trim_matches(['"', '\'']).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::httpd::lines::tests::read;

    /// The places of the lines with errors.
    fn places(config: &str) -> Vec<String> {
        let errors = find(&read(config));
        let place = |error: String| Some(error.split_once(": ")?.0.to_owned());
        errors.into_iter().filter_map(place).collect()
    }

    fn location(path: &str, lines: &str) -> String {
        format!("<Location {path}>\n{lines}\n</Location>\n")
    }

    const PUBLISH: &str = "WebSocketPublish a/*";

    #[test]
    fn a_rule_in_the_same_section_has_to_say_who_may_publish() {
        for (rules, is_good) in [
            ("", false),
            ("Require local", true),
            ("Require valid-user", true),
            ("Require all denied", true),
            ("Require expr true", true),
            ("Require all granted", false),
            ("Require ALL \"granted\"", false),
            ("Require local\nRequire all granted", false),
            ("Require method POST", false),
            ("Require local\nRequire method POST", false),
            (
                "<RequireAll>\nRequire method POST\nRequire local\n</RequireAll>",
                true,
            ),
            ("<RequireAll>\nRequire method POST\n</RequireAll>", false),
            (
                "<RequireAny>\nRequire ip ::1\nRequire user me\n</RequireAny>",
                true,
            ),
            (
                "<RequireAll>\nRequire all granted\nRequire not ip ::1\n</RequireAll>",
                false,
            ),
            ("<RequireNone>\nRequire ip ::1\n</RequireNone>", false),
            ("<Limit POST>\nRequire local\n</Limit>", false),
            ("<IfModule x>\nRequire local\n</IfModule>", true),
            ("Require local\nAuthMerging Or", false),
            ("Require local\nAuthMerging And", true),
            ("Require valid-user\nSatisfy Any", false),
        ] {
            let config = location("/p", &format!("{PUBLISH}\n{rules}"));
            let expected = if is_good { vec![] } else { vec!["conf:2"] };
            assert_eq!(places(&config), expected, "{config}");
            // The directive and the rules are in two sections for the same path.
            let config = location("/p", PUBLISH) + &location("/p", rules);
            assert_eq!(places(&config), expected, "{config}");
        }
    }

    #[test]
    fn a_rule_of_another_section_does_not_do() {
        let with = |other: &str| format!("{other}{}", location("/p", PUBLISH));
        let elsewhere = location("/", "Require local");
        assert_eq!(places(&with(&elsewhere)).len(), 1);
        let host = format!(
            "<VirtualHost x>\n{}</VirtualHost>\n",
            location("/p", "Require local")
        );
        assert_eq!(places(&with(&host)).len(), 1);
    }

    #[test]
    fn a_later_section_must_not_open_what_was_guarded() {
        let guarded = location("/p", "WebSocketPublish a\nRequire local");
        let open = |path: &str| location(path, "Require all granted");
        for (config, is_good) in [
            (open("/") + &guarded, true),
            (open("/p/q") + &guarded, true),
            (guarded.clone() + &open("/"), false),
            (guarded.clone() + &open("/p/q"), false),
            (guarded.clone() + &open("/other"), true),
            (
                format!("<VirtualHost x>\n{}</VirtualHost>\n{guarded}", open("/p")),
                false,
            ),
            (
                format!("<VirtualHost x>\n{guarded}</VirtualHost>\n{}", open("/p")),
                true,
            ),
        ] {
            assert_eq!(places(&config).is_empty(), is_good, "{config}");
        }
    }

    #[test]
    fn the_handler_needs_topics() {
        let handler = location("/p", "SetHandler websocket-publish");
        assert_eq!(places(&handler), ["conf:2"]);
        let good = location(
            "/p",
            "SetHandler websocket-publish\nWebSocketPublish a\nRequire local",
        );
        assert!(places(&good).is_empty());
    }
}
