//! Recognises senders that took the wrong port by their first bytes.

/// What is spoken where it is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// TLS on a plain port.
    Tls,
    /// HTTP on any.
    Http,
    /// Something else on a TLS port.
    NoTls,
}

impl Foreign {
    /// It in words, behind the peer and the listener.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Foreign::Tls => {
                "it speaks TLS, and this listener is plain; give it a listener with transport = \
                 \"tls\""
            }
            Foreign::Http => "it speaks HTTP, and this is syslog",
            Foreign::NoTls => {
                "it does not speak TLS, and this listener does; give it a plain one, or switch TLS \
                 on in the sender"
            }
        }
    }
}

const HTTP_METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
];
/// Bytes in which a request's line is looked for.
const REQUEST_BYTES_MAX: usize = 2048;

/// What the first bytes on a connection without TLS are, where they are no syslog: a whole record
/// header with a ClientHello, or a whole HTTP request line. No sender of syslog begins like that.
pub(crate) fn in_plain(first: &[u8]) -> Option<Foreign> {
    if let [22, 3, 0..=4, _, _, 1, ..] = first {
        return Some(Foreign::Tls);
    }
    is_http(first).then_some(Foreign::Http)
}

/// What the first bytes on a TLS port are, where TLS has failed; `None`: TLS.
pub(crate) fn in_tls(first: &[u8]) -> Option<Foreign> {
    match first {
        [20..=23, 3, ..] | [] => None,
        _ if HTTP_METHODS.iter().any(|method| first.starts_with(method)) => Some(Foreign::Http),
        _ => Some(Foreign::NoTls),
    }
}

/// `METHOD SP target SP HTTP/1.x CR LF`, or HTTP/2's preface.
fn is_http(first: &[u8]) -> bool {
    if first.starts_with(b"PRI * HTTP/2.0\r\n") {
        return true;
    }
    if !HTTP_METHODS.iter().any(|method| first.starts_with(method)) {
        return false;
    }
    let reach = &first[..first.len().min(REQUEST_BYTES_MAX)];
    let Some(end) = reach.iter().position(|byte| *byte == b'\n') else { return false };
    let line = &reach[..end];
    line.ends_with(b" HTTP/1.1\r") || line.ends_with(b" HTTP/1.0\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_and_http_are_recognised_on_a_plain_port() {
        for (first, what) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00"[..], Some(Foreign::Tls)),
            (b"\x16\x03\x03\x00\x05\x01", Some(Foreign::Tls)),
            (b"\x16\x03\x01\x02\x00\x02", None),
            (b"\x16\x03", None),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", Some(Foreign::Http)),
            (b"POST /x HTTP/1.0\r\n", Some(Foreign::Http)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Foreign::Http)),
            (b"GET is what they did\n", None),
            (b"GET / HTTP/1.1", None),
            (b"<13>GET / HTTP/1.1\r\n", None),
            (b"10.0.0.1 GET / HTTP/1.1\r\n", None),
            (b"", None),
        ] {
            assert_eq!(in_plain(first), what, "{:?}", first.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_no_tls_is_recognised_on_a_tls_port() {
        for (first, what) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], None),
            (b"\x15\x03\x01\x00\x02", None),
            (b"", None),
            (b"GET / HTTP/1.1\r\n", Some(Foreign::Http)),
            (b"<13>1 - - - - - - a", Some(Foreign::NoTls)),
            (b"10 <13>", Some(Foreign::NoTls)),
            (b"\x80\x2e\x01\x00\x02", Some(Foreign::NoTls)),
        ] {
            assert_eq!(in_tls(first), what, "{:?}", first.escape_ascii().to_string());
        }
    }
}
