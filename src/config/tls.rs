//! A listener's `tls`: which files, and which clients. The files are opened by whoever listens.

use super::limits::CLIENT_NAMES_MAX;
use super::section::{Section, show};
use corndog_pipeline::client_name::ClientName;
use corndog_pipeline::listen::{ClientAuth, ClientNameIn, MinVersion, TlsFiles};
use std::path::PathBuf;
use toml::Value;

const CLIENT_AUTH: [(&str, ClientAuth); 3] = [
    ("none", ClientAuth::None),
    ("optional", ClientAuth::Optional),
    ("required", ClientAuth::Required),
];
const CLIENT_NAME_IN: [(&str, ClientNameIn); 2] =
    [("topic", ClientNameIn::Topic), ("header", ClientNameIn::Header)];
const MIN_VERSION: [(&str, MinVersion); 2] =
    [("1.3", MinVersion::Tls13), ("1.2", MinVersion::Tls12)];
const EXAMPLE: &str = "{ cert = \"server.pem\", key = \"server.key\" }";

/// Reads `tls = { ... }` of a listener with `transport = "tls"`.
pub fn read(entry: &mut Section<'_>) -> Option<TlsFiles> {
    let table = match entry.take("tls") {
        Some(Value::Table(table)) => table,
        Some(value) => {
            let sentence =
                format!("{} is not a table; write for instance tls = {EXAMPLE}", show(&value));
            entry.mistake("tls", &sentence);
            return None;
        }
        None => {
            entry.mistake("tls", &format!("missing; write for instance tls = {EXAMPLE}"));
            return None;
        }
    };
    read_table(entry.inner("tls", table))
}

/// For a listener without TLS: `tls` is refused.
pub fn refuse(entry: &mut Section<'_>, transport: &str) {
    if entry.take("tls").is_some() {
        let sentence = format!(
            "given, but transport = \"{transport}\"; write transport = \"tls\", or leave it out"
        );
        entry.mistake("tls", &sentence);
    }
}

fn read_table(mut section: Section<'_>) -> Option<TlsFiles> {
    let cert = needed_path(&mut section, "cert", "server.pem");
    let key = needed_path(&mut section, "key", "server.key");
    let client_ca = path(&mut section, "client_ca", "clients-ca.pem");
    let client_auth = section.choice("client_auth", &CLIENT_AUTH);
    let names = section.texts("client_names", "[\"*.logs.example\"]");
    let client_names = read_names(&section, &names);
    let client_name_in = section.choice("client_name_in", &CLIENT_NAME_IN);
    let crl = path(&mut section, "crl", "clients-ca.crl");
    let min_version = section.choice("min_version", &MIN_VERSION).unwrap_or_default();
    let client_auth = match (client_auth, &client_ca) {
        (Some(ClientAuth::None), Some(_)) => {
            let sentence = "given, but client_auth = \"none\", so nobody is asked; write \"optional\" \
                            or \"required\", or leave it out";
            section.mistake("client_ca", sentence);
            ClientAuth::None
        }
        (Some(auth @ (ClientAuth::Optional | ClientAuth::Required)), None) => {
            let sentence = "clients are asked for a certificate, and client_ca does not say who \
                            vouches for them; write for instance client_ca = \"clients-ca.pem\"";
            section.mistake("client_auth", sentence);
            auth
        }
        (Some(auth), _) => auth,
        // Who names a CA wants it to be asked.
        (None, Some(_)) => ClientAuth::Required,
        (None, None) => ClientAuth::None,
    };
    for (key, is_given) in [("client_names", !client_names.is_empty()), ("crl", crl.is_some())] {
        if is_given && client_ca.is_none() {
            section.mistake(key, "given, but clients are not asked; write client_ca too");
        }
    }
    if client_name_in.is_some() && client_auth != ClientAuth::Required {
        section.mistake(
            "client_name_in",
            "given, but clients need not have a name; write client_ca and client_auth = \"required\"",
        );
    }
    section.finish();
    let (cert, key) = (cert?, key?);
    Some(TlsFiles {
        cert,
        key,
        client_ca,
        client_auth,
        client_names,
        client_name_in,
        crl,
        min_version,
    })
}

fn needed_path(section: &mut Section<'_>, key: &'static str, example: &str) -> Option<PathBuf> {
    if !section.rest().contains_key(key) {
        section.take(key);
        section.mistake(key, &format!("missing; write for instance {key} = \"{example}\""));
        return None;
    }
    path(section, key, example)
}

fn path(section: &mut Section<'_>, key: &'static str, example: &str) -> Option<PathBuf> {
    let text = section.text(key, example)?;
    if text.is_empty() || text.contains('\0') {
        section.mistake(key, &format!("no file; write for instance {key} = \"{example}\""));
        return None;
    }
    Some(PathBuf::from(text))
}

fn read_names(section: &Section<'_>, texts: &[String]) -> Vec<ClientName> {
    if texts.len() > CLIENT_NAMES_MAX {
        let sentence = format!("{} names; give at most {CLIENT_NAMES_MAX}", texts.len());
        section.mistake("client_names", &sentence);
        return Vec::new();
    }
    let mut names = Vec::with_capacity(texts.len());
    for text in texts {
        match ClientName::parse(text) {
            Ok(name) => names.push(name),
            Err(why) => {
                let shown = show(&Value::String(text.clone()));
                let sentence = format!(
                    "{shown} {why}; write for instance \"a.logs.example\", \"*.logs.example\" or \
                     \"192.0.2.1\""
                );
                section.mistake("client_names", &sentence);
            }
        }
    }
    names
}
