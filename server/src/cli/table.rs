//! Columns for people: aligned by width, coloured by cell, without lines and boxes so that they
//! stay readable in a log and easy to cut.

use super::screen::{Ink, Screen};

/// Blanks between two columns.
const GAP: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Row {
    Cells(Vec<Cell>),
    /// A line below the row before it, across all columns.
    Note(Ink, String),
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    ink: Ink,
    right: bool,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ink: Ink::Plain, right: false }
    }

    pub(super) fn ink(self, ink: Ink) -> Self {
        Self { ink, ..self }
    }

    /// Aligned to the right: numbers.
    pub(super) fn right(self) -> Self {
        Self { right: true, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        let heading = |text: &&str| Cell::new(*text).ink(Ink::Dim);
        Self { rows: vec![Row::Cells(headings.iter().map(heading).collect())] }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row::Cells(cells));
    }

    pub(super) fn note(&mut self, ink: Ink, text: impl Into<String>) {
        self.rows.push(Row::Note(ink, text.into()));
    }

    pub(super) fn render(&self, screen: Screen) -> String {
        let mut widths: Vec<usize> = Vec::new();
        let mut rights: Vec<bool> = Vec::new();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            for (at, cell) in cells.iter().enumerate() {
                if at == widths.len() {
                    widths.push(0);
                    rights.push(false);
                }
                widths[at] = widths[at].max(cell.width());
                // The heading stands where its column does.
                rights[at] |= cell.right;
            }
        }
        let mut lines = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let line = match row {
                Row::Note(ink, text) => screen.paint(*ink, text),
                Row::Cells(cells) => {
                    let mut line = String::new();
                    for (at, cell) in cells.iter().enumerate() {
                        let blanks = " ".repeat(widths[at] - cell.width());
                        let text = screen.paint(cell.ink, &cell.text);
                        let (before, after) =
                            if rights[at] { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
                        line += &format!("{before}{text}{after}{}", " ".repeat(GAP));
                    }
                    line
                }
            };
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() {
        let mut table = Table::new(&["job", "size"]);
        table.row(vec![Cell::new("a").ink(Ink::Red), Cell::new("1 B").right()]);
        table.row(vec![Cell::new("longer"), Cell::new("1000 B").right()]);
        table.note(Ink::Dim, "  why");
        let text = table.render(Screen::plain());
        assert_eq!(text, "job       size\na          1 B\nlonger  1000 B\n  why");
    }
}
