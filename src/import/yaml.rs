//! YAML -> a tree of [`Node`]s, each with its line: bounded in depth, in nodes and in bytes.
//!
//! Anchors and aliases mean what YAML says: a copy, which counts like what was typed, so that a
//! few lines cannot become a mountain. A key that stands twice in one mapping is a mistake, as
//! YAML says. Of several documents the first is read. `<<` is an ordinary key, as in YAML 1.2.
//! Nothing recurses on the text; the tree is at most [`tree::DEPTH_MAX`] deep, so it may be walked.

mod tree;

use saphyr_parser::{Event, Parser, ScanError};
use serde_json::Value as Json;
use tree::{Tree, mistake};

/// A value and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// The value.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Text as typed; `is_plain`: without quotes, so that it may be a number, a truth or nothing.
    Scalar {
        /// Without quotes and escapes.
        text: String,
        /// Typed without quotes and without `!!str`.
        is_plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the file's order; keys are unique.
    Map(Vec<(String, Node)>),
}

/// The first document of a text.
#[derive(Debug)]
pub struct Document {
    /// Its content; an empty scalar where there is none.
    pub root: Node,
    /// More documents follow it.
    pub has_more: bool,
}

impl Node {
    /// True for what YAML calls null: nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, is_plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// A scalar's text as typed, also where YAML sees a number or a truth in it.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The same as JSON, plain scalars by YAML's core schema.
    ///
    /// Errors: the line of a number that JSON does not have (`.inf`, `.nan`).
    pub fn json(&self) -> Result<Json, usize> {
        match &self.kind {
            Kind::Scalar { text, is_plain: false } => Ok(Json::String(text.clone())),
            Kind::Scalar { text, .. } if self.is_null() => {
                debug_assert!(text.len() <= 4, "a null is short");
                Ok(Json::Null)
            }
            Kind::Scalar { text, .. } => plain(text).ok_or(self.line),
            Kind::List(nodes) => {
                nodes.iter().map(Node::json).collect::<Result<_, _>>().map(Json::Array)
            }
            Kind::Map(entries) => {
                let members = entries.iter().map(|(key, node)| Ok((key.clone(), node.json()?)));
                members.collect::<Result<_, _>>().map(Json::Object)
            }
        }
    }
}

/// A plain scalar that is not null, by YAML 1.2's core schema; `None`: JSON has no such number.
fn plain(text: &str) -> Option<Json> {
    match text {
        "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
        _ => {}
    }
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number.into());
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_special = ".inf .Inf .INF .nan .NaN .NAN".split(' ').any(|special| special == unsigned);
    if is_special {
        return None;
    }
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if is_number {
        if let Ok(number) = text.parse::<i64>() {
            return Some(number.into());
        }
        if let Ok(number) = text.parse::<u64>() {
            return Some(number.into());
        }
        if let Ok(number) = text.parse::<f64>() {
            return serde_json::Number::from_f64(number).map(Json::Number);
        }
    }
    Some(Json::String(text.to_owned()))
}

/// Reads the first document.
///
/// Errors: one sentence with line and column; it never repeats the line (it may hold a password).
pub fn read(text: &str) -> Result<Document, String> {
    let mut parser = Parser::new_from_str(text);
    let mut tree = Tree::default();
    loop {
        let (event, span) = match parser.next_event() {
            None => break,
            Some(step) => step.map_err(|error| not_yaml(&error))?,
        };
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        tree.take(event, span.start)?;
    }
    // What follows the first document need not even be YAML.
    let more = parser.next_event();
    let has_more = matches!(more, Some(Ok((Event::DocumentStart(_), _)) | Err(_)));
    let nothing = Kind::Scalar { text: String::new(), is_plain: true };
    Ok(Document { root: tree.root.unwrap_or(Node { line: 1, kind: nothing }), has_more })
}

fn not_yaml(error: &ScanError) -> String {
    let why = error.info().split_whitespace().collect::<Vec<_>>().join(" ");
    mistake(*error.marker(), &format!("not YAML: {why}"))
}

#[cfg(test)]
mod tests {
    use super::tree::DEPTH_MAX;
    use super::*;

    fn json(text: &str) -> Json {
        read(text).expect(text).root.json().expect(text)
    }

    fn refusal(text: &str) -> String {
        read(text).expect_err(text)
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let text = "[1, -2, +3, 0x1f, 0o17, 1.5, 1e3, .5, true, False, ~, null, '', 'true', \"1\", \
                    !!str 2, yes, 12:30, 127.0.0.1, 1.2.3, '-', e5, 18446744073709551615, 010]";
        let expected = serde_json::json!([
            1,
            -2,
            3,
            31,
            15,
            1.5,
            1000.0,
            0.5,
            true,
            false,
            null,
            null,
            "",
            "true",
            "1",
            "2",
            "yes",
            "12:30",
            "127.0.0.1",
            "1.2.3",
            "-",
            "e5",
            18_446_744_073_709_551_615_u64,
            10
        ]);
        assert_eq!(json(text), expected);
        assert_eq!(read("a: .inf").expect("YAML").root.json(), Err(1));
        assert_eq!(read("a:\n- 1\n- -.NaN").expect("YAML").root.json(), Err(3));
    }

    #[test]
    fn mappings_keep_their_order_and_block_scalars_their_text() {
        let read = json("b: 1\na:\n  - x\n  - |\n    two\n    lines\nc: >-\n  one\n  line\n");
        assert_eq!(read.to_string(), r#"{"b":1,"a":["x","two\nlines\n"],"c":"one line"}"#);
    }

    #[test]
    fn an_alias_is_a_copy_of_what_its_anchor_names() {
        let read = json("a: &a {x: [1]}\nb: *a\n<<: *a\n");
        assert_eq!(read.to_string(), r#"{"a":{"x":[1]},"b":{"x":[1]},"<<":{"x":[1]}}"#);
        assert!(refusal("a: &a [*a]").contains("line 1, column"), "{}", refusal("a: &a [*a]"));
        assert!(refusal("a: *b").contains("unknown anchor"));
    }

    #[test]
    fn aliases_of_aliases_cannot_become_a_mountain() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let alias = vec![format!("*a{}", level - 1); 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert!(refusal(&text).contains("more than 1048576 values"), "{}", refusal(&text));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(","));
        assert!(refusal(&long).contains("more than 16 MiB of text"));
    }

    #[test]
    fn depth_is_bounded_also_through_aliases() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(DEPTH_MAX)).is_ok());
        assert!(refusal(&deep(DEPTH_MAX + 1)).contains("nested deeper"));
        assert!(refusal(&"- ".repeat(100_000)).contains("nested deeper"));
        assert!(refusal(&"? ".repeat(100_000)).contains("nested deeper"));
        assert!(refusal(&"[".repeat(100_000)).starts_with("line 1, column"));
        let below = format!("a: &a {}\nb: {}*a{}", deep(60), "[".repeat(20), "]".repeat(20));
        assert!(refusal(&below).contains("line 2, column"));
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        assert_eq!(
            refusal("a: 1\nb: 2\na: 3\n"),
            "line 3, column 1: the key \"a\" stands here twice"
        );
        assert!(refusal("a: !foo x").contains("the tag \"!foo\" has no meaning"));
        assert!(refusal("a: !!set {x, y}").contains("has no meaning"));
        assert!(refusal("[1]: x").contains("a key that is a list or a mapping"));
        assert!(refusal("a: b: c").starts_with("line 1, column 5: not YAML: "));
        assert!(refusal("a: [1").contains("not YAML"));
    }

    #[test]
    fn the_first_document_is_read_and_others_are_told() {
        let document = read("--- \na: 1\n---\nb: 2\n").expect("YAML");
        assert_eq!(document.root.json().expect("JSON").to_string(), r#"{"a":1}"#);
        assert!(document.has_more);
        assert!(!read("---\na: 1\n...\n").expect("YAML").has_more);
        assert!(read("").expect("nothing").root.is_null());
        assert!(read("# only a comment\n").expect("nothing").root.is_null());
    }

    #[test]
    fn broken_text_never_panics() {
        let text =
            "a: &x {b: [1, 'two', \"th\\u0072ee\"], ? c : |-\n   x\n}\nd: *x\ne: !!str >\n f\n";
        for end in 0..text.len() {
            let _ = read(&text[..end]);
            for byte in "\0\t\n\r -?:,[]{}#&*!|>'\"%@`~x\u{feff}".chars() {
                let _ = read(&format!("{}{byte}{}", &text[..end], &text[end..]));
            }
        }
    }
}
