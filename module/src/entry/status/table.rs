//! What the tables of the page have in common.

use std::fmt::Write as _;

/// Begins a table with a row of headings.
pub(super) fn begin_table(
    html: &mut String,
    id: &str,
    title: &str,
    head: &[&str],
) -> std::fmt::Result {
    write!(
        html,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\
         <table id=\"{id}\"><caption>{title}</caption><thead><tr>"
    )?;
    for title in head {
        write!(html, "<th scope=\"col\">{title}</th>")?;
    }
    html.write_str("</tr></thead><tbody>\n")
}

/// A number with thin spaces between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_can_be_read() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(
            numbers,
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
    }
}
