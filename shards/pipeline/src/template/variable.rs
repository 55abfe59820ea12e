//! What a template may insert: names to variables, variables to bytes.

use super::{Scope, Variables};
use crate::credentials::Credentials;
use crate::rules::Field;

/// One variable, found by its name when the template was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    Version,
    Iso8601,
    Timestamp,
    Raw,
    Peer,
    Listener,
    ClientName,
    PeerPid,
    PeerUid,
    PeerGid,
    /// A field by its own name, or a parameter of the structured data.
    Field(Field),
    /// What the rule's jmespath found.
    Value,
    /// A named group, by its number in the pattern.
    Group(usize),
}

/// What is neither a field nor a group.
const BUILT_IN: [(&str, Variable); 11] = [
    ("version", Variable::Version),
    ("iso8601", Variable::Iso8601),
    ("value", Variable::Value),
    ("timestamp", Variable::Timestamp),
    ("raw", Variable::Raw),
    ("peer", Variable::Peer),
    ("listener", Variable::Listener),
    ("client_name", Variable::ClientName),
    ("peer_pid", Variable::PeerPid),
    ("peer_uid", Variable::PeerUid),
    ("peer_gid", Variable::PeerGid),
];

impl Variable {
    /// Finds a variable by its name; `None`: it is not known here.
    pub(super) fn find(name: &str, scope: &Scope<'_>) -> Option<Variable> {
        let is_name = |group: &Option<String>| group.as_deref() == Some(name);
        if let Some(number) = scope.groups.iter().position(is_name) {
            return Some(Variable::Group(number));
        }
        let built_in = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
        match built_in {
            Some((_, Variable::Value)) if !scope.has_value => None,
            Some((_, variable)) => Some(variable.clone()),
            None => Field::parse(name).map(Variable::Field),
        }
    }

    /// True if it is a part of the sender's credentials.
    pub(super) fn is_credential(&self) -> bool {
        matches!(self, Variable::PeerPid | Variable::PeerUid | Variable::PeerGid)
    }

    /// Why a name is not known here, and which are.
    pub(super) fn unknown(name: &str, scope: &Scope<'_>) -> String {
        if name == "value" {
            return "the variable {{value}} is what a jmespath finds, and this rule has none; add \
                    a jmespath to it, or name a group of its regex, as (?P<value>...)"
                .to_owned();
        }
        let built_in = BUILT_IN.iter().map(|(name, _)| *name);
        let known: Vec<&str> = scope
            .groups
            .iter()
            .flatten()
            .map(String::as_str)
            .chain(Field::NAMED.iter().map(|(name, _)| *name))
            .chain(built_in.filter(|name| *name != "value" || scope.has_value))
            .chain(["sd.ID.PARAM"])
            .collect();
        format!("the variable {{{{{name}}}}} is unknown; known here: {}", known.join(" "))
    }

    /// Its bytes; `None` if the message has none.
    pub(super) fn value<'a>(&self, variables: &Variables<'a>) -> Option<&'a [u8]> {
        let Variables { message, context, sd, iso8601, groups, value } = variables;
        match self {
            Variable::Version => Some(super::VERSION.as_bytes()),
            Variable::Iso8601 => Some(*iso8601),
            Variable::Timestamp => message.timestamp,
            Variable::Raw => Some(message.frame),
            Variable::Peer => Some(context.peer),
            Variable::Listener => Some(context.listener),
            Variable::ClientName => context.client_name,
            Variable::PeerPid => context.credentials.and_then(Credentials::pid),
            Variable::PeerUid => context.credentials.map(Credentials::uid),
            Variable::PeerGid => context.credentials.map(Credentials::gid),
            Variable::Value => *value,
            Variable::Group(number) => groups.and_then(|groups| groups.group(*number)),
            Variable::Field(Field::SdParam { id, param }) => {
                let number = sd.names.find(id.as_bytes(), param.as_bytes())?;
                sd.values.value(number, message.structured_data)
            }
            Variable::Field(field) => message.field(field),
        }
    }
}
