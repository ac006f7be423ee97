//! The list of what is linked (SBOM).

use std::fs;

use anyhow::{Context, Result, ensure};
use xtask::command::output_of;
use xtask::python::Environment;
use xtask::workspace::target_dir_of;

use super::made::{VERSION, made};
use super::root;

/// Has the schema of the list of what is linked.
const CYCLONEDX: &str = "cyclonedx-python-lib[json-validation]==11.12.0";

const VALIDATION: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))
";

#[test]
fn the_list_of_what_is_linked_is_complete_and_valid() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let file = made.join(format!("mod_websocket-{VERSION}.cdx.json"));
    let list: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let components = list["components"].as_array().context("no components")?;
    let find = |name: &str| components.iter().find(|it| it["name"] == name);
    for name in [
        "abi_stable",
        "async-nats",
        "heed",
        "redis",
        "websocket-chat",
        "zlib-rs",
    ] {
        ensure!(find(name).is_some(), "no {name}");
    }
    for name in ["bindgen", "syn", "tungstenite", "windows-sys", "xtask"] {
        ensure!(find(name).is_none(), "{name} is not linked");
    }
    let sums = components.iter().filter(|it| it["hashes"].is_array());
    ensure!(sums.count() > 50, "too few hashes");

    let target = target_dir_of(root())?;
    let Some(python) = Environment::install_if_possible(&target, CYCLONEDX, "cyclonedx")? else {
        return Ok(());
    };
    let verdict = output_of(python.python().args(["-c", VALIDATION]).arg(&file))?;
    ensure!(verdict == "None", "{verdict}");
    Ok(())
}
