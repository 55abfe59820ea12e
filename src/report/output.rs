//! Writes lines to a file that may have no reader, and never waits long for one.
//!
//! stderr may be a pipe or a socket that nobody empties. `O_NONBLOCK` is not ours to set: the file
//! is open in other processes too, and the flag is the file's. So it is asked whether it takes
//! something before each write of at most `PIPE_BUF` bytes, for which a pipe that says so has room;
//! a socket is told not to wait. Where another process fills the same pipe in between, the write
//! waits after all, for the next read.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::pipe::PIPE_BUF;

/// A file for lines.
#[derive(Debug)]
pub struct Output<F> {
    file: F,
    is_socket: bool,
    /// It took nothing the last time: it is not waited for again, until it does.
    is_full: bool,
    /// The start of a line is written, and its end is not.
    is_cut: bool,
}

impl<F: AsFd> Output<F> {
    /// Writes to `file`.
    pub fn new(file: F) -> Output<F> {
        let kind = fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        Output { file, is_socket: kind == Ok(FileType::Socket), is_full: false, is_cut: false }
    }

    /// Writes a line, with its LF; waits so long for a reader, unless one was waited for already.
    ///
    /// False: the line is left out, or its end is.
    pub fn write(&mut self, line: &str, patience: Duration) -> bool {
        let patience = if self.is_full { Duration::ZERO } else { patience };
        self.write_patiently(line, patience)
    }

    /// Writes a line, and waits so long for a reader in any case.
    pub fn write_patiently(&mut self, line: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let line = if self.is_cut { format!("\n{line}") } else { line.to_owned() };
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            let chunk = &rest[..rest.len().min(PIPE_BUF)];
            match self.write_chunk(chunk, deadline) {
                Ok(written) => {
                    rest = &rest[written..];
                    // What was cut is ended by the LF that went first.
                    self.is_cut = !rest.is_empty();
                }
                Err(Errno::AGAIN) => {
                    self.is_full = true;
                    return false;
                }
                // Nobody is left to be told that stderr is gone.
                Err(_) => return true,
            }
        }
        self.is_full = false;
        true
    }

    /// Errors: `AGAIN`, it takes nothing until the deadline.
    fn is_ready(&self, deadline: Instant) -> Result<(), Errno> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or_default();
            let mut files = [PollFd::new(&self.file, PollFlags::OUT)];
            match poll(&mut files, Some(&left)) {
                Ok(0) => return Err(Errno::AGAIN),
                Ok(_) => return Ok(()),
                // A signal came: at most 8 of them wait here, and they come to others too.
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Errors: `AGAIN`, it takes nothing until the deadline; others, it takes nothing any more.
    fn write_chunk(&self, chunk: &[u8], deadline: Instant) -> Result<usize, Errno> {
        let send = || send(&self.file, chunk, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        let written = match self.is_socket {
            // It says that it is ready only while three quarters of its buffer are free.
            true => match send() {
                Err(Errno::AGAIN) => self.is_ready(deadline).and_then(|()| send()),
                sent => sent,
            },
            false => self.is_ready(deadline).and_then(|()| rustix::io::write(&self.file, chunk)),
        };
        match written {
            Err(Errno::INTR) => Ok(0),
            written => written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    const SHORT: Duration = Duration::from_millis(20);

    fn socket() -> (OwnedFd, OwnedFd) {
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        socketpair(family, kind, SocketFlags::CLOEXEC, None).expect("a pair")
    }

    /// Lines that went in until it was full.
    fn fill(output: &mut Output<OwnedFd>, line: &str) -> usize {
        (0..100_000).find(|_| !output.write(line, SHORT)).expect("it is full some time")
    }

    #[test]
    fn a_pipe_or_socket_that_nobody_reads_is_not_waited_for() {
        for (reader, writer) in [rustix::pipe::pipe().expect("a pipe"), socket()] {
            let mut output = Output::new(writer);
            let count = fill(&mut output, "a line\n");
            assert!(count > 50, "{count}");
            let start = Instant::now();
            for _ in 0..1000 {
                assert!(!output.write("left out\n", Duration::from_secs(10)));
            }
            assert!(start.elapsed() < Duration::from_secs(5), "it waited {:?}", start.elapsed());
            let start = Instant::now();
            assert!(!output.write_patiently("left out\n", SHORT));
            assert!(start.elapsed() >= SHORT);

            let mut reader = File::from(reader);
            let mut bytes = vec![0; count * 7];
            reader.read_exact(&mut bytes).expect("what was written");
            assert!(output.write("again\n", SHORT));
            drop(output);
            let mut rest = String::new();
            reader.read_to_string(&mut rest).expect("text");
            let text = String::from_utf8(bytes).expect("text") + &rest;
            assert_eq!(text, "a line\n".repeat(count) + "again\n");
        }
    }

    #[test]
    fn a_line_that_was_cut_does_not_become_part_of_the_next() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let mut output = Output::new(writer);
        // Five pages each, of sixteen.
        let long = format!("{}\n", "x".repeat(4 * PIPE_BUF));
        let count = fill(&mut output, &long);
        let mut reader = File::from(reader);
        let mut bytes = vec![0; 2 * PIPE_BUF];
        reader.read_exact(&mut bytes).expect("what was written");
        assert!(output.write("next\n", SHORT));
        drop(output);
        let mut text = String::from_utf8(bytes).expect("text");
        reader.read_to_string(&mut text).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), count + 2, "whole ones, the cut one, the next one");
        assert!(lines[..count].iter().all(|line| line.len() == 4 * PIPE_BUF));
        assert_eq!(lines.last(), Some(&"next"));
    }

    #[test]
    fn nobody_at_the_other_end_is_no_reason_to_wait() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        drop(reader);
        let start = Instant::now();
        assert!(Output::new(writer).write("a line\n", Duration::from_secs(10)));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
