//! Where tests keep what they need: ports on loopback, folders that go away.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports are taken from below the range that the kernel gives to outgoing connections (32768 and
/// up), so that no connection of a neighbour occupies one before its owner listens.
const PORT_MIN: u32 = 20_000;
const PORT_COUNT: u32 = 12_000;

/// Written by all threads of a test binary; what matters is that no two get the same.
static PORTS_GIVEN: AtomicU32 = AtomicU32::new(0);
static FOLDERS_GIVEN: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 on which nobody listens, and which this process gives only once.
pub fn free_port() -> u16 {
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..PORT_COUNT {
        let given = PORTS_GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = PORT_MIN + start.wrapping_add(given) % PORT_COUNT;
        let port = u16::try_from(port).expect("PORT_MIN + PORT_COUNT is below 65536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {PORT_MIN} and {}", PORT_MIN + PORT_COUNT);
}

/// Cargo's target folder, in which this test binary lies.
pub fn target() -> PathBuf {
    let binary = std::env::current_exe().expect("a process has a binary");
    let deps = binary.parent().expect("target/PROFILE/deps/BINARY");
    deps.ancestors().nth(2).expect("target/PROFILE/deps").to_owned()
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// A folder of its own, removed on drop.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder under the system's temporary folder.
    pub fn new(what: &str) -> Scratch {
        let number = FOLDERS_GIVEN.fetch_add(1, Ordering::Relaxed);
        let name = format!("corndog-tests-{}-{number}-{what}", std::process::id());
        remove_leftovers();
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Scratch(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now, `remove_leftovers` removes later.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes folders of test binaries that are gone: what a test holds in a `static` is not dropped.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("corndog-tests-") else { continue };
        let owner = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(owner).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
