//! Blocks of commands, and where tests run them.

use anyhow::{Result, bail, ensure};

use super::Block;

/// Where a test runs a block of commands. The words behind its fence say so.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// In a copy of the sources (` ```sh `).
    Sources,
    /// As root on a Debian with Apache and the packages, but without Rust (` ```sh debian `).
    Debian,
    /// Nowhere, for a reason (` ```sh parsed: takes hours `). Its commands are only understood.
    Nowhere(String),
}

impl Place {
    /// The place for a block. `None` if it has no commands.
    ///
    /// # Errors
    /// The words behind the fence are none of those above.
    pub fn of(block: &Block) -> Result<Option<Self>> {
        if block.language != "sh" {
            return Ok(None);
        }
        let place = match (&*block.attributes, block.attributes.split_once(": ")) {
            ("", _) => Self::Sources,
            ("debian", _) => Self::Debian,
            (_, Some(("parsed", reason))) => {
                ensure!(reason.len() > 5, "line {}: this is no reason", block.line);
                Self::Nowhere(reason.to_owned())
            }
            (other, _) => bail!("line {}: `{other}` is no place", block.line),
        };
        Ok(Some(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(fence: &str) -> Result<Option<Place>> {
        let (language, attributes) = fence.split_once(' ').unwrap_or((fence, ""));
        Place::of(&Block {
            language: language.to_owned(),
            attributes: attributes.to_owned(),
            code: String::new(),
            line: 1,
        })
    }

    #[test]
    fn a_fence_says_where_its_commands_run() -> Result<()> {
        assert_eq!(place("rust ignore")?, None);
        assert_eq!(place("sh")?, Some(Place::Sources));
        assert_eq!(place("sh debian")?, Some(Place::Debian));
        let nowhere = Place::Nowhere("takes hours".to_owned());
        assert_eq!(place("sh parsed: takes hours")?, Some(nowhere));
        for wrong in ["sh fedora", "sh parsed", "sh parsed: ", "sh parsed: no"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        Ok(())
    }
}
