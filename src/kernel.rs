//! What the kernel dropped before we could read it: datagrams for which a UDP socket's buffer had no
//! room. Read from /proc/net/udp and udp6, by the sockets' numbers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the kernel is asked.
const LOOK: Duration = Duration::from_secs(1);
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
/// Columns of a line, counted from 0.
const INODE: usize = 9;
const DROPS: usize = 12;

/// Counts what the kernel drops on our UDP sockets.
pub struct KernelDrops {
    /// By socket: what it had dropped when last seen.
    of: HashMap<u64, u64>,
    looked_at: Instant,
}

impl KernelDrops {
    /// For the sockets of these numbers.
    pub fn new(inodes: &[u64]) -> KernelDrops {
        KernelDrops {
            of: inodes.iter().map(|inode| (*inode, 0)).collect(),
            looked_at: Instant::now(),
        }
    }

    /// Looks, now and then.
    pub fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.looked_at) >= LOOK {
            self.looked_at = now;
            self.look_now();
        }
    }

    /// Looks.
    pub fn look_now(&mut self) {
        if self.of.is_empty() {
            return;
        }
        for table in TABLES {
            // Without IPv6 there is no udp6; without /proc nothing can be known.
            if let Ok(text) = std::fs::read_to_string(table) {
                self.read(&text);
            }
        }
    }

    /// Datagrams dropped until now.
    pub fn total(&self) -> u64 {
        self.of.values().sum()
    }

    fn read(&mut self, table: &str) {
        for line in table.lines().skip(1) {
            let mut columns = line.split_ascii_whitespace();
            let inode = columns.nth(INODE).and_then(|column| column.parse::<u64>().ok());
            let drops =
                columns.nth(DROPS - INODE - 1).and_then(|column| column.parse::<u64>().ok());
            if let (Some(inode), Some(drops)) = (inode, drops)
                && let Some(seen) = self.of.get_mut(&inode)
            {
                *seen = drops.max(*seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  301: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 ffff8881 17
  302: 0100007F:0203 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 ffff8882 99
";

    #[test]
    fn drops_of_our_sockets_are_summed_and_never_go_back() {
        let mut drops = KernelDrops::new(&[4711, 4713]);
        drops.read(TABLE);
        assert_eq!(drops.total(), 17);
        drops.read(&TABLE.replace(" 17\n", " 20\n"));
        drops.read(TABLE);
        assert_eq!(drops.total(), 20);
        drops.read("no table\nat all\n\u{0}");
        assert_eq!(drops.total(), 20);
    }
}
