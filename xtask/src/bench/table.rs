//! A table in Markdown that reads well in a terminal too.

use std::fmt::{self, Display, Formatter};

/// A row of names above, a column of names at the left, cells to the right of them.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table; `columns` begins with the name of the column at the left.
    pub(crate) fn new(title: impl Into<String>, columns: Vec<String>) -> Self {
        Self {
            title: title.into(),
            rows: vec![columns],
        }
    }

    /// Adds a row; it begins with its name.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// How wide each column must be.
    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(move |row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "**{}**\n", self.title)?;
        let widths = self.widths();
        for (number, row) in self.rows.iter().enumerate() {
            write!(f, "|")?;
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, " {cell:<width$} |")?,
                    _ => write!(f, " {cell:>width$} |")?,
                }
            }
            writeln!(f)?;
            if number == 0 {
                rule(f, &widths)?;
            }
        }
        Ok(())
    }
}

/// The line below the names: text to the left, numbers to the right.
fn rule(f: &mut Formatter<'_>, widths: &[usize]) -> fmt::Result {
    write!(f, "|")?;
    for (column, width) in widths.iter().enumerate() {
        let dashes = "-".repeat(width + 1);
        match column {
            0 => write!(f, "{dashes}-|")?,
            _ => write!(f, "{dashes}:|")?,
        }
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let mut table = Table::new("Costs", row(["shape", "floor"]));
        table.push(row(["16 x 32 B x 1", "6"]));
        table.push(row(["2 x 1 MiB x 2", "408,000"]));
        assert_eq!(
            table.to_string(),
            "**Costs**\n\n\
             | shape         |   floor |\n\
             |---------------|--------:|\n\
             | 16 x 32 B x 1 |       6 |\n\
             | 2 x 1 MiB x 2 | 408,000 |\n"
        );
    }
}
