//! Framing: the shared cases, and generated streams against a plain reference, cut anywhere.

use corndog_pipeline::framing::{Deframer, Framing, datagram};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

/// A frame's bytes, and whether it was truncated.
type Framed = (Vec<u8>, bool);

/// Each way to say how frames are delimited.
const FRAMINGS: [(&str, Framing); 4] = [
    ("auto", Framing::Auto),
    ("octet", Framing::Octet),
    ("lf", Framing::Lf),
    ("nul", Framing::Nul),
];

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(rename = "source")]
    _source: String,
    #[serde(default = "auto")]
    framing: String,
    frame_bytes_max: usize,
    input: Vec<Part>,
    frames: Vec<Part>,
    /// A count was missing where one must stand.
    #[serde(default)]
    broken: bool,
}

fn auto() -> String {
    "auto".to_owned()
}

/// Text, then hex, all that `repeat` times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(default)]
    text: String,
    #[serde(default)]
    hex: String,
    repeat: Option<usize>,
    #[serde(default)]
    truncated: bool,
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.text.as_bytes().to_vec();
        for pair in self.hex.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).expect("hex is ASCII");
            bytes.push(u8::from_str_radix(pair, 16).expect("hex is pairs of hex digits"));
        }
        bytes.repeat(self.repeat.unwrap_or(1))
    }
}

/// Deframes as a receiver does: reads of the given lengths, in turn, into a bounded buffer. True: the
/// stream broke.
fn deframe(
    input: &[u8],
    frame_bytes_max: usize,
    framing: Framing,
    reads: &[usize],
) -> (Vec<Framed>, bool) {
    let capacity = Deframer::buffer_bytes_max(frame_bytes_max);
    let mut reads = reads.iter().cycle();
    let mut deframer = Deframer::with_framing(frame_bytes_max, framing);
    let mut frames = Vec::new();
    let mut unread = input;
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let step = deframer.next(&buffer);
        if let Some(frame) = step.frame {
            assert!(!frame.bytes.is_empty() && frame.bytes.len() <= frame_bytes_max);
            frames.push((frame.bytes.to_vec(), frame.truncated));
        }
        let is_starved = step.consumed == 0 && step.frame.is_none();
        buffer.drain(..step.consumed);
        if !is_starved {
            continue;
        }
        assert!(buffer.len() < capacity, "a full buffer makes progress");
        assert!(buffer.is_empty() || deframer.is_mid_frame(false));
        if unread.is_empty() {
            break;
        }
        let wanted = *reads.next().expect("there is a read");
        let (read, rest) = unread.split_at(wanted.min(capacity - buffer.len()).min(unread.len()));
        buffer.extend_from_slice(read);
        unread = rest;
    }
    let is_broken = deframer.is_broken();
    if let Some(frame) = deframer.finish(&buffer) {
        assert!(!frame.bytes.is_empty() && frame.bytes.len() <= frame_bytes_max);
        frames.push((frame.bytes.to_vec(), frame.truncated));
    }
    (frames, is_broken)
}

/// The same, plainly: on the whole stream, with nothing to remember between reads. True: it broke.
fn reference(input: &[u8], frame_bytes_max: usize, framing: Framing) -> (Vec<Framed>, bool) {
    let mut frames = Vec::new();
    let mut push = |content: &[u8]| {
        let kept = content.len().min(frame_bytes_max);
        if kept > 0 {
            frames.push((content[..kept].to_vec(), kept < content.len()));
        }
    };
    let is_octet = match framing {
        Framing::Auto => reference_count(input).is_some(),
        Framing::Octet => true,
        Framing::Lf | Framing::Nul => false,
    };
    let delimiters = reference_delimiters(input, framing, is_octet);
    let mut rest = input;
    while !rest.is_empty() {
        if is_octet && [b'\n', b'\r', 0].contains(&rest[0]) {
            rest = &rest[1..];
        } else if let Some((header, count)) = reference_count(rest).filter(|_| is_octet) {
            rest = &rest[header..];
            if rest.len() >= count {
                push(reference_trailer(&rest[..count]));
                rest = &rest[count..];
            } else if count > frame_bytes_max + 3 && rest.len() >= frame_bytes_max {
                // Cut as soon as all that is kept is there, whatever still comes.
                push(&[&rest[..frame_bytes_max], b"more"].concat());
                rest = &[];
            } else {
                push(reference_strip_cr(reference_trailer(rest)));
                rest = &[];
            }
        } else if framing == Framing::Octet {
            let may_be_count =
                rest.len() <= 7 && rest[0] != b'0' && rest.iter().all(u8::is_ascii_digit);
            return (frames, !may_be_count);
        } else if let Some(end) = rest.iter().position(|byte| delimiters.contains(byte)) {
            push(match rest[end] {
                0 => reference_strip(&rest[..end]),
                _ => reference_strip(&rest[..=end]),
            });
            rest = &rest[end + 1..];
        } else {
            push(match framing {
                Framing::Nul => reference_strip(rest),
                _ if is_octet => reference_strip_cr(reference_trailer(rest)),
                _ => reference_strip_cr(reference_strip(rest)),
            });
            rest = &[];
        }
    }
    (frames, false)
}

/// What ends a frame without count.
fn reference_delimiters(input: &[u8], framing: Framing, is_octet: bool) -> &'static [u8] {
    let is_pri = input.len() > 1 && input[0] == b'<' && input[1].is_ascii_digit();
    match framing {
        Framing::Nul => b"\0",
        Framing::Auto if is_pri && !is_octet => {
            match input.iter().find(|byte| matches!(byte, b'\n' | 0)) {
                Some(0) => b"\0\n",
                _ => b"\n",
            }
        }
        _ => b"\n",
    }
}

/// The bytes of `[1-9][0-9]{0,6} ` and its number.
fn reference_count(input: &[u8]) -> Option<(usize, usize)> {
    let space = input.iter().position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&input[..space]).ok()?;
    let is_count = (1..=7).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    if is_count { Some((space + 1, digits.parse().ok()?)) } else { None }
}

fn reference_strip(content: &[u8]) -> &[u8] {
    if content.ends_with(b"\r\n") {
        &content[..content.len() - 2]
    } else if content.ends_with(b"\n") {
        &content[..content.len() - 1]
    } else {
        content
    }
}

fn reference_strip_cr(content: &[u8]) -> &[u8] {
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// What goes at the end of a counted frame.
fn reference_trailer(content: &[u8]) -> &[u8] {
    match content {
        [content @ .., 0] => reference_strip(content),
        _ => reference_strip(content),
    }
}

#[test]
fn shared_cases_hold_however_they_are_cut() {
    let cases: Cases =
        toml::from_str(include_str!("../../../tests/cases/frames.toml")).expect("frames.toml");
    for case in cases.case {
        let input: Vec<u8> = case.input.iter().flat_map(Part::bytes).collect();
        let expected: Vec<Framed> = case.frames.iter().map(|p| (p.bytes(), p.truncated)).collect();
        let framing = FRAMINGS.into_iter().find(|(name, _)| *name == case.framing);
        let (_, framing) = framing.expect("one of the four");
        let expected = (expected, case.broken);
        for read in [1, 2, 3, 7, 65_536] {
            let frames = deframe(&input, case.frame_bytes_max, framing, &[read]);
            assert_eq!(frames, expected, "{}, reads of {read}", case.name);
        }
        assert_eq!(reference(&input, case.frame_bytes_max, framing), expected, "{}", case.name);
    }
}

#[test]
fn a_datagram_is_a_frame_without_its_trailer() {
    for (bytes, frame) in [
        (&b"<13>a"[..], Some((&b"<13>a"[..], false))),
        (b"<13>a\n", Some((b"<13>a", false))),
        (b"<13>a\r\n", Some((b"<13>a", false))),
        (b"<13>a\0", Some((b"<13>a", false))),
        (b"<13>a\n\0", Some((b"<13>a", false))),
        (b"<13>a\nb\n\n", Some((b"<13>a\nb\n", false))),
        (b"5 <13>a", Some((b"5 <13>a", false))),
        (b"<13>abcdefg", Some((b"<13>abcd", true))),
        (b"<13>abcd\r\n", Some((b"<13>abcd", false))),
        (b"", None),
        (b"\r\n", None),
        (b"\0", None),
    ] {
        let found = datagram(bytes, 8).map(|frame| (frame.bytes, frame.truncated));
        assert_eq!(found, frame, "{bytes:?}");
    }
}

#[test]
fn a_broken_stream_says_so_at_once_and_is_eaten() {
    let mut deframer = Deframer::with_framing(100, Framing::Octet);
    let step = deframer.next(b"5 <13>a<13>b\n");
    assert_eq!(step.frame.map(|frame| frame.bytes), Some(&b"<13>a"[..]));
    assert!(!deframer.is_broken());
    let step = deframer.next(b"<13>b\n");
    assert_eq!((step.consumed, step.frame), (6, None));
    assert!(deframer.is_broken());
    assert_eq!(deframer.next(b"5 <13>a").consumed, 7);
    assert_eq!(deframer.finish(b""), None);
}

#[test]
fn a_long_frame_read_byte_by_byte_costs_no_more_than_its_bytes() {
    // 4 MiB twice: searched from its start each time, this would be 10^13 bytes.
    let bytes = 4 << 20;
    let mut input = vec![b'x'; bytes];
    input.push(b'\n');
    let mut deframer = Deframer::new(bytes);
    for end in 1..input.len() {
        assert_eq!(deframer.next(&input[..end]).consumed, 0);
    }
    let step = deframer.next(&input);
    assert_eq!(step.consumed, input.len());
    assert!(step.frame.is_some_and(|frame| frame.bytes.len() == bytes && !frame.truncated));
}

/// Bytes that mean something to a deframer, and others.
fn content(bytes_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'x'),
        2 => prop_oneof![Just(b'\r'), Just(b' '), Just(0), Just(b'<'), Just(0xFF)],
        2 => b'0'..=b'9',
    ];
    vec(byte, 0..=bytes_max)
}

/// Something that one sender or another puts on the wire.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let line = |end: &'static [u8]| content(24).prop_map(move |text| [&text, end].concat());
    let counted = |end: &'static [u8]| {
        content(24)
            .prop_map(move |text| [text.len().to_string().as_bytes(), b" ", &text, end].concat())
    };
    // The count tells a lie, of less or of more than there is.
    let lying = (0..2000_usize, content(24))
        .prop_map(|(count, text)| [count.to_string().as_bytes(), b" ", &text].concat());
    let garbage = vec(any::<u8>(), 0..32);
    prop_oneof![
        3 => line(b"\n"),
        2 => line(b"\r\n"),
        2 => line(b"\0"),
        1 => line(b"\n\0"),
        1 => line(b"").prop_map(|text| [b"<1", &text[..]].concat()),
        1 => line(b""),
        4 => counted(b""),
        2 => counted(b"\n"),
        1 => counted(b"\r\n\0"),
        2 => lying,
        1 => garbage,
        1 => (10_u8..40).prop_map(|count| vec![b'9'; usize::from(count)]),
        1 => "[1-9][0-9]{0,9} ?".prop_map(String::into_bytes),
    ]
}

/// A whole stream; some of one kind only, as honest senders have it.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => vec(piece(), 0..12),
        1 => vec(content(24).prop_map(|text| [&text, &b"\n"[..]].concat()), 0..12),
        1 => vec(content(24).prop_map(|text| {
            [text.len().to_string().as_bytes(), b" ", &text].concat()
        }), 0..12),
    ]
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_cut_of_any_stream_gives_the_reference_frames(
        input in stream(),
        frame_bytes_max in 1_usize..32,
        reads in vec(1_usize..40, 1..8),
    ) {
        for (_, framing) in FRAMINGS {
            let expected = reference(&input, frame_bytes_max, framing);
            for reads in [&[usize::MAX][..], &[1], &reads] {
                let frames = deframe(&input, frame_bytes_max, framing, reads);
                prop_assert_eq!(frames, expected.clone(), "{:?}", framing);
            }
        }
    }

    #[test]
    fn a_stream_in_one_buffer_gives_the_reference_frames(
        input in stream(),
        frame_bytes_max in 1_usize..32,
    ) {
        let mut deframer = Deframer::new(frame_bytes_max);
        let mut frames = Vec::new();
        let mut rest = &input[..];
        loop {
            let step = deframer.next(rest);
            rest = &rest[step.consumed..];
            match step.frame {
                Some(frame) => frames.push((frame.bytes.to_vec(), frame.truncated)),
                None if step.consumed == 0 => break,
                None => {}
            }
        }
        if let Some(frame) = deframer.finish(rest) {
            frames.push((frame.bytes.to_vec(), frame.truncated));
        }
        let (expected, _) = reference(&input, frame_bytes_max, Framing::Auto);
        prop_assert_eq!(frames, expected);
    }
}
