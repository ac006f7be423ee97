//! Opens the WebSocket at a URL, and explains what happens.

mod refusals;

use crate::client::{Attempt, Failure};
use crate::finding::Finding;
use crate::log::LogEnd;

/// Opens the WebSocket once, as a page of its own site would do. `log` is the error log of the
/// server, if it is on this machine.
#[must_use]
pub fn examine(attempt: &Attempt<'_>, log: Option<&LogEnd>) -> Finding {
    let finding = match attempt.open() {
        Err(failure) => not_answered(attempt, &failure),
        Ok(opening) if opening.response.status != 101 => {
            refusals::explain(attempt, &opening.response)
        }
        Ok(opening) if !opening.is_accepted() => Finding::wrong(format!(
            "{}: what answers speaks no WebSocket: its 101 does not fit this handshake",
            attempt.url
        ))
        .remedy("Look for a proxy or a cache on the way that answers by itself."),
        Ok(opening) => match opening.converse() {
            Ok(()) => {
                let origin = attempt.origin.unwrap_or("no page");
                return Finding::good(format!(
                    "{}: the WebSocket opens for {origin}, and answers a ping",
                    attempt.url
                ));
            }
            Err(failure) => not_conversing(attempt, &failure),
        },
    };
    with_log(finding, log)
}

/// Adds what the error log has said meanwhile.
fn with_log(mut finding: Finding, log: Option<&LogEnd>) -> Finding {
    let lines = log.map(LogEnd::complaints).unwrap_or_default();
    if !lines.is_empty() {
        finding.text += &format!("\nThe error log says:\n{}", lines.join("\n"));
    }
    finding
}

fn not_answered(attempt: &Attempt<'_>, failure: &Failure) -> Finding {
    let url = attempt.url;
    let seconds = attempt.limit.as_secs_f32();
    let wrong = |text: String| Finding::wrong(format!("{url}: {text}"));
    match failure {
        Failure::Name(reason) => wrong(format!("the name {} has no address ({reason})", url.host))
            .remedy("Correct the name, or its entry in DNS or /etc/hosts."),
        Failure::Refused(address) => wrong(format!("nothing listens at {address}")).remedy(
            "Start httpd (`apachectl start`), write a `Listen` for this port, or correct the port \
             in the URL. A firewall may refuse connections, too.",
        ),
        Failure::Timeout => wrong(format!("no answer within {seconds} seconds")).remedy(
            "If web pages of the server do not come either, all processes of httpd are full, or a \
             firewall drops what is sent: see \"Many connections\" and `Listen`. Otherwise \
             `on_connect` of the plugin takes long.",
        ),
        Failure::Ended => wrong("the connection ended without an answer".to_owned()).remedy(
            "Look into the error log for a process that has crashed (`exit signal`). If the port \
             is for TLS, use wss://.",
        ),
        Failure::Certificate(reason) => wrong(format!("browsers refuse the certificate: {reason}"))
            .remedy(
                "Set SSLCertificateFile and SSLCertificateKeyFile to a certificate for this name \
                 that is valid today, with the intermediate certificates behind it. For a \
                 certificate of your own authority, use --ca.",
            ),
        Failure::Alert(reason) => wrong(format!("the server refuses TLS: {reason}")).remedy(
            "`SSLVerifyClient require` asks for a certificate of the client. Browsers send one if \
             the user has it. Otherwise look at SSLProtocol, and at the server's names.",
        ),
        Failure::NoTls(reason) => wrong(format!("no TLS at this port: {reason}")).remedy(
            "Use ws:// or the port of TLS; or write `SSLEngine on` into the virtual host of this \
             port.",
        ),
        Failure::NoHttp(start) => {
            wrong(format!("no HTTP at this port; it says {:?}", first(start)))
                .remedy("Correct the port. If it is for TLS, use wss://.")
        }
        Failure::Other(reason) => wrong(reason.clone()),
    }
}

fn not_conversing(attempt: &Attempt<'_>, failure: &Failure) -> Finding {
    let what = match failure {
        Failure::Timeout => "no pong comes: something on the way holds back what is sent",
        _ => "it ends at once",
    };
    Finding::wrong(format!("{}: the WebSocket opens, but {what}", attempt.url)).remedy(
        "`LogLevel websocket:info` says how each WebSocket ends, and why. If a proxy is on the \
         way, try httpd's own address.",
    )
}

fn first(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(60)
        .collect()
}
