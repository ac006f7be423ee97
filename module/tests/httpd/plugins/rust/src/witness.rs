//! Reports what it sees of the opening handshake.

use websocket_plugin::{
    Close, CloseCode, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

/// The query `status=NUMBER` makes it refuse the client with this status, with the headers of
/// `&header=NAME:VALUE` and the body of `&body=TEXT`. A message asks for a fact: `method`, `uri`,
/// `path info`, `query`, `user`, `client`, `tls`, `subprotocols`, `headers`, a header, or `$` and
/// one of the variables that the header `X-Variables` names.
#[derive(Default)]
struct Witness;

/// Names and values of the facts.
struct Seen(Vec<(String, Option<String>)>);

#[websocket_plugin]
impl Plugin for Witness {
    type Connection = Seen;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Seen, Rejection> {
        if let Some(query) = handshake.query().filter(|q| q.starts_with("status=")) {
            return Err(rejection(query)?);
        }
        handshake.set_header("X-Witness", "here")?;
        let subprotocols: Vec<_> = handshake.subprotocols().collect();
        let count = handshake
            .headers()
            .map(|headers| headers.count().to_string());
        let facts = [
            ("method", handshake.method()),
            ("uri", handshake.uri()),
            ("path info", handshake.path_info()),
            ("query", handshake.query()),
            ("user", handshake.user()),
            ("client", handshake.client_address()),
            (
                "tls",
                handshake.is_tls().map(|tls| if tls { "yes" } else { "no" }),
            ),
            ("subprotocols", Some(&subprotocols.join(" "))),
            ("headers", count.as_deref()),
        ]
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        let headers = handshake.headers().into_iter().flatten();
        let headers = headers.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let variables = handshake.header("X-Variables").unwrap_or_default();
        let variables = variables.split(' ').map(|name| {
            let value = handshake.variable(name);
            (format!("${name}"), value.map(str::to_owned))
        });
        Ok(Seen(
            facts.into_iter().chain(headers).chain(variables).collect(),
        ))
    }

    fn on_message(&self, seen: &mut Seen, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let asked = m.as_text();
        let Some((_, value)) = seen.0.iter().find(|(name, _)| asked == Some(name)) else {
            return Err(Close::new(CloseCode::POLICY_VIOLATION, "no such fact"));
        };
        Ok(to.send(value.as_deref().unwrap_or("(none)"))?)
    }
}

fn rejection(query: &str) -> Result<Rejection, Rejection> {
    let mut rejection = Rejection::FORBIDDEN;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        rejection = match (name, value.split_once(':')) {
            ("status", _) => Rejection::new(value.parse()?),
            ("header", Some((name, value))) => rejection.with_header(name, value)?,
            ("body", _) => rejection.with_body(value),
            _ => Err("no such part of a refusal")?,
        };
    }
    Ok(rejection)
}
