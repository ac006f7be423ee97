//! What the doctor has found out.

use std::fmt::{self, Display, Formatter};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Works, but should be known.
    Note,
    /// Keeps WebSockets from working.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    /// Something is as it should be.
    pub fn good(text: impl Into<String>) -> Self {
        Self::of(Grade::Good, text)
    }

    /// Something should be known.
    pub fn note(text: impl Into<String>) -> Self {
        Self::of(Grade::Note, text)
    }

    /// Something keeps WebSockets from working.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::of(Grade::Wrong, text)
    }

    fn of(grade: Grade, text: impl Into<String>) -> Self {
        Self {
            grade,
            text: text.into(),
            remedy: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "good ",
            Grade::Note => "note ",
            Grade::Wrong => "WRONG",
        };
        write!(f, "{grade}  {}", indented(&self.text))?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n    ->   {}", indented(remedy))?;
        }
        Ok(())
    }
}

fn indented(text: &str) -> String {
    printable(text.trim_end()).replace('\n', "\n         ")
}

/// The text without what a terminal would obey. Lines and tabs stay.
fn printable(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars()
        .map(|c| match is_harmless(c) {
            true => c,
            false => char::REPLACEMENT_CHARACTER,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_finding_quotes_moves_the_cursor() {
        let finding = Finding::wrong("a\x1b[2Jb\u{9b}1mc\r\nd\te").remedy("f\x07");
        let said = "WRONG  a\u{fffd}[2Jb\u{fffd}1mc\u{fffd}\n         d\te\n    ->   f\u{fffd}";
        assert_eq!(finding.to_string(), said);
    }
}
