//! What messages are drawn from: numbers of a seed, characters, sentences.

const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
/// What sentences are made of: with the words that the rules look for, too.
const WORDS: [&str; 32] = [
    "user",
    "code",
    "svc",
    "hello",
    "session",
    "opened",
    "closed",
    "for",
    "request",
    "took",
    "ms",
    "connection",
    "reset",
    "by",
    "peer",
    "upstream",
    "timeout",
    "while",
    "reading",
    "response",
    "header",
    "retry",
    "disk",
    "usage",
    "at",
    "percent",
    "of",
    "queue",
    "cache",
    "miss",
    "key",
    "expired",
];
const NAMES: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank_2", "grace", "heidi"];

/// SplitMix64: enough randomness for text, without a dependency.
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// At least 0, below the bound, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Above 0, at most 1.
    #[inline]
    pub fn fraction(&mut self) -> f64 {
        ((self.number() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// One of these, of which there is one.
    pub fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Somebody's name.
    pub fn name(&mut self) -> &'static str {
        self.of(&NAMES)
    }

    /// Characters that start and end with no space: forwarders may trim it.
    pub fn characters(&mut self, length: usize) -> Vec<u8> {
        let characters = (0..length).map(|_| ALPHABET[(self.number() >> 58) as usize]);
        trimmed(characters.collect())
    }

    /// Words, cut to the length.
    pub fn sentence(&mut self, length: usize) -> Vec<u8> {
        let mut sentence = Vec::with_capacity(length + 16);
        while sentence.len() < length {
            sentence.extend_from_slice(self.of(&WORDS).as_bytes());
            sentence.push(b' ');
        }
        sentence.truncate(length);
        trimmed(sentence)
    }
}

fn trimmed(mut text: Vec<u8>) -> Vec<u8> {
    let last = text.len() - 1;
    for end in [0, last] {
        if text[end] == b' ' {
            text[end] = b'x';
        }
    }
    text
}
