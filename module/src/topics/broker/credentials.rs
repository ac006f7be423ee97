//! Who this host is to a broker.

use std::fmt;

use nkeys::{KeyPair, KeyPairType};

use super::address::Kind;

/// Who this host is to a broker. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A password.
    Password {
        /// The name of the user; `None`: the broker knows only one.
        user: Option<Box<str>>,
        /// Its password.
        password: Box<str>,
    },
    /// The seed of a user's key of NATS.
    Seed(Box<str>),
    /// A file of credentials of NATS: a token (JWT) that names a user, and the seed of its key.
    Token(Box<str>),
}

/// Files of NATS have parts that begin with these lines. What follows up to a line of dashes is
/// one word.
const TOKEN: &str = "-----BEGIN NATS USER JWT-----";
const SEED: &str = "-----BEGIN USER NKEY SEED-----";

/// What a file may contain.
const FORM: &str = "it must contain one line, user:password or password, or for NATS the seed of \
                    a user's nkey or a file of credentials (.creds)";

impl Credentials {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What it should contain, and nothing of what it does.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, &'static str> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let credentials = if text.contains(TOKEN) {
            part(text, TOKEN).ok_or(FORM)?;
            check_seed(part(text, SEED).ok_or(FORM)?)?;
            Self::Token(text.into())
        } else if let Some(seed) = part(text, SEED) {
            check_seed(seed)?;
            Self::Seed(seed.into())
        } else if kind == Kind::Nats && check_seed(line).is_ok() {
            Self::Seed(line.into())
        } else {
            return Self::parse_password(line);
        };
        match kind {
            Kind::Nats => Ok(credentials),
            Kind::Redis => Err("it is for NATS, and the broker is Redis"),
        }
    }

    fn parse_password(line: &str) -> Result<Self, &'static str> {
        let (user, password) = match line.split_once(':') {
            Some((user, password)) => (Some(user), password),
            None => (None, line),
        };
        if password.is_empty() || user.is_some_and(str::is_empty) || line.contains('\n') {
            return Err(FORM);
        }
        Ok(Self::Password {
            user: user.map(Box::from),
            password: password.into(),
        })
    }
}

/// The word behind a line.
fn part<'t>(text: &'t str, begin: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(begin)?;
    let word = rest.split_whitespace().next()?;
    (!word.starts_with("---")).then_some(word)
}

fn check_seed(seed: &str) -> Result<(), &'static str> {
    match KeyPair::from_seed(seed) {
        Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(()),
        _ => Err("the seed in it is not that of a user's nkey"),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::{Credentials, Kind};

    /// The seed of a new key of a user.
    fn seed() -> String {
        KeyPair::new_user().seed().unwrap()
    }

    fn token_file(seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn a_password_is_one_line_perhaps_behind_a_user() {
        for kind in [Kind::Redis, Kind::Nats] {
            for (text, user, password) in [
                ("secret\n", None, "secret"),
                ("me:s:t\r\n", Some("me"), "s:t"),
                ("SUMMER", None, "SUMMER"),
            ] {
                let expected = Credentials::Password {
                    user: user.map(Box::from),
                    password: password.into(),
                };
                assert!(Credentials::parse(text, kind) == Ok(expected));
            }
            for bad in ["", "\n", "me:", ":secret", "a\nb", "\n\n"] {
                let why = Credentials::parse(bad, kind).unwrap_err();
                assert!(why.contains("user:password"));
            }
        }
    }

    #[test]
    fn nats_has_seeds_and_files_of_credentials() {
        let seed = seed();
        let decorated = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END…\n");
        for text in [&seed, &format!("{seed}\r\n"), &decorated] {
            let parsed = Credentials::parse(text, Kind::Nats);
            assert!(parsed == Ok(Credentials::Seed(seed.as_str().into())));
        }
        let file = token_file(&seed);
        let parsed = Credentials::parse(&file, Kind::Nats);
        assert!(parsed == Ok(Credentials::Token(file.as_str().into())));
        for text in [&decorated, &file] {
            let why = Credentials::parse(text, Kind::Redis).unwrap_err();
            assert!(why.contains("for NATS"));
        }
        // To Redis a seed is a password like any other.
        assert!(Credentials::parse(&seed, Kind::Redis).is_ok());
    }

    #[test]
    fn a_seed_has_to_be_that_of_a_user_and_whole() {
        let account = KeyPair::new_account().seed().unwrap();
        let cut = &seed()[..50];
        for bad in [&*account, cut, "------END"] {
            let why = Credentials::parse(&token_file(bad), Kind::Nats).unwrap_err();
            assert!(!why.contains(bad));
        }
        let half = token_file("").replace("USER NKEY SEED", "");
        assert!(Credentials::parse(&half, Kind::Nats).is_err());
    }

    #[test]
    fn credentials_are_never_shown() {
        let seed = seed();
        for text in ["me:secret", &seed, &token_file(&seed)] {
            let parsed = Credentials::parse(text, Kind::Nats).unwrap();
            assert_eq!(format!("{parsed:?}"), "Credentials(..)");
        }
    }
}
