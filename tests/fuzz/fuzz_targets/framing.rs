//! Any cut of any stream gives the frames of the uncut one, within the buffer's bound.
//!
//! Input: `[frame_bytes_max | read | stream]`; reads take 1 to 256 bytes, changing as they go.

#![no_main]

use corndog_pipeline::framing::Deframer;
use libfuzzer_sys::fuzz_target;

type Framed = (Vec<u8>, bool);

fuzz_target!(|input: &[u8]| {
    let [frame_bytes_max, read, stream @ ..] = input else { return };
    let frame_bytes_max = usize::from(*frame_bytes_max) + 1;
    let whole = whole(stream, frame_bytes_max);
    assert_eq!(chunked(stream, frame_bytes_max, *read), whole);
    assert_eq!(chunked(stream, frame_bytes_max, 0), whole);

    // Nothing is invented: the frames are no longer than the stream that they came from.
    let bytes: usize = whole.iter().map(|(frame, _)| frame.len()).sum();
    assert!(bytes <= stream.len());
});

fn whole(stream: &[u8], frame_bytes_max: usize) -> Vec<Framed> {
    let mut deframer = Deframer::new(frame_bytes_max);
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
    if let Some(frame) = deframer.finish(rest) {
        frames.push((frame.bytes.to_vec(), frame.truncated));
    }
    check(&frames, frame_bytes_max);
    frames
}

/// As a receiver reads: into a buffer that holds `buffer_bytes_max` and no more.
fn chunked(stream: &[u8], frame_bytes_max: usize, read: u8) -> Vec<Framed> {
    let capacity = Deframer::buffer_bytes_max(frame_bytes_max);
    let mut deframer = Deframer::new(frame_bytes_max);
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
    if let Some(frame) = deframer.finish(&buffer) {
        frames.push((frame.bytes.to_vec(), frame.truncated));
    }
    check(&frames, frame_bytes_max);
    frames
}

fn check(frames: &[Framed], frame_bytes_max: usize) {
    for (frame, truncated) in frames {
        assert!(!frame.is_empty() && frame.len() <= frame_bytes_max);
        assert!(!truncated || frame.len() == frame_bytes_max);
    }
}
