//! Puts the pages into one folder for mdBook.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Page, SUMMARY, pages};

/// Writes the book's pages into `folder/src`, and the files to which they link. Links between them
/// are changed accordingly. What was in the folder is deleted.
///
/// # Errors
/// A file cannot be read or written, or a page links to a folder or to a page that is not in the
/// book.
pub fn stage(root: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let source = folder.join("src");
    fs::create_dir_all(&source)?;
    for file in ["book.toml", "book.css"] {
        fs::copy(root.join("docs").join(file), folder.join(file))?;
    }
    let pages = pages(root)?;
    let summary = Page::read(root, SUMMARY)?;
    let paths: Vec<_> = pages.iter().map(|page| &page.path).collect();
    for page in pages.iter().chain([&summary]) {
        let text = relinked(root, page, &source, &paths)
            .with_context(|| format!("on {}", page.path.display()))?;
        let place = if page.path == Path::new(SUMMARY) {
            PathBuf::from("SUMMARY.md")
        } else {
            place(&page.path)
        };
        let file = source.join(place);
        ensure!(
            !file.exists(),
            "two pages of the book are called {}",
            file.display()
        );
        fs::write(file, text)?;
    }
    Ok(())
}

/// The text of the page with the links that it has in the book. Copies the files to which it links.
fn relinked(root: &Path, page: &Page, source: &Path, paths: &[&PathBuf]) -> Result<String> {
    let mut text = page.text.clone();
    for link in page.links().iter().rev() {
        let Some((target, anchor)) = page.target(link) else {
            continue;
        };
        let is_page = target
            .extension()
            .is_some_and(|extension| extension == "md");
        if is_page {
            let is_in_book = paths.contains(&&target) || target == Path::new(SUMMARY);
            ensure!(is_in_book, "{} is not in {SUMMARY}", target.display());
        } else {
            copy(root, source, &target)?;
        }
        let mut destination = place(&target).display().to_string();
        if let Some(anchor) = anchor {
            destination = format!("{destination}#{anchor}");
        }
        let old = format!("]({}", link.destination);
        let start = page.text[link.range.clone()]
            .rfind(&old)
            .with_context(|| format!("a link to {} in another form", link.destination))?;
        let start = link.range.start + start;
        text.replace_range(start..start + old.len(), &format!("]({destination}"));
    }
    Ok(text)
}

fn copy(root: &Path, source: &Path, target: &Path) -> Result<()> {
    let from = root.join(target);
    ensure!(from.is_file(), "{} is not a file", target.display());
    let to = source.join(place(target));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)?;
    Ok(())
}

/// Where a file of the repository is in the book. All pages are in one folder. mdBook gives
/// `README.md` a meaning of its own, so such pages get the name of their folder.
fn place(path: &Path) -> PathBuf {
    if path == Path::new("README.md") || path == Path::new(SUMMARY) {
        return "introduction.md".into();
    }
    if let Ok(page) = path.strip_prefix("docs/src") {
        return page.into();
    }
    let is_page = path.extension().is_some_and(|extension| extension == "md");
    let (Some(name), true) = (path.file_stem(), is_page) else {
        return Path::new("files").join(path);
    };
    let folder = path.parent().and_then(Path::file_name);
    let name = if name == "README" {
        folder.unwrap_or(name)
    } else {
        name
    };
    PathBuf::from(name.to_ascii_lowercase()).with_extension("md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_in_one_folder_and_files_in_another() {
        for (file, expected) in [
            ("README.md", "introduction.md"),
            ("docs/src/SUMMARY.md", "introduction.md"),
            ("docs/src/faq.md", "faq.md"),
            ("ARCHITECTURE.md", "architecture.md"),
            ("examples/README.md", "examples.md"),
            ("module/benches/RESULTS.md", "results.md"),
            ("examples/html/topics.js", "files/examples/html/topics.js"),
            ("LICENSE", "files/LICENSE"),
        ] {
            assert_eq!(place(Path::new(file)), Path::new(expected));
        }
    }
}
