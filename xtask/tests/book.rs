//! The documentation: its links lead somewhere, and what it quotes exists.

#[path = "book/commands.rs"]
mod commands;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xtask::book::{Page, SUMMARY, files, pages, stage};
use xtask::c_plugin;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The pages of the book, and its table of contents.
fn all_pages(root: &Path) -> Result<Vec<Page>> {
    let mut pages = pages(root)?;
    pages.push(Page::read(root, SUMMARY)?);
    Ok(pages)
}

/// The links of the pages that lead to no file, or to no heading.
fn dead_links(root: &Path, pages: &[Page]) -> Vec<String> {
    let anchors: HashMap<_, _> = pages.iter().map(|it| (&it.path, it.anchors())).collect();
    let mut dead = Vec::new();
    for page in pages {
        for link in page.links() {
            let is_dead = match page.target(&link) {
                None => !link.destination.contains("://"),
                Some((file, None)) => !root.join(file).exists(),
                Some((file, Some(anchor))) => {
                    !anchors.get(&file).is_some_and(|it| it.contains(&anchor))
                }
            };
            if is_dead {
                dead.push(format!("{}: {}", page.path.display(), link.destination));
            }
        }
    }
    dead
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() -> Result<()> {
    let dead = dead_links(root(), &all_pages(root())?);
    ensure!(dead.is_empty(), "{dead:#?}");
    Ok(())
}

#[test]
fn dead_links_are_found() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = "# A\n[a](#a) [b](#b) [c](c.md) [d](../d) [e](a.md#a) [f](https://f.example/)\n";
    fs::write(folder.path().join("a.md"), text)?;
    let page = Page::read(folder.path(), "a.md")?;
    let dead = dead_links(folder.path(), &[page]);
    ensure!(dead == ["a.md: #b", "a.md: c.md", "a.md: ../d"], "{dead:?}");
    Ok(())
}

#[test]
fn every_page_is_in_the_table_of_contents_once() -> Result<()> {
    let pages = pages(root())?;
    for file in files(root())? {
        let count = pages.iter().filter(|page| page.path == file).count();
        ensure!(count == 1, "{SUMMARY} has {} {count} times", file.display());
    }
    Ok(())
}

#[test]
fn the_pages_that_mdbook_gets_link_to_each_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("pages");
    stage(root(), &folder)?;
    stage(root(), &folder).context("again")?;
    let source = folder.join("src");
    let mut pages = Vec::new();
    for entry in source.read_dir()? {
        let path = PathBuf::from(entry?.file_name());
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(Page::read(&source, path)?);
        }
    }
    ensure!(pages.len() == all_pages(root())?.len(), "{pages:?}");
    let dead = dead_links(&source, &pages);
    ensure!(dead.is_empty(), "{dead:#?}");
    Ok(())
}

#[test]
fn the_c_code_compiles() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut count = 0;
    for page in pages(root())? {
        for block in page.blocks().iter().filter(|block| block.language == "c") {
            count += 1;
            let source = folder.path().join(format!("block{count}.c"));
            fs::write(&source, &block.code)?;
            c_plugin::compile(source, folder.path(), root().join("plugin-core/include"))
                .with_context(|| format!("{}:{}", page.path.display(), block.line))?;
        }
    }
    ensure!(count > 0);
    Ok(())
}

#[test]
fn the_second_hour_quotes_the_plugin_that_it_reads() -> Result<()> {
    let plugin = fs::read_to_string(root().join("examples/counter/src/lib.rs"))?;
    let page = Page::read(root(), "docs/src/second-hour.md")?;
    let blocks = page.blocks();
    let quotes = blocks.iter().filter(|block| block.language == "rust");
    ensure!(quotes.clone().count() > 5, "{blocks:?}");
    for block in quotes {
        ensure!(plugin.contains(&block.code), "line {}", block.line);
    }
    ensure!(plugin.lines().count() <= 120, "the page says 120 lines");
    Ok(())
}

#[test]
fn the_questions_of_administrators_are_answered_within_two_clicks() -> Result<()> {
    let summary = fs::read_to_string(root().join(SUMMARY))?;
    ensure!(summary.contains("(faq.md)"), "the first click");
    let page = Page::read(root(), "docs/src/faq.md")?;
    for question in [
        "403 behind nginx",
        "How many WebSockets",
        "at logrotate",
        "who is connected",
        "one greedy client",
        "an old C plugin",
    ] {
        let mut sections = page.text.split("\n## ");
        let section = sections.find(|it| it.lines().next().unwrap_or_default().contains(question));
        let section = section.with_context(|| format!("no question with `{question}`"))?;
        ensure!(
            section.contains("](") && section.lines().count() > 2,
            "{section}"
        );
    }
    Ok(())
}

#[test]
fn the_figures_in_readme_were_measured() -> Result<()> {
    let readme = Page::read(root(), "README.md")?;
    let results = Page::read(root(), "module/benches/RESULTS.md")?;
    let (_, after) = readme
        .text
        .split_once("\n## Why this module?\n")
        .context("no such section")?;
    let (section, _) = after.split_once("\n* The C module").context("no end")?;
    let is_part = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
    let figures = |text: &str| -> Vec<String> {
        let words = text
            .split(|c| !is_part(c))
            .map(|word| word.trim_matches([',', '.']));
        words
            .filter(|word| word.len() >= 3)
            .map(str::to_owned)
            .collect()
    };
    let measured = figures(&results.text);
    let named = figures(section);
    ensure!(named.len() > 25, "{named:?}");
    for figure in named {
        ensure!(measured.contains(&figure), "RESULTS.md has no {figure}");
    }
    Ok(())
}

#[test]
fn readme_names_the_commands_that_ci_runs() -> Result<()> {
    let commands: Vec<_> = Page::read(root(), "README.md")?
        .blocks()
        .into_iter()
        .filter(|block| block.language == "sh")
        .collect();
    let ci = fs::read_to_string(root().join(".ci/run"))?;
    for command in ["cargo xtask run", "cargo xtask test"] {
        ensure!(
            commands.iter().any(|block| block.code.contains(command)),
            "README.md does not name `{command}`"
        );
    }
    ensure!(ci.lines().any(|line| line.ends_with("cargo xtask test")));
    Ok(())
}
