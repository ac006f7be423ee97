//! The strict parser of OpenMetrics in Prometheus' client for Python.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::output_of;
use crate::python::Environment;

/// The package on PyPI, with its version.
const PACKAGE: &str = "prometheus-client==0.26.0";

/// Prints all samples as JSON, and fails where the text breaks a rule.
const SCRIPT: &str = "\
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = open(sys.argv[1], newline='').read()
families = list(text_string_to_metric_families(text))
print(json.dumps([
    {'family': family.name, 'type': family.type, 'name': sample.name, 'labels': sample.labels,
     'value': sample.value}
    for family in families for sample in family.samples
]))
";

/// An installed parser.
#[derive(Debug)]
pub struct Parser {
    environment: Environment,
}

/// A value with its name and labels.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name, with a suffix such as `_total`.
    pub name: String,
    /// The labels, an object of strings.
    pub labels: Value,
    /// The value.
    pub value: f64,
}

impl Parser {
    /// Installs it into a folder of `target_dir`, unless it is already there. If that fails, for
    /// example without network, prints so and returns `None`. In CI that is an error.
    ///
    /// # Errors
    /// As [`Environment::install_if_possible`].
    pub fn install_if_possible(target_dir: &Path) -> Result<Option<Self>> {
        let what = "parser of OpenMetrics";
        let environment = Environment::install_if_possible(target_dir, PACKAGE, what)?;
        Ok(environment.map(|environment| Self { environment }))
    }

    /// Parses a text.
    ///
    /// # Errors
    /// The text is not valid.
    pub fn parse(&self, text: &str) -> Result<Vec<Sample>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        let mut python: Command = self.environment.python();
        let output = output_of(python.args(["-c", SCRIPT]).arg(file.path()))?;
        let samples: Vec<Value> = serde_json::from_str(&output)?;
        samples.iter().map(sample).collect()
    }
}

fn sample(sample: &Value) -> Result<Sample> {
    Ok(Sample {
        name: sample["name"].as_str().context("no name")?.to_owned(),
        labels: sample["labels"].clone(),
        value: sample["value"].as_f64().context("no value")?,
    })
}
