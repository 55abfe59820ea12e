//! Cells under headings -> padded lines, in the columns that fit.
//!
//! Both the screen and the plain text are written from it. Which column goes first where room is
//! short, the column says.

use super::units;

/// Between two columns.
pub const GAP: usize = 2;
/// A column that bends is given at least this, before others are left out for it.
const BEND_MIN: usize = 16;

/// How a text is meant; each is told by words as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// A figure.
    #[default]
    Plain,
    /// A label, or what does not matter.
    Dim,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Lost, or not working.
    Bad,
}

/// A text in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Cleaned.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// Where a column's texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Over it.
    pub title: &'static str,
    /// Where its texts stand.
    pub side: Side,
    /// Where room is short the highest goes first; 0 stays.
    pub rank: u8,
    /// Its texts may be cut.
    pub bends: bool,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    /// From the left.
    pub columns: Vec<Column>,
    /// Each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of words that may be cut, and stays.
pub fn words(title: &'static str) -> Column {
    Column { title, side: Side::Left, rank: 0, bends: true }
}

/// A column of short words.
pub fn word(title: &'static str, rank: u8) -> Column {
    Column { title, side: Side::Left, rank, bends: false }
}

/// A column of numbers.
pub fn number(title: &'static str, rank: u8) -> Column {
    Column { title, side: Side::Right, rank, bends: false }
}

/// A cell as it is.
pub fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Plain }
}

/// A cell that is meant so.
pub fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

impl Grid {
    /// The headings, then `count` rows from `first` on, none wider than `width`.
    pub fn lines(&self, width: usize, first: usize, count: usize) -> Vec<Vec<Cell>> {
        let chosen = self.fit(width);
        let headings = self.columns.iter().map(|column| toned(column.title, Tone::Dim)).collect();
        let rows = self.rows.iter().skip(first).take(count);
        std::iter::once(&headings).chain(rows).map(|row| self.line(row, &chosen)).collect()
    }

    fn line(&self, row: &[Cell], chosen: &[(usize, usize)]) -> Vec<Cell> {
        let cells = chosen.iter().filter_map(|(index, width)| {
            let (column, cell) = (self.columns.get(*index)?, row.get(*index)?);
            let text = units::clean(&cell.text, *width);
            let room = " ".repeat(width.saturating_sub(units::width(&text)));
            let text = match column.side {
                Side::Left => text + &room,
                Side::Right => room + &text,
            };
            Some(Cell { text, tone: cell.tone })
        });
        cells.collect()
    }

    /// The columns that fit, by index, with their widths.
    fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        let natural: Vec<usize> =
            (0..self.columns.len()).map(|index| self.natural(index)).collect();
        let least = |index: usize| {
            if self.columns[index].bends { natural[index].min(BEND_MIN) } else { natural[index] }
        };
        let mut chosen: Vec<usize> = (0..self.columns.len()).collect();
        let needed = |chosen: &[usize]| {
            let gaps = GAP * chosen.len().saturating_sub(1);
            chosen.iter().map(|index| least(*index)).sum::<usize>() + gaps
        };
        while needed(&chosen) > width {
            // The last of the highest rank.
            let places = 0..chosen.len();
            match places.max_by_key(|place| self.columns[chosen[*place]].rank) {
                Some(place) if self.columns[chosen[place]].rank > 0 => chosen.remove(place),
                _ => break,
            };
        }
        let mut room = width.saturating_sub(needed(&chosen));
        let mut left = width;
        let widths = chosen.into_iter().map(|index| {
            let more = (natural[index] - least(index)).min(room);
            room -= more;
            let column = (least(index) + more).min(left);
            left = left.saturating_sub(column + GAP);
            (index, column)
        });
        widths.collect()
    }

    fn natural(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        let widths = cells.map(|cell| units::width(&cell.text));
        widths.max().unwrap_or(0).max(units::width(self.columns[index].title))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(grid: &Grid, width: usize) -> Vec<String> {
        let lines = grid.lines(width, 0, 9).into_iter();
        let texts = lines.map(|line| line.into_iter().map(|cell| cell.text).collect::<Vec<_>>());
        texts.map(|line| line.join("  ")).collect()
    }

    fn grid() -> Grid {
        Grid {
            columns: vec![words("name"), number("count", 1), number("bytes", 2)],
            rows: vec![vec![plain("a name that is rather long"), plain("7"), plain("12")]],
        }
    }

    #[test]
    fn columns_go_by_rank_and_words_bend() {
        assert_eq!(
            shown(&grid(), 80),
            [
                "name                        count  bytes",
                "a name that is rather long      7     12"
            ]
        );
        assert_eq!(shown(&grid(), 30)[1], "a name that is \u{2026}      7     12");
        assert_eq!(shown(&grid(), 24)[1], "a name that is r\u{2026}      7");
        assert_eq!(shown(&grid(), 10), ["name      ", "a name th\u{2026}"]);
    }

    #[test]
    fn no_line_is_wider_than_the_room() {
        for width in 0..60 {
            for line in shown(&grid(), width) {
                assert!(units::width(&line) <= width, "{width}: {line:?}");
            }
        }
    }
}
