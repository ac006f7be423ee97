//! What the administrator allows clients to do.

use std::borrow::Cow;
use std::fmt;
use websocket_plugin::{InvalidTopic, OptionError, TopicFilter};

/// The segment that stands for the user.
const USER: &str = "{user}";

/// Topics and patterns of topics.
pub(crate) struct Allowed(Vec<Pattern>);

struct Pattern {
    text: String,
    has_user: bool,
}

/// The user that httpd has authenticated, if the name can be a segment of a topic.
///
/// A name with a slash would be several segments, and one with a star a pattern: such a user has
/// no topics of its own.
pub(crate) struct User(Option<Box<str>>);

impl Allowed {
    /// Reads the value of the option with this name: patterns with spaces between them.
    ///
    /// # Errors
    ///
    /// One of them is no pattern.
    pub(crate) fn parse(option: &str, value: &str) -> Result<Self, OptionError> {
        let patterns = value.split_ascii_whitespace().map(|text| {
            let invalid = |why: &dyn fmt::Display| OptionError::invalid(option, text, why);
            TopicFilter::parse(text).map_err(|why| invalid(&why))?;
            let mut segments = text.split('/');
            if segments.any(|segment| segment.contains(['{', '}']) && segment != USER) {
                let why = "braces are only for {user}, which is a segment of its own: \
                           \"inbox/{user}\"";
                return Err(invalid(&why));
            }
            Ok(Pattern {
                text: text.to_owned(),
                has_user: text.split('/').any(|segment| segment == USER),
            })
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether the user may have all topics that `wanted` describes: one of the patterns covers
    /// them. Several patterns that do so only together do not count.
    ///
    /// # Errors
    ///
    /// `wanted` is neither a topic nor a pattern.
    pub(crate) fn covers(&self, wanted: &str, user: &User) -> Result<bool, InvalidTopic> {
        let wanted = TopicFilter::parse(wanted)?;
        Ok(self.0.iter().any(|pattern| pattern.covers(wanted, user)))
    }
}

impl Pattern {
    fn covers(&self, wanted: TopicFilter<'_>, user: &User) -> bool {
        let allowed = match &user.0 {
            _ if !self.has_user => Cow::Borrowed(&*self.text),
            Some(user) => Cow::Owned(self.text.replace(USER, user)),
            None => return false,
        };
        // With the user's name it may be longer than a topic.
        TopicFilter::parse(&allowed).is_ok_and(|allowed| allowed.covers(wanted))
    }
}

impl User {
    pub(crate) fn new(name: Option<&str>) -> Self {
        let is_segment = |name: &&str| {
            let is_plain = |c: char| !['/', '*'].contains(&c) && !c.is_control();
            !name.is_empty() && name.chars().all(is_plain)
        };
        Self(name.filter(is_segment).map(Box::from))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "user {name}"),
            None => f.write_str("a client without a user"),
        }
    }
}
