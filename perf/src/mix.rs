//! Messages as files say them: templates of MSG with shares.
//!
//! ```toml
//! [[message]]
//! name = "sshd"
//! share = 30                                  # of each hundred, exactly; all are 100 together
//! header = "<38>Oct 11 22:14:15 gate sshd[4711]: "    # default: RFC 5424, as in W1
//! topic = "auth"                              # where it has to arrive; default: anywhere
//! msg = "Failed password for %{name} from %{ip} port %{number 1024..65535} ssh2 %{stamp 20..40}"
//! ```
//!
//! What is drawn stands in `%{}`. The stamp stands somewhere in MSG, once, with a body of so many
//! bytes that are its own: it is what a sink looks for and verifies.

use crate::failure::Failure;
use crate::message::{HEADER, MARKER, ROUTE_ANY, Text, route_of};
use crate::random::Random;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

/// The longest file, and the longest of what a template draws at one place.
const FILE_BYTES_MAX: u64 = 1 << 20;
const LENGTH_MAX: u64 = 0xffff;
/// The most digits that are drawn at one place.
const HEX_DIGITS_MAX: usize = 64;
const PLACES: &str =
    "stamp A..B, words A..B, number A..B, hex N, of A|B|C, ip or name (lengths of 1 to 65535)";

/// A mix that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// One for each of a hundred messages: which of `templates` it is of.
    kinds: Vec<usize>,
    templates: Vec<Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    header: Cow<'static, [u8]>,
    before: Vec<Part>,
    body_bytes: RangeInclusive<u64>,
    after: Vec<Part>,
    route: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Words(RangeInclusive<u64>),
    Number(RangeInclusive<u64>),
    Hex(usize),
    Of(Vec<String>),
    Ip,
    Name,
    Stamp(RangeInclusive<u64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    message: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    name: String,
    share: usize,
    header: Option<String>,
    topic: Option<String>,
    msg: String,
}

impl Mix {
    /// Reads a file.
    ///
    /// Errors: `Failure::Setup` with the file, the message and what is wrong.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let broken = |what: String| Failure::Setup(format!("{}: {what}", file.display()));
        let length = fs::metadata(file).map_err(|error| broken(error.to_string()))?.len();
        if length > FILE_BYTES_MAX {
            return Err(broken(format!("{length} bytes are more than {FILE_BYTES_MAX}")));
        }
        let text = fs::read_to_string(file).map_err(|error| broken(error.to_string()))?;
        Self::parse(&text).map_err(broken)
    }

    /// Reads a file's text. Errors: a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut kinds = Vec::new();
        let mut templates = Vec::new();
        for message in &file.message {
            let broken = |what| format!("message {:?}: {what}", message.name);
            if message.share > 100 - kinds.len() {
                return Err(broken("the shares are above 100 from here on".to_owned()));
            }
            kinds.extend(std::iter::repeat_n(templates.len(), message.share));
            templates.push(Template::parse(message).map_err(broken)?);
        }
        match kinds.len() {
            100 => Ok(Self { kinds, templates }),
            sum => Err(format!("the shares are {sum} together: they have to be 100")),
        }
    }

    /// Its messages, without end.
    pub fn texts(&self, seed: u64) -> impl Iterator<Item = Text> {
        let mut random = Random(seed);
        // 61 and 100 have no common divisor: each hundred holds every kind as often as it is to.
        (0..100usize)
            .cycle()
            .map(move |index| self.templates[self.kinds[index * 61 % 100]].text(&mut random))
    }
}

impl Template {
    fn parse(message: &Message) -> Result<Self, String> {
        let header = message.header.as_ref();
        if [header, Some(&message.msg)].into_iter().flatten().any(|text| is_unfit(text)) {
            return Err("neither a line feed nor the stamp's own mark may stand in it".into());
        }
        let mut parts = parts(&message.msg)?;
        let is_stamp = |part: &Part| matches!(part, Part::Stamp(_));
        let position = parts.iter().position(is_stamp);
        let after = parts.split_off(position.map_or(parts.len(), |index| index + 1));
        let Some(Part::Stamp(body_bytes)) = parts.pop() else {
            return Err("%{stamp A..B} is missing: a sink looks for it".into());
        };
        if after.iter().any(is_stamp) {
            return Err("%{stamp A..B} stands in it twice".into());
        }
        Ok(Self {
            header: header.map_or(HEADER.into(), |text| text.clone().into_bytes().into()),
            before: parts,
            body_bytes,
            after,
            route: message.topic.as_deref().map_or(ROUTE_ANY, route_of),
        })
    }

    fn text(&self, random: &mut Random) -> Text {
        let before = render(&self.before, random);
        let body_bytes = random_within(&self.body_bytes, random) as usize;
        Text {
            header: self.header.clone(),
            before,
            body: random.sentence(body_bytes),
            after: render(&self.after, random),
            route: self.route,
        }
    }
}

fn is_unfit(text: &str) -> bool {
    text.contains('\n') || memchr::memmem::find(text.as_bytes(), MARKER).is_some()
}

/// What a template says, in order.
fn parts(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((literal, from)) = rest.split_once("%{") {
        let (place, next) = from.split_once('}').ok_or("a %{ has no }")?;
        parts.push(Part::Literal(literal.to_owned()));
        parts.push(part(place).ok_or_else(|| format!("%{{{place}}}: choose {PLACES}"))?);
        rest = next;
    }
    parts.push(Part::Literal(rest.to_owned()));
    Ok(parts)
}

/// What stands within `%{}`.
fn part(place: &str) -> Option<Part> {
    let (word, rest) = place.split_once(' ').unwrap_or((place, ""));
    match word {
        "stamp" => lengths(rest).map(Part::Stamp),
        "words" => lengths(rest).map(Part::Words),
        "number" => range(rest).map(Part::Number),
        "hex" => rest.parse().ok().filter(|digits| *digits <= HEX_DIGITS_MAX).map(Part::Hex),
        "of" if !rest.is_empty() => Some(Part::Of(rest.split('|').map(str::to_owned).collect())),
        "ip" if rest.is_empty() => Some(Part::Ip),
        "name" if rest.is_empty() => Some(Part::Name),
        _ => None,
    }
}

fn lengths(text: &str) -> Option<RangeInclusive<u64>> {
    range(text).filter(|range| *range.start() > 0 && *range.end() <= LENGTH_MAX)
}

/// `A..B`, both included, or one number.
fn range(text: &str) -> Option<RangeInclusive<u64>> {
    let (start, end) = text.split_once("..").unwrap_or((text, text));
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end && end < u64::MAX).then_some(start..=end)
}

fn random_within(range: &RangeInclusive<u64>, random: &mut Random) -> u64 {
    range.start() + random.below(range.end() - range.start() + 1)
}

fn render(parts: &[Part], random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
            Part::Words(range) => {
                let length = random_within(range, random);
                text.extend_from_slice(&random.sentence(length as usize));
            }
            Part::Number(range) => {
                text.extend_from_slice(random_within(range, random).to_string().as_bytes());
            }
            Part::Hex(digits) => {
                let drawn = (0..*digits).map(|_| b"0123456789abcdef"[random.below(16) as usize]);
                text.extend(drawn);
            }
            Part::Of(choices) => {
                let index = random.below(choices.len() as u64) as usize;
                text.extend_from_slice(choices[index].as_bytes());
            }
            Part::Ip => {
                let [a, b, c] = [(); 3].map(|()| random.below(256));
                text.extend_from_slice(format!("10.{a}.{b}.{c}").as_bytes());
            }
            Part::Name => text.extend_from_slice(random.name().as_bytes()),
            // A template has it between its two lists.
            Part::Stamp(_) => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Block, Framing, check};

    fn mix(msg: &str) -> Result<Mix, String> {
        Mix::parse(&format!("[[message]]\nname = \"one\"\nshare = 100\nmsg = '{msg}'\n"))
    }

    #[test]
    fn every_mix_that_is_here_can_be_sent_and_recognised() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mixes");
        let files: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5);
        for file in files {
            let mix = Mix::read(&file).unwrap_or_else(|failure| panic!("{failure}"));
            for text in mix.texts(3).take(200) {
                let mut block = Block::new([text.clone()], 0, Framing::Lf);
                block.stamp(0..1, 3, 7, |_| 9);
                let frame = &block.bytes()[..block.bytes().len() - 1];
                assert!(frame.iter().all(|byte| (b' '..0x7f).contains(byte)), "{}", file.display());
                assert!(frame.starts_with(b"<"));
                let stamp = check(&frame[text.header.len()..]).unwrap();
                assert_eq!((stamp.sequence, stamp.route), (7, text.route));
            }
        }
    }

    #[test]
    fn shares_are_exact_and_places_are_filled() {
        let text = "[[message]]\nname = \"a\"\nshare = 99\ntopic = \"t\"\nmsg = \"a=%{number 7} %{stamp 5}\"\n\
            [[message]]\nname = \"b\"\nshare = 1\nheader = \"<1>h: \"\n\
            msg = \"%{of x|x} %{hex 3} %{ip} %{name} %{words 9} %{stamp 1..2}|%{number 1..3}\"\n";
        let texts: Vec<Text> = Mix::parse(text).unwrap().texts(1).take(100).collect();
        let (plain, other): (Vec<&Text>, Vec<&Text>) =
            texts.iter().partition(|text| text.before == b"a=7 " && text.route == route_of("t"));
        assert_eq!((plain.len(), other.len()), (99, 1));
        assert_eq!((&other[0].header[..], other[0].route), (&b"<1>h: "[..], ROUTE_ANY));
        assert!(other[0].before.starts_with(b"x ") && other[0].after.starts_with(b"|"));
        assert!(plain.iter().all(|text| text.body.len() == 5));
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        for (msg, says) in [
            ("no stamp", "is missing"),
            ("%{stamp 3} %{stamp 3}", "twice"),
            ("%{stamp 0}", "choose stamp A..B"),
            ("%{stamp 9..3}", "choose stamp A..B"),
            ("%{stamp 1..70000}", "choose stamp A..B"),
            ("%{colour} %{stamp 3}", "%{colour}"),
            ("%{stamp 3", "no }"),
            ("cd2: %{stamp 3}", "own mark"),
        ] {
            let sentence = mix(msg).unwrap_err();
            assert!(sentence.contains(says), "{msg}: {sentence}");
        }
        let half = "[[message]]\nname = \"a\"\nshare = 50\nmsg = \"%{stamp 3}\"\n";
        assert!(Mix::parse(half).unwrap_err().contains("50 together"));
        assert!(Mix::parse(&half.repeat(3)).unwrap_err().contains("above 100"));
        assert!(Mix::parse(&half.replace("share", "part")).is_err());
        assert!(Mix::read(Path::new("/nowhere.toml")).unwrap_err().to_string().contains("nowhere"));
    }
}
