//! What must not be read in the log: the values of secret keys, and what stands before the `@` of a
//! URL.
//!
//! librdkafka does not print the keys that it knows as secret. It prints others, and errors of what
//! it calls, whose words nobody here chooses: so every message is looked at once more.

use std::borrow::Cow;

const HIDDEN: &str = "(secret)";
/// A shorter secret is found in ordinary words, and would only show itself by that.
const SECRET_BYTES_MIN: usize = 4;

/// Values that no message may hold.
#[derive(Debug, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// These too.
    pub fn add(&mut self, secrets: impl IntoIterator<Item = String>) {
        // Messages' bytes are shown escaped.
        let escaped = |secret: String| {
            let escaped = secret.as_bytes().escape_ascii().to_string();
            [secret, escaped]
        };
        for secret in secrets.into_iter().flat_map(escaped) {
            if secret.len() >= SECRET_BYTES_MIN && !self.0.contains(&secret) {
                self.0.push(secret);
            }
        }
        // One that holds another one is hidden whole.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The message without them.
    pub fn hide<'m>(&self, message: &'m str) -> Cow<'m, str> {
        let mut shown = hide_users(message);
        for secret in &self.0 {
            if shown.contains(secret.as_str()) {
                shown = Cow::Owned(shown.replace(secret.as_str(), HIDDEN));
            }
        }
        shown
    }
}

/// Names and passwords in URLs: `scheme://(secret)@host`.
fn hide_users(message: &str) -> Cow<'_, str> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "/?#\"'<>,;".contains(c);
    let mut shown = String::new();
    let mut rest = message;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        let end = authority.find(ends).unwrap_or(authority.len());
        shown.push_str(before);
        rest = match authority[..end].rfind('@') {
            Some(user_end) => {
                shown.push_str(HIDDEN);
                &authority[user_end..]
            }
            None => authority,
        };
    }
    if shown.is_empty() {
        return Cow::Borrowed(message);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// What of a value is secret where it is a URL with a name and a password.
pub fn of_url(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(_, password)| password).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_no_user() {
        let secrets = Secrets::default();
        for (message, shown) in [
            ("no url: a@b, a://b", "no url: a@b, a://b"),
            ("at https://u:p@h/x?y=@, soon", "at https://(secret)@h/x?y=@, soon"),
            (
                "http://u@h http://h/@ https://a:b@c@d",
                "http://(secret)@h http://h/@ https://(secret)@d",
            ),
            ("://@", "://(secret)@"),
            ("a://\u{e4}:\u{e4}@\u{e4}", "a://(secret)@\u{e4}"),
        ] {
            assert_eq!(secrets.hide(message), shown);
        }
    }

    #[test]
    fn secrets_are_hidden_and_very_short_ones_are_not_shown_by_that() {
        let mut secrets = Secrets::default();
        secrets.add(["hunter2", "hunter2hunter2", "a", ""].map(str::to_owned));
        let shown = secrets.hide("a hunter2hunter2, hunter2.");
        assert_eq!(shown, "a (secret), (secret).");
        secrets.add(["CAN\"ARY\\77".to_owned()]);
        assert_eq!(secrets.hide(r#"CAN"ARY\77 "CAN\"ARY\\77""#), r#"(secret) "(secret)""#);
        assert_eq!(of_url("https://u:hunter2@h/"), Some("hunter2".to_owned()));
        assert_eq!(of_url("https://token@h/"), Some("token".to_owned()));
        assert_eq!(of_url("https://h/"), None);
    }
}
