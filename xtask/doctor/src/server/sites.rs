//! The virtual host that serves a URL, from the list that httpd prints.

use crate::finding::Finding;
use crate::url::Url;

/// A virtual host.
#[derive(Debug, PartialEq, Eq)]
struct Site<'a> {
    port: u16,
    names: Vec<&'a str>,
    /// The file and line of its section.
    place: &'a str,
}

/// Says where the virtual host of this URL is. `None` if none is for its port: another program may
/// stand in front.
pub(super) fn examine(listing: &str, url: &Url) -> Option<Finding> {
    let sites = parse(listing);
    let mut of_port = sites.iter().filter(|site| site.port == url.port);
    let first = of_port.clone().next()?;
    let has_name = |site: &&Site<'_>| {
        site.names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&url.host))
    };
    Some(match of_port.find(has_name) {
        Some(site) => Finding::good(format!(
            "{} is the virtual host of {}",
            site.place, url.host
        )),
        None => Finding::note(format!(
            "no virtual host of port {} has the name {} (wildcards are not looked at): the first \
             one, {}, serves it",
            url.port, url.host, first.place
        ))
        .remedy("Name it with ServerName or ServerAlias, if another one is meant."),
    })
}

/// Reads the answer to `DUMP_VHOSTS`. An address has its only site on the same line, or several of
/// them below; an alias follows its site.
fn parse(listing: &str) -> Vec<Site<'_>> {
    let mut sites: Vec<Site<'_>> = Vec::new();
    for line in listing.lines() {
        let place = line
            .split_once(" (")
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        let words: Vec<_> = line.split_whitespace().collect();
        match (&*words, place) {
            (["port", port, "namevhost", name, ..], Some(place)) => {
                sites.extend(site(port, name, place));
            }
            (["default", "server", ..], _) => {}
            (["alias", name], _) => {
                if let Some(site) = sites.last_mut() {
                    site.names.push(name);
                }
            }
            ([address, name, ..], Some(place)) => {
                let port = address.rsplit(':').next().unwrap_or_default();
                sites.extend(site(port, name, place));
            }
            _ => {}
        }
    }
    sites
}

fn site<'a>(port: &str, name: &'a str, place: &'a str) -> Option<Site<'a>> {
    Some(Site {
        port: port.parse().ok()?,
        names: vec![name],
        place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
VirtualHost configuration:
*:80                   is a NameVirtualHost
         default server a.example (/etc/a.conf:1)
         port 80 namevhost a.example (/etc/a.conf:1)
                 alias www.a.example
         port 80 namevhost b.example (/etc/b (old).conf:2)
[::1]:443              c.example (/etc/c.conf:3)
";

    #[test]
    fn the_site_of_a_url_is_the_one_with_its_name_or_the_first() {
        for (url, expected) in [
            (
                "ws://WWW.a.example/",
                Some("/etc/a.conf:1 is the virtual host"),
            ),
            (
                "ws://b.example/",
                Some("/etc/b (old).conf:2 is the virtual host"),
            ),
            (
                "ws://other.example/",
                Some("the first one, /etc/a.conf:1, serves it"),
            ),
            (
                "wss://c.example/",
                Some("/etc/c.conf:3 is the virtual host"),
            ),
            ("ws://a.example:81/", None),
        ] {
            let finding = examine(LISTING, &url.parse().unwrap());
            let text = finding.map(|finding| finding.text);
            assert_eq!(text.is_some(), expected.is_some(), "{url}: {text:?}");
            assert!(
                text.unwrap_or_default()
                    .contains(expected.unwrap_or_default()),
                "{url}"
            );
        }
    }
}
