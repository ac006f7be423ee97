//! Accepts users whom httpd has authenticated, and clients with the right secret in a cookie.
//!
//! ```apache
//! <Location "/auth">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_auth.so auth_init
//!     WebSocketPluginOption session 5ecre7
//! </Location>
//! ```
//!
//! With `AuthType Basic` and `Require valid-user`, httpd asks for a name and a password first. Only
//! authenticated users then reach this plugin.
#![forbid(unsafe_code)]

use websocket_plugin::{
    Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, websocket_plugin,
};

/// The plugin.
pub struct Auth {
    /// The secret that the cookie `session` must contain.
    session: Option<String>,
}

/// The name of the client.
pub type Name = String;

#[websocket_plugin]
impl Plugin for Auth {
    type Connection = Name;

    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["session"])?;
        match options.get("session") {
            Some("") => Err(OptionError::invalid("session", "", "must not be empty")),
            session => Ok(Self {
                session: session.map(str::to_owned),
            }),
        }
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Name, Rejection> {
        if let Some(user) = handshake.user() {
            return Ok(user.to_owned());
        }
        let session = handshake.header("Cookie").and_then(session_of);
        if self.session.is_some() && session == self.session.as_deref() {
            return Ok("holder of the cookie".to_owned());
        }
        log::info!("refused: no user, and no cookie that is valid");
        // A challenge is required (RFC 9110, section 11.6.1). With this scheme browsers do not ask
        // for a password.
        Err(Rejection::UNAUTHORIZED
            .with_header("WWW-Authenticate", "Cookie realm=\"auth\"")?
            .with_body("log in first: the cookie `session` is missing or wrong\n"))
    }

    fn on_message(&self, name: &mut Name, sender: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(format!("hello {name}"))?)
    }
}

/// The value of the cookie `session` (RFC 6265, section 4.2.1).
fn session_of(cookies: &str) -> Option<&str> {
    cookies
        .split("; ")
        .find_map(|cookie| cookie.strip_prefix("session="))
}

#[cfg(test)]
mod tests {
    use super::Auth;
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn users_and_holders_of_the_cookie_are_accepted() {
        let host = Host::configure::<Auth>(&[("session", "5ecre7")]).unwrap();
        let cases = [
            (Request::new().user("alice"), "hello alice"),
            (
                Request::new().header("Cookie", "a=b; session=5ecre7"),
                "hello holder of the cookie",
            ),
        ];
        for (request, greeting) in cases {
            let mut client = host.connect(request).unwrap();
            client.send("");
            assert_eq!(client.received(), [Received::Text(greeting.into())]);
        }
    }

    #[test]
    fn all_other_clients_are_refused() {
        let strict = Host::load::<Auth>();
        let host = Host::configure::<Auth>(&[("session", "5ecre7")]).unwrap();
        for cookie in [
            "session=",
            "session=5ecre",
            "xsession=5ecre7",
            "session=5ecre7x",
        ] {
            let request = Request::new().header("Cookie", cookie);
            for host in [&host, &strict] {
                let refusal = host.refusal(request.clone()).expect(cookie);
                assert_eq!(refusal.status(), 401, "{cookie}");
                let challenge = refusal.header("WWW-Authenticate");
                assert_eq!(challenge, Some("Cookie realm=\"auth\""), "{cookie}");
            }
        }
        assert_eq!(host.connect(Request::new()).err(), Some(401));
        assert_eq!(host.log().len(), 5);
    }

    #[test]
    fn an_empty_secret_is_an_error() {
        let error = Host::configure::<Auth>(&[("session", "")]).err();
        assert_eq!(
            error.as_deref(),
            Some("option `session`: ``: must not be empty")
        );
    }
}
