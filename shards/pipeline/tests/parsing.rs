//! Parsing: the shared cases, generated messages against what they were made of and against
//! `syslog_loose`, and any bytes at all.

use corndog_pipeline::message::{Format, Message};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Deserialize;
use syslog_loose::Variant;

const PEER: &[u8] = b"192.0.2.7";

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
    input: Option<String>,
    input_hex: Option<String>,
    format: String,
    pri: u8,
    facility: String,
    severity: String,
    timestamp: Option<String>,
    hostname: Option<String>,
    #[serde(default)]
    hostname_is_peer: bool,
    app_name: Option<String>,
    procid: Option<String>,
    msgid: Option<String>,
    structured_data: Option<String>,
    msg: Option<String>,
    msg_hex: Option<String>,
}

fn text_or_hex(text: Option<String>, hex: Option<String>) -> Vec<u8> {
    let Some(hex) = hex else { return text.expect("text or hex").into_bytes() };
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect()
}

/// For messages in failed assertions.
fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

#[test]
fn shared_cases_hold() {
    let cases: Cases =
        toml::from_str(include_str!("../../../tests/cases/messages.toml")).expect("messages.toml");
    for case in cases.case {
        let name = &case.name;
        let frame = text_or_hex(case.input, case.input_hex);
        let message = Message::parse(&frame, PEER);
        let format = match message.format {
            Format::Rfc5424 => "rfc5424",
            Format::Rfc3164 => "rfc3164",
            Format::Raw => "raw",
        };
        assert_eq!((format, message.pri), (&*case.format, case.pri), "{name}");
        assert_eq!((message.facility(), message.severity()), (&*case.facility, &*case.severity));
        let hostname = if case.hostname_is_peer { text(Some(PEER)) } else { case.hostname };
        assert_eq!(text(message.timestamp), case.timestamp, "{name}");
        assert_eq!(text(message.hostname), hostname, "{name}");
        assert_eq!(text(message.app_name), case.app_name, "{name}");
        assert_eq!(text(message.procid), case.procid, "{name}");
        assert_eq!(text(message.msgid), case.msgid, "{name}");
        assert_eq!(text(message.structured_data), case.structured_data, "{name}");
        assert_eq!(message.msg, text_or_hex(case.msg, case.msg_hex), "{name}");
    }
}

/// What `syslog_loose` says, as text.
#[derive(Debug, PartialEq)]
struct Loose {
    is_rfc5424: bool,
    pri: Option<(String, String)>,
    micros: Option<i64>,
    hostname: Option<String>,
    app_name: Option<String>,
    procid: Option<String>,
    msgid: Option<String>,
    structured_data: Option<String>,
    msg: String,
}

fn loose(frame: &str) -> Loose {
    let message = syslog_loose::parse_message_with_year(frame, |_| 2026, Variant::Either);
    let elements: String = message.structured_data.iter().map(ToString::to_string).collect();
    let facility = message.facility.map(|facility| facility.as_str().to_owned());
    let severity = message.severity.map(|severity| severity.as_str().to_owned());
    Loose {
        is_rfc5424: message.protocol != syslog_loose::Protocol::RFC3164,
        pri: facility.zip(severity),
        micros: message.timestamp.map(|time| time.timestamp_micros()),
        hostname: message.hostname.map(str::to_owned),
        app_name: message.appname.map(str::to_owned),
        procid: message.procid.map(|procid| procid.to_string()),
        msgid: message.msgid.map(str::to_owned),
        structured_data: (!elements.is_empty()).then_some(elements),
        msg: message.msg.to_owned(),
    }
}

/// What we say, in the same form; the time only where it is RFC 3339's.
fn ours(frame: &str) -> Loose {
    let message = Message::parse(frame.as_bytes(), PEER);
    let time = text(message.timestamp).and_then(|time| time.parse::<jiff::Timestamp>().ok());
    Loose {
        is_rfc5424: message.format == Format::Rfc5424,
        pri: (message.format != Format::Raw)
            .then(|| (message.facility().to_owned(), message.severity().to_owned())),
        micros: time.map(jiff::Timestamp::as_microsecond),
        hostname: text(message.hostname.filter(|host| *host != PEER)),
        app_name: text(message.app_name),
        procid: text(message.procid),
        msgid: text(message.msgid),
        structured_data: text(message.structured_data),
        msg: String::from_utf8_lossy(message.msg).into_owned(),
    }
}

/// Asserts that we and `syslog_loose` differ, and how: (host, app, msg) of each.
#[track_caller]
fn assert_differs(
    frame: &str,
    of_ours: (Option<&str>, Option<&str>, &str),
    of_loose: (Option<&str>, Option<&str>, &str),
) {
    let (ours, loose) = (ours(frame), loose(frame));
    let short = |it: &Loose| (it.hostname.clone(), it.app_name.clone(), it.msg.clone());
    let long = |(host, app, msg): (Option<&str>, Option<&str>, &str)| {
        (host.map(str::to_owned), app.map(str::to_owned), msg.to_owned())
    };
    assert_eq!(short(&ours), long(of_ours), "ours, {frame:?}");
    assert_eq!(short(&loose), long(of_loose), "syslog_loose, {frame:?}");
    assert_ne!(ours, loose, "{frame:?}");
}

/// Every class of difference that is known, each with the RFC's word. The generators below keep
/// out of these, and of nothing else.
#[test]
fn differences_from_syslog_loose_in_rfc_5424_are_the_known_ones() {
    let (h, a) = (Some("h"), Some("a"));
    // §6: MSG begins behind one SP, and ends with the frame.
    assert_differs("<14>1 - h a - - -  text \t", (h, a, " text \t"), (h, a, "text"));
    // §6.4: the BOM says that MSG is UTF-8; it is no part of the text.
    assert_differs("<14>1 - h a - - - \u{FEFF}text", (h, a, "text"), (h, a, "\u{FEFF}text"));
    // §6: one SP between fields, and no field is empty.
    assert_differs("<14>1 -  h a - - - t", (None, None, "1 -  h a - - - t"), (h, a, "t"));
    // §6.2.1: PRI is mandatory, and at most 191. Without it nothing here says that it is syslog.
    assert_differs("1 - h a - - - t", (None, None, "1 - h a - - - t"), (h, a, "t"));
    assert_differs("<192>1 - h a - - - t", (None, None, "<192>1 - h a - - - t"), (h, a, "t"));
    // §6.2.2: VERSION starts with a digit that is not 0, and has at most three.
    assert_differs("<14>0 - h a - - - t", (None, None, "0 - h a - - - t"), (h, a, "t"));
    // §6.2.3: T and Z must be in upper case; month 13 has the shape of a time, which is all we ask.
    let lower = "2026-02-11t22:14:15z h a - - - t";
    assert_differs(&format!("<14>1 {lower}"), (None, None, &format!("1 {lower}")), (h, a, "t"));
    let month_13 = "<14>1 2026-13-11T22:14:15Z h a - - - t";
    assert_differs(month_13, (h, a, "t"), (None, None, month_13));
    // §6.2.4: a HOSTNAME is any printable ASCII, a last colon too.
    let colon = "<14>1 - h: a - - - t";
    assert_differs(colon, (Some("h:"), a, "t"), (None, None, colon));
    // §6.3: what is not STRUCTURED-DATA is no reason to lose the header.
    let missing = "<14>1 2026-02-11T22:14:15Z h a - - text";
    assert_differs(missing, (h, a, "text"), (None, None, missing));
    // §6.3.5: a malformed element. Theirs drops it; here no byte is lost.
    assert_differs("<14>1 - h a - - [ x y=\"z\"] t", (h, a, "[ x y=\"z\"] t"), (h, a, "t"));
    // §6.3: `-` is NILVALUE only as a whole field.
    assert_differs("<14>1 - h a - - -text", (h, a, "-text"), (h, a, "text"));
}

#[test]
fn differences_from_syslog_loose_in_rfc_3164_are_the_known_ones() {
    let (h, a) = (Some("h"), Some("a"));
    let time = "<13>Feb 11 22:14:15";
    // §4.1.3: a space ends a TAG as well; but then the first word of every text is one.
    assert_differs(
        &format!("{time} h some text"),
        (h, None, "some text"),
        (h, Some("some"), "text"),
    );
    assert_differs(&format!("{time} h a[1] text"), (h, None, "a[1] text"), (h, a, "text"));
    let url = format!("{time} h http://x/ down");
    assert_differs(&url, (h, None, "http://x/ down"), (h, Some("http"), "//x/ down"));
    // §4.1.3: the TAG is alphanumeric; JSON is none.
    let json = format!("{time} h {{\"a\": 1}}");
    assert_differs(&json, (h, None, "{\"a\": 1}"), (h, Some("{\"a\""), "1}"));
    // §4.1.2: HOSTNAME is missing; a word with a colon is rather the TAG.
    assert_differs(&format!("{time} a: text"), (None, a, "text"), (a, None, "text"));
    // §4.1.3: the CONTENT is what follows; a word alone is rather that than a host.
    assert_differs(&format!("{time} text"), (None, None, "text"), (Some("text"), None, ""));
    // §4.1.3: CONTENT is free; nothing in it is structured data, NILVALUE or more space to skip.
    assert_differs(&format!("{time} h a: - text"), (h, a, "- text"), (h, a, "text"));
    let data = format!("{time} h a: [x y=\"z\"] text");
    assert_differs(&data, (h, a, "[x y=\"z\"] text"), (h, a, "text"));
    assert_differs(&format!("{time} h a:  text "), (h, a, " text "), (h, a, "text"));
    // §4.1.3: the RFC has 32 bytes, we 48, theirs no limit.
    let long = "x".repeat(49);
    let frame = format!("{time} h {long}: text");
    assert_differs(&frame, (h, None, &format!("{long}: text")), (h, Some(&long), "text"));
    // §4.1.2: Jan, Feb, Mar. PRI is still read (§4.3.2).
    let capitals = "FEB 11 22:14:15 h a: t";
    assert_differs(&format!("<13>{capitals}"), (None, None, capitals), (h, a, "t"));
    // A colon ends what a device says of itself: it is no host that follows.
    assert_differs(&format!("{time}: h a: t"), (None, None, "h a: t"), (h, a, "t"));
    // §4.3.2: a PRI without a time. Theirs has no opinion: the frame is its message.
    assert_differs("<13>a[1]: text", (None, a, "text"), (None, None, "<13>a[1]: text"));
}

/// `1*nPRINTUSASCII` that both take as it is: no NILVALUE, no colon in last place.
fn name() -> impl Strategy<Value = String> {
    "[!-~]{0,20}[!-9;-~]".prop_filter("NILVALUE", |name| name != "-")
}

/// A MSG that both take as it is: no space or BOM around.
fn msg() -> impl Strategy<Value = String> {
    prop_oneof!["", "[!-~]", "[!-~][ -~\u{e4}\u{20ac}]{0,60}[!-~]"].prop_map(String::from)
}

/// SD-PARAMs' values with all that must be escaped, and what need not.
fn sd_value() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            4 => "[ a-z=\\[\u{e4}]{1,8}".prop_map(String::from),
            1 => Just("\\\"".to_owned()),
            1 => Just("\\\\".to_owned()),
            1 => Just("\\]".to_owned()),
            1 => Just("\\n".to_owned()),
            1 => Just("]".to_owned()),
        ],
        0..5,
    )
    .prop_map(|parts| parts.concat())
}

fn sd_elements() -> impl Strategy<Value = String> {
    let param = ("[!#-<>-\\\\^-~]{1,12}", sd_value()).prop_map(|(n, v)| format!(" {n}=\"{v}\""));
    let id = "[!#-<>-\\\\^-~]{1,12}";
    let element = (id, vec(param, 0..4)).prop_map(|(id, ps)| format!("[{id}{}]", ps.concat()));
    vec(element, 1..4).prop_map(|elements| elements.concat())
}

fn rfc3339() -> impl Strategy<Value = String> {
    let date = (1970..2100_u16, 1..=12_u8, 1..=28_u8);
    let time = (0..24_u8, 0..60_u8, 0..60_u8, option::of("[0-9]{1,6}"));
    let offset = prop_oneof!["Z", "[+-](0[0-9]|1[0-2]):[0-5][0-9]"];
    (date, time, offset).prop_map(|((year, month, day), (h, m, s, fraction), offset)| {
        let fraction = fraction.map_or(String::new(), |digits| format!(".{digits}"));
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}{fraction}{offset}")
    })
}

/// Not before 05:00, and no later day than 28: these exist in every zone and month.
fn month_time() -> impl Strategy<Value = String> {
    let month = prop::sample::select(vec![
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]);
    (month, 1..=28_u8, 0..3_u8, 5..24_u8, 0..60_u8, 0..60_u8).prop_map(|(mon, d, pad, h, m, s)| {
        let day = match pad {
            0 => format!("{d:2}"),
            1 => format!("{d:02}"),
            _ => d.to_string(),
        };
        format!("{mon} {day} {h:02}:{m:02}:{s:02}")
    })
}

fn or_nil(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or("-")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..Default::default() })]

    #[test]
    fn rfc_5424_is_read_as_written_and_as_syslog_loose_reads_it(
        (pri, version) in (0..=191_u8, 1..=999_u16),
        time in option::of(rfc3339()),
        (host, app, procid, msgid) in
            (option::of(name()), option::of(name()), option::of(name()), option::of(name())),
        sd in option::of(sd_elements()),
        msg in option::of(msg()),
    ) {
        let names = [&host, &app, &procid, &msgid].map(or_nil).join(" ");
        let mut frame = format!("<{pri}>{version} {} {names} {}", or_nil(&time), or_nil(&sd));
        if let Some(msg) = &msg {
            frame = format!("{frame} {msg}");
        }
        let message = Message::parse(frame.as_bytes(), PEER);
        prop_assert_eq!((message.format, message.pri), (Format::Rfc5424, pri));
        prop_assert_eq!(text(message.timestamp), time);
        prop_assert_eq!(text(message.hostname), host);
        prop_assert_eq!(text(message.app_name), app);
        prop_assert_eq!(text(message.procid), procid.clone());
        prop_assert_eq!(text(message.msgid), msgid);
        prop_assert_eq!(text(message.structured_data), sd);
        prop_assert_eq!(text(Some(message.msg)), Some(msg.unwrap_or_default()));

        // Theirs makes numbers of PROCIDs: 007 is 7, +7 is 7.
        let number = procid.and_then(|procid| procid.parse::<i32>().ok()).map(|n| n.to_string());
        let mut ours = ours(&frame);
        ours.procid = number.or(ours.procid);
        prop_assert_eq!(ours, loose(&frame));
    }

    #[test]
    fn rfc_3164_is_read_as_written_and_as_syslog_loose_reads_it(
        pri in 0..=191_u8,
        time in prop_oneof![month_time(), rfc3339()],
        // What would be a year or a zone is none of theirs.
        host in "[a-z0-9][a-zA-Z._-][a-zA-Z0-9._-]{0,30}|[0-9a-f]{1,4}::[0-9a-f]{1,4}",
        app in "[a-zA-Z(%/][a-zA-Z0-9_./()-]{0,30}",
        procid in option::of("[a-z][a-z0-9.-]{0,12}|[1-9][0-9]{0,6}"),
        // Theirs sees structured data and NILVALUE in the text, and a second colon.
        msg in msg().prop_filter("theirs reads on", |msg| !msg.starts_with(['[', '-', ':'])),
    ) {
        let tag = procid.as_ref().map_or(app.clone(), |procid| format!("{app}[{procid}]"));
        let frame = format!("<{pri}>{time} {host} {tag}: {msg}");
        let message = Message::parse(frame.as_bytes(), PEER);
        prop_assert_eq!((message.format, message.pri), (Format::Rfc3164, pri));
        prop_assert_eq!(text(message.timestamp), Some(time.clone()));
        prop_assert_eq!(text(message.hostname), Some(host));
        prop_assert_eq!(text(message.app_name), Some(app));
        prop_assert_eq!(text(message.procid), procid);
        prop_assert_eq!(message.msg, msg.as_bytes());

        let (mut ours, loose) = (ours(&frame), loose(&frame));
        if ours.micros.is_none() {
            prop_assert!(loose.micros.is_some(), "theirs saw the time too");
            ours.micros = loose.micros;
        }
        prop_assert_eq!(ours, loose);
    }

    #[test]
    fn any_bytes_are_a_message_of_slices_of_the_frame(
        start in prop_oneof!["", "<13>", "<13>1 ", "<13>1 - - - - - ", "<13>Feb 11 22:14:15 "],
        bytes in vec(any::<u8>(), 0..200),
        marks in vec((any::<prop::sample::Index>(), prop::sample::select(&b" :[]<>-\"\\="[..])), 0..40),
    ) {
        let mut frame = [start.as_bytes(), &bytes].concat();
        if !frame.is_empty() {
            for (index, mark) in marks {
                let at = index.index(frame.len());
                frame[at] = mark;
            }
        }
        let message = Message::parse(&frame, PEER);
        prop_assert!(message.pri <= 191);
        let fields = [
            message.timestamp, message.app_name, message.procid, message.msgid,
            message.structured_data, Some(message.msg),
            message.hostname.filter(|host| !std::ptr::eq(host.as_ptr(), PEER.as_ptr())),
        ];
        let frame_range = frame.as_ptr_range();
        for field in fields.into_iter().flatten() {
            let range = field.as_ptr_range();
            prop_assert!(frame_range.start <= range.start && range.end <= frame_range.end);
        }
        // The text is the frame's end, whatever stood before it.
        prop_assert!(frame.ends_with(message.msg));
        prop_assert_eq!(message.frame, &frame[..]);
    }
}

/// Shapes that would take a parser that looks back, or ahead, quadratic time: 4 MiB of each would
/// then take hours.
#[test]
fn hostile_shapes_cost_no_more_than_their_bytes() {
    let heads = [
        "",
        "<13>",
        "<13>1 ",
        "<13>1 - - - - - ",
        "<13>1 - - - - - [a",
        "<13>Feb 11 22:14:15 ",
        "<13>Feb 11 22:14:15 EST ",
        "<13>45: *Feb 11 22:14:15.123 ",
        "<13>45: ",
        "Feb 11 22:14:15 ",
    ];
    let units = [
        "[",
        "]",
        "\"",
        "\\",
        " ",
        ":",
        "[a",
        "[a]",
        " a=\"\"",
        "[a b=\"",
        "a: ",
        "a[b]: ",
        "<13>",
        "9",
        "\0",
        "UTC",
        "1w",
        ": %",
        "/CPU",
        "12:30:00 ",
        "+01:00",
        "A",
    ];
    for head in heads {
        for unit in units {
            let frame = format!("{head}{}", unit.repeat((4 << 20) / unit.len()));
            let message = Message::parse(frame.as_bytes(), PEER);
            assert!(frame.as_bytes().ends_with(message.msg));
        }
    }
}
