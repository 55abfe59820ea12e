//! Real Apache Kafka, one node that is broker and controller (KRaft), on loopback.
//!
//! ```text
//! pom.xml -mvn-> target/kafka/HASH/lib -format-> HASH/formatted -copy-> a data folder
//! ```
//!
//! The jars and a formatted, empty data folder are made once for each content of the pom. How long a
//! broker runs, and how one knows that it answers, is for those who start it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const POM: &[u8] = include_bytes!("../pom.xml");
/// Until Maven has fetched 46 jars (43 MB).
const FETCH_TIME_MAX: Duration = Duration::from_secs(300);
const FORMAT_TIME_MAX: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);
/// Any UUID in Kafka's own notation; all brokers share it and the formatted folder.
const CLUSTER: &str = "Q29ybmRvZ3NUZXN0S2Fma2E";
const NODE_ID: u32 = 1;

/// A small broker that is ready soon.
pub const SMALL: &[&str] = &["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// Kafka's jars, and a formatted, empty data folder.
#[derive(Debug, Clone)]
pub struct Installation {
    folder: PathBuf,
}

impl Installation {
    /// The one in Cargo's target folder, made when it is missing.
    ///
    /// Errors: a sentence that says what to install, or what went wrong.
    pub fn in_target(target: &Path) -> Result<Installation, String> {
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hasher = DefaultHasher::new();
        POM.hash(&mut hasher);
        let all = target.join("kafka");
        let installation = Installation { folder: all.join(format!("{:016x}", hasher.finish())) };
        demand("java", "-version", "openjdk-17-jre-headless")?;
        if installation.folder.exists() {
            return Ok(installation);
        }
        demand("mvn", "-version", "maven")?;
        // Made aside and moved when whole: what is interrupted leaves nothing that looks made.
        let making = Installation { folder: all.join(format!("making-{}", std::process::id())) };
        let _ = fs::remove_dir_all(&making.folder);
        making.make()?;
        if fs::rename(&making.folder, &installation.folder).is_err() {
            // Another process was faster.
            let _ = fs::remove_dir_all(&making.folder);
        }
        match installation.folder.exists() {
            true => Ok(installation),
            false => Err(format!("{} could not be made", installation.folder.display())),
        }
    }

    /// Makes an empty data folder of a new broker.
    pub fn make_data(&self, data: &Path) -> Result<(), String> {
        copy_folder(&self.folder.join("formatted"), data)
            .map_err(|error| format!("{}: {error}", data.display()))
    }

    /// Says to `java` how to run a broker on these properties; `machine` is for the virtual machine.
    pub fn broker(&self, command: &mut Command, machine: &[&str], properties: &Path) {
        self.java(command, machine);
        command.arg("kafka.Kafka").arg(properties);
    }

    /// The class path, and warnings on stderr.
    fn java(&self, command: &mut Command, machine: &[&str]) {
        command.args(machine);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg("-Dorg.slf4j.simpleLogger.showDateTime=true");
        command.arg("-cp").arg(self.folder.join("lib").join("*"));
    }

    fn make(&self) -> Result<(), String> {
        let folder = &self.folder;
        let broken = |error: io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(broken)?;
        let pom = folder.join("pom.xml");
        fs::write(&pom, POM).map_err(broken)?;
        let mut fetch = Command::new("mvn");
        fetch.arg("-q").arg("-B").arg("-f").arg(&pom).arg("dependency:copy-dependencies");
        fetch.arg("-DincludeScope=runtime");
        fetch.arg(format!("-DoutputDirectory={}", folder.join("lib").display()));
        run(fetch, "mvn", FETCH_TIME_MAX, folder)?;
        let properties = folder.join("server.properties");
        let text = server_properties(9092, 9093, &folder.join("formatted"), &[]);
        fs::write(&properties, text).map_err(broken)?;
        let mut format = Command::new("java");
        self.java(&mut format, SMALL);
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&properties);
        run(format, "java", FORMAT_TIME_MAX, folder)
    }
}

/// A broker's `server.properties`; `over` are over our own.
pub fn server_properties(
    port: u16,
    controller_port: u16,
    data: &Path,
    over: &[(&str, &str)],
) -> String {
    let own = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", NODE_ID.to_string()),
        ("controller.quorum.voters", format!("{NODE_ID}@127.0.0.1:{controller_port}")),
        (
            "listeners",
            format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"),
        ),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("log.dirs", data.display().to_string()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("offsets.topic.num.partitions", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("num.partitions", "4".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("log.retention.hours", "-1".to_owned()),
    ];
    let mut text = String::new();
    for (key, value) in own.iter().map(|(key, value)| (*key, value.as_str())) {
        if over.iter().all(|(other, _)| *other != key) {
            text.push_str(&format!("{key}={value}\n"));
        }
    }
    for (key, value) in over {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// Runs a command to its end, which must be a good one; what it says is in the folder until then.
fn run(mut command: Command, name: &str, limit: Duration, folder: &Path) -> Result<(), String> {
    let path = folder.join(format!("{name}.log"));
    let broken = |error: io::Error| format!("{name}: {error}");
    let log = File::create(&path).map_err(broken)?;
    let errors = log.try_clone().map_err(broken)?;
    let mut child =
        command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().map_err(broken)?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(broken)? {
            break status;
        }
        if start.elapsed() > limit {
            // Both fail only if it has ended at this moment.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{name} had not ended after {limit:?}"));
        }
        thread::sleep(TICK);
    };
    match status.success() {
        true => fs::remove_file(&path).map_err(broken),
        false => {
            let said = fs::read_to_string(&path).unwrap_or_default();
            Err(format!("{name} ended with {status}: {said}"))
        }
    }
}

fn demand(program: &str, argument: &str, package: &str) -> Result<(), String> {
    let found = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "no working `{program}`, which real Apache Kafka needs: run tests/install, or install \
             the package {package}"
        )),
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_said_as_the_caller_wants_it() {
        let over = [("num.partitions", "7"), ("log.dirs", "/data")];
        let text = server_properties(1, 2, Path::new("/other"), &over);
        assert_eq!(text.lines().filter(|line| line.starts_with("num.partitions=")).count(), 1);
        assert!(text.contains("num.partitions=7\n") && text.contains("log.dirs=/data\n"));
        assert!(text.contains("controller.quorum.voters=1@127.0.0.1:2\n"));
    }
}
