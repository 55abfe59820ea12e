//! librdkafka's statistics -> brokers. Source: librdkafka's STATISTICS.md; times are microseconds.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::figures::{Broker, Percentiles};

/// Brokers that are shown.
const BROKERS_MAX: usize = 256;

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: BTreeMap<String, OfBroker>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OfBroker {
    name: String,
    nodeid: i64,
    source: String,
    state: String,
    outbuf_cnt: i64,
    waitresp_cnt: i64,
    txerrs: u64,
    rxerrs: u64,
    req_timeouts: u64,
    connects: u64,
    txbytes: u64,
    rtt: Window,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Window {
    cnt: u64,
    avg: f64,
    p50: u64,
    p90: u64,
    p99: u64,
    p99_99: u64,
    max: u64,
}

/// The brokers, as librdkafka knew them a few seconds ago.
#[derive(Debug, Default, PartialEq)]
pub struct Brokers {
    /// To be shown.
    pub rows: Vec<Broker>,
    /// One is connected, if only to tell of the others.
    pub is_up: bool,
    /// How often connecting was tried, to all of them.
    pub tries: u64,
}

/// The brokers; `None` if it is not as librdkafka writes it.
pub fn read(json: &str) -> Option<Brokers> {
    let statistics: Statistics = serde_json::from_str(json).ok()?;
    let all: Vec<OfBroker> =
        statistics.brokers.into_values().filter(|broker| broker.source != "internal").collect();
    let is_up = all.iter().any(|broker| broker.state == "UP");
    let tries = all.iter().map(|broker| broker.connects).sum();
    // A bootstrap address is a connection of its own, and idle once the brokers are known by number.
    let (known, bootstrap): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|broker| broker.nodeid >= 0);
    let shown = if known.is_empty() { bootstrap } else { known };
    let rows = shown.into_iter().take(BROKERS_MAX).map(Broker::from).collect();
    Some(Brokers { rows, is_up, tries })
}

impl From<OfBroker> for Broker {
    fn from(of: OfBroker) -> Broker {
        let count = |count: i64| count.try_into().unwrap_or(0);
        Broker {
            name: of.name,
            state: of.state,
            round_trip: Percentiles {
                count: of.rtt.cnt,
                mean_us: of.rtt.avg,
                p50_us: of.rtt.p50,
                p90_us: of.rtt.p90,
                p99_us: of.rtt.p99,
                p999_us: of.rtt.p99_99,
                max_us: of.rtt.max,
            },
            outbuf: count(of.outbuf_cnt),
            waiting: count(of.waitresp_cnt),
            errors: of.txerrs + of.rxerrs,
            timeouts: of.req_timeouts,
            connects: of.connects,
            bytes_out: of.txbytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_read_and_what_else_there_is_does_not_matter() {
        let json = r#"{"name":"rdkafka#producer-1","topics":{"t":{"x":[1,2]}},"brokers":{
            "b1:9092/1":{"name":"b1:9092/1","nodeid":1,"source":"learned","state":"UP",
                "outbuf_cnt":2,"waitresp_cnt":1,"txerrs":1,"rxerrs":2,"req_timeouts":3,
                "connects":4,"txbytes":5,"rtt":{"cnt":9,"avg":700,"p50":600,"p99":900,"max":950}},
            "b1:9092/bootstrap":{"name":"b1:9092/bootstrap","nodeid":-1,"source":"configured","state":"DOWN"},
            ":0/internal":{"name":":0/internal","nodeid":-1,"source":"internal","state":"INIT"}}}"#;
        let all = read(json).expect("it is there");
        assert_eq!((all.is_up, all.tries), (true, 4));
        let brokers = all.rows;
        assert_eq!(brokers.len(), 1);
        assert_eq!((brokers[0].name.as_str(), brokers[0].state.as_str()), ("b1:9092/1", "UP"));
        assert_eq!((brokers[0].errors, brokers[0].round_trip.p99_us), (3, 900));
        assert_eq!(read("{\"brokers\":3}"), None);
        assert_eq!(
            read(&json.replace("\"nodeid\":1", "\"nodeid\":-1")).expect("it is there").rows.len(),
            2
        );
    }
}
