//! Templates: what they insert, what they refuse, and that they agree with handlebars.

use corndog_pipeline::message::Message;
use corndog_pipeline::template::{Context, Groups, Scope, Template, Variables};
use corndog_pipeline::time::TimeText;

const FRAME: &[u8] = b"<165>1 2003-10-11T22:14:15.003Z host app 7 ID47 \
    [a@1.b x=\"1\" y=\"a\\\"b\\\\c\\]d\\e\"][a@1.b z=\"\"] up user=root ok";

const NO_GROUPS: Scope<'static> = Scope { groups: &[], has_value: false };

/// What a template renders to for a frame; `value` is given, and the groups are `user` and `msg`.
fn render_for(frame: &[u8], text: &str) -> String {
    let groups = [None, Some("user".to_owned()), Some("port".to_owned())];
    let template =
        Template::compile(text, &Scope { groups: &groups, has_value: true }).expect("legal");
    let message = Message::parse(frame, b"192.0.2.7");
    let context =
        Context { peer: b"192.0.2.7", listener: b"plain", now: jiff::Timestamp::UNIX_EPOCH };
    let mut time = TimeText::default();
    time.refresh(context.now);
    let variables = Variables {
        message: &message,
        context: &context,
        iso8601: time.text(),
        groups: Some(Groups { field: b"root!", spans: &[Some((0, 5)), Some((0, 4)), None] }),
        value: Some(b"{{msg}}"),
    };
    let mut out = b"before".to_vec();
    assert!(template.render(&variables, usize::MAX, &mut out));
    String::from_utf8_lossy(out.strip_prefix(b"before").expect("what was there stays")).into_owned()
}

#[test]
fn every_variable_is_inserted_as_it_is() {
    for (text, rendered) in [
        ("", ""),
        ("plain }} text", "plain }} text"),
        ("{{msg}}", "up user=root ok"),
        ("<{{ hostname }}>", "<host>"),
        ("{{{appname}}}-{{&procid}}-{{\tmsgid\n}}", "app-7-ID47"),
        ("{{facility}}.{{severity}}", "local4.notice"),
        ("{{timestamp}}", "2003-10-11T22:14:15.003Z"),
        ("{{iso8601}}", "1970-01-01T00:00:00.000000Z"),
        ("{{peer}} {{listener}} {{version}}", "192.0.2.7 plain 0.1.0"),
        ("{{user}}{{port}}", "root"),
        ("{{value}}", "{{msg}}"),
        ("{{sd.a@1.b.x}}|{{sd.a@1.b.z}}|{{sd.a@1.b.none}}|{{sd.a.x}}", "1|||"),
        ("{{sd.a@1.b.y}}", "a\"b\\c]d\\e"),
    ] {
        assert_eq!(render_for(FRAME, text), rendered, "{text}");
    }
    assert_eq!(render_for(FRAME, "{{raw}}").as_bytes(), FRAME);
    let nothing = "{{timestamp}}{{hostname}}{{appname}}{{procid}}{{msgid}}{{sd.a.x}}{{msg}}";
    assert_eq!(render_for(b"<13>1 - - - - - -", nothing), "");
}

#[test]
fn an_unknown_variable_is_named_with_its_place() {
    let mistake = |text| Template::compile(text, &NO_GROUPS).expect_err(text);
    let unknown = mistake("logs-{{ hots }}");
    assert!(unknown.starts_with("the variable {{hots}} is unknown; known here: msg "), "{unknown}");
    assert!(unknown.ends_with("\n    logs-{{ hots }}\n            ^"), "{unknown}");
    assert!(mistake("{{value}}").contains("jmespath"));
    assert!(mistake("{{sd.a}}").contains("sd.ID.PARAM"));
    assert!(mistake("a {{msg").ends_with("\n    a {{msg\n      ^"));
}

#[test]
fn what_a_template_needs_is_known_when_it_is_compiled() {
    let groups = [None, Some("msg".to_owned())];
    let compile = |text| Template::compile(text, &Scope { groups: &groups, has_value: false });
    let of = |text| {
        let template = compile(text).expect(text);
        (template.has_groups(), template.has_message_data(), template.needs_time())
    };
    assert_eq!(of("a"), (false, false, false));
    assert_eq!(of("a{{version}}"), (false, false, false));
    assert_eq!(of("{{iso8601}}"), (false, true, true));
    assert_eq!(of("{{msg}}"), (true, true, false), "a group wins over a built-in name");
    assert_eq!(of("{{hostname}}"), (false, true, false));
    assert_eq!(compile("a{{version}}b").expect("legal").as_literal(), Some(&b"a0.1.0b"[..]));
    assert_eq!(compile("a{{msg}}").expect("legal").as_literal(), None);
}
