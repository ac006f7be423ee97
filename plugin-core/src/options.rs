//! [`Options`] and [`OptionError`].

use std::fmt::{self, Display};
use std::str::FromStr;

/// The `WebSocketPluginOption NAME VALUE` lines for this plugin.
///
/// Names are case-sensitive. The methods that read a value return an error that names the option
/// and the value. Pass it on with `?`: httpd prints it and does not start.
///
/// ```
/// use websocket_plugin::Options;
///
/// let options = Options::from_iter([("interval", "5"), ("greeting", "hello")]);
/// assert_eq!(options.get("greeting"), Some("hello"));
/// assert_eq!(options.parse::<u32>("interval")?, Some(5));
/// assert_eq!(options.parse::<u32>("limit")?, None);
/// assert!(options.reject_unknown(&["interval"]).is_err());
/// # Ok::<(), websocket_plugin::OptionError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    values: Vec<(String, String)>,
}

impl Options {
    /// The value of an option, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .filter(|option| option.0 == name)
            .last()
            .map(|option| option.1)
    }

    /// The value of an option that must be set.
    ///
    /// # Errors
    ///
    /// The option is not set.
    pub fn require(&self, name: &str) -> Result<&str, OptionError> {
        self.get(name)
            .ok_or_else(|| OptionError(format!("option `{name}` is missing")))
    }

    /// The value of an option, if it is set, parsed as a `T`.
    ///
    /// # Errors
    ///
    /// The value is not a `T`.
    pub fn parse<T>(&self, name: &str) -> Result<Option<T>, OptionError>
    where
        T: FromStr<Err: Display>,
    {
        let parse = |value: &str| {
            value
                .parse()
                .map_err(|e| OptionError::invalid(name, value, e))
        };
        self.get(name).map(parse).transpose()
    }

    /// The value of an option that is `On` or `Off`, in any case, if it is set.
    ///
    /// # Errors
    ///
    /// The value is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, OptionError> {
        let parse = |value: &str| match value.to_ascii_lowercase().as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(OptionError::invalid(name, value, "must be On or Off")),
        };
        self.get(name).map(parse).transpose()
    }

    /// Returns an error if an option is set that the plugin does not know, such as a misspelt one.
    ///
    /// # Errors
    ///
    /// An option is set whose name is not in `known`.
    pub fn reject_unknown(&self, known: &[&str]) -> Result<(), OptionError> {
        match self.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => Err(OptionError(format!(
                "unknown option `{name}`: this plugin has no options"
            ))),
            Some((name, _)) => Err(OptionError(format!(
                "unknown option `{name}`: this plugin knows `{}`",
                known.join("`, `")
            ))),
        }
    }

    /// The names and values of all options. A name that was set twice occurs twice.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(options: I) -> Self {
        let values = options
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            values: values.collect(),
        }
    }
}

/// An option is missing, is unknown, or has an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(String);

impl OptionError {
    /// An error for an invalid value, for a plugin's own checks.
    ///
    /// ```
    /// let error = websocket_plugin::OptionError::invalid("interval", "0", "must be positive");
    /// assert_eq!(error.to_string(), "option `interval`: `0`: must be positive");
    /// ```
    #[must_use]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "errors and literals are passed as they are"
    )]
    pub fn invalid(name: &str, value: &str, why: impl Display) -> Self {
        Self(format!("option `{name}`: `{value}`: {why}"))
    }
}

impl Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn errors_name_the_option_and_its_value() {
        let options = Options::from_iter([("size", "big"), ("quiet", "maybe")]);
        let cases = [
            (
                options.parse::<u8>("size").unwrap_err(),
                "option `size`: `big`: invalid digit found",
            ),
            (
                options.flag("quiet").unwrap_err(),
                "option `quiet`: `maybe`: must be On or Off",
            ),
            (
                options.require("path").unwrap_err(),
                "option `path` is missing",
            ),
            (
                options.reject_unknown(&[]).unwrap_err(),
                "unknown option `size`: this plugin has no",
            ),
            (
                options.reject_unknown(&["size", "quite"]).unwrap_err(),
                "unknown option `quiet`: this plugin knows `size`, `quite`",
            ),
        ];
        for (error, text) in cases {
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }

    #[test]
    fn an_unset_option_is_none_and_the_last_value_counts() {
        let options = Options::from_iter([("quiet", "on"), ("quiet", "OFF")]);
        assert_eq!(options.flag("quiet"), Ok(Some(false)));
        assert_eq!(options.flag("loud"), Ok(None));
        assert_eq!(options.parse::<u8>("size"), Ok(None));
        assert_eq!(options.reject_unknown(&["quiet"]), Ok(()));
    }
}
