//! Names of topics, and patterns of them.

use std::fmt;

/// The longest name or pattern, in bytes.
const LONGEST: usize = 255;

/// Checks the name of a topic, to which messages can be published.
///
/// # Errors
///
/// Why it is none.
pub fn check_topic(name: &str) -> Result<(), InvalidTopic> {
    check_segments(name)?;
    if name.contains('*') {
        return Err(InvalidTopic::Star);
    }
    Ok(())
}

fn check_segments(name: &str) -> Result<(), InvalidTopic> {
    if name.is_empty() || name.len() > LONGEST {
        return Err(InvalidTopic::Length);
    }
    if name.split('/').any(str::is_empty) {
        return Err(InvalidTopic::EmptySegment);
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidTopic::Control);
    }
    Ok(())
}

/// What one subscribes to: a topic, or a pattern of topics.
///
/// A plugin whose clients choose topics themselves compares what they ask for with what they may
/// have:
///
/// ```
/// use websocket_plugin::TopicFilter;
///
/// let allowed = TopicFilter::parse("news/*")?;
/// assert!(allowed.covers(TopicFilter::parse("news/weather")?));
/// assert!(!allowed.covers(TopicFilter::parse("news/**")?));
/// # Ok::<(), websocket_plugin::InvalidTopic>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter<'a> {
    /// The topic of this name.
    Topic(&'a str),
    /// The topics whose name has one more segment than this; empty: those of one segment.
    Children(&'a str),
    /// The topics whose name has one more segment than this, or more; empty: all topics.
    Descendants(&'a str),
}

impl<'a> Filter<'a> {
    /// Reads the name of a topic, or a pattern: `a/b/*` describes `a/b/c`, and `a/b/**` describes
    /// `a/b/c/d`, too. Neither describes `a/b`.
    ///
    /// # Errors
    ///
    /// Why it is neither.
    pub fn parse(text: &'a str) -> Result<Self, InvalidTopic> {
        check_segments(text)?;
        let filter = Self::of_checked(text);
        let (Self::Topic(plain) | Self::Children(plain) | Self::Descendants(plain)) = filter;
        if plain.contains('*') {
            return Err(InvalidTopic::Star);
        }
        Ok(filter)
    }

    /// The same for a text that [`parse`](Self::parse) has accepted before.
    #[must_use]
    pub fn of_checked(text: &'a str) -> Self {
        let (parent, last) = text.rsplit_once('/').unwrap_or(("", text));
        match last {
            "*" => Self::Children(parent),
            "**" => Self::Descendants(parent),
            _ => Self::Topic(text),
        }
    }

    /// Whether it describes the topic of this name.
    #[must_use]
    pub fn matches(self, topic: &str) -> bool {
        match self {
            Self::Topic(name) => name == topic,
            Self::Children(parent) => below(parent, topic).is_some_and(|rest| !rest.contains('/')),
            Self::Descendants(ancestor) => below(ancestor, topic).is_some(),
        }
    }

    /// Whether it describes every topic that `other` describes.
    #[must_use]
    pub fn covers(self, other: Filter<'_>) -> bool {
        match (self, other) {
            (_, Filter::Topic(topic)) => self.matches(topic),
            (Self::Children(own), Filter::Children(parent)) => own == parent,
            (Self::Descendants(own), Filter::Children(it) | Filter::Descendants(it)) => {
                own == it || own.is_empty() || below(own, it).is_some()
            }
            (Self::Topic(_), _) | (Self::Children(_), Filter::Descendants(_)) => false,
        }
    }
}

/// What of a name follows the slash behind `ancestor`.
fn below<'t>(ancestor: &str, topic: &'t str) -> Option<&'t str> {
    if ancestor.is_empty() {
        return Some(topic);
    }
    topic.strip_prefix(ancestor)?.strip_prefix('/')
}

/// Why a text is not the name of a topic, nor a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidTopic {
    /// It is empty or too long.
    Length,
    /// It begins or ends with a slash, or has two in a row.
    EmptySegment,
    /// There is a control character in it.
    Control,
    /// There is a star where none may be.
    Star,
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a topic has 1 to 255 bytes",
            Self::EmptySegment => {
                "a topic is a list of segments with a slash between two of them, like \
                 \"chat/lobby\": it neither begins nor ends with a slash"
            }
            Self::Control => "a topic has no control characters",
            Self::Star => {
                "a star may only be the last segment of what is subscribed to: \"chat/*\" or \
                 \"chat/**\""
            }
        })
    }
}

impl std::error::Error for InvalidTopic {}

#[cfg(test)]
mod tests {
    use super::{Filter, InvalidTopic, check_topic};

    #[test]
    fn a_topic_is_a_list_of_segments() {
        let longest = "\u{fc}".repeat(127) + "x";
        for good in ["a", "a/b", "chat/M\u{fc}nchen 1", "$a/-", &longest] {
            assert_eq!(check_topic(good), Ok(()), "{good}");
            assert_eq!(Filter::parse(good), Ok(Filter::Topic(good)));
        }
        let long = longest.clone() + "x";
        for (bad, why) in [
            ("", InvalidTopic::Length),
            (&*long, InvalidTopic::Length),
            ("/", InvalidTopic::EmptySegment),
            ("/a", InvalidTopic::EmptySegment),
            ("a/", InvalidTopic::EmptySegment),
            ("a//b", InvalidTopic::EmptySegment),
            ("a\0b", InvalidTopic::Control),
            ("a/\u{85}", InvalidTopic::Control),
            ("a*/b", InvalidTopic::Star),
            ("*/b", InvalidTopic::Star),
            ("**/*", InvalidTopic::Star),
        ] {
            assert_eq!(check_topic(bad), Err(why), "{bad:?}");
            assert_eq!(Filter::parse(bad), Err(why), "{bad:?}");
        }
        for pattern in ["*", "**", "a/*", "a/**"] {
            assert_eq!(check_topic(pattern), Err(InvalidTopic::Star));
        }
    }

    #[test]
    fn a_star_stands_for_one_segment_and_two_for_one_or_more() {
        for (pattern, yes, no) in [
            ("a/b", &["a/b"][..], &["a", "a/b/c", "a/B"][..]),
            ("a/*", &["a/b", "a/\u{fc}"], &["a", "a/b/c", "ab/c", "b/a"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab/c", "b/a"]),
            ("*", &["a", "b"], &["a/b"]),
            ("**", &["a", "a/b", "a/b/c"], &[]),
        ] {
            let filter = Filter::parse(pattern).unwrap();
            for topic in yes {
                assert!(filter.matches(topic), "{pattern} {topic}");
            }
            for topic in no {
                assert!(!filter.matches(topic), "{pattern} {topic}");
            }
        }
    }

    #[test]
    fn a_pattern_covers_another_exactly_if_it_describes_all_its_topics() {
        let texts = [
            "a", "b", "a/a", "a/b", "b/a", "ab/a", "a/a/a", "a/b/a", "a/a/a/a", "*", "**", "a/*",
            "a/**", "b/**", "ab/*", "a/a/*", "a/a/**", "a/b/*", "a/a/a/**",
        ];
        // All names of up to four segments of these: each pattern has more of them than a topic.
        let segments = ["a", "b", "ab", "c"];
        let mut topics = vec![String::new()];
        for _ in 0..4 {
            let longer = topics.iter().flat_map(|topic| {
                let slash = if topic.is_empty() { "" } else { "/" };
                segments.map(|segment| format!("{topic}{slash}{segment}"))
            });
            topics = longer.chain([String::new()]).collect();
        }
        topics.retain(|topic| !topic.is_empty());
        for wide in texts.map(|text| Filter::parse(text).unwrap()) {
            for narrow in texts.map(|text| Filter::parse(text).unwrap()) {
                let described = topics.iter().filter(|topic| narrow.matches(topic));
                let described: Vec<_> = described.collect();
                assert!(!described.is_empty(), "{narrow:?}");
                let has_all = described.iter().all(|topic| wide.matches(topic));
                assert_eq!(wide.covers(narrow), has_all, "{wide:?} {narrow:?}");
            }
        }
    }
}
