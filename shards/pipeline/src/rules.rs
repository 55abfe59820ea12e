//! What the operator's rules say, before they are compiled.

use std::fmt;

/// One `[[rule]]`: tried in order, for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleConfig {
    /// Shown in statistics and in errors; empty: the rule's number is shown.
    pub name: String,
    /// Which field the matcher reads.
    pub field: Field,
    /// Which messages it is for, of those that have the field.
    pub matcher: MatcherConfig,
    /// Run in order when the rule matches.
    pub actions: Vec<ActionConfig>,
}

/// How a rule tells whether a field matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatcherConfig {
    /// It does.
    Always,
    /// The pattern is found anywhere in it.
    Regex(String),
    /// It is JSON, and the expression's result is not null.
    Jmespath(String),
}

/// One entry of a rule's `actions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionConfig {
    /// Sends the output, or `msg` where there is none, to a topic; ends the message.
    Forward(ForwardConfig),
    /// Output: `msg`, a JSON object, deep-merged with this one, whose strings are templates.
    Merge(serde_json::Value),
    /// Output: the rendered template.
    Replace(String),
    /// Ends the message, but for some.
    Sample(SampleConfig),
    /// Ends the message.
    Stop,
}

/// Where a record goes, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardConfig {
    /// A template.
    pub topic: String,
    /// A template; `None`: the record has no key.
    pub key: Option<String>,
    /// Names, and templates for the values; in this order.
    pub headers: Vec<(String, String)>,
    /// What the payload is where no action made an output.
    pub format: PayloadFormat,
}

/// What the payload is where no action made an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadFormat {
    /// The message's text.
    #[default]
    Msg,
    /// The frame, as it came.
    Raw,
    /// All fields, as one JSON object.
    Json,
}

/// Which messages a `sample` lets go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleConfig {
    /// The first of every so many, on each shard.
    OneIn(u64),
    /// So many in each second, over all shards.
    PerSecond(u64),
}

/// A message's field, by hotdog's names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The message text.
    Msg,
    /// HOSTNAME.
    Hostname,
    /// APP-NAME.
    Appname,
    /// PROCID.
    Procid,
    /// MSGID.
    Msgid,
    /// Facility by name.
    Facility,
    /// Severity by name.
    Severity,
    /// `sd.ID.PARAM`: the value of a parameter in the structured data.
    SdParam {
        /// SD-ID.
        id: String,
        /// PARAM-NAME.
        param: String,
    },
}

impl Field {
    /// The fields that have a name of their own.
    pub const NAMED: [(&str, Field); 7] = [
        ("msg", Field::Msg),
        ("hostname", Field::Hostname),
        ("appname", Field::Appname),
        ("procid", Field::Procid),
        ("msgid", Field::Msgid),
        ("facility", Field::Facility),
        ("severity", Field::Severity),
    ];

    /// Reads a field's name. In `sd.ID.PARAM` the last dot parts the two, since an SD-ID may hold
    /// dots (`name@32473.1`).
    pub fn parse(name: &str) -> Option<Field> {
        if let Some((_, field)) = Self::NAMED.iter().find(|(known, _)| *known == name) {
            return Some(field.clone());
        }
        let (id, param) = name.strip_prefix("sd.")?.rsplit_once('.')?;
        let is_name = |name: &str| {
            let is_legal = |byte: &u8| byte.is_ascii_graphic() && !b"=]\"".contains(byte);
            !name.is_empty() && name.as_bytes().iter().all(is_legal)
        };
        (is_name(id) && is_name(param))
            .then(|| Field::SdParam { id: id.to_owned(), param: param.to_owned() })
    }

    /// SD-ID and PARAM-NAME of a parameter of the structured data.
    pub fn sd_param(&self) -> Option<(&str, &str)> {
        match self {
            Field::SdParam { id, param } => Some((id, param)),
            _ => None,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Field::SdParam { id, param } = self {
            return write!(f, "sd.{id}.{param}");
        }
        let named = Self::NAMED.iter().find(|(_, field)| field == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// What holds for all rules: where records may go, and what becomes of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutingConfig {
    /// Patterns with `*`; needed where a topic comes from message data.
    pub allow: Vec<String>,
    /// Where a refused topic's record goes; `None`: to the dead letters, or it is dropped.
    pub fallback: Option<String>,
    /// Where what cannot be forwarded goes; `None`: it is dropped.
    pub dead_letter: Option<String>,
    /// How many topics message data may name.
    pub distinct: usize,
    /// Where a message goes that no rule forwards; `None`: it is dropped.
    pub unmatched: Option<String>,
    /// Which time a record has.
    pub record_time: RecordTime,
}

/// What becomes of a frame that is longer than a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Oversize {
    /// Its start is a message.
    #[default]
    Truncate,
    /// It is dropped.
    Drop,
    /// Its start goes to the dead letters.
    DeadLetter,
}

/// Which time a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordTime {
    /// When its message was received.
    #[default]
    Received,
    /// The message's own; where it has none, when it was received.
    Message,
}
