//! What every tool here begins and ends with: its arguments, one sentence where it fails, an exit code.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use std::process::ExitCode;

use argh::TopLevelCommand;

use crate::failure::Failure;

/// A tool's `main`. `name` stands before its sentence.
pub fn main<A: TopLevelCommand>(
    name: &str,
    run: impl FnOnce(&A) -> Result<(), Failure>,
) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let failure = match A::from_args(&[name], &words) {
        Ok(arguments) => match run(&arguments) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => failure,
        },
        Err(exit) if exit.status.is_ok() => {
            println!("{}", exit.output.trim_end());
            return ExitCode::SUCCESS;
        }
        Err(exit) => Failure::Setup(sentence(&exit.output, name)),
    };
    eprintln!("{name}: {failure}");
    failure.exit_code()
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

    /// A tool for a test.
    #[derive(FromArgs, Debug)]
    struct Args {
        /// a number
        #[argh(option)]
        number: u16,
    }

    #[test]
    fn wrong_arguments_are_one_sentence() {
        for (words, said) in [
            (&["--number", "x"][..], "--number"),
            (&["--numbr", "1"], "--numbr"),
            (&["--number"], "--number"),
            (&[], "--number"),
            (&["--number", "1", "2"], "2"),
        ] {
            let exit = Args::from_args(&["tool"], words).unwrap_err();
            let sentence = sentence(&exit.output, "tool");
            assert!(sentence.contains(said) && !sentence.contains('\n'), "{sentence}");
            assert!(sentence.ends_with("; see tool --help"), "{sentence}");
        }
        assert_eq!(Args::from_args(&["tool"], &["--number", "7"]).unwrap().number, 7);
    }
}
