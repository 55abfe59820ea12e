//! Turns one connection's bytes into frames, whatever the way they were cut into reads.
//!
//! ```text
//! MSG-LEN SP SYSLOG-MSG            octet counting, RFC 6587 §3.4.1
//! SYSLOG-MSG LF                    non-transparent framing, RFC 6587 §3.4.2
//! SYSLOG-MSG NUL                   the same, of Python's SysLogHandler
//! ```
//!
//! A listener may say which ([`Framing`]). Where it does not, a connection's first bytes decide,
//! once: `[1-9][0-9]{0,6} ` is a count, anything else is not, and is part of the first message.
//! Nothing is dropped for its form: where an octet-counting sender has lost count, what stands where
//! a count should be is taken as one message up to the next LF, then a count is looked for again.
//! LF, CR and NUL between counted frames are nobody's: several senders put an LF after each.
//! Without a count LF ends a frame. If the first frame begins like a message, with `<` and a digit,
//! and a NUL comes before any LF, NUL ends frames too: both then do, so that whoever gets a sender
//! to log a NUL first can cut that message in two, and glue none together.
//!
//! The caller owns the buffer. Between calls: `Line { searched }` says that the first `searched`
//! bytes of the unconsumed input hold no delimiter, so no byte is searched twice; the bytes of a
//! skipped rest are consumed as they come, so an oversize frame never needs more room than any other.

use memchr::{memchr, memchr2};

/// The largest count has 7 digits: 9 999 999 bytes. More digits are no count.
const COUNT_DIGITS_MAX: usize = 7;

/// The count's digits and its space.
const COUNT_BYTES_MAX: usize = COUNT_DIGITS_MAX + 1;

/// CR, LF and NUL.
const DELIMITER_BYTES_MAX: usize = 3;

/// How a listener's senders delimit their frames (`framing` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// Each connection's first bytes say it.
    #[default]
    Auto,
    /// By a count before each. Where none stands the stream is broken.
    Octet,
    /// By an LF behind each.
    Lf,
    /// By a NUL behind each.
    Nul,
}

/// Cuts one connection's bytes into frames.
///
/// Owns no buffer: 32 bytes per connection, whatever the frames' length.
#[derive(Debug)]
pub struct Deframer {
    /// Bytes of a frame, delimiter not counted; at least 1.
    frame_bytes_max: usize,
    kind: Kind,
    state: State,
}

/// How this connection delimits its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first bytes have not said it yet.
    Unknown,
    /// No count, and no delimiter yet: the first one decides.
    Uncounted,
    Lf,
    Nul,
    /// By whichever comes first.
    LfOrNul,
    /// What is no count is a line.
    Octet,
    /// What is no count breaks the stream.
    OctetAlone,
}

/// Where in a frame the first unconsumed byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At a frame's start.
    Start,
    /// At the start of a delimited frame, whose first `searched` bytes hold no delimiter.
    Line { searched: usize },
    /// In the rest of an oversize delimited frame.
    LineSkip,
    /// Behind the count of a frame of so many bytes.
    Counted { bytes: usize },
    /// In the rest of an oversize counted frame, `bytes` before its end; `bytes > 0`.
    CountedSkip { bytes: usize },
    /// Where a count had to stand, and stood none: what follows means nothing.
    Broken,
}

/// One frame: never empty, without its delimiter, count and trailing LF, CRLF or NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// At least 1 byte, at most `frame_bytes_max`.
    pub bytes: &'a [u8],
    /// The frame was longer than `frame_bytes_max`; its rest is skipped.
    pub truncated: bool,
}

/// What one call of [`Deframer::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// So many bytes of the input are done with; the next call's input starts behind them.
    pub consumed: usize,
    /// The next frame, if one is complete (or long enough to be cut).
    pub frame: Option<Frame<'a>>,
}

/// What stands where a count may stand.
enum Count {
    /// A count of `bytes`, written in `digits` digits and followed by a space.
    Of { bytes: usize, digits: usize },
    /// It may become one.
    Unfinished,
    /// It is none.
    None,
}

impl Deframer {
    /// One for each connection whose framing is not known; a `frame_bytes_max` of 0 is taken as 1.
    pub fn new(frame_bytes_max: usize) -> Self {
        Self::with_framing(frame_bytes_max, Framing::Auto)
    }

    /// One for each connection.
    pub fn with_framing(frame_bytes_max: usize, framing: Framing) -> Self {
        let kind = match framing {
            Framing::Auto => Kind::Unknown,
            Framing::Octet => Kind::OctetAlone,
            Framing::Lf => Kind::Lf,
            Framing::Nul => Kind::Nul,
        };
        Self { frame_bytes_max: frame_bytes_max.max(1), kind, state: State::Start }
    }

    /// How many bytes the caller's buffer must be able to hold: with so many unconsumed bytes,
    /// [`Deframer::next`] always makes progress.
    pub const fn buffer_bytes_max(frame_bytes_max: usize) -> usize {
        frame_bytes_max.saturating_add(COUNT_BYTES_MAX + DELIMITER_BYTES_MAX)
    }

    /// Finds the next frame.
    ///
    /// `input` is everything read and not yet consumed, from the first unconsumed byte on.
    /// `consumed == 0` without a frame: more bytes are needed, or the stream is broken.
    ///
    /// Shape:  `[strays | count | frame | delimiter | unread]`; the frame borrows `input`.
    /// Cost:   each byte is searched once over all calls, no allocation.
    /// Panics: never.
    /// Source: RFC 6587 §3.4.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let mut consumed = 0;
        // Ends: each turn takes bytes off a finite input, or moves from `Start` into a frame.
        loop {
            let rest = &input[consumed..];
            let turn = match self.state {
                State::Start => self.start(rest),
                State::Line { searched } => self.line(rest, searched),
                State::LineSkip => self.line_skip(rest),
                State::Counted { bytes } => self.counted(rest, bytes),
                State::CountedSkip { bytes } => self.counted_skip(rest, bytes),
                State::Broken => (!rest.is_empty()).then(|| skipped(rest.len())),
            };
            let Some(step) = turn else { return Step { consumed, frame: None } };
            consumed += step.consumed;
            if step.frame.is_some() {
                return Step { consumed, frame: step.frame };
            }
        }
    }

    /// The last frame at the end of the stream: what [`Deframer::next`] was still waiting for.
    ///
    /// Call `next` until it asks for more, then this once with the unconsumed rest. A frame without
    /// its delimiter and a counted frame cut short are both delivered, a half-written count is a
    /// message as well unless there must be counts. Beside a trailing LF or CRLF, a lone trailing CR
    /// goes where LF ends frames: its LF may be what the stream's end has cut off. `truncated` only
    /// where received bytes were left out.
    pub fn finish<'a>(&mut self, input: &'a [u8]) -> Option<Frame<'a>> {
        let state = std::mem::replace(&mut self.state, State::Start);
        match state {
            State::LineSkip | State::CountedSkip { .. } | State::Broken => None,
            State::Start if self.kind == Kind::OctetAlone => None,
            State::Start | State::Line { .. } | State::Counted { .. } => {
                let content = match self.kind {
                    Kind::Nul => return self.cut(without_line_end(input)),
                    Kind::Octet | Kind::OctetAlone => without_trailer(input),
                    _ => without_line_end(input),
                };
                self.cut(content.strip_suffix(b"\r").unwrap_or(content))
            }
        }
    }

    /// The limit in force.
    pub fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// Takes another limit. To be called between frames: where one is under way, nothing changes.
    pub fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        if matches!(self.state, State::Start) {
            self.frame_bytes_max = frame_bytes_max.max(1);
        }
    }

    /// True once something else stood where [`Framing::Octet`] needs a count. Nothing that follows
    /// can be read: all is consumed, and none is a frame. To be closed, with this as the reason.
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// True in the rest of a frame that was longer than `frame_bytes_max`.
    pub fn is_skipping(&self) -> bool {
        matches!(self.state, State::LineSkip | State::CountedSkip { .. })
    }

    /// True from a frame's first byte (of its count, where counted) until its end was consumed;
    /// also in the skipped rest of an oversize one.
    ///
    /// `input_is_empty`: no unconsumed byte is left after [`Deframer::next`] asked for more.
    pub fn is_mid_frame(&self, input_is_empty: bool) -> bool {
        !input_is_empty || self.state != State::Start
    }

    /// Decides what begins here. `None`, here and below: more bytes are needed.
    fn start<'a>(&mut self, rest: &'a [u8]) -> Option<Step<'a>> {
        let first = *rest.first()?;
        match self.kind {
            Kind::Octet | Kind::OctetAlone if is_stray(first) => {
                return Some(skipped(rest.iter().take_while(|byte| is_stray(**byte)).count()));
            }
            Kind::Unknown | Kind::Octet | Kind::OctetAlone => {}
            Kind::Lf | Kind::Nul | Kind::LfOrNul | Kind::Uncounted => {
                self.state = State::Line { searched: 0 };
                return Some(skipped(0));
            }
        }
        match count(rest) {
            Count::Of { bytes, digits } => {
                if self.kind == Kind::Unknown {
                    self.kind = Kind::Octet;
                }
                self.state = State::Counted { bytes };
                return Some(skipped(digits + 1));
            }
            Count::Unfinished => return None,
            Count::None => {}
        }
        match (self.kind, rest) {
            // Whether a message begins here, the next byte says.
            (Kind::Unknown, [b'<']) => return None,
            (Kind::Unknown, [b'<', b'0'..=b'9', ..]) => self.kind = Kind::Uncounted,
            (Kind::Unknown, _) => self.kind = Kind::Lf,
            (Kind::OctetAlone, _) => {
                self.state = State::Broken;
                return Some(skipped(0));
            }
            _ => {}
        }
        self.state = State::Line { searched: 0 };
        Some(skipped(0))
    }

    /// Where the next delimiter stands. The first that a connection has decides which they are.
    #[inline]
    fn delimiter(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.kind {
            Kind::Lf => memchr(b'\n', bytes),
            _ => self.other_delimiter(bytes),
        }
    }

    #[inline(never)]
    fn other_delimiter(&mut self, bytes: &[u8]) -> Option<usize> {
        let found = match self.kind {
            Kind::Nul => memchr(0, bytes),
            Kind::LfOrNul | Kind::Uncounted => memchr2(b'\n', 0, bytes),
            Kind::Lf | Kind::Octet | Kind::OctetAlone | Kind::Unknown => memchr(b'\n', bytes),
        };
        if let (Kind::Uncounted, Some(found)) = (self.kind, found) {
            self.kind = if bytes[found] == 0 { Kind::LfOrNul } else { Kind::Lf };
        }
        found
    }

    /// Looks for the frame's delimiter, as far as a frame that is not oversize can reach.
    fn line<'a>(&mut self, rest: &'a [u8], searched: usize) -> Option<Step<'a>> {
        let reach = self.uncut_bytes_max();
        let end = rest.len().min(reach);
        let Some(found) = self.delimiter(rest.get(searched..end)?) else {
            if end < reach {
                self.state = State::Line { searched: end };
                return None;
            }
            self.state = State::LineSkip;
            return Some(Step { consumed: end, frame: self.cut(&rest[..end]) });
        };
        self.state = State::Start;
        let line = &rest[..=searched + found];
        // Of LF or NUL, whichever it was.
        let content = &line[..line.len() - 1];
        let content = match line.last() {
            Some(b'\n') => content.strip_suffix(b"\r").unwrap_or(content),
            _ => without_line_end(content),
        };
        Some(Step { consumed: line.len(), frame: self.cut(content) })
    }

    fn line_skip<'a>(&mut self, rest: &'a [u8]) -> Option<Step<'a>> {
        let Some(found) = self.delimiter(rest) else {
            return (!rest.is_empty()).then(|| skipped(rest.len()));
        };
        self.state = State::Start;
        Some(skipped(found + 1))
    }

    /// Waits for the whole frame, or for as much of an oversize one as is kept.
    fn counted<'a>(&mut self, rest: &'a [u8], bytes: usize) -> Option<Step<'a>> {
        if bytes > self.uncut_bytes_max() {
            let kept = rest.get(..self.frame_bytes_max)?;
            self.state = State::CountedSkip { bytes: bytes - kept.len() };
            let frame = Some(Frame { bytes: kept, truncated: true });
            return Some(Step { consumed: kept.len(), frame });
        }
        let counted = rest.get(..bytes)?;
        self.state = State::Start;
        Some(Step { consumed: bytes, frame: self.cut(without_trailer(counted)) })
    }

    fn counted_skip<'a>(&mut self, rest: &'a [u8], bytes: usize) -> Option<Step<'a>> {
        if rest.len() < bytes {
            self.state = State::CountedSkip { bytes: bytes - rest.len() };
            return (!rest.is_empty()).then(|| skipped(rest.len()));
        }
        self.state = State::Start;
        Some(skipped(bytes))
    }

    /// The frame in `content`; `None` where that is empty, for an empty frame is no message.
    fn cut<'a>(&self, content: &'a [u8]) -> Option<Frame<'a>> {
        cut(content, self.frame_bytes_max)
    }

    /// A frame of exactly `frame_bytes_max` bytes and all that may end it: what is longer is oversize,
    /// whatever it ends with.
    fn uncut_bytes_max(&self) -> usize {
        self.frame_bytes_max.saturating_add(DELIMITER_BYTES_MAX)
    }
}

/// The frame that one datagram is; `None`: it is empty.
///
/// A trailing LF, CRLF or NUL goes, as it does in a counted frame; what is behind `frame_bytes_max`
/// is cut off.
///
/// Source: RFC 5426 §3.1; Python's SysLogHandler, which appends a NUL.
pub fn datagram(bytes: &[u8], frame_bytes_max: usize) -> Option<Frame<'_>> {
    cut(without_trailer(bytes), frame_bytes_max.max(1))
}

fn cut(content: &[u8], frame_bytes_max: usize) -> Option<Frame<'_>> {
    if content.is_empty() {
        return None;
    }
    let kept = content.len().min(frame_bytes_max);
    Some(Frame { bytes: &content[..kept], truncated: kept < content.len() })
}

fn skipped<'a>(consumed: usize) -> Step<'a> {
    Step { consumed, frame: None }
}

/// What may stand between two counted frames without being one.
fn is_stray(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

/// Without one trailing LF or CRLF.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    match bytes.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => bytes,
    }
}

/// Without one trailing LF, CRLF or NUL, or one of the former before the latter.
fn without_trailer(bytes: &[u8]) -> &[u8] {
    match bytes {
        [line @ .., 0] => without_line_end(line),
        [.., b'\n'] => without_line_end(bytes),
        _ => bytes,
    }
}

/// Reads `[1-9][0-9]{0,6} `, from the first byte on.
///
/// Cost: at most 8 bytes, read again while the count is unfinished.
fn count(input: &[u8]) -> Count {
    let mut bytes = 0;
    for (digits, &byte) in input.iter().take(COUNT_BYTES_MAX).enumerate() {
        match byte {
            b'0' if digits == 0 => return Count::None,
            b'0'..=b'9' if digits < COUNT_DIGITS_MAX => {
                bytes = bytes * 10 + usize::from(byte - b'0');
            }
            b' ' if digits > 0 => return Count::Of { bytes, digits },
            _ => return Count::None,
        }
    }
    Count::Unfinished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_a_pending_frame_is_searched_twice() {
        let input = [b'x'; 1000];
        let mut deframer = Deframer::new(4096);
        for filled in 1..input.len() {
            assert_eq!(deframer.next(&input[..filled]), skipped(0));
            assert_eq!(deframer.state, State::Line { searched: filled });
        }
    }

    #[test]
    fn a_frame_is_under_way_from_its_first_byte_to_its_last() {
        let mut deframer = Deframer::new(4);
        assert!(!deframer.is_mid_frame(true));
        assert!(deframer.is_mid_frame(false));

        assert_eq!(deframer.next(b"20 ").consumed, 3);
        assert!(deframer.is_mid_frame(true), "counted, and not yet there");
        assert_eq!(deframer.next(b"abcdef").frame, Some(Frame { bytes: b"abcd", truncated: true }));
        assert_eq!(deframer.next(b"ef").consumed, 2);
        assert!(deframer.is_mid_frame(true), "14 bytes still to skip");
        assert_eq!(deframer.next(b"ghijklmnopqrst").consumed, 14);
        assert!(!deframer.is_mid_frame(true));
    }

    #[test]
    fn a_caller_that_forgets_bytes_gets_no_panic() {
        let mut deframer = Deframer::new(16);
        assert_eq!(deframer.next(b"abcdef"), skipped(0));
        assert_eq!(deframer.next(b"a"), skipped(0));
        assert_eq!(deframer.finish(b""), None);
    }

    #[test]
    fn a_frame_bytes_max_of_0_is_taken_as_1() {
        let step = Deframer::new(0).next(b"abc\n");
        assert_eq!(step.frame, Some(Frame { bytes: b"a", truncated: true }));
    }

    #[test]
    fn the_buffer_bound_does_not_overflow() {
        assert_eq!(Deframer::buffer_bytes_max(65_536), 65_547);
        assert_eq!(Deframer::buffer_bytes_max(usize::MAX), usize::MAX);
        assert_eq!(Deframer::new(usize::MAX).next(b"1 a").frame.map(|f| f.bytes), Some(&b"a"[..]));
    }
}
