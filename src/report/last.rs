//! The last warning or error of each kind, for whoever looks at the status page.

use corndog_pipeline::control::Level;

use crate::figures::LastError;

/// Kinds that are remembered; the one that was quiet for the longest time goes.
const KINDS_MAX: usize = 32;
/// Bytes of a sentence; a longer one is cut.
const MESSAGE_BYTES_MAX: usize = 2048;

/// One for each kind, the newest first.
#[derive(Debug, Default)]
pub struct Last(Vec<LastError>);

impl Last {
    /// Remembers it, whether the log has the line or not. What is no warning is not remembered.
    pub fn note(&mut self, level: Level, kind: &str, message: &str) {
        let level = match level {
            Level::Debug | Level::Info => return,
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let known = self.0.iter().position(|last| last.kind == kind);
        let before = known.map_or(0, |index| self.0.remove(index).count);
        self.0.truncate(KINDS_MAX - 1);
        let last = LastError {
            kind: kind.to_owned(),
            level: level.to_owned(),
            time: format!("{:.6}", jiff::Timestamp::now()),
            message: message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned(),
            count: before + 1,
        };
        self.0.insert(0, last);
    }

    /// All of them, the newest first.
    pub fn list(&self) -> Vec<LastError> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_kind_stays_and_the_oldest_kind_goes() {
        let mut last = Last::default();
        last.note(Level::Info, "info", "none");
        last.note(Level::Debug, "debug", "none");
        last.note(Level::Warn, "a", "first");
        last.note(Level::Error, "b", &"\u{e4}".repeat(2000));
        last.note(Level::Warn, "a", "second");
        let list = last.list();
        let shown: Vec<_> = list.iter().map(|one| (one.kind.as_str(), one.count)).collect();
        assert_eq!(shown, [("a", 2), ("b", 1)]);
        assert_eq!((list[0].message.as_str(), list[0].level.as_str()), ("second", "warn"));
        assert_eq!((list[1].message.len(), list[1].level.as_str()), (MESSAGE_BYTES_MAX, "error"));
        for number in 0..31 {
            last.note(Level::Warn, &format!("kind {number}"), "");
        }
        let list = last.list();
        assert_eq!(list.len(), KINDS_MAX);
        assert_eq!((list[0].kind.as_str(), list[31].kind.as_str()), ("kind 30", "a"));
    }
}
