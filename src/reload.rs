//! SIGHUP -> the same file read, checked and compiled again, on a thread of its own; never on a
//! shard, and nothing changes unless all of it is in order.

use std::thread::JoinHandle;

use corndog_pipeline::ruleset::Scratch;
use corndog_pipeline::sample::Share;
use crossbeam_channel::{Receiver, bounded};

use crate::plan::{Plan, plan};

/// A configuration made ready for the running shards.
pub struct Prepared {
    /// What it says.
    pub plan: Plan,
    /// The rules' caches and buffers, one for each receiver.
    pub scratches: Vec<Scratch>,
}

/// Reads the configuration again, one time after the other.
pub struct Reloader {
    file: String,
    receiver_count: usize,
    under_way: Option<UnderWay>,
    /// A signal came while one was under way.
    is_asked_again: bool,
}

struct UnderWay {
    thread: JoinHandle<()>,
    answer: Receiver<Result<Prepared, Vec<String>>>,
}

/// What came of a reload.
pub enum Answer {
    /// There is none now.
    None,
    /// It can be taken.
    Prepared(Box<Prepared>),
    /// Nothing changes; why, a sentence each.
    Refused(Vec<String>),
}

impl Reloader {
    /// Reads `file`, for so many receivers.
    pub fn new(file: String, receiver_count: usize) -> Reloader {
        Reloader { file, receiver_count, under_way: None, is_asked_again: false }
    }

    /// Starts reading, or notes that it has to be done again.
    ///
    /// Errors: one sentence; no thread can be made.
    pub fn ask(&mut self) -> Result<(), String> {
        if self.under_way.is_some() {
            self.is_asked_again = true;
            return Ok(());
        }
        let (out, answer) = bounded(1);
        let (file, receiver_count) = (self.file.clone(), self.receiver_count);
        let prepare = move || {
            let prepared = plan(Some(&file), |_| {}).map(|plan| {
                let scratch = |shard| plan.rules.scratch_of(share(shard, receiver_count));
                let scratches = (0..receiver_count).map(scratch).collect();
                Prepared { plan, scratches }
            });
            // Nobody waits for it any more where the process ends.
            let _ = out.send(prepared);
        };
        let thread = std::thread::Builder::new().name("reload".into()).spawn(prepare);
        let thread = thread.map_err(|why| format!("a reload needs a thread: {why}"))?;
        self.under_way = Some(UnderWay { thread, answer });
        Ok(())
    }

    /// What came of it, once. A reload that was asked for meanwhile starts then.
    pub fn answer(&mut self) -> Answer {
        let Some(under_way) = self.under_way.take_if(|under_way| under_way.thread.is_finished())
        else {
            return Answer::None;
        };
        let has_panicked = under_way.thread.join().is_err();
        let answer = match under_way.answer.try_recv() {
            Ok(Ok(prepared)) => Answer::Prepared(Box::new(prepared)),
            Ok(Err(sentences)) => Answer::Refused(sentences),
            Err(_) => {
                debug_assert!(has_panicked, "a reload ended without an answer");
                Answer::Refused(vec!["the reload has failed; see the line above".to_owned()])
            }
        };
        if std::mem::take(&mut self.is_asked_again)
            && let Err(why) = self.ask()
        {
            return Answer::Refused(vec![why]);
        }
        answer
    }
}

/// Receiver `shard`'s part of what is shared without a word.
pub fn share(shard: usize, receiver_count: usize) -> Share {
    Share { shard: shard as u64, shard_count: receiver_count.max(1) as u64 }
}
