//! A receiver shard: one pinned core, one executor, everything from the socket to a sealed batch.
//!
//! Each shard has its own SO_REUSEPORT listeners, so the kernel spreads connections; a connection
//! stays on its shard. Nothing here blocks: where no batch is empty, connections are not read, and
//! TCP tells the senders; datagrams nobody can hold, so the kernel drops them, and counts. glommio
//! appears in this crate alone.

mod adopt;
mod beat;
mod buffers;
mod connection;
mod datagrams;
mod door;
mod drops;
mod foreign;
mod gate;
mod kick;
mod origin;
mod pace;
mod process;
mod settings;
mod shard;
mod signal;
mod slice;
mod sockets;
mod start;
mod tls;
mod watch;

pub use connection::buffer_bytes_max;
pub use gate::{Gate, GateLimits};
pub use kick::Kick;
pub use settings::{Listen, Live, ReceiverLimits, ReceiverSettings};
pub use slice::ask_for_short_turns;
pub use sockets::{Bound, BoundPath, Wanted, bind_all};
pub use start::spawn;
pub use tls::{CONNECTION_BYTES_MAX as TLS_BYTES_MAX, Loaded, TlsCell, load};
