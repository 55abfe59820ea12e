//! Shows where in a pattern, an expression or a template a mistake is.

/// Characters shown on each side of the place.
const SHOWN_CHARS: usize = 40;

/// Two lines to put behind a sentence: the text, and a caret under the character at byte `offset`.
///
/// Shape:  `"\n    text\n      ^"`; of a long text only what is near the place, on one line.
pub fn under(text: &str, offset: usize) -> String {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let (before, after) = text.split_at(offset);
    let skipped = before.chars().count().saturating_sub(SHOWN_CHARS);
    let is_cut = after.chars().count() > SHOWN_CHARS;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let start: String = before.chars().skip(skipped).map(plain).collect();
    let end: String = after.chars().take(SHOWN_CHARS).map(plain).collect();
    let (head, tail) = (if skipped > 0 { "..." } else { "" }, if is_cut { "..." } else { "" });
    let indent = " ".repeat(head.len() + start.chars().count());
    format!("\n    {head}{start}{end}{tail}\n    {indent}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        assert_eq!(under("a(b", 1), "\n    a(b\n     ^");
        assert_eq!(under("", 9), "\n    \n    ^");
        assert_eq!(under("a\nb", 3), "\n    a b\n       ^");
        let shown = under(&"x".repeat(200), 100);
        assert_eq!(shown.lines().nth(1).map(str::len), Some(4 + 3 + 80 + 3));
        assert_eq!(shown.lines().nth(2).map(str::len), Some(4 + 3 + 40 + 1));
        assert_eq!(under("\u{fc}\u{fc}(", 3), "\n    \u{fc}\u{fc}(\n     ^");
    }
}
