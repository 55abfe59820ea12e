//! Any bytes are a PROXY header, the start of one, or none; and more bytes never change what was
//! read of the first ones.

#![no_main]

use corndog_pipeline::proxy::{HEADER_BYTES_MAX, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    match whole {
        Ok(Some(header)) => {
            assert!(header.bytes <= input.len() && header.bytes <= HEADER_BYTES_MAX);
            assert_eq!(parse(&input[..header.bytes]), whole);
            assert_eq!(parse(&input[..header.bytes - 1]), Ok(None));
        }
        Ok(None) => assert!(input.len() < HEADER_BYTES_MAX),
        Err(_) => {}
    }
    // A start says what the whole says, or that it needs more.
    let half = parse(&input[..input.len() / 2]);
    assert!(half == whole || half == Ok(None));
});
