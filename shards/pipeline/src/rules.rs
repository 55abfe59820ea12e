//! What the operator's rules say, before they are compiled.

/// One `[[rule]]`: tried in order, for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleConfig {
    /// Shown in statistics and in errors; empty: the rule's number is shown.
    pub name: String,
    /// Which field the pattern reads.
    pub field: Field,
    /// `None` always matches.
    pub regex: Option<String>,
    /// Run in order when the rule matches.
    pub actions: Vec<ActionConfig>,
}

/// One entry of a rule's `actions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionConfig {
    /// Sends `msg` to a topic; ends the message.
    Forward {
        /// A template.
        topic: String,
        /// A template; `None`: the record has no key.
        key: Option<String>,
    },
    /// Ends the message.
    Stop,
}

/// A message's field, by hotdog's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}
