//! Finds the configuration's file, reads it, and parses it as TOML.

use super::Mistake;
use super::environment::variable;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Table;

/// Bytes of a configuration file; 4096 rules of an ordinary length take half of it.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Where the file is looked for when nobody names one.
const PLACES: [&str; 2] = ["./config.toml", "/etc/corndog/config.toml"];

/// The file that `-c` names, else `$CORNDOG_CONFIG`, else `./config.toml`, else
/// `/etc/corndog/config.toml`. A file that was named need not exist: [`read_file`] says so.
///
/// Errors: no file was named and none is there.
pub fn find_file(flag: Option<&str>, environment: &[(String, String)]) -> Result<PathBuf, Mistake> {
    find(flag, environment, Path::exists)
}

fn find(
    flag: Option<&str>,
    environment: &[(String, String)],
    exists: impl Fn(&Path) -> bool,
) -> Result<PathBuf, Mistake> {
    let named = flag.or_else(|| variable(environment, "CORNDOG_CONFIG")).map(Path::new);
    let Some(path) = named.or_else(|| PLACES.iter().map(Path::new).find(|path| exists(path)))
    else {
        let [here, there] = PLACES;
        return Err(Mistake(format!(
            "no configuration: neither {here} nor {there} exists; name a file with -c FILE or \
             CORNDOG_CONFIG"
        )));
    };
    Ok(path.to_owned())
}

/// True for a file of hotdog's, by its name.
pub fn is_hotdog(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["yml", "yaml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml))
    })
}

/// The file's text.
///
/// Errors: it cannot be read, is too large, or is not UTF-8.
pub fn read_file(path: &Path) -> Result<String, Mistake> {
    let refuse = |why: String| Mistake(format!("{}: {why}", path.display()));
    let unreadable = |error: std::io::Error| {
        refuse(format!("cannot be read ({error}); name another with -c FILE"))
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let most = FILE_BYTES_MAX >> 20;
        return Err(refuse(format!("too large; a configuration has at most {most} MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
        refuse(format!("line {line}: not UTF-8; save the file as UTF-8"))
    })
}

/// Parses the text; a mistake in its syntax is the only one that hides others.
///
/// Errors: one sentence with line and column, which never repeats the line (it may hold a
/// password).
pub fn parse(text: &str) -> Result<Table, Mistake> {
    text.parse::<Table>().map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let before = String::from_utf8_lossy(&text.as_bytes()[..offset]);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().map_or(0, |start| start.chars().count());
        let why = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        Mistake(format!("line {line}, column {column}: not TOML: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(flag: Option<&str>, variable: &str, there: &[&str]) -> Result<PathBuf, Mistake> {
        let environment = [("CORNDOG_CONFIG".to_owned(), variable.to_owned())];
        find(flag, &environment, |path| there.iter().any(|place| Path::new(place) == path))
    }

    #[test]
    fn the_flag_wins_then_the_variable_then_here_then_etc() {
        let all = ["./config.toml", "/etc/corndog/config.toml"];
        assert_eq!(found(Some("a.toml"), "b.toml", &all), Ok("a.toml".into()));
        assert_eq!(found(None, "b.toml", &all), Ok("b.toml".into()));
        assert_eq!(found(None, "", &all), Ok("./config.toml".into()));
        assert_eq!(found(None, "", &all[1..]), Ok("/etc/corndog/config.toml".into()));
    }

    #[test]
    fn no_file_is_refused() {
        let mistake = found(None, "", &[]).expect_err("no file");
        assert_eq!(
            mistake.0,
            "no configuration: neither ./config.toml nor /etc/corndog/config.toml exists; name a \
             file with -c FILE or CORNDOG_CONFIG"
        );
    }

    #[test]
    fn yaml_is_hotdogs() {
        for name in ["hotdog.yml", "a/b.yaml", "H.YML"] {
            assert!(is_hotdog(Path::new(name)), "{name}");
        }
        for name in ["config.toml", "yml", "a.yml/config", ".yml"] {
            assert!(!is_hotdog(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mistake = read_file(Path::new("/nonexistent/corndog.toml")).expect_err("no file");
        assert!(mistake.0.starts_with("/nonexistent/corndog.toml: cannot be read (No such file"));
        let mistake = read_file(Path::new("/")).expect_err("a directory");
        assert!(mistake.0.starts_with("/: cannot be read ("), "{mistake}");
        let mistake = read_file(Path::new("/dev/zero")).expect_err("endless");
        assert_eq!(mistake.0, "/dev/zero: too large; a configuration has at most 4 MiB");
    }
}
