//! The status server, on the main thread: a page to look at, `/stats`, `/metrics`, `/health` and
//! `/ready`. It answers GET and HEAD, and nothing on it changes anything.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `server` | connections and their limits |
//! | `answers` | a path to what is answered |
//! | `metrics` | OpenMetrics |
//! | `page.html` | the page: one file, nothing from elsewhere |

mod answers;
mod metrics;
mod server;

pub use answers::{Asked, answer};
pub use metrics::Latencies;
pub use server::{MEMORY_BYTES_MAX, Server, bind};
