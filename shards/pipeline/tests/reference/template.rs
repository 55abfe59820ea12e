//! Templates by the `handlebars` crate, without escaping.
//!
//! The crate knows text, a message is bytes. So each byte is rendered as the character of the same
//! number, and turned back afterwards: nothing that the crate does with plain variables looks at
//! characters above 127. Where a template is more than variables, text is what it works on.

use handlebars::Handlebars;
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::{Field, Turn};

/// Names and values that a rule sets; they win over the built-in names.
pub type Variables = Vec<(String, Vec<u8>)>;

/// All templates of a rule set.
pub struct Templates {
    registry: Handlebars<'static>,
    tag: Regex,
    /// A name, or a literal that has to stay as it is.
    name: Regex,
    plain: Regex,
    /// The names that the rule at hand sets.
    own: Vec<String>,
    count: usize,
}

/// One template, registered.
pub struct Template {
    number: usize,
    /// All that it names, with the name that stands for it in the registered text.
    names: Vec<(String, String)>,
    is_plain: bool,
}

impl Default for Templates {
    fn default() -> Self {
        let mut registry = Handlebars::new();
        registry.register_escape_fn(handlebars::no_escape);
        Templates {
            registry,
            tag: Regex::new(r"\{\{\{?[^{}]*\}\}").expect("a pattern"),
            name: Regex::new(r#""[^"]*"|[A-Za-z_][^\s{}()]*"#).expect("a pattern"),
            plain: Regex::new(
                r"(?x) \{\{\{ \s* [^\s{}\#/!>&^~()]+ \s* \}\}\} | \{\{ &? \s* [^\s{}\#/!>&^~()]+ \s* \}\}",
            )
            .expect("a pattern"),
            own: Vec::new(),
            count: 0,
        }
    }
}

impl Templates {
    /// Templates that are added from now on are those of a rule that sets `own` names.
    pub fn begin(&mut self, own: Vec<String>) {
        self.own = own;
    }

    /// Registers a template that was accepted.
    pub fn add(&mut self, text: &str) -> Template {
        let mut names: Vec<(String, String)> = Vec::new();
        let aliased = self.tag.replace_all(text, |tag: &Captures<'_>| {
            // A variable may have the name of a helper (`raw`), or no name that the crate reads.
            let alias = |name: &Captures<'_>| {
                let name = &name[0];
                if !is_built_in(name) && self.own.iter().all(|own| own != name) {
                    return name.to_owned();
                }
                let alias = format!("variable_{}", names.len());
                names.push((name.to_owned(), alias.clone()));
                alias
            };
            self.name.replace_all(&tag[0], alias).into_owned()
        });
        let is_plain = !self.plain.replace_all(text, "").contains("{{");
        let number = self.count;
        self.count += 1;
        let text = if is_plain { widen(aliased.as_bytes()) } else { aliased.into_owned() };
        self.registry.register_template_string(&number.to_string(), text).expect("it was accepted");
        Template { number, names, is_plain }
    }

    /// Renders a template for a message.
    pub(crate) fn render(
        &self,
        template: &Template,
        turn: &Turn<'_>,
        variables: &Variables,
    ) -> Vec<u8> {
        let mut data = Map::new();
        for (name, alias) in &template.names {
            let own = variables.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
            let Some(value) = own.or_else(|| turn.variable(name)) else { continue };
            let text = match template.is_plain {
                true => widen(&value),
                false => String::from_utf8_lossy(&value).into_owned(),
            };
            data.insert(alias.clone(), Value::String(text));
        }
        let text = self.registry.render(&template.number.to_string(), &Value::Object(data));
        let text = text.expect("a template that was accepted renders");
        if template.is_plain { narrow(&text) } else { text.into_bytes() }
    }
}

fn is_built_in(name: &str) -> bool {
    const OTHERS: [&str; 6] = ["version", "iso8601", "timestamp", "raw", "peer", "listener"];
    OTHERS.contains(&name) || Field::parse(name).is_some()
}

/// Each byte as the character of the same number.
fn widen(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes that [`widen`] made characters of.
fn narrow(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("it was a byte")).collect()
}

impl Turn<'_> {
    /// A built-in variable; `None` if the message has none.
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let message = self.message;
        match name {
            "version" => Some(env!("CARGO_PKG_VERSION").into()),
            "iso8601" => Some(format!("{:.6}", self.context.now).into_bytes()),
            "timestamp" => message.timestamp.map(<[u8]>::to_vec),
            "raw" => Some(message.frame.to_vec()),
            "peer" => Some(self.context.peer.to_vec()),
            "listener" => Some(self.context.listener.to_vec()),
            name => self.field(&Field::parse(name)?),
        }
    }
}
