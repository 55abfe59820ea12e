//! What is on the screen: the last answer, since when there is none, and what the keys chose.

use std::sync::Arc;

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::tables::Table;
use crate::figures::Figures;

/// What is on the screen.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Who is asked.
    pub address: String,
    /// The last answer.
    pub figures: Option<Arc<Figures>>,
    /// Why there is none now.
    pub silence: Option<Silence>,
    /// When the figures were held.
    pub paused: Option<Timestamp>,
    /// The table chosen.
    pub table: Table,
    /// The first row of it.
    pub first_row: usize,
    /// The long line of keys.
    pub has_help: bool,
}

/// No answer.
#[derive(Debug, Clone)]
pub struct Silence {
    /// The first question without one.
    pub since: Timestamp,
    /// Of the last.
    pub reason: String,
}

/// What a key does beyond the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Stay,
    /// End.
    Quit,
}

impl Shown {
    /// Nothing yet.
    pub fn new(address: &str) -> Shown {
        Shown {
            address: address.to_owned(),
            figures: None,
            silence: None,
            paused: None,
            table: Table::default(),
            first_row: 0,
            has_help: false,
        }
    }

    /// Takes an answer, or why there is none. Figures are held while paused.
    pub fn take(&mut self, answer: Result<Figures, String>, now: Timestamp) {
        match answer {
            Ok(figures) => {
                self.silence = None;
                if self.paused.is_none() || self.figures.is_none() {
                    self.figures = Some(Arc::new(figures));
                }
            }
            Err(reason) => {
                let since = self.silence.as_ref().map_or(now, |silence| silence.since);
                self.silence = Some(Silence { since, reason });
            }
        }
    }

    /// Does what a key asks for. `page` is how many rows of the table are on the screen.
    pub fn press(&mut self, key: KeyEvent, page: usize, now: Timestamp) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Wish::Quit,
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('p') => {
                self.paused = if self.paused.is_none() { Some(now) } else { None };
            }
            KeyCode::Char('?') => self.has_help = !self.has_help,
            KeyCode::Tab | KeyCode::Right => self.choose(self.table.next(false)),
            KeyCode::BackTab | KeyCode::Left => self.choose(self.table.next(true)),
            KeyCode::Down => self.scroll(1, page),
            KeyCode::Up => self.scroll(-1, page),
            KeyCode::PageDown => self.scroll(page.max(1) as i64, page),
            KeyCode::PageUp => self.scroll(-(page.max(1) as i64), page),
            KeyCode::Home => self.first_row = 0,
            KeyCode::End => self.scroll(i64::MAX, page),
            _ => {}
        }
        Wish::Stay
    }

    fn choose(&mut self, table: Table) {
        self.table = table;
        self.first_row = 0;
    }

    fn scroll(&mut self, rows: i64, page: usize) {
        let first = (self.first_row as i64).saturating_add(rows).max(0) as usize;
        self.first_row = first.min(self.row_count().saturating_sub(page));
    }

    /// Rows of the chosen table.
    pub fn row_count(&self) -> usize {
        self.figures.as_ref().map_or(0, |figures| self.table.row_count(figures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Topic;

    fn press(shown: &mut Shown, code: KeyCode) -> Wish {
        shown.press(KeyEvent::new(code, KeyModifiers::NONE), 10, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn keys_choose_and_scroll_within_the_rows() {
        let mut shown = Shown::new("a:1");
        let figures = Figures { topics: vec![Topic::default(); 25], ..Figures::default() };
        shown.take(Ok(figures), Timestamp::UNIX_EPOCH);
        for (code, first_row) in [
            (KeyCode::Down, 0), // no listeners
            (KeyCode::Tab, 0),
            (KeyCode::Tab, 0),
            (KeyCode::PageDown, 10),
            (KeyCode::PageDown, 15),
            (KeyCode::Up, 14),
            (KeyCode::End, 15),
            (KeyCode::Home, 0),
            (KeyCode::Up, 0),
        ] {
            assert_eq!(press(&mut shown, code), Wish::Stay);
            assert_eq!(shown.first_row, first_row, "{code:?}");
        }
        assert_eq!(shown.table, Table::Topics);
        press(&mut shown, KeyCode::BackTab);
        assert_eq!(shown.table, Table::Rules);
    }

    #[test]
    fn three_keys_end_it() {
        let mut shown = Shown::new("a:1");
        assert_eq!(press(&mut shown, KeyCode::Char('q')), Wish::Quit);
        assert_eq!(press(&mut shown, KeyCode::Esc), Wish::Quit);
        assert_eq!(press(&mut shown, KeyCode::Char('c')), Wish::Stay);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(shown.press(control_c, 1, Timestamp::UNIX_EPOCH), Wish::Quit);
    }

    #[test]
    fn paused_figures_are_held_and_silence_starts_once() {
        let [mut now, second] = [Timestamp::UNIX_EPOCH, Timestamp::MAX];
        let mut shown = Shown::new("a:1");
        let figures = |version: &str| Figures { version: version.to_owned(), ..Figures::default() };
        let version = |shown: &Shown| shown.figures.as_ref().map(|held| held.version.clone());
        shown.take(Ok(figures("1")), now);
        press(&mut shown, KeyCode::Char('p'));
        shown.take(Ok(figures("2")), now);
        assert_eq!(version(&shown).as_deref(), Some("1"));
        press(&mut shown, KeyCode::Char('p'));
        shown.take(Ok(figures("3")), now);
        assert_eq!(version(&shown).as_deref(), Some("3"));
        for _ in 0..2 {
            shown.take(Err("gone".to_owned()), now);
            now = second;
        }
        let since = shown.silence.as_ref().map(|silence| silence.since);
        assert_eq!(since, Some(Timestamp::UNIX_EPOCH));
        shown.take(Ok(figures("4")), now);
        assert!(shown.silence.is_none());
    }
}
