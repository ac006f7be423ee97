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
    text.trim_end().replace('\n', "\n         ")
}
