//! A report: one HTML file with all in it, that needs nothing from elsewhere.

use crate::canvas::Color;
use crate::failure::Failure;
use crate::table::Table;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const STYLE: &str = include_str!("report.css");

/// A report.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its heading.
    pub title: String,
    /// What was measured, in a sentence or two.
    pub lead: String,
    /// The command line.
    pub command: String,
    /// The machine and the settings: names and values.
    pub facts: Vec<(String, String)>,
    /// What was found.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Paragraphs in front of the charts.
    pub text: Vec<String>,
    /// SVGs, side by side where there is room.
    pub charts: Vec<String>,
    /// Below them.
    pub tables: Vec<Table>,
    /// Paragraphs behind all.
    pub notes: Vec<String>,
}

impl Report {
    /// The whole file.
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let style = format!("{STYLE}{}", dark_charts());
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n<main>\n<h1>{title}</h1>\n"
        );
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<p class=\"lead\">{}</p>", escaped(&self.lead));
        for section in &self.sections {
            html.push_str(&section.html());
        }
        let _ = writeln!(html, "<section>\n<h2>Machine and settings</h2>\n<dl>");
        for (name, value) in &self.facts {
            let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
        }
        let _ = writeln!(html, "</dl>\n<pre>{}</pre>\n</section>", escaped(&self.command));
        html.push_str("</main>\n</html>\n");
        html
    }

    /// Writes it, whole or not at all; folders that lack are made.
    ///
    /// Errors: `Failure::Run` with the file and the reason.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        let broken = |error| Failure::Run(format!("{}: {error}", file.display()));
        let part = part_file(file).map_err(broken)?;
        fs::write(&part, self.html()).and_then(|()| fs::rename(&part, file)).map_err(broken)
    }
}

impl Section {
    fn html(&self) -> String {
        let mut html = format!("<section>\n<h2>{}</h2>\n", escaped(&self.title));
        let paragraphs = |texts: &[String], class: &str| -> String {
            texts
                .iter()
                .map(|text| format!("<p class=\"{class}\">{}</p>\n", escaped(text)))
                .collect()
        };
        html.push_str(&paragraphs(&self.text, "text"));
        if !self.charts.is_empty() {
            html.push_str("<div class=\"charts\">\n");
            for chart in &self.charts {
                let _ = writeln!(html, "<figure>{}</figure>", chart.trim());
            }
            html.push_str("</div>\n");
        }
        html.extend(self.tables.iter().map(Table::html));
        html.push_str(&paragraphs(&self.notes, "note"));
        html.push_str("</section>\n");
        html
    }
}

/// Whether a report can be written there: better known before a long run than behind it.
///
/// Errors: `Failure::Setup` with the file and the reason.
pub fn check_file(file: &Path) -> Result<(), Failure> {
    let refuse = |error| Failure::Setup(format!("{}: {error}", file.display()));
    if file.is_dir() {
        return Err(refuse(io::ErrorKind::IsADirectory.into()));
    }
    let part = part_file(file).map_err(refuse)?;
    fs::write(&part, "").and_then(|()| fs::remove_file(&part)).map_err(refuse)
}

/// The file beside it that becomes it once it is whole; folders that lack are made.
fn part_file(file: &Path) -> io::Result<PathBuf> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    Ok(file.with_file_name(name))
}

/// Where the report of that name goes, unless somebody says otherwise: beside what was built.
pub fn default_file(name: &str) -> PathBuf {
    let target = std::env::current_exe().ok().and_then(|own| Some(own.ancestors().nth(2)?.into()));
    target.unwrap_or_else(|| PathBuf::from("target")).join("perf").join(name)
}

/// This process's command line, as one would type it again.
pub fn command_line() -> String {
    let is_plain = |byte: char| byte.is_ascii_alphanumeric() || "-_./:=,@%+".contains(byte);
    let quoted = |word: String| match !word.is_empty() && word.chars().all(is_plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let own = words.next().unwrap_or_default();
    let name = Path::new(&own).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words: Vec<String> =
        [format!("perf/{name}")].into_iter().chain(words.map(quoted)).collect();
    words.join(" ")
}

/// Text that means itself in HTML.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Rules of style that give each of the charts' colours its value in dark surroundings.
fn dark_charts() -> String {
    let code = |(red, green, blue): (u8, u8, u8)| format!("#{red:02X}{green:02X}{blue:02X}");
    let rules = Color::ALL.iter().map(|color| {
        let (light, dark) = (code(color.light()), code(color.dark()));
        format!("  svg [fill=\"{light}\"] {{ fill: {dark}; }}\n  svg [stroke=\"{light}\"] {{ stroke: {dark}; }}\n")
    });
    format!("@media (prefers-color-scheme: dark) {{\n{}}}\n", rules.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let table = Table {
            columns: vec!["".to_owned(), "CPU".to_owned()],
            rows: vec![vec!["a < b".to_owned(), "0.8".to_owned()]],
        };
        Report {
            title: "corndog & peers".to_owned(),
            lead: "<script>".to_owned(),
            command: "perf/compare --json".to_owned(),
            facts: vec![("kernel".to_owned(), "6.1 \"x\"".to_owned())],
            sections: vec![Section {
                title: "W1".to_owned(),
                charts: vec!["<svg id=\"one\"></svg>".to_owned()],
                tables: vec![table],
                ..Section::default()
            }],
        }
    }

    #[test]
    fn all_text_is_escaped_and_charts_are_not() {
        let html = sample().html();
        for text in ["corndog &amp; peers", "&lt;script&gt;", "a &lt; b", "6.1 &quot;x&quot;"] {
            assert!(html.contains(text), "{text}");
        }
        assert!(!html.contains("<script>") && html.contains("<svg id=\"one\">"));
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        let html = sample().html();
        for word in ["http:", "https:", "url(", "@import", "<link", " src="] {
            assert!(!html.contains(word), "{word}");
        }
    }

    #[test]
    fn a_report_is_written_whole_into_new_folders() {
        let folder = std::env::temp_dir().join(format!("corndog-report-{}", std::process::id()));
        let file = folder.join("deep/report.html");
        sample().write(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), sample().html());
        assert_eq!(fs::read_dir(folder.join("deep")).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
        let nowhere = sample().write(Path::new("/proc/nowhere/report.html")).unwrap_err();
        assert!(nowhere.to_string().contains("/proc/nowhere"), "{nowhere}");
        let refused = check_file(Path::new("/proc/nowhere/report.html"));
        assert!(matches!(refused, Err(Failure::Setup(_))), "{refused:?}");
    }
}
