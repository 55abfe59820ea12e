//! Messages by chance, put together from parts that are made once for a rule set.

use super::generate::{WORDS, key};
use super::random::Random;

/// Parts to make frames of.
pub struct Parts {
    heads: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
}

impl Parts {
    /// Parts for one rule set.
    pub fn new(random: &mut Random) -> Parts {
        Parts {
            heads: (0..60).map(|_| head(random)).collect(),
            bodies: (0..400).map(|_| body(random)).collect(),
        }
    }

    /// Writes the next frame into `frame`.
    pub fn next(&self, random: &mut Random, frame: &mut Vec<u8>) {
        frame.clear();
        frame.extend_from_slice(&self.heads[random.below(self.heads.len())]);
        frame.extend_from_slice(&self.bodies[random.below(self.bodies.len())]);
        if random.percent(4) && !frame.is_empty() {
            // What was meant, broken: another byte, cut, or doubled.
            let at = random.below(frame.len());
            match random.below(4) {
                0 => {
                    frame[at] = random.pick(&[b"\0", b"\xff", b"\"", b"\\", b"{", b"]", b"\x1f"])[0]
                }
                1 => frame.truncate(at),
                2 => frame.extend_from_within(at..),
                _ => frame.insert(at, b"\" \xc3,}0"[random.below(6)]),
            }
        }
        if random.below(4_000) == 0 {
            self.lengthen(random, frame);
        }
    }

    /// A frame beyond some bound: of a key, of headers, of an output.
    fn lengthen(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let bytes = [20 << 10, 70 << 10, 150 << 10, 300 << 10][random.below(4)];
        let word = random.pick(&["x", "web1 ", "\u{e9}"]);
        let fill = word.repeat(bytes / word.len());
        if random.percent(50) {
            let name = key(random);
            frame.clear();
            frame.extend_from_slice(format!("<13>1 - web1 app - - - {{{name:?}:").as_bytes());
            frame.extend_from_slice(format!("\"{fill}\"}}").as_bytes());
        } else {
            frame.extend_from_slice(fill.as_bytes());
        }
    }
}

/// All of a frame that stands before its text.
fn head(random: &mut Random) -> Vec<u8> {
    let pri = random.below(192);
    let host = random.pick(&["web1", "web2", "db.example", "-", "10.0.0.1", "h\u{e9}", "a_b"]);
    let app = random.pick(&["app", "sshd", "-", "nginx", "web1", "x/y", "topic"]);
    let procid = random.pick(&["-", "1", "42", "4711"]);
    let msgid = random.pick(&["-", "ID47", "error", "TCPIN"]);
    let time = random.pick(&[
        "-",
        "2026-02-11T22:14:15.003Z",
        "1985-04-12T19:20:50.52-04:00",
        "2026-02-11T22:14:15.003123+01:00",
        "2026-02-29T22:14:15Z",
        "2026-02-02T03:30:00.123456Z",
        "2026-02-02T02:39:60-00:00",
        "1969-12-31T23:59:59Z",
    ]);
    match random.below(10) {
        0 => Vec::new(),
        1 => format!("<{pri}>").into_bytes(),
        2 => {
            let time = random.pick(&["Oct 11 22:14:15", "Feb  2 01:00:00", "Feb 29 00:00:00"]);
            format!("<{pri}>{time} {host} {app}[{procid}]: ").into_bytes()
        }
        3 => format!("<{pri}>{app}: ").into_bytes(),
        4 => format!("<{pri}>1 {time} {host} {app} {procid} {msgid} - \u{feff}").into_bytes(),
        _ => {
            let data = structured_data(random);
            format!("<{pri}>1 {time} {host} {app} {procid} {msgid} {data} ").into_bytes()
        }
    }
}

fn structured_data(random: &mut Random) -> String {
    let mut elements = String::new();
    for id in ["origin", "meta@32473.1", "timeQuality", "origin"] {
        if random.percent(70) {
            continue;
        }
        elements.push_str(&format!("[{id}"));
        for param in ["ip", "json", "sequenceId", "ip"] {
            if random.percent(50) {
                let value = match random.below(3) {
                    0 => json_text(random).chars().filter(|c| *c != '\n').collect(),
                    1 => random.pick(&WORDS).to_owned(),
                    _ => random.pick(&["192.0.2.1", "1", "", "web1", "\\x", "x]"]).to_owned(),
                };
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
                elements.push_str(&format!(" {param}=\"{value}\""));
            }
        }
        elements.push(']');
    }
    if elements.is_empty() { "-".to_owned() } else { elements }
}

fn body(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0..10 => json_text(random).into_bytes(),
        10 => format!("{}{}", json_text(random), random.pick(&[" ", "\n", "x", ",", "{}"])).into(),
        11 => format!("{}{}", random.pick(&[" ", "\t\r\n", "\u{feff}", "x"]), json_text(random))
            .into(),
        12 => nested(random).into_bytes(),
        13 => {
            let bytes = (0..random.below(40)).map(|_| random.number() as u8);
            bytes.collect()
        }
        14 => random.pick(&["", " ", "-", "null", "1", "\"web1\"", "[]", "{}"]).as_bytes().to_vec(),
        _ => text(random).into_bytes(),
    }
}

/// Words, as in most messages.
fn text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(8) {
        if random.percent(20) {
            text.push_str(random.pick(&["app", "pid", "topic", "value", "hostname"]));
            text.push('=');
        }
        text.push_str(random.pick(&WORDS));
        text.push_str(random.pick(&[" ", " ", " ", ": ", "", "\n"]));
    }
    text
}

/// JSON about as deep as is read.
fn nested(random: &mut Random) -> String {
    let depth = 60 + random.below(10);
    let inner = random.pick(&["1", "\"[[[\"", "{}", "[]"]);
    let open: Vec<&str> = (0..depth).map(|_| random.pick(&["[", "{\"a\":"])).collect();
    let close = open.iter().rev().map(|open| if *open == "[" { "]" } else { "}" });
    let (start, end): (String, String) = (open.concat(), close.collect());
    match random.percent(60) {
        true => format!("{{\"a\":{start}{inner}{end}}}"),
        false => format!("{start}{inner}{end}"),
    }
}

/// A JSON document, mostly an object.
fn json_text(random: &mut Random) -> String {
    let mut text = String::new();
    match random.percent(85) {
        true => object(random, 4, &mut text),
        false => value(random, 4, &mut text),
    }
    text
}

fn space(random: &mut Random, out: &mut String) {
    out.push_str(random.pick(&["", "", "", "", "", " ", "  ", "\t"]));
}

fn object(random: &mut Random, depth: usize, out: &mut String) {
    out.push('{');
    for number in 0..random.below(6) {
        if number > 0 {
            out.push(',');
        }
        space(random, out);
        // A name may come twice, and may be spelled in another way.
        let key = key(random);
        string(random, key, out);
        space(random, out);
        out.push(':');
        space(random, out);
        value(random, depth - 1, out);
        space(random, out);
    }
    out.push('}');
}

fn value(random: &mut Random, depth: usize, out: &mut String) {
    const NUMBERS: [&str; 14] = [
        "0",
        "1",
        "2",
        "-0",
        "1.0",
        "1e3",
        "0.1",
        "-7",
        "18446744073709551616",
        "1e400",
        "1E-400",
        "12345678901234567890123",
        "9007199254740993",
        "01",
    ];
    match random.below(if depth == 0 { 8 } else { 13 }) {
        0..4 => {
            let word = random.pick(&WORDS);
            string(random, word, out);
        }
        4 | 5 => {
            // Most are numbers of everyday.
            let end = if random.percent(90) { 8 } else { NUMBERS.len() };
            out.push_str(NUMBERS[random.below(end)]);
        }
        6 => out.push_str(random.pick(&["true", "false"])),
        7 => out.push_str("null"),
        8..11 => object(random, depth, out),
        _ => {
            out.push('[');
            let mut last = 0..0;
            for number in 0..random.below(4) {
                if number > 0 {
                    out.push(',');
                }
                space(random, out);
                let start = out.len();
                match random.percent(40) && !last.is_empty() {
                    // Often the same twice.
                    true => out.extend_from_within(last.clone()),
                    false => value(random, depth - 1, out),
                }
                last = start..out.len();
            }
            out.push(']');
        }
    }
}

/// A string, some of its characters spelled as escapes.
fn string(random: &mut Random, text: &str, out: &mut String) {
    out.push('"');
    let is_spelled = random.percent(15);
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '/' if is_spelled => out.push_str("\\/"),
            c if is_spelled && random.percent(50) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    if random.percent(1) {
        out.push_str(random.pick(&[
            "\\ud83d\\ude00",
            "\\ud800",
            "\\udc00",
            "\\u0000",
            "\\x",
            "\\n",
        ]));
    }
    out.push('"');
}
