//! A file, or standard input, -> frames: one a line, or counted (RFC 6587) where the first bytes
//! are a count with a syslog frame behind it. A bare line may begin with a number too.

use std::fs::File;
use std::io::{self, Read};

use corndog_pipeline::framing::{Deframer, Frame};

/// Why the frames end early.
pub enum Failure {
    /// The input cannot be read: one sentence.
    Read(String),
    /// Nobody reads what is written.
    Write,
}

/// Hands every frame to `take`, at most `frame_bytes_max` bytes each.
///
/// Memory: one frame, whatever the input's length.
pub fn frames(
    file: &str,
    frame_bytes_max: usize,
    take: impl FnMut(Frame<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    if file == "-" {
        return read(file, io::stdin().lock(), frame_bytes_max, take);
    }
    let input = File::open(file).map_err(|error| unreadable(file, &error))?;
    read(file, input, frame_bytes_max, take)
}

fn unreadable(file: &str, error: &io::Error) -> Failure {
    Failure::Read(format!("{file}: cannot be read ({error})"))
}

fn read(
    file: &str,
    mut input: impl Read,
    frame_bytes_max: usize,
    mut take: impl FnMut(Frame<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut deframer = Deframer::new(frame_bytes_max);
    let capacity = Deframer::buffer_bytes_max(frame_bytes_max).max(64 * 1024);
    // 0 <= filled <= capacity; nothing before `filled` is consumed.
    let mut buffer = vec![0; capacity];
    let mut filled = 0;
    let mut is_known = false;
    loop {
        let count = match input.read(&mut buffer[filled..]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(file, &error)),
        };
        filled += count;
        let has_ended = count == 0;
        if !is_known {
            if !has_ended && filled < FIRST_BYTES {
                continue;
            }
            is_known = true;
            if !is_counted(&buffer[..filled]) {
                // An empty line, which is no frame, makes the first bytes no count.
                deframer.next(b"\n");
            }
        }
        let mut consumed = 0;
        loop {
            let step = deframer.next(&buffer[consumed..filled]);
            consumed += step.consumed;
            match step.frame {
                Some(frame) => take(frame).map_err(|_| Failure::Write)?,
                None => break,
            }
        }
        if has_ended {
            if let Some(frame) = deframer.finish(&buffer[consumed..filled]) {
                take(frame).map_err(|_| Failure::Write)?;
            }
            return Ok(());
        }
        buffer.copy_within(consumed..filled, 0);
        filled -= consumed;
    }
}

/// The longest count, its space, and `<`.
const FIRST_BYTES: usize = 9;

/// True for a count with `<` behind it.
fn is_counted(input: &[u8]) -> bool {
    let digits = input.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=7).contains(&digits) && input[0] != b'0' && input[digits..].starts_with(b" <")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a few bytes at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(3).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(input: &[u8], frame_bytes_max: usize) -> Vec<String> {
        let mut frames = Vec::new();
        let taken = read("a", Slow(input), frame_bytes_max, |frame| {
            frames.push(String::from_utf8_lossy(frame.bytes).into_owned());
            Ok(())
        });
        assert!(taken.is_ok());
        frames
    }

    #[test]
    fn a_line_is_a_frame_also_the_last_one_without_its_end() {
        assert_eq!(all(b"a\n\nb\r\nc", 100), ["a", "b", "c"]);
        assert!(all(b"", 100).is_empty());
    }

    #[test]
    fn a_bare_line_may_begin_with_a_number() {
        assert_eq!(all(b"404 GET /\n12 monkeys\n", 100), ["404 GET /", "12 monkeys"]);
        assert_eq!(all(b"7", 100), ["7"]);
    }

    #[test]
    fn counted_frames_are_recognised() {
        assert_eq!(all(b"9 <13>a\nb c5 <13>d", 100), ["<13>a\nb c", "<13>d"]);
    }

    #[test]
    fn a_frame_is_cut_at_its_bound() {
        let input = [b"x".repeat(100_000), b"\ny\n".to_vec()].concat();
        assert_eq!(all(&input, 10), ["xxxxxxxxxx", "y"]);
    }
}
