//! PROXY headers: the cases of the table, whole and cut at every byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with the place")]

use corndog_pipeline::proxy::{HEADER_BYTES_MAX, Invalid, parse};
use serde::Deserialize;
use std::net::SocketAddr;

const CASES: &str = include_str!("../../../tests/cases/proxy.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    source: String,
    text: Option<String>,
    hex: Option<String>,
    peer: Option<SocketAddr>,
    invalid: Option<String>,
    #[serde(default)]
    behind: usize,
}

fn bytes(case: &Case) -> Vec<u8> {
    let mut bytes = case.text.clone().unwrap_or_default().into_bytes();
    if let Some(hex) = &case.hex {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        bytes.extend(digits.chunks(2).map(byte));
    }
    bytes
}

#[test]
fn every_case_reads_as_the_table_says() {
    let cases: Cases = toml::from_str(CASES).unwrap();
    assert!(cases.case.len() >= 30);
    for case in &cases.case {
        assert!(!case.source.is_empty(), "{}", case.name);
        let input = bytes(case);
        match (parse(&input), &case.invalid) {
            (Ok(Some(header)), None) => {
                assert_eq!(header.bytes, input.len() - case.behind, "{}", case.name);
                assert_eq!(header.source, case.peer, "{}", case.name);
            }
            (Err(why), Some(invalid)) => assert_eq!(format!("{why:?}"), *invalid, "{}", case.name),
            (read, _) => panic!("{}: {read:?}", case.name),
        }
    }
}

#[test]
fn a_header_cut_anywhere_waits_for_the_rest() {
    let cases: Cases = toml::from_str(CASES).unwrap();
    for case in cases.case.iter().filter(|case| case.invalid.is_none()) {
        let input = bytes(case);
        for end in 0..input.len() - case.behind {
            assert_eq!(parse(&input[..end]), Ok(None), "{} cut at {end}", case.name);
        }
    }
}

#[test]
fn no_header_is_longer_than_the_bound() {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    let behind = u16::try_from(HEADER_BYTES_MAX - 16).unwrap();
    header.extend_from_slice(&behind.to_be_bytes());
    assert_eq!(parse(&header), Ok(None));
    header.resize(HEADER_BYTES_MAX, 0);
    assert_eq!(parse(&header).unwrap().unwrap().bytes, HEADER_BYTES_MAX);
    header[14..16].copy_from_slice(&(behind + 1).to_be_bytes());
    assert_eq!(parse(&header), Err(Invalid::TooLong));
}
