//! What every tool here begins and ends with: its arguments, one sentence where it fails, an exit
//! code.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use std::ffi::OsString;
use std::process::ExitCode;

use argh::TopLevelCommand;

use crate::failure::Failure;

/// A tool's `main`. `name` stands before its sentence.
pub fn main<A: TopLevelCommand>(
    name: &str,
    run: impl FnOnce(&A) -> Result<(), Failure>,
) -> ExitCode {
    let outcome =
        arguments(name, std::env::args_os().skip(1)).and_then(|arguments| match arguments {
            Ok(arguments) => run(&arguments),
            Err(help) => {
                println!("{}", help.trim_end());
                Ok(())
            }
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{name}: {failure}");
            failure.exit_code()
        }
    }
}

/// The arguments; `Err`: the help that was asked for.
fn arguments<A: TopLevelCommand>(
    name: &str,
    words: impl Iterator<Item = OsString>,
) -> Result<Result<A, String>, Failure> {
    let words: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    let words = words.map_err(|word| Failure::Setup(format!("{word:?} is not UTF-8")))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match A::from_args(&[name], &words) {
        Ok(arguments) => Ok(Ok(arguments)),
        Err(exit) if exit.status.is_ok() => Ok(Err(exit.output)),
        Err(exit) => Err(Failure::Setup(sentence(&exit.output, name))),
    }
}

/// What is wrong with the arguments, in one line.
fn sentence(output: &str, name: &str) -> String {
    let lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.take_while(|line| !line.starts_with("Run ")).collect::<Vec<_>>().join(" ");
    format!("{said}; see {name} --help")
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::FromArgs;
    use std::os::unix::ffi::OsStringExt;

    /// A tool for a test.
    #[derive(FromArgs, Debug)]
    struct Args {
        /// a number
        #[argh(option)]
        number: u16,
    }

    #[test]
    fn wrong_arguments_are_one_sentence() {
        let parse = |words: &[&[u8]]| {
            let words = words.iter().map(|word| OsString::from_vec(word.to_vec()));
            arguments::<Args>("tool", words)
        };
        for (words, said) in [
            (&[&b"--number"[..], b"x"][..], "--number"),
            (&[b"--numbr", b"1"], "--numbr"),
            (&[b"--number"], "--number"),
            (&[], "--number"),
            (&[b"--number", b"1", b"2"], "2"),
            (&[b"--number", b"\xff"], "UTF-8"),
        ] {
            let failure = parse(words).unwrap_err();
            let sentence = failure.to_string();
            assert!(matches!(failure, Failure::Setup(_)), "{failure:?}");
            assert!(sentence.contains(said) && !sentence.contains('\n'), "{sentence}");
        }
        assert_eq!(parse(&[b"--number", b"7"]).unwrap().unwrap().number, 7);
        assert!(parse(&[b"--help"]).unwrap().unwrap_err().contains("--number"));
    }
}
