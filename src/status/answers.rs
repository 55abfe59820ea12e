//! What is asked -> what is answered.

use hyper::StatusCode;

use super::metrics;
use crate::figures::Figures;

/// The page; `style` and `script` stand in it, and the policy names them by their SHA-256.
const PAGE: &str = include_str!("page.html");
/// Nothing from elsewhere, and of what stands in the page only these two. A test holds the sums
/// against the page.
pub const CONTENT_SECURITY_POLICY: &str = concat!(
    "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; ",
    "frame-ancestors 'none'; ",
    "script-src 'sha256-8JF+utQHNMOrKnXe51HdBOpR6/ZUfF/W72Vm2EBmehM='; ",
    "style-src 'sha256-Pf8o0ZVNijYnqdqflRjIX2aswudpyp8O58MvuRdNcCM='"
);
/// What OpenMetrics asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Of its address.
    pub path: &'a str,
    /// It is a browser, or says that it takes HTML.
    pub wants_html: bool,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's own.
    pub status: StatusCode,
    /// Its media type.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

/// Answers. `figures` and `latencies` are asked for where they are needed.
pub fn answer(
    asked: Asked<'_>,
    figures: impl FnOnce() -> Figures,
    latencies: impl FnOnce() -> metrics::Latencies,
) -> Answer {
    match asked.path {
        "/" if asked.wants_html => {
            let media_type = "text/html; charset=utf-8";
            Answer { status: StatusCode::OK, media_type, body: PAGE.to_owned() }
        }
        "/" => text(StatusCode::OK, describe(&figures())),
        "/health" => text(StatusCode::OK, "ok\n".to_owned()),
        "/ready" => {
            let figures = figures();
            match figures.reasons.is_empty() {
                true => text(StatusCode::OK, "ready\n".to_owned()),
                false => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{}\n", figures.reasons.join("\n")),
                ),
            }
        }
        "/stats" => match serde_json::to_string(&figures()) {
            Ok(body) => Answer { status: StatusCode::OK, media_type: "application/json", body },
            Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
        },
        "/metrics" => match metrics::page(figures(), latencies()) {
            Ok(body) => Answer { status: StatusCode::OK, media_type: OPENMETRICS, body },
            Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /, /stats, /metrics, /health and /ready\n".to_owned(),
        ),
    }
}

/// An answer in words.
pub fn text(status: StatusCode, body: String) -> Answer {
    Answer { status, media_type: "text/plain; charset=utf-8", body }
}

/// A short text for clients that take no HTML.
fn describe(figures: &Figures) -> String {
    format!(
        "corndog {}: {}\nreceived {} ({:.0} per second), forwarded {}, delivered {}, in flight {}\n\
         see /stats, /metrics, /health, /ready; / in a browser is a page\n",
        figures.version,
        figures.message,
        figures.count("received"),
        figures.rates.received,
        figures.count("forwarded"),
        figures.count("delivered"),
        figures.count("in_flight"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, wants_html: bool, figures: Figures) -> Answer {
        let latencies = || metrics::Latencies { listeners: vec![], stages: vec![] };
        answer(Asked { path, wants_html }, || figures, latencies)
    }

    #[test]
    fn not_ready_is_503_with_every_reason() {
        let reasons = vec!["one".to_owned(), "two".to_owned()];
        let answer = ask("/ready", false, Figures { reasons, ..Figures::default() });
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body, "one\ntwo\n");
        assert_eq!(ask("/ready", false, Figures::default()).status, StatusCode::OK);
    }

    #[test]
    fn a_browser_gets_the_page_and_others_a_text() {
        assert!(ask("/", true, Figures::default()).body.starts_with("<!doctype html>"));
        assert!(ask("/", false, Figures::default()).body.starts_with("corndog "));
        assert_eq!(ask("/x", true, Figures::default()).status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn stats_are_read_back_as_they_were() {
        let mut figures = Figures { uptime_s: 1.5, ..Figures::default() };
        figures.stats.insert("lines".to_owned(), 3);
        let body = ask("/stats", false, figures.clone()).body;
        assert_eq!(serde_json::from_str::<Figures>(&body).expect("it is there"), figures);
    }
}
