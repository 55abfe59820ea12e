//! A receiver shard: one pinned core, one executor, everything from the socket to a sealed batch.
//!
//! Each shard has its own SO_REUSEPORT listeners, so the kernel spreads connections; a connection
//! stays on its shard. Nothing here blocks: where no batch is empty, connections are not read, and
//! TCP tells the senders. glommio appears in this crate alone.

mod connection;
mod gate;
mod kick;
mod settings;
mod shard;
mod signal;
mod start;

pub use connection::buffer_bytes_max;
pub use gate::Gate;
pub use kick::Kick;
pub use settings::{Listen, Live, ReceiverLimits, ReceiverSettings};
pub use start::spawn;
