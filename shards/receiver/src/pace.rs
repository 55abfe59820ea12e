//! Handshakes one after the other, so that a flood of them leaves the shard to its data.
//!
//! A step of a handshake costs up to a millisecond (an RSA signature), a thousand times a message.
//! So each step waits for its turn; between two of them every other task that is ready runs once;
//! and while data comes in, steps take at most a quarter of the time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::yield_now;
use glommio::timer::Timer;

use crate::signal::Signal;

/// While data comes in: how many times the time of a step the shard is left alone after it.
const REST_PER_STEP: u32 = 3;

/// The turns of one shard's handshakes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Handshakes that something has woken, in that order; each stands here once at most.
    waiting: RefCell<VecDeque<Rc<Turn>>>,
    /// There is one.
    has_waiting: Signal,
    /// What the steps since the last look have cost.
    spent: Cell<Duration>,
}

#[derive(Debug, Default)]
struct Turn {
    waker: RefCell<Option<Waker>>,
    is_waiting: Cell<bool>,
    is_granted: Cell<bool>,
}

impl Pace {
    /// Runs `steps` to its end, each step in its turn.
    pub(crate) async fn run<T>(&self, steps: impl Future<Output = T>) -> T {
        let turn = Rc::new(Turn::default());
        let mut steps = pin!(steps);
        poll_fn(|context| {
            if !turn.is_granted.replace(false) {
                *turn.waker.borrow_mut() = Some(context.waker().clone());
                if !turn.is_waiting.replace(true) {
                    self.waiting.borrow_mut().push_back(turn.clone());
                    self.has_waiting.set();
                }
                return Poll::Pending;
            }
            let began = Instant::now();
            let polled = steps.as_mut().poll(context);
            self.spent.set(self.spent.get() + began.elapsed());
            polled
        })
        .await
    }

    /// Gives the turns, for as long as it is polled. `taken` tells how much data has come in.
    pub(crate) async fn give_turns(&self, taken: impl Fn() -> u64) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            let Some(turn) = next else {
                self.has_waiting.wait().await;
                continue;
            };
            let taken_before = taken();
            turn.is_waiting.set(false);
            turn.is_granted.set(true);
            // One that has ended meanwhile is woken for nothing.
            if let Some(waker) = turn.waker.borrow_mut().take() {
                waker.wake();
            }
            yield_now().await;
            let spent = self.spent.take();
            if taken() != taken_before && !spent.is_zero() {
                Timer::new(spent * REST_PER_STEP).await;
            }
        }
    }
}
