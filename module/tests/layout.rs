//! Which file of the module may use which others: arrows point down, and never lead back.

#[path = "layout/graph.rs"]
mod graph;
#[path = "layout/sources.rs"]
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use graph::shortest_circle;
use sources::{Edge, Sources};

/// The modules of the crate, from the top to the ground: each may use those below it.
const LAYERS: [&str; 20] = [
    "lib",
    "entry",
    "blocking",
    "reactor",
    "session",
    "plugin",
    "topics",
    "registry",
    "flusher",
    "batch",
    "output",
    "trimming",
    "compression",
    "transport",
    "meter",
    "httpd",
    "protocol",
    "buffers",
    "budget",
    "sync",
];

/// Uses that break the rules and are to go. Nothing may be added here.
const KNOWN: [(&str, &str); 0] = [];

#[test]
fn files_use_only_what_is_below_them_and_never_each_other() {
    let edges = edges();
    let is_known = |edge: &&Edge| KNOWN.contains(&(&edge.from, &edge.to));
    let (known, rest): (Vec<_>, Vec<_>) = edges.iter().partition(is_known);
    if let Some(text) = fault(&rest) {
        panic!("{text}");
    }
    for (from, to) in KNOWN {
        let edge = known
            .iter()
            .find(|edge| (&*edge.from, &*edge.to) == (from, to));
        let is_fault = edge.is_some_and(|edge| fault(&[&rest[..], &[edge]].concat()).is_some());
        assert!(
            is_fault,
            "{from} -> {to} breaks no rule any more: remove it from `KNOWN`"
        );
    }
}

#[test]
fn every_module_has_a_layer() {
    let root = source_folder();
    let sources = Sources::read(&root);
    let modules: BTreeSet<_> = sources.files().map(layer).collect();
    assert_eq!(modules, BTreeSet::from(LAYERS));
}

#[test]
fn the_architecture_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let places = [root.join("module/src"), root];
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
    let missing: Vec<_> = text
        .split(|c| !is_name(c))
        .filter(|word| {
            word.ends_with(".rs") || word.starts_with("httpd/") || word.starts_with("entry/")
        })
        .filter(|word| !places.iter().any(|place| place.join(word).exists()))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_binding_is_used() {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let build = fs::read_to_string(build).unwrap();
    let lists = build.split("&[&str] = &[").skip(1);
    let names = lists.flat_map(|list| list.split("];").next().unwrap_or("").split('"'));
    let is_name = |name: &&str| !name.trim_matches([',', '\n', ' ']).is_empty();
    let root = source_folder();
    let sources = Sources::read(&root);
    let code: String = sources
        .files()
        .map(|file| fs::read_to_string(root.join(file)).unwrap())
        .collect();
    let is_end = |c: char| !c.is_alphanumeric() && c != '_';
    let used: BTreeSet<_> = code
        .split("sys::")
        .filter_map(|rest| rest.split(is_end).next())
        .collect();
    let unused: Vec<_> = names
        .filter(|name| is_name(name) && !used.contains(name))
        .collect();
    assert_eq!(unused, [""; 0], "remove these from build.rs");
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn edges() -> Vec<Edge> {
    Sources::read(&source_folder()).edges()
}

/// What is wrong with these uses, if anything is.
fn fault(edges: &[&Edge]) -> Option<String> {
    let depth = |edge: &str| LAYERS.iter().position(|name| *name == layer(edge));
    let upward = edges
        .iter()
        .find(|edge| depth(&edge.from) > depth(&edge.to));
    if let Some(edge) = upward {
        return Some(format!("an arrow points upward:\n{}", described(edge)));
    }
    let circle: String = shortest_circle(edges)?.into_iter().map(described).collect();
    Some(format!("a circle:\n{circle}"))
}

fn described(
    Edge {
        from,
        to,
        line,
        name,
    }: &Edge,
) -> String {
    format!("  {from}:{line} uses {name} of {to}\n")
}

/// The module of the crate that a file is, or belongs to.
fn layer(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}
