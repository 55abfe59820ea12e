//! A difference made small: fewer messages, rules and actions, and a shorter frame.

use corndog_pipeline::rules::{ActionConfig, PayloadFormat, RecordTime};
use corndog_pipeline::template::Context;

use super::generate::Generated;
use super::pair::Pair;

/// Rule sets that are tried at most.
const TRIES_MAX: usize = 3000;

/// Rules and the frames that show a difference between them, the last of them.
pub struct Case<'c> {
    /// The rules.
    pub generated: Generated,
    /// The frames.
    pub frames: Vec<Vec<u8>>,
    /// What surrounds frame number so and so.
    pub context: &'c dyn Fn(usize) -> Context<'static>,
}

impl Case<'_> {
    /// How the two differ on the last frame or before, if they do.
    pub fn difference(&self) -> Option<String> {
        let mut pair = Pair::new(&self.generated).ok()?;
        self.frames.iter().enumerate().find_map(|(number, frame)| {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pair.check(frame, &(self.context)(number)).err()
            }));
            checked.unwrap_or_else(|_| Some("it panics".to_owned()))
        })
    }

    /// Leaves out what is not needed for a difference.
    pub fn shrink(&mut self) {
        let mut tries = 0;
        let last = self.frames.split_off(self.frames.len() - 1);
        let before = std::mem::replace(&mut self.frames, last);
        if self.difference().is_none() {
            let last = std::mem::replace(&mut self.frames, before);
            self.frames.extend(last);
            self.shrink_list(&mut tries, |case| &mut case.frames);
        }
        self.shrink_list(&mut tries, |case| &mut case.generated.rules);
        for rule in 0..self.generated.rules.len() {
            self.shrink_list(&mut tries, |case| &mut case.generated.rules[rule].actions);
            for action in 0..self.generated.rules[rule].actions.len() {
                self.shrink_action(&mut tries, rule, action);
            }
        }
        self.shrink_routing();
        for frame in 0..self.frames.len() {
            self.shrink_list(&mut tries, |case| &mut case.frames[frame]);
        }
    }

    /// Takes runs out of a list, long ones first, as long as the difference stays.
    fn shrink_list<T: Clone>(
        &mut self,
        tries: &mut usize,
        list: impl Fn(&mut Self) -> &mut Vec<T>,
    ) {
        let mut run = list(self).len().next_power_of_two();
        while run > 0 {
            let mut from = 0;
            while from < list(self).len() && *tries < TRIES_MAX {
                *tries += 1;
                let before = list(self).clone();
                let end = (from + run).min(before.len());
                list(self).drain(from..end);
                if self.difference().is_none() {
                    *list(self) = before;
                    from += run;
                }
            }
            run /= 2;
        }
    }

    fn shrink_action(&mut self, tries: &mut usize, rule: usize, action: usize) {
        let before = self.generated.rules[rule].actions[action].clone();
        let mut simpler = Vec::new();
        if let ActionConfig::Forward(forward) = &before {
            for number in 0..4 {
                let mut forward = forward.clone();
                match number {
                    0 => forward.key = None,
                    1 => forward.headers.clear(),
                    2 => forward.format = PayloadFormat::Msg,
                    _ => forward.topic = "t".into(),
                }
                simpler.push(ActionConfig::Forward(forward));
            }
        }
        for simpler in simpler {
            *tries += 1;
            let before = self.generated.rules[rule].actions[action].clone();
            self.generated.rules[rule].actions[action] = simpler;
            if self.difference().is_none() {
                self.generated.rules[rule].actions[action] = before;
            }
        }
    }

    fn shrink_routing(&mut self) {
        for number in 0..4 {
            let before = self.generated.routing.clone();
            let routing = &mut self.generated.routing;
            match number {
                0 => routing.fallback = None,
                1 => routing.dead_letter = None,
                2 => routing.unmatched = None,
                _ => routing.record_time = RecordTime::Received,
            }
            if self.difference().is_none() {
                self.generated.routing = before;
            }
        }
    }
}

impl std::fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, rule) in self.generated.rules.iter().enumerate() {
            writeln!(f, "rule {}: {rule:?}", number + 1)?;
        }
        writeln!(f, "{:?}", self.generated.routing)?;
        for frame in &self.frames {
            let shown = &frame[..frame.len().min(4000)];
            writeln!(f, "frame ({} bytes): {}", frame.len(), shown.escape_ascii())?;
        }
        let same = "no difference when tried alone".to_owned();
        f.write_str(&self.difference().unwrap_or(same))
    }
}
