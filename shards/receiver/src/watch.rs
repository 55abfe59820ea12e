//! What the shard sees of a connection, and tells it.

use std::cell::Cell;
use std::time::Instant;

use corndog_pipeline::counters::{Closed, Refused, State};

use crate::signal::Signal;

/// Between a connection and its shard's sweep.
#[derive(Debug)]
pub(crate) struct Watch {
    /// When the last bytes came. Written by the connection, read by the shard's sweep.
    pub(crate) read_at: Cell<Instant>,
    /// When the frame that is not complete yet began. Written and read as above.
    pub(crate) frame_since: Cell<Option<Instant>>,
    /// When it began to say who it is (TLS, PROXY), until it has. Written and read as above.
    pub(crate) opening_since: Cell<Option<Instant>>,
    /// It waits for an empty batch, so its sender is held by us; or it is no connection. No time
    /// counts then.
    pub(crate) is_held: Cell<bool>,
    order: Cell<Option<Order>>,
    signal: Signal,
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Read what the kernel holds, then end.
    Drain,
    /// End now.
    Close(Closed),
    /// End now; it was not let in yet.
    Refuse(Refused),
}

impl Watch {
    pub(crate) fn new(now: Instant) -> Self {
        Watch {
            read_at: Cell::new(now),
            frame_since: Cell::new(None),
            opening_since: Cell::new(None),
            is_held: Cell::new(false),
            order: Cell::new(None),
            signal: Signal::default(),
        }
    }

    /// What the connection is at.
    pub(crate) fn state(&self) -> State {
        match () {
            () if self.opening_since.get().is_some() => State::Opening,
            () if self.is_held.get() => State::Held,
            () if self.frame_since.get().is_some() => State::MidFrame,
            () => State::Idle,
        }
    }

    /// Tells the connection what to do next.
    pub(crate) fn tell(&self, order: Order) {
        self.order.set(Some(order));
        self.signal.set();
    }

    /// Waits until it is told something; at once where it has been already.
    pub(crate) async fn told(&self) -> Order {
        loop {
            if let Some(order) = self.order.get() {
                return order;
            }
            self.signal.wait().await;
        }
    }
}
