//! The outcome of the cases.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The outcome of every case that ran, in the order of their numbers.
#[derive(Debug)]
pub struct Report {
    cases: Vec<Case>,
}

/// The outcome of a case.
#[derive(Debug)]
struct Case {
    id: String,
    /// The suite's words: `OK`, `NON-STRICT`, `INFORMATIONAL`, `UNIMPLEMENTED`, `FAILED` and
    /// others.
    behaviour: String,
    /// The same for the end of the connection.
    closing: String,
    /// For a failed case: what it does, what it expects and what happened.
    story: String,
}

impl Report {
    /// Reads kosoku's report.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let index = json(&folder.join("index.json"))?;
        let agents = index.as_object().context("the report has no agents")?;
        let mut cases = Vec::new();
        for outcomes in agents.values() {
            for (id, outcome) in outcomes.as_object().context("the report has no cases")? {
                cases.push(Case::read(folder, id, outcome)?);
            }
        }
        cases.sort_by_key(Case::number);
        Ok(Self { cases })
    }

    /// The number of cases that ran.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether no case ran.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Checks that there were cases and that all of them passed. A case has failed unless its
    /// outcome is `OK` or `INFORMATIONAL`; `NON-STRICT` is a failure, too.
    ///
    /// # Errors
    /// A case has failed. The error describes each failed case.
    pub fn ensure_passed(&self) -> Result<()> {
        ensure!(!self.is_empty(), "no case has this number");
        let stories: Vec<_> = self.failed().map(Case::to_string).collect();
        if !stories.is_empty() {
            bail!("{self}\n{}", stories.join("\n"));
        }
        Ok(())
    }

    fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| !case.has_passed())
    }
}

impl Display for Report {
    /// The numbers.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = |word| {
            let cases = self.cases.iter();
            cases.filter(|case| case.behaviour == word).count()
        };
        write!(
            f,
            "{} cases, {} failed, {} unimplemented, {} informational",
            self.len(),
            self.failed().count(),
            count("UNIMPLEMENTED"),
            count("INFORMATIONAL")
        )
    }
}

impl Case {
    fn read(folder: &Path, id: &str, outcome: &Value) -> Result<Self> {
        let word = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let mut case = Self {
            id: id.to_owned(),
            behaviour: word(outcome, "behavior"),
            closing: word(outcome, "behaviorClose"),
            story: String::new(),
        };
        if !case.has_passed() {
            let details = json(&folder.join(word(outcome, "reportfile")))?;
            let lines = ["description", "expectation", "result", "resultClose"]
                .map(|name| format!("  {name}: {}", word(&details, name)));
            case.story = lines.join("\n");
        }
        Ok(case)
    }

    fn has_passed(&self) -> bool {
        [&self.behaviour, &self.closing]
            .iter()
            .all(|word| ["OK", "INFORMATIONAL"].contains(&word.as_str()))
    }

    /// The parts of the case's number, so that 1.2.10 sorts after 1.2.9.
    fn number(&self) -> Vec<u32> {
        let parts = self.id.split('.');
        parts.filter_map(|part| part.parse().ok()).collect()
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            behaviour,
            closing,
            story,
        } = self;
        write!(f, "case {id}: {behaviour}, closing: {closing}\n{story}")
    }
}

fn json(file: &Path) -> Result<Value> {
    let text = File::open(file).with_context(|| file.display().to_string())?;
    let value = serde_json::from_reader(std::io::BufReader::new(text));
    value.with_context(|| file.display().to_string())
}
