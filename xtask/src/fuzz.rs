//! The fuzz targets in `module/fuzz`: builds them for libFuzzer, and runs several at a time.
//!
//! The limits in this file are libFuzzer's; the targets themselves have others. Inputs are in three
//! folders: `module/fuzz/seeds` has the first inputs of every run, `target/fuzz/corpus` those that
//! reached new code, and `target/fuzz/findings` those that made a target fail.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use xtask::command::{output_of, run};
use xtask::workspace::Workspace;

/// The folder of the package.
const PACKAGE: &str = "module/fuzz";

/// Makes libFuzzer see which branches an input takes, and the values that it is compared with.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

const ADDRESS_SANITIZER: &str = "-Zsanitizer=address";

/// The length suffices for a frame whose payload is read directly into the message. Such an input
/// takes less than a millisecond, so only work that is more than linear exceeds the timeout.
const LIMITS: [&str; 4] = [
    "-max_len=20000",
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-malloc_limit_mb=16",
];

/// The number of lines shown of a failed target's output.
const SHOWN_LINES: usize = 40;

/// The built targets.
#[derive(Debug)]
pub(crate) struct Fuzzer {
    seeds: PathBuf,
    work: PathBuf,
    programs: PathBuf,
    targets: Vec<String>,
}

impl Fuzzer {
    /// Builds the targets, with AddressSanitizer if this toolchain has it.
    ///
    /// # Errors
    /// One of `wanted` does not exist, or the build fails. If `wanted` is empty, all targets are
    /// built.
    pub(crate) fn build(workspace: &Workspace, wanted: &[String]) -> Result<Self> {
        let package = workspace.root().join(PACKAGE);
        let manifest = package.join("Cargo.toml");
        let targets = choose(all_targets(&manifest)?, wanted)?;
        let work = workspace.target_dir().join("fuzz");
        let host = output_of(Command::new("rustc").args(["--print", "host-tuple"]))?;

        let mut cargo = workspace.cargo();
        let mut flags = COVERAGE.to_vec();
        if has_address_sanitizer(&host)? {
            flags.push(ADDRESS_SANITIZER);
            // The flag is unstable, but the compiler is the stable one.
            cargo.env("RUSTC_BOOTSTRAP", "1");
        } else {
            eprintln!("This toolchain has no AddressSanitizer for {host}; fuzzing without it");
        }
        // With --target, build scripts and macros are built without the flags.
        cargo
            .args(["build", "--target", &host, "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(work.join("build"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        for target in &targets {
            cargo.args(["--bin", target]);
        }
        run(&mut cargo)?;
        Ok(Self {
            seeds: package.join("seeds"),
            programs: work.join("build").join(host).join("debug"),
            work,
            targets,
        })
    }

    /// Runs all targets at the same time.
    ///
    /// # Errors
    /// An input made a target fail. The error names the files with such inputs.
    pub(crate) fn run(&self, seconds: u32) -> Result<()> {
        let runs = self
            .targets
            .iter()
            .map(|target| self.start(target, seconds));
        let runs = runs.collect::<Result<Vec<_>>>()?;
        let failures: Vec<_> = runs
            .into_iter()
            .filter_map(|run| run.finish().err())
            .collect();
        for failure in &failures {
            eprintln!("{failure:#}");
        }
        ensure!(
            failures.is_empty(),
            "{} fuzz target(s) failed",
            failures.len()
        );
        Ok(())
    }

    fn start(&self, target: &str, seconds: u32) -> Result<Run> {
        let corpus = self.work.join("corpus").join(target);
        let findings = self.work.join("findings").join(target);
        for folder in [&corpus, &findings] {
            fs::create_dir_all(folder).with_context(|| format!("no {}", folder.display()))?;
        }
        let log = self.work.join(format!("{target}.log"));
        let output = File::create(&log).with_context(|| format!("no {}", log.display()))?;
        let process = Command::new(self.programs.join(target))
            .args(LIMITS)
            .arg(format!("-max_total_time={seconds}"))
            // The slash at the end makes it a folder.
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args(["-print_final_stats=1", "-use_value_profile=1"])
            .args([corpus, self.seeds.join(target)])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run the fuzz target {target}"))?;
        let target = target.to_owned();
        Ok(Run {
            target,
            process,
            log,
        })
    }
}

/// A running target. It writes to a file, so that the output of several targets does not mix.
struct Run {
    target: String,
    process: Child,
    log: PathBuf,
}

impl Run {
    fn finish(mut self) -> Result<()> {
        let status = self.process.wait()?;
        let log = fs::read(&self.log)?;
        let log = String::from_utf8_lossy(&log);
        if !status.success() {
            bail!(failure(&self.target, &log));
        }
        println!("{}: {}", self.target, summary(&log));
        Ok(())
    }
}

fn all_targets(manifest: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()?;
    let packages = metadata.workspace_packages();
    let targets = packages.iter().flat_map(|package| &package.targets);
    Ok(targets
        .filter(|target| target.is_bin())
        .map(|target| target.name.clone())
        .collect())
}

fn choose(all: Vec<String>, wanted: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|wanted| !all.contains(wanted)) {
        bail!("no fuzz target {unknown}; there are: {}", all.join(", "));
    }
    Ok(match wanted {
        [] => all,
        wanted => wanted.to_vec(),
    })
}

fn has_address_sanitizer(host: &str) -> Result<bool> {
    let libraries = output_of(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let pattern = format!("{libraries}/librustc*rt.asan.*");
    let mut found = glob::glob(&pattern).with_context(|| format!("no libraries for {host}"))?;
    Ok(found.next().is_some())
}

/// The summary of libFuzzer's output at the end of a run.
fn summary(log: &str) -> String {
    let inputs = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let mut words = log
        .lines()
        .rfind(|line| line.contains(" cov: "))
        .unwrap_or_default()
        .split_whitespace();
    let coverage = words
        .find(|word| *word == "cov:")
        .and_then(|_| words.next());
    format!(
        "{} inputs, {} edges of code reached",
        inputs.unwrap_or("?").trim(),
        coverage.unwrap_or("?")
    )
}

fn failure(target: &str, log: &str) -> String {
    let findings: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once("Test unit written to "))
        .map(|(_, file)| file)
        .collect();
    // The panic or the sanitizer's report is close to the end. The lines of a hex dump are useless.
    let lines: Vec<_> = log.lines().filter(|line| !line.starts_with("0x")).collect();
    let end = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    let advice = match &*findings {
        [] => "It did not say which input did it.".to_owned(),
        files => format!(
            "The input is kept in {files}. After fixing the bug, put it into \
             {PACKAGE}/seeds/{target}, with which every run begins.",
            files = files.join(", ")
        ),
    };
    format!(
        "{}\n\nThe fuzz target {target} failed. {advice}",
        end.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::{choose, failure, summary};

    #[test]
    fn the_report_names_the_failing_input() {
        let log =
            "thread panicked\n0x47,0x45,\nartifact_prefix='f/'; Test unit written to f/crash-1\n";
        let report = failure("decoder", log);
        for part in [
            "thread panicked",
            "kept in f/crash-1.",
            "module/fuzz/seeds/decoder",
        ] {
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn the_summary_has_the_number_of_inputs_and_edges() {
        let log = "#2 INITED cov: 5 ft: 6\n#9 DONE   cov: 727 ft: 2425\n\
                   stat::number_of_executed_units: 9\n";
        assert_eq!(summary(log), "9 inputs, 727 edges of code reached");
    }

    #[test]
    fn only_known_targets_are_chosen() {
        let all = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(choose(all(), &[]).unwrap(), all());
        assert_eq!(choose(all(), &["b".to_owned()]).unwrap(), ["b"]);
        let error = choose(all(), &["c".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "no fuzz target c; there are: a, b");
    }
}
