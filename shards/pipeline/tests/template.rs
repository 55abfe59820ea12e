//! Templates: what they insert, what they refuse, and that they agree with handlebars.

use corndog_pipeline::credentials::Credentials;
use corndog_pipeline::message::Message;
use corndog_pipeline::structured_data::{SdNames, SdValues};
use corndog_pipeline::template::{Context, Groups, Scope, Sd, Template, Variables};
use handlebars::Handlebars;
use proptest::prelude::*;
use serde_json::json;

const FRAME: &[u8] = b"<165>1 2003-10-11T22:14:15.003Z host app 7 ID47 \
    [a@1.b x=\"1\" y=\"a\\\"b\\\\c\\]d\\e\"][a@1.b z=\"\"] up user=root ok";

const NO_GROUPS: Scope<'static> = Scope { groups: &[], has_value: false };

const CONTEXT: Context<'static> = Context {
    peer: b"192.0.2.7",
    listener: b"plain",
    now: jiff::Timestamp::UNIX_EPOCH,
    zone: &jiff::tz::TimeZone::UTC,
    client_name: None,
    credentials: None,
};

/// Compiles where there are groups `user` and `port`, and a value.
fn compile(text: &str) -> Result<Template, String> {
    let groups = [None, Some("user".to_owned()), Some("port".to_owned())];
    Template::compile(text, &Scope { groups: &groups, has_value: true })
}

/// Renders for a frame where `user` is root, `port` took no part, and the value looks like a tag.
fn render(template: &Template, frame: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> bool {
    let (names, mut values) = (SdNames::new(template.sd_params()), SdValues::default());
    render_with(template, frame, &names, &mut values, bytes_max, out)
}

/// The same, with what one shard has for its structured data.
fn render_with(
    template: &Template,
    frame: &[u8],
    names: &SdNames,
    values: &mut SdValues,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> bool {
    let message = Message::parse(frame, CONTEXT.peer);
    values.clear();
    values.read(names, message.structured_data);
    let variables = Variables {
        message: &message,
        context: &CONTEXT,
        sd: Sd { names, values },
        iso8601: b"1970-01-01T00:00:00.000000Z",
        groups: Some(Groups { field: b"root!", spans: &[Some((0, 5)), Some((0, 4)), None] }),
        value: Some(b"{{msg}}"),
    };
    template.render(&variables, bytes_max, out)
}

/// What a template renders to for a frame.
fn render_for(frame: &[u8], text: &str) -> String {
    let template = compile(text).unwrap_or_else(|why| panic!("{why}"));
    let mut out = b"before".to_vec();
    assert!(render(&template, frame, usize::MAX, &mut out));
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
    let nothing = "{{timestamp}}{{hostname}}{{appname}}{{procid}}{{msgid}}{{sd.a.x}}{{msg}}\
                   {{client_name}}{{peer_pid}}{{peer_uid}}{{peer_gid}}";
    assert_eq!(render_for(b"<13>1 - - - - - -", nothing), "");
}

/// The kernel says the process's numbers; pid 0 is a process of another PID namespace.
#[test]
fn who_sent_it_is_inserted_where_it_is_known() {
    let text = "{{client_name}}|{{peer_pid}}|{{peer_uid}}|{{peer_gid}}";
    let message = Message::parse(FRAME, CONTEXT.peer);
    for (process, rendered) in
        [((4711, 0, 65_534), "a.example|4711|0|65534"), ((0, 1000, 100), "a.example||1000|100")]
    {
        let process = Credentials::new(process.0, process.1, process.2);
        let client_name = Some(&b"a.example"[..]);
        let context = Context { client_name, credentials: Some(&process), ..CONTEXT };
        let sd = Sd { names: &SdNames::default(), values: &SdValues::default() };
        let variables = Variables {
            message: &message,
            context: &context,
            sd,
            iso8601: b"",
            groups: None,
            value: None,
        };
        for text in [text.to_owned(), format!("{text}{{{{#if port}}}}{{{{/if}}}}")] {
            let template = compile(&text).expect("legal");
            let mut out = Vec::new();
            assert!(template.render(&variables, usize::MAX, &mut out));
            assert_eq!(String::from_utf8_lossy(&out), rendered, "{text}");
        }
    }
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
    for (text, names_credentials) in
        [("{{peer}}", false), ("{{peer_pid}}", true), ("{{#if peer_uid}}{{peer_gid}}{{/if}}", true)]
    {
        assert_eq!(compile(text).expect(text).names_credentials(), names_credentials, "{text}");
    }
    assert_eq!(compile("a{{version}}b").expect("legal").as_literal(), Some(&b"a0.1.0b"[..]));
    assert_eq!(compile("a{{msg}}").expect("legal").as_literal(), None);
}

#[test]
fn what_decides_is_left_to_handlebars() {
    for (text, rendered) in [
        ("{{#if procid}}[{{procid}}]{{/if}}", "[7]"),
        ("{{#if port}}a{{else}}b{{/if}}", "b"),
        ("{{#unless port}}none{{/unless}}", "none"),
        ("{{#if (eq severity \"err\")}}a{{else if (eq appname 'app')}}b{{else}}c{{/if}}", "b"),
        ("{{#if (and user (not port) (or port value))}}{{value}}{{/if}}", "{{msg}}"),
        (
            "{{len hostname}} {{eq user \"root\"}} {{gt procid \"6\"}} {{lt procid 10}}",
            "4 true true true",
        ),
        ("{{#ne user 'x'}}a{{else}}b{{/ne}}", "a"),
        ("{{#if sd.a@1.b.x}}{{sd.a@1.b.y}}{{/if}}", "a\"b\\c]d\\e"),
        ("{{#if sd.a@1.b.z}}a{{^}}b{{/if}}", "b"),
        ("{{#if this.user}}{{@root.user}}{{../user}}{{[user]}}{{/if}}", "rootrootroot"),
        ("a {{~ user ~}} b", "arootb"),
        ("a{{! {{user }}b{{!-- }} --}}c", "abc"),
        ("\\{{user}} \\\\{{user}} \\x", "{{user}} \\root \\x"),
    ] {
        assert_eq!(render_for(FRAME, text), rendered, "{text}");
    }
}

#[test]
fn what_loops_or_takes_in_other_templates_is_refused_in_one_sentence() {
    let deep =
        |open: &str, close: &str, times| format!("{}a{}", open.repeat(times), close.repeat(times));
    for (text, why, place) in [
        ("a{{#each msg}}b{{/each}}", "each loops", Some(4)),
        ("{{#with msg}}b{{/with}}", "with is unknown", Some(3)),
        ("{{lookup msg 1}}", "lookup is unknown", Some(2)),
        ("{{log msg}}", "log is unknown", Some(2)),
        ("x{{> other}}", "partials", Some(1)),
        ("{{#> other}}{{/other}}", "partials", Some(0)),
        ("{{* inline}}", "decorators", Some(0)),
        ("{{#*inline \"x\"}}a{{/inline}}", "decorators", Some(0)),
        ("{{{{raw}}}}{{msg}}{{{{/raw}}}}", "raw blocks", Some(0)),
        ("{{#if nope}}a{{/if}}", "{{nope}} is unknown", Some(6)),
        ("{{#if (eq msg (not nope))}}a{{/if}}", "{{nope}} is unknown", Some(19)),
        ("{{#if msg}}{{#unless nope}}{{/unless}}{{/if}}", "{{nope}} is unknown", Some(21)),
        ("{{#if msg}}a{{else if nope}}b{{/if}}", "{{nope}} is unknown", Some(22)),
        ("{{#if @first}}a{{/if}}", "{{@first}} is unknown", Some(6)),
        ("{{shout msg}}", "the helper shout is unknown", Some(2)),
        ("{{#msg}}a{{/msg}}", "the helper msg is unknown", Some(3)),
        ("{{(msg)}}", "must have a name", None),
        ("{{(len msg)}}", "must have a name", None),
        ("{{#if (msg)}}a{{/if}}", "the helper msg is unknown", Some(7)),
        ("{{#if}}a{{/if}}", "if is called with 1, not with 0", Some(3)),
        ("{{if msg}}", "if is a block", Some(2)),
        ("{{#len msg}}a{{/len}}", "len is no block", Some(3)),
        ("{{eq msg}}", "eq is called with 2, not with 1", Some(2)),
        ("{{#if msg includeZero=true}}a{{/if}}", "takes no options", Some(3)),
        ("{{#if msg as |m|}}{{m}}{{/if}}", "gives no names", Some(3)),
        ("{{eq msg [1]}}", "list", None),
        ("{{eq msg [[1]]}}", "list", Some(9)),
        ("{{eq msg {}}}", "no use for {", Some(9)),
        ("{{#if msg}}a{{/unless}}", "is closed as", None),
        ("a{{#if msg}}b", "the block opened here is not closed", Some(1)),
        ("{{#if msg}}a{{#if user}}b{{/if}}", "the block opened here is not closed", Some(0)),
        ("{{#if msg}}{{else}}\n{{#if user}}b", "the block opened here is not closed", Some(20)),
        ("a {{/if}}", "no template of handlebars", Some(4)),
        ("{{#if sd.a@1.b}}a{{else}}{{^}}", "the block opened here is not closed", Some(0)),
        ("{{}}", "no template of handlebars", None),
        ("a{{msg", "not closed", Some(1)),
        ("a{{!msg", "not closed", Some(1)),
        ("{{eq msg \"a}}", "quote", Some(9)),
        (&deep("{{#if msg}}", "{{/if}}", 65), "nest deeper than 64", Some(704)),
        (
            &format!("{{{{#if {}}}}}{{{{/if}}}}", deep("(not ", ")", 1000)[..3900].to_owned()),
            "nest deeper",
            Some(6 + 63 * 5),
        ),
        (
            &format!("{{{{#if msg}}}}{}{{{{/if}}}}", "{{else if msg}}".repeat(70)),
            "nest deeper",
            None,
        ),
        (&deep("{{#if msg}}a{{^if msg}}", "{{/if}}", 33), "nest deeper", None),
        (&"x".repeat(4097), "4097 bytes; at most 4096", None),
    ] {
        let mistake = compile(text).expect_err(text);
        let mut lines = mistake.lines();
        let sentence = lines.next().expect("there is one");
        assert!(sentence.contains(why), "{text}: {mistake}");
        if let Some(place) = place {
            let caret = lines.nth(1).expect("there is a place").trim_end_matches('^').len() - 4;
            let shown = if place > 40 { 43 } else { place };
            assert_eq!(caret, shown, "{text}: {mistake}");
        }
    }
}

#[test]
fn nesting_up_to_the_limit_is_rendered() {
    let blocks = format!("{}a{}", "{{#if msg}}".repeat(64), "{{/if}}".repeat(64));
    assert_eq!(render_for(FRAME, &blocks), "a");
    let parentheses =
        format!("{{{{#if {}msg{}}}}}a{{{{/if}}}}", "(not ".repeat(63), ")".repeat(63));
    assert_eq!(render_for(FRAME, &parentheses), "");
    let chain =
        format!("{{{{#if port}}}}{}b{{{{else}}}}a{{{{/if}}}}", "{{else if port}}".repeat(63));
    assert_eq!(render_for(FRAME, &chain), "a");
}

#[test]
fn what_does_not_fit_is_refused_and_the_output_stays_bounded() {
    for text in ["{{msg}}{{raw}}", "{{#if msg}}{{msg}}{{raw}}{{/if}}", "{{#if msg}}a{{/if}}{{raw}}"]
    {
        let template = compile(text).expect(text);
        let mut out = Vec::new();
        assert!(render(&template, FRAME, usize::MAX, &mut out));
        let bytes = out.len();
        for bytes_max in 0..bytes {
            out.clear();
            assert!(!render(&template, FRAME, bytes_max, &mut out), "{text}");
            assert!(out.len() <= bytes_max, "{text}");
        }
        out.clear();
        assert!(render(&template, FRAME, bytes, &mut out), "{text}");
    }
}

#[test]
fn hostile_contents_come_out_as_they_are() {
    let msg = b"{{#each x}} \\{{msg}} \"'<&>` \xff\xfe \0 {{> p}}";
    let frame = [b"<13>1 - - - - - - ", &msg[..]].concat();
    let mut out = Vec::new();
    assert!(render(
        &compile("{{msg}}{{{msg}}}{{&msg}}").expect("legal"),
        &frame,
        usize::MAX,
        &mut out
    ));
    assert_eq!(out, msg.repeat(3));
    // Where handlebars renders, what is no text is marked as such.
    let text = String::from_utf8_lossy(msg);
    assert_eq!(render_for(&frame, "{{#if msg}}{{msg}}{{/if}}"), text);
}

#[test]
fn plain_templates_allocate_nothing() {
    let text =
        "{{hostname}}-{{sd.a@1.b.y}}-{{user}}-{{version}}-{{iso8601}}-{{value}}-{{facility}}";
    let template = compile(text).expect("legal");
    let (names, mut values) = (SdNames::new(template.sd_params()), SdValues::default());
    let mut out = Vec::with_capacity(1024);
    let mut render = || render_with(&template, FRAME, &names, &mut values, 1024, &mut out);
    assert!(render());
    let counted = allocation_counter::measure(|| assert!(render()));
    assert_eq!(counted.count_total, 0);
    assert!(out.starts_with(b"host-a\"b"));
}

/// All variables that there are.
const NAMES: [&str; 18] = [
    "msg",
    "hostname",
    "appname",
    "procid",
    "msgid",
    "facility",
    "severity",
    "timestamp",
    "raw",
    "peer",
    "listener",
    "version",
    "iso8601",
    "value",
    "user",
    "port",
    "sd.id.x",
    "sd.id.none",
];

/// Text and tags, put together in any order; most come out as legal templates.
fn templates() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&NAMES[..]);
    let text = prop::sample::select(vec![
        "a", " ", "\n", " \n\t", "}}", "}", "\\", "\\\\", "\"", "<&>'", "\u{e9}", "{", "{msg}",
        "\r\n",
    ]);
    let plain = (name.clone(), 0..8_u8).prop_map(|(name, form)| match form {
        0 => format!("{{{{{{{name}}}}}}}"),
        1 => format!("{{{{&{name}}}}}"),
        2 => format!("{{{{ \t{name}\n}}}}"),
        3 => format!("{{{{~{name}~}}}}"),
        4 => format!("{{{{this.{name}}}}}"),
        _ => format!("{{{{{name}}}}}"),
    });
    let other = prop::sample::select(vec![
        "{{! c }}",
        "{{!-- }} --}}",
        "\\{{msg}}",
        "\\\\{{msg}}",
        "{{{{",
        "{{",
        "{{~! c ~}}",
        "{{!}}",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        4 => text.prop_map(str::to_owned),
        4 => plain,
        1 => other,
    ];
    let list = prop::collection::vec(leaf, 0..6).prop_map(|leaves| leaves.concat());
    list.prop_recursive(3, 12, 3, move |inner| {
        (inner.clone(), inner.clone(), inner, name.clone(), 0..8_u8).prop_map(
            |(before, yes, no, name, form)| match form {
                0 => format!("{before}{{{{#if {name}}}}}{yes}{{{{else}}}}{no}{{{{/if}}}}"),
                1 => format!("{before}{{{{#unless {name}~}}}}{yes}{{{{/unless}}}}{no}"),
                2 => {
                    format!("{before}{{{{#if (eq {name} \"host\")}}}}{yes}{{{{^}}}}{no}{{{{/if}}}}")
                }
                3 => format!("{before}\n{{{{#if (not {name})}}}}\n{yes}\n{{{{/if}}}}\n{no}"),
                4 => format!("{before}{{{{#if {name}}}}}{yes}{{{{else if msg}}}}{no}{{{{/if}}}}"),
                _ => before + &yes + &no,
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn templates_render_as_handlebars_renders_them(
        text in templates(),
        hostname in "(-|host|[a-z\"<&\\\\{}]{1,8})",
        procid in "(-|[0-9]{1,3})",
        x in "[a-z <&{}]{0,4}",
        msg in "[a-z \"<&\\\\{}\u{e9}\n]{0,12}",
    ) {
        let frame = format!("<13>1 - {hostname} app {procid} - [id x=\"{x}\"] {msg}");
        let mut reference = Handlebars::new();
        reference.register_escape_fn(handlebars::no_escape);
        // A helper of handlebars, for raw blocks; a variable of ours.
        reference.unregister_helper("raw");
        let absent = |text: &str| (text != "-").then(|| text.to_owned());
        let data = json!({
            "msg": msg, "hostname": absent(&hostname), "appname": "app", "procid": absent(&procid),
            "facility": "user", "severity": "notice", "raw": frame, "peer": "192.0.2.7",
            "listener": "plain", "version": env!("CARGO_PKG_VERSION"), "user": "root",
            "iso8601": "1970-01-01T00:00:00.000000Z", "value": "{{msg}}", "sd": { "id": { "x": x } },
        });
        let expected = reference.render_template(&text, &data);
        match compile(&text) {
            Ok(template) => {
                let mut out = Vec::new();
                prop_assert!(render(&template, frame.as_bytes(), usize::MAX, &mut out));
                let rendered = String::from_utf8_lossy(&out);
                prop_assert_eq!(Some(rendered.into_owned()), expected.ok(), "{}", text);
            }
            Err(why) => {
                // Names that came about by chance: handlebars renders them as nothing.
                let named = why.strip_prefix("the variable {{").or(why.strip_prefix("the helper "));
                let is_known = named.is_none_or(|named| {
                    let end = named.find("}} is unknown").or(named.find(" is unknown"));
                    end.is_none_or(|end| NAMES.contains(&&named[..end]))
                });
                prop_assert!(expected.is_err() || !is_known, "{}: {}", text, why);
            }
        }
    }

    #[test]
    fn any_text_compiles_or_is_refused_in_one_sentence(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{{", "}}", "{", "}", "#", "/", "^", "~", "&", "!", "--", ">", "*", "(", ")", "[", "]",
            "\"", "'", "\\", "|", "=", " ", "if", "else", "msg", "eq", "as", "sd.a@1.b", "1", "@",
            "..", ".", "true", "\u{e9}", "\n",
        ]), 0..24),
    ) {
        let text = tokens.concat();
        match compile(&text) {
            Ok(template) => {
                let mut out = Vec::new();
                let fits = render(&template, FRAME, 100, &mut out);
                prop_assert!(out.len() <= 100);
                prop_assert!(fits || render(&template, FRAME, usize::MAX, &mut out), "{}", text);
            }
            Err(why) => prop_assert!(matches!(why.lines().count(), 1 | 3), "{}", why),
        }
    }
}
