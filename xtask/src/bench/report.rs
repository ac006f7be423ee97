//! The Markdown file that keeps the last results, a section for each table.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

/// How a section begins.
const HEADING: &str = "## ";

/// Puts a section into `file`, in place of the one of the same name if there is one.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn update(file: &Path, name: &str, section: &str) -> Result<()> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => "# Results\n".to_owned(),
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    fs::write(file, with_section(&text, name, section))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn with_section(text: &str, name: &str, section: &str) -> String {
    let heading = format!("{HEADING}{name}\n");
    let section = format!("{heading}\n{}\n", section.trim_end());
    let Some(start) = text.find(&heading) else {
        return format!("{}\n\n{section}", text.trim_end());
    };
    let after = &text[start + heading.len()..];
    let rest = after
        .find(&format!("\n{HEADING}"))
        .map_or("", |end| &after[end..]);
    format!("{}{section}{rest}", &text[..start])
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn a_section_is_appended_and_later_replaced_where_it_is() {
        let first = with_section("# Results\n", "Plain", "1\n");
        assert_eq!(first, "# Results\n\n## Plain\n\n1\n");
        let both = with_section(&first, "TLS", "2");
        assert_eq!(both, "# Results\n\n## Plain\n\n1\n\n## TLS\n\n2\n");
        let replaced = with_section(&both, "Plain", "one\nmore");
        assert_eq!(
            replaced,
            "# Results\n\n## Plain\n\none\nmore\n\n## TLS\n\n2\n"
        );
        assert_eq!(with_section(&replaced, "TLS", "2"), replaced);
    }
}
