//! What ends a run: one sentence and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why a run did not start, or did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was measured: something is missing, in use or mistyped. Exit code 2.
    Setup(String),
    /// Something broke while it ran. Exit code 1.
    Run(String),
    /// Somebody ended it before its end. Exit code 130, as of a shell's Ctrl-C.
    Stopped,
}

impl Failure {
    /// A port of 127.0.0.1 that cannot be listened on; `flag` chooses another.
    pub fn of_port(port: u16, flag: &str, error: &io::Error) -> Self {
        Self::Setup(match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "port {port} on 127.0.0.1 is in use: stop what listens there, or choose another \
                 with {flag}"
            ),
            _ => format!("port {port} on 127.0.0.1 cannot be listened on: {error}"),
        })
    }

    /// The exit code that goes with it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setup(_) => ExitCode::from(2),
            Self::Run(_) => ExitCode::from(1),
            Self::Stopped => ExitCode::from(130),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(sentence) | Self::Run(sentence) => formatter.write_str(sentence),
            Self::Stopped => formatter.write_str("stopped before the end: nothing is reported"),
        }
    }
}

impl std::error::Error for Failure {}
