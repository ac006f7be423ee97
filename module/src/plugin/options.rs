//! The options that `WebSocketPluginOption` sets.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Names and values of a plugin's options. Copies share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginOptions(Arc<BTreeMap<Box<str>, Box<str>>>);

impl PluginOptions {
    /// Sets an option. A later value replaces an earlier one.
    pub fn set(&mut self, name: &str, value: &str) {
        Arc::make_mut(&mut self.0).insert(name.into(), value.into());
    }

    /// The value of an option.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// The options of an inner section, when `self` are those of the section around it. The inner
    /// section inherits the options that it does not set.
    #[must_use]
    pub fn merged_with(&self, inner: &Self) -> Self {
        if inner.0.is_empty() {
            return self.clone();
        }
        if self.0.is_empty() {
            return inner.clone();
        }
        let mut merged = self.clone();
        for (name, value) in inner.0.iter() {
            merged.set(name, value);
        }
        merged
    }

    /// All names and values.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::PluginOptions;

    fn options(pairs: &[(&str, &str)]) -> PluginOptions {
        let mut options = PluginOptions::default();
        for (name, value) in pairs {
            options.set(name, value);
        }
        options
    }

    #[test]
    fn an_inner_section_sets_single_options_and_inherits_the_others() {
        let outer = options(&[("room", "lobby"), ("limit", "10")]);
        let inner = options(&[("limit", "20")]);
        assert_eq!(
            outer.merged_with(&inner),
            options(&[("room", "lobby"), ("limit", "20")])
        );
        assert_eq!(outer.merged_with(&options(&[])), outer);
        assert_eq!(options(&[]).merged_with(&inner), inner);
    }

    #[test]
    fn the_last_value_of_an_option_counts() {
        assert_eq!(options(&[("a", "1"), ("a", "2")]).pairs(), [("a", "2")]);
    }
}
