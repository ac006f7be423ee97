//! The Dockerfile: its syntax, and the files and stages that it names.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use parse_dockerfile::{CopyInstruction, Dockerfile, Instruction, Source, parse};

use super::root;

const DOCKERFILE: &str = "docs/docker/Dockerfile";

#[test]
fn the_dockerfile_is_well_formed_and_copies_what_exists() -> Result<()> {
    let text = fs::read_to_string(root().join(DOCKERFILE))?;
    let copied = copied(&parse(&text)?)?;
    ensure!(copied.len() == 2, "{copied:?}");
    for source in copied {
        ensure!(root().join(&source).exists(), "no {source}");
    }
    Ok(())
}

#[test]
fn faults_of_a_dockerfile_are_found() {
    for (text, fault) in [
        ("COPY a b\n", "expected FROM"),
        ("FROM a\nCOPI a b\n", "unknown instruction"),
        ("FROM a\nCOPY --from=c a b\n", "no stage c"),
    ] {
        let error = parse(text)
            .map_err(anyhow::Error::from)
            .and_then(|file| copied(&file))
            .unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(fault), "{error}");
    }
}

/// The files of the repository that the image gets. Stages that are named have to exist.
fn copied(dockerfile: &Dockerfile<'_>) -> Result<Vec<String>> {
    let mut sources = Vec::new();
    for stage in dockerfile.stages() {
        for instruction in stage.instructions {
            let Instruction::Copy(copy) = instruction else {
                continue;
            };
            match stage_of(copy) {
                Some(name) => {
                    dockerfile
                        .stage(name)
                        .with_context(|| format!("no stage {name}"))?;
                }
                None => sources.extend(paths(copy)?),
            }
        }
    }
    Ok(sources)
}

fn stage_of<'a>(copy: &'a CopyInstruction<'_>) -> Option<&'a str> {
    let flag = copy.options.iter().find(|flag| flag.name.value == "from")?;
    Some(&flag.value.as_ref()?.value)
}

fn paths(copy: &CopyInstruction<'_>) -> Result<Vec<String>> {
    let path = |source: &Source<'_>| match source {
        Source::Path(path) => Ok(path.value.to_string()),
        source => bail!("{source:?}"),
    };
    copy.src.iter().map(path).collect()
}
