//! The processes that are measured: how each is configured, started, watched and stopped.

use crate::configs;
use crate::cpu;
use crate::failure::Failure;
use crate::recording::Recording;
use crate::workload::Workload;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// From a forwarder's start until its port accepts.
const START_TIME: Duration = Duration::from_secs(20);
/// After SIGTERM; then it is killed.
const STOP_TIME: Duration = Duration::from_secs(40);
const TICK: Duration = Duration::from_millis(20);

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// corndog.
    Corndog,
    /// Debian's rsyslog with omkafka.
    Rsyslog,
    /// The same, with string compares where the workload says regexes.
    RsyslogStrings,
    /// Debian's syslog-ng with kafka-c, unpacked.
    SyslogNg,
}

/// A forwarder that can be started: its program was found.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Which one.
    pub kind: Kind,
    /// Its executable.
    pub program: PathBuf,
}

/// Where a forwarder listens and sends.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// An empty folder of its own.
    pub folder: &'a Path,
    /// The listener's port on 127.0.0.1.
    pub port: u16,
    /// A broker's address.
    pub bootstrap: SocketAddr,
    /// Variables that the forwarder reads over its configuration.
    pub environment: &'a [(&'static str, String)],
}

/// A forwarder that runs. Killed when dropped, if it still does.
pub struct Running {
    kind: Kind,
    child: Child,
    log: PathBuf,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Corndog, Self::Rsyslog, Self::RsyslogStrings, Self::SyslogNg];

    /// Its name in tables and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corndog => "corndog",
            Self::Rsyslog => "rsyslog",
            Self::RsyslogStrings => "rsyslog-strings",
            Self::SyslogNg => "syslog-ng",
        }
    }

    /// The forwarder of that name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| format!("forwarder {name:?}: choose one of {names}"))
    }

    /// Looks for its program, and for all that it needs.
    ///
    /// Errors: `Failure::Setup` that says what to install or build.
    pub fn find(self, corndog: &Path) -> Result<Installed, Failure> {
        let program = match self {
            Self::Rsyslog | Self::RsyslogStrings => find_rsyslog()?,
            Self::SyslogNg => find_syslog_ng()?,
            Self::Corndog if corndog.is_file() => corndog.to_path_buf(),
            Self::Corndog => {
                return Err(Failure::Setup(format!(
                    "{} is missing: build it with `cargo build --release`, or say where with --corndog",
                    corndog.display()
                )));
            }
        };
        Ok(Installed { kind: self, program })
    }
}

impl Installed {
    /// Errors: `Failure::Setup` if there is no configuration of it for that workload.
    pub fn check(&self, workload: Workload) -> Result<(), Failure> {
        self.config(workload).map(drop)
    }

    fn config(&self, workload: Workload) -> Result<String, Failure> {
        configs::of(self.kind, workload).ok_or_else(|| {
            let name = self.kind.name();
            Failure::Setup(format!("{name} has no configuration for {}", workload.name()))
        })
    }

    /// Starts it on a workload and waits until its port accepts.
    ///
    /// Errors: `Failure::Setup` if there is no configuration of it for that workload.
    pub fn start(&self, workload: Workload, place: &Place<'_>) -> Result<Running, Failure> {
        let text = self.config(workload)?;
        let log = place.folder.join("stderr");
        let broken = |error| Failure::Run(format!("{}: {error}", place.folder.display()));
        let stderr = File::create(&log).map_err(broken)?;
        let config = place.folder.join(match self.kind {
            Kind::Corndog => "config.toml",
            _ => "config.conf",
        });
        fs::write(&config, place.fill(&text)).map_err(broken)?;
        let mut command = self.command(&config, place.folder);
        command.envs(place.environment.iter().map(|(name, value)| (name, value)));
        // A group of its own: a terminal's Ctrl-C is for us, and we end it in good order.
        command.process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
        let child = child.map_err(|error| {
            Failure::Setup(format!("{} does not start: {error}", self.program.display()))
        })?;
        let mut running = Running { kind: self.kind, child, log };
        running.wait_until_it_accepts(place.port)?;
        Ok(running)
    }

    /// The program with its libraries, without arguments.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.kind == Kind::SyslogNg {
            command.env("LD_LIBRARY_PATH", syslog_ng_libraries(self.root()));
            // Without it, it asks for the time zone's file again and again.
            command.env("TZ", "UTC");
        }
        command
    }

    /// Where an unpacked forwarder has its `usr`.
    fn root(&self) -> &Path {
        self.program.ancestors().nth(3).unwrap_or(Path::new("/"))
    }

    fn command(&self, config: &Path, folder: &Path) -> Command {
        let mut command = self.bare_command();
        match self.kind {
            Kind::Corndog => command.arg("run").arg("-c").arg(config),
            Kind::Rsyslog | Kind::RsyslogStrings => {
                command.arg("-n").arg("-f").arg(config).arg("-i").arg(folder.join("pid"))
            }
            Kind::SyslogNg => {
                let modules = self.root().join("usr/lib/syslog-ng/3.38");
                command.arg("--foreground").arg("--no-caps").arg("--cfgfile").arg(config);
                command.arg(format!("--module-path={}", modules.display()));
                command.arg("--persist-file").arg(folder.join("persist"));
                command.arg("--control").arg(folder.join("control"));
                command.arg("--pidfile").arg(folder.join("pid"))
            }
        };
        command
    }
}

impl Place<'_> {
    fn fill(&self, template: &str) -> String {
        template
            .replace("@DIR@", &self.folder.display().to_string())
            .replace("@PORT@", &self.port.to_string())
            .replace("@BOOTSTRAP@", &self.bootstrap.to_string())
    }
}

impl Running {
    /// User and system CPU time so far, of all its threads.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        cpu::of_pid(self.child.id()).ok_or_else(|| self.gone())
    }

    /// CPU time so far of its first thread, which for corndog is the one that shows how it is.
    pub fn cpu_of_first_thread(&self) -> Result<Duration, Failure> {
        cpu::of_first_thread(self.child.id()).ok_or_else(|| self.gone())
    }

    /// Peak resident memory in bytes.
    pub fn memory_peak(&self) -> Result<u64, Failure> {
        cpu::memory_peak_of_pid(self.child.id()).ok_or_else(|| self.gone())
    }

    /// Descriptors that it has.
    pub fn descriptor_count(&self) -> Result<usize, Failure> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        entries.map(Iterator::count).map_err(|_| self.gone())
    }

    /// Samples its stacks into a file until the recording is stopped.
    pub fn record(&self, file: &Path) -> Result<Recording, Failure> {
        Recording::start(self.child.id(), file, &self.log.with_file_name("perf"))
    }

    /// Fails if it has ended by itself.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(self.gone()),
        }
    }

    /// Stops it by SIGTERM and waits until it has ended.
    pub fn stop(mut self) -> Result<(), Failure> {
        let signalled = signal(&self.child, Signal::TERM);
        let deadline = Instant::now() + STOP_TIME;
        while signalled && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        let seconds = STOP_TIME.as_secs();
        Err(Failure::Run(format!("{} did not stop within {seconds} s", self.kind.name())))
    }

    fn wait_until_it_accepts(&mut self, port: u16) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIME;
        while Instant::now() < deadline {
            self.check()?;
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        let (name, seconds) = (self.kind.name(), START_TIME.as_secs());
        Err(Failure::Run(format!("{name} did not listen on port {port} within {seconds} s")))
    }

    fn gone(&self) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        Failure::Run(format!("{} ended by itself: {last}", self.kind.name()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the signal was sent.
pub(crate) fn signal(child: &Child, signal: Signal) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// corndog's executable: the one that is named, or else the one beside this program.
pub fn corndog(named: Option<&Path>) -> PathBuf {
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("corndog"));
    named.map(Path::to_owned).or_else(beside).unwrap_or_else(|| "corndog".into())
}

/// Fails with a sentence if something listens on the port, which `flag` chooses.
pub fn check_port(port: u16, flag: &str) -> Result<(), Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .map_err(|error| Failure::of_port(port, flag, &error))
}

fn find_rsyslog() -> Result<PathBuf, Failure> {
    let missing = |what: &str| {
        Failure::Setup(format!(
            "{what} is missing: run `apt-get install rsyslog rsyslog-kafka`, or leave it out"
        ))
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let program = folders.map(|folder| folder.join("rsyslogd")).find(|path| path.is_file());
    let program = program.ok_or_else(|| missing("rsyslogd"))?;
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut modules = libraries.map(|entry| entry.path().join("rsyslog/omkafka.so"));
    if !modules.any(|module| module.is_file())
        && !Path::new("/usr/lib/rsyslog/omkafka.so").is_file()
    {
        return Err(missing("rsyslog's module omkafka"));
    }
    Ok(program)
}

/// What `tests/install` unpacked: Debian does not let the two stand side by side.
fn find_syslog_ng() -> Result<PathBuf, Failure> {
    let target = std::env::current_exe().ok().and_then(|own| Some(own.ancestors().nth(2)?.into()));
    let root = target.unwrap_or_else(|| PathBuf::from("target")).join("syslog-ng");
    let program = root.join("usr/sbin/syslog-ng");
    if !program.is_file() {
        return Err(Failure::Setup(format!(
            "{} is missing: run tests/install, which unpacks syslog-ng there",
            program.display()
        )));
    }
    Ok(program)
}

/// Its own libraries, and those of others that were unpacked with it.
fn syslog_ng_libraries(root: &Path) -> OsString {
    let mut folders = vec![root.join("usr/lib/syslog-ng")];
    for parent in ["lib", "usr/lib"] {
        let triplets = fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
        let is_triplet = |path: &PathBuf| path.to_string_lossy().ends_with("-linux-gnu");
        folders.extend(triplets.map(|entry| entry.path()).filter(is_triplet));
    }
    std::env::join_paths(folders).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_filled() {
        let place = Place {
            folder: Path::new("/scratch"),
            port: 1514,
            bootstrap: SocketAddr::from((Ipv4Addr::LOCALHOST, 19092)),
            environment: &[],
        };
        for workload in ["w1", "w2", "w3", "w4"].map(|name| Workload::parse(name).unwrap()) {
            for text in Kind::ALL.into_iter().filter_map(|kind| configs::of(kind, workload)) {
                let config = place.fill(&text).replacen("@version:", "", 1);
                assert!(!config.contains('@'), "{config}");
                assert!(config.contains("1514") && config.contains("127.0.0.1:19092"));
            }
        }
    }

    #[test]
    fn a_missing_program_is_one_sentence() {
        let failure = Kind::Corndog.find(Path::new("/nowhere/corndog")).unwrap_err();
        assert!(matches!(&failure, Failure::Setup(sentence) if sentence.contains("/nowhere")));
        assert!(Kind::parse("fluentd").is_err_and(|sentence| sentence.contains("syslog-ng")));
    }
}
