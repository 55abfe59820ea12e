//! Rows and columns, for a terminal and for a report.

use crate::report::escaped;
use std::fmt::Write as _;

/// A table; the first column names the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What the columns hold.
    pub columns: Vec<String>,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// One without rows.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Lines of text: the first column to the left, the others to the right.
    pub fn text(&self) -> String {
        let lines = || [&self.columns].into_iter().chain(&self.rows);
        let wide = |index: usize| {
            let cells = lines().filter_map(|cells| cells.get(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(wide).collect();
        let mut text = String::new();
        for cells in lines() {
            for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                // Writing to a String cannot fail.
                let _ = match index {
                    0 => write!(text, "{cell:<width$}"),
                    _ => write!(text, "  {cell:>width$}"),
                };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }

    /// The same in HTML.
    pub fn html(&self) -> String {
        let row = |cells: &[String], tag: &str| -> String {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        let head = row(&self.columns, "th");
        format!(
            "<div class=\"table\"><table>\n<thead>{head}</thead>\n\
             <tbody>{rows}</tbody></table></div>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["", "CPU", "lost"]);
        table.rows.push(["corndog", "0.82 (0.76..0.83)", "0"].map(str::to_owned).to_vec());
        let text = table.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "                       CPU  lost");
        assert_eq!(lines[1], "corndog  0.82 (0.76..0.83)     0");
    }
}
