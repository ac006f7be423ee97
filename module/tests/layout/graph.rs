//! Circles of a graph of files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sources::Edge;

/// Arrows between nodes of a graph, and the uses they stand for.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Edge>>;

/// The shortest circle of files that use each other, or of modules that do. A module is its file
/// and all files in its folder.
pub(crate) fn shortest_circle<'a>(edges: &[&'a Edge]) -> Option<Vec<&'a Edge>> {
    let of_files = circle(edges, Some);
    let folders: BTreeSet<_> = edges.iter().flat_map(|edge| folders(&edge.from)).collect();
    let of_modules = folders.into_iter().filter_map(|folder| {
        circle(edges, |file| {
            let rest = file.strip_prefix(folder)?;
            rest.split(['/', '.']).next()
        })
    });
    of_files.into_iter().chain(of_modules).min_by_key(Vec::len)
}

/// `""`, `"httpd/"` and `"httpd/request/"` for `httpd/request/chain.rs`.
fn folders(file: &str) -> impl Iterator<Item = &str> {
    let ends = file.match_indices('/').map(|(slash, _)| slash + 1);
    [0].into_iter().chain(ends).map(|end| &file[..end])
}

/// The shortest circle of nodes; `node` says to which one a file belongs, if it does to any.
fn circle<'a>(
    edges: &[&'a Edge],
    node: impl Fn(&'a str) -> Option<&'a str>,
) -> Option<Vec<&'a Edge>> {
    let mut arrows = Arrows::new();
    for edge in edges {
        match (node(&edge.from), node(&edge.to)) {
            (Some(from), Some(to)) if from != to => {
                arrows.entry(from).or_default().insert(to, edge);
            }
            _ => {}
        }
    }
    let ways = arrows.keys().filter_map(|start| way_back(&arrows, start));
    ways.min_by_key(Vec::len)
}

/// The shortest way from `start` back to it.
fn way_back<'a>(arrows: &Arrows<'a>, start: &'a str) -> Option<Vec<&'a Edge>> {
    // The node that each was first reached from.
    let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for to in arrows.get(from).into_iter().flat_map(BTreeMap::keys) {
            if !reached.contains_key(to) {
                reached.insert(to, from);
                queue.push_back(to);
            }
        }
    }
    let mut way = Vec::new();
    let mut to = start;
    while way.is_empty() || to != start {
        let from = reached.get(to)?;
        way.push(arrows[from][to]);
        to = from;
    }
    way.reverse();
    Some(way)
}
