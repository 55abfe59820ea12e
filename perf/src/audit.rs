//! Whether a delivered payload is what a workload's rules make of a message.

use crate::message::{HEADER, MARKER};
use crate::workload::{TOPIC_MATCHED, TOPIC_UNKNOWN, W1_FRAME_BYTES, W3_MSG_BYTES, Workload};
use serde_json::Value;

/// Looks at a payload whole. Its stamp is checked already, and where it belongs.
pub fn is_made(workload: Workload, topic: &str, payload: &[u8]) -> bool {
    match workload {
        Workload::W1 { frame_bytes } => is_msg(payload, frame_bytes - HEADER.len(), &[MARKER]),
        Workload::W4 => is_msg(payload, W1_FRAME_BYTES - HEADER.len(), &[MARKER]),
        Workload::W2 => is_w2_payload(topic, payload),
        Workload::W3 { .. } => {
            is_msg(payload, W3_MSG_BYTES, &[MARKER, b"svc-", b"user=", b"code="])
        }
        Workload::Topics { .. } => {
            let number = topic.strip_prefix("logs-").unwrap_or_default();
            is_msg(payload, W3_MSG_BYTES, &[format!("to={number} ").as_bytes()])
        }
    }
}

/// Whether it is MSG as it was, which has so many bytes and one of these starts. A forwarder may
/// leave the space before it, as rsyslog does.
fn is_msg(payload: &[u8], bytes: usize, starts: &[&[u8]]) -> bool {
    let msg = payload.strip_prefix(b" ").unwrap_or(payload);
    msg.len() == bytes && starts.iter().any(|start| msg.starts_with(start))
}

/// Whether W2's rules make this payload for that topic: merged, replaced, or as it was.
fn is_w2_payload(topic: &str, payload: &[u8]) -> bool {
    match topic {
        TOPIC_MATCHED => is_w2_replaced(payload).unwrap_or(false),
        TOPIC_UNKNOWN => payload.trim_ascii_start().starts_with(b"good day "),
        _ => is_w2_merged(topic, payload).unwrap_or(false),
    }
}

fn is_w2_replaced(payload: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(payload).ok()?;
    let msg = text.strip_prefix("This is the total message: ")?.trim_start();
    let name = msg.strip_prefix("hello ")?.split(' ').next()?;
    Some(text.ends_with(&format!("\n\nAnd the name is: {name}\n")))
}

/// Whether it is the object as sent, with `version` and `timestamp` under `meta.hotdog`, no more.
fn is_w2_merged(topic: &str, payload: &[u8]) -> Option<bool> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    let keys = |value: &Value| -> Option<Vec<String>> {
        let mut keys: Vec<String> = value.as_object()?.keys().cloned().collect();
        keys.sort();
        Some(keys)
    };
    let (meta, hotdog) = (value.get("meta")?, value.get("meta")?.get("hotdog")?);
    let is_filled = |key: &str| hotdog[key].as_str().is_some_and(|text| !text.is_empty());
    Some(
        topic.strip_prefix("logs-") == meta.get("topic")?.as_str()
            && keys(&value)? == ["level", "meta", "request", "service", "text", "time"]
            && keys(meta)? == ["hotdog", "region", "topic"]
            && keys(hotdog)? == ["timestamp", "version"]
            && keys(value.get("request")?)? == ["bytes", "method", "path", "status"]
            && is_filled("version")
            && is_filled("timestamp"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Text;
    use crate::workload::tests::msg;

    #[test]
    fn what_is_forwarded_is_msg_and_no_more() {
        let of = |workload: Workload, topics: &[&str]| {
            for text in workload.texts(1).take(200) {
                let msg = msg(&text);
                let made = |payload: &[u8]| topics.iter().any(|at| is_made(workload, at, payload));
                assert!(made(&msg) && made(&[b" ", &msg[..]].concat()));
                assert!(!made(&[b"RUBBISH ", &msg[..]].concat()));
                assert!(!made(&[&msg[..], b" and more"].concat()));
                assert!(!made(&msg[1..]));
            }
        };
        of(Workload::W1 { frame_bytes: 248 }, &["logs"]);
        of(Workload::W1 { frame_bytes: 1024 }, &["logs"]);
        of(Workload::W4, &["logs"]);
        of(Workload::W3 { rules: 100 }, &["test"]);
        of(Workload::Topics { topics: 3 }, &["logs-000", "logs-001", "logs-002"]);
        let to_two = msg(&Workload::Topics { topics: 3 }.texts(1).nth(2).unwrap());
        assert!(!is_made(Workload::Topics { topics: 3 }, "logs-001", &to_two));
    }

    #[test]
    fn of_w2_what_its_rules_make_is_taken_and_nothing_else() {
        let audit = |topic: &str, payload: &[u8]| is_made(Workload::W2, topic, payload);
        let texts: Vec<Text> = Workload::W2.texts(1).take(100).collect();
        for text in &texts {
            let msg = String::from_utf8(msg(text)).unwrap();
            if let Some(rest) = msg.strip_prefix("hello ") {
                let name = rest.split(' ').next().unwrap();
                let made = format!("This is the total message: {msg}\n\nAnd the name is: {name}\n");
                assert!(audit("test", made.as_bytes()), "{made}");
                assert!(!audit("test", made.replace("name is: ", "name is: x").as_bytes()));
                assert!(!audit("test", msg.as_bytes()));
            } else if msg.starts_with('{') {
                let mut value: Value = serde_json::from_str(&msg).unwrap();
                let topic = format!("logs-{}", value["meta"]["topic"].as_str().unwrap());
                assert!(!audit(&topic, msg.as_bytes()));
                value["meta"]["hotdog"] = serde_json::json!({"version": "1", "timestamp": "now"});
                assert!(audit(&topic, value.to_string().as_bytes()));
                assert!(!audit("logs-other", value.to_string().as_bytes()));
            } else {
                assert!(audit("logs-unknown", msg.as_bytes()), "{msg}");
            }
        }
    }
}
