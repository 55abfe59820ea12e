//! Frames as senders write them, whole and mutated.

use serde::Deserialize;

const FILES: [&str; 7] = [
    include_str!("../../../../tests/cases/messages.toml"),
    include_str!("../../../../tests/cases/dialects/cisco.toml"),
    include_str!("../../../../tests/cases/dialects/devices.toml"),
    include_str!("../../../../tests/cases/dialects/forwarders.toml"),
    include_str!("../../../../tests/cases/dialects/times.toml"),
    include_str!("../../../../tests/cases/dialects/tags.toml"),
    include_str!("../../../../tests/cases/dialects/rfc5424.toml"),
];

/// What a mutation puts in: bytes that mean something to one parser or another.
const MARKS: [&str; 32] = [
    " ",
    "  ",
    "-",
    "[",
    "]",
    "\"",
    "\\",
    "=",
    ":",
    ": ",
    "<",
    ">",
    "1",
    "0",
    "9",
    ".",
    "+",
    "Z",
    "T",
    "a",
    "A",
    "%",
    "*",
    ",",
    "/",
    "\t",
    "\n",
    "\u{e9}",
    "\u{feff}",
    "[a b=\"c\"]",
    "[12]",
    "Feb ",
];

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    input: Option<String>,
}

/// Frames as senders write them, whole and mutated.
pub struct Frames {
    seeds: Vec<String>,
    /// xorshift64*; never 0.
    state: u64,
}

impl Frames {
    pub fn new() -> Frames {
        let cases = FILES.iter().flat_map(|toml| {
            let cases: Cases = toml::from_str(toml).expect("cases");
            cases.case.into_iter().filter_map(|case| case.input)
        });
        Frames { seeds: cases.collect(), state: 0x2545_F491_4F6C_DD1D }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    /// The seeds in turn, then each with up to four mutations.
    pub fn frame(&mut self, number: usize) -> String {
        let mut frame = self.seeds[number % self.seeds.len()].clone();
        let mutations = if number < self.seeds.len() { 0 } else { self.below(5) };
        for _ in 0..mutations {
            // Mostly in the header, where the parsers look.
            let reach = if self.below(4) == 0 { frame.len() } else { frame.len().min(60) };
            let from = frame.floor_char_boundary(self.below(reach + 1));
            let to = frame.ceil_char_boundary((from + self.below(4)).min(frame.len()));
            let mark = MARKS[self.below(MARKS.len())];
            match self.below(3) {
                0 => frame.replace_range(from..to, ""),
                1 => frame.insert_str(from, mark),
                _ => frame.replace_range(from..to, mark),
            }
        }
        frame
    }
}
