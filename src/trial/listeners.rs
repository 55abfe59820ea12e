//! The configuration's listeners: which of them a message is tried for.

use crate::config::ListenSettings;

/// All listeners, in the configuration's order.
#[derive(Debug, Default)]
pub struct Listeners {
    /// At least one.
    all: Vec<ListenSettings>,
    /// For messages that name none.
    chosen: usize,
}

impl Listeners {
    /// For messages that name none, the listener called `chosen`; `None`: the first.
    ///
    /// Errors: one sentence; there is no such listener.
    pub fn new(all: Vec<ListenSettings>, chosen: Option<&str>) -> Result<Listeners, String> {
        let mut listeners = Listeners { all, chosen: 0 };
        if let Some(name) = chosen {
            listeners.chosen = listeners.find(name).map_err(|why| format!("--listen: {why}"))?;
        }
        Ok(listeners)
    }

    /// The place of a listener by its name.
    ///
    /// Errors: one sentence, without the key; there is none.
    pub fn find(&self, name: &str) -> Result<usize, String> {
        self.all.iter().position(|listener| listener.name == name).ok_or_else(|| {
            let names: Vec<String> =
                self.all.iter().map(|listener| format!("{:?}", listener.name)).collect();
            format!("{name:?} is no listener of the configuration; write {}", names.join(" or "))
        })
    }

    /// A listener by its place; `None`: the chosen one.
    pub fn at(&self, place: Option<usize>) -> ListenSettings {
        self.all.get(place.unwrap_or(self.chosen)).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ListenSettings {
        ListenSettings { name: name.to_owned(), ..ListenSettings::default() }
    }

    #[test]
    fn the_first_holds_unless_another_is_chosen() {
        let all = || vec![named("a"), named("b"), named("c")];
        let listeners = Listeners::new(all(), None).expect("no name");
        assert_eq!(listeners.at(None).name, "a");
        let listeners = Listeners::new(all(), Some("b")).expect("a name");
        assert_eq!(listeners.at(None).name, "b");
        assert_eq!(listeners.at(listeners.find("c").ok()).name, "c");
    }

    #[test]
    fn a_name_that_no_listener_has_is_one_sentence() {
        let why = Listeners::new(vec![named("a"), named("b")], Some("\n")).expect_err("no such");
        let sentence =
            "--listen: \"\\n\" is no listener of the configuration; write \"a\" or \"b\"";
        assert_eq!(why, sentence);
    }
}
