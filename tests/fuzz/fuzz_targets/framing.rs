//! Any cut of any stream gives the frames of the uncut one, within the buffer's bound.
//!
//! Input: `[frame_bytes_max | read | stream]`; reads take 1 to 256 bytes, changing as they go. Each
//! stream is read in all four framings.

#![no_main]

use corndog_pipeline::framing::{Deframer, Framing};
use libfuzzer_sys::fuzz_target;

type Framed = (Vec<u8>, bool);

const FRAMINGS: [Framing; 4] = [Framing::Auto, Framing::Octet, Framing::Lf, Framing::Nul];

fuzz_target!(|input: &[u8]| {
    let [frame_bytes_max, read, stream @ ..] = input else { return };
    let frame_bytes_max = usize::from(*frame_bytes_max) + 1;
    for framing in FRAMINGS {
        let whole = whole(stream, frame_bytes_max, framing);
        assert_eq!(chunked(stream, frame_bytes_max, framing, *read), whole);
        assert_eq!(chunked(stream, frame_bytes_max, framing, 0), whole);

        // Nothing is invented: the frames are no longer than the stream that they came from.
        let bytes: usize = whole.0.iter().map(|(frame, _)| frame.len()).sum();
        assert!(bytes <= stream.len());
    }
});

/// The frames, and whether the stream broke.
fn whole(stream: &[u8], frame_bytes_max: usize, framing: Framing) -> (Vec<Framed>, bool) {
    let mut deframer = Deframer::with_framing(frame_bytes_max, framing);
    let mut frames = Vec::new();
    let mut rest = stream;
    loop {
        let step = deframer.next(rest);
        rest = &rest[step.consumed..];
        match step.frame {
            Some(frame) => frames.push((frame.bytes.to_vec(), frame.truncated)),
            None if step.consumed == 0 => break,
            None => {}
        }
    }
    assert!(rest.len() < Deframer::buffer_bytes_max(frame_bytes_max));
    let is_broken = deframer.is_broken();
    if let Some(frame) = deframer.finish(rest) {
        frames.push((frame.bytes.to_vec(), frame.truncated));
    }
    check(&frames, frame_bytes_max);
    (frames, is_broken)
}

/// As a receiver reads: into a buffer that holds `buffer_bytes_max` and no more.
fn chunked(
    stream: &[u8],
    frame_bytes_max: usize,
    framing: Framing,
    read: u8,
) -> (Vec<Framed>, bool) {
    let capacity = Deframer::buffer_bytes_max(frame_bytes_max);
    let mut deframer = Deframer::with_framing(frame_bytes_max, framing);
    let mut frames = Vec::new();
    let mut buffer: Vec<u8> = Vec::with_capacity(capacity);
    let mut unread = stream;
    let mut read = usize::from(read);
    loop {
        let step = deframer.next(&buffer);
        if let Some(frame) = step.frame {
            frames.push((frame.bytes.to_vec(), frame.truncated));
        }
        let is_starved = step.consumed == 0 && step.frame.is_none();
        buffer.drain(..step.consumed);
        if !is_starved {
            continue;
        }
        assert!(buffer.len() < capacity, "a full buffer makes progress");
        if !buffer.is_empty() {
            assert!(deframer.is_mid_frame(false));
        }
        if unread.is_empty() {
            break;
        }
        let bytes = (read % 256 + 1).min(capacity - buffer.len()).min(unread.len());
        buffer.extend_from_slice(&unread[..bytes]);
        unread = &unread[bytes..];
        read = read * 7 % 257;
    }
    let is_broken = deframer.is_broken();
    if let Some(frame) = deframer.finish(&buffer) {
        frames.push((frame.bytes.to_vec(), frame.truncated));
    }
    check(&frames, frame_bytes_max);
    (frames, is_broken)
}

fn check(frames: &[Framed], frame_bytes_max: usize) {
    for (frame, truncated) in frames {
        assert!(!frame.is_empty() && frame.len() <= frame_bytes_max);
        assert!(!truncated || frame.len() == frame_bytes_max);
    }
}
