//! `corndog top`: from a status server's address to a live view, or to plain text once.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `client` | the question, and its answer as figures |
//! | `screen` | the terminal, the keys and the clock |
//! | `shown` | what is on the screen, and what keys do to it |
//! | `view` | the screen's cells |
//! | `text` | the same as plain text |
//! | `facts`, `tables` | what the figures mean |
//! | `grid`, `units` | how tables and numbers are written |

mod client;
mod facts;
mod grid;
mod screen;
mod shown;
mod tables;
mod text;
mod units;
mod view;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;

use client::Client;

/// No answer, or no terminal.
const EXIT_NOTHING_SHOWN: u8 = 1;

/// Shows how the corndog at an address is: live, or `is_once` and where stdout is no terminal as
/// text.
pub fn top(address: &str, is_once: bool) -> ExitCode {
    let result =
        Client::new(address).map_err(|error| format!("cannot ask: {error}")).and_then(|client| {
            match is_once || !io::stdout().is_terminal() {
                true => once(&client, address),
                false => screen::run(client, address),
            }
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            // Nobody is left to be told that stderr is gone.
            let _ = writeln!(io::stderr().lock(), "{}", units::clean(&sentence, 1000));
            ExitCode::from(EXIT_NOTHING_SHOWN)
        }
    }
}

fn once(client: &Client, address: &str) -> Result<(), String> {
    let figures = client.ask().map_err(|reason| {
        format!(
            "no status from {address}: {reason}; is corndog running, with this [status] address? \
             --status HOST:PORT asks another one"
        )
    })?;
    match io::stdout().lock().write_all(text::text(&figures).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write: {error}"))
        }
        // Who reads it may have read enough.
        _ => Ok(()),
    }
}
