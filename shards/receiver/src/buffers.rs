//! Read buffers of a shard, lent to a connection from the bytes' coming until they are taken: a
//! connection that is idle, or in the middle of a short frame, has none.

use std::cell::RefCell;

use corndog_pipeline::framing::Deframer;

/// Bytes of a buffer: one read of glommio's best length, and a frame of the default length fits.
pub(crate) const BUFFER_BYTES: usize = Deframer::buffer_bytes_max(64 * 1024);
/// Buffers kept for the next ones; they are lent in turn, so few are in use at once.
const FREE_MAX: usize = 64;

/// A shard's free buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Vec<Vec<u8>>>);

impl Buffers {
    /// Lends one of [`BUFFER_BYTES`].
    pub(crate) fn take(&self) -> Vec<u8> {
        // The one given back last: it is in the cache.
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    /// Takes one back. What has grown, or is one too many, is freed.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        let mut free = self.0.borrow_mut();
        if buffer.len() == BUFFER_BYTES && free.len() < FREE_MAX {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_a_grown_one_does_not() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer[0] = 7;
        buffers.give(buffer);
        assert_eq!(buffers.take()[0], 7);
        buffers.give(vec![7; BUFFER_BYTES + 1]);
        buffers.give(Vec::new());
        assert_eq!(buffers.take()[0], 0);
    }
}
