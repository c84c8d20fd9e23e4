//! The life of one process of a node: its tasks run while it is up, stand still while it is paused
//! (SIGSTOP), and are dropped where they stand when it is killed (SIGKILL).

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use haulage::run::tasks::{Leave, Warden};

#[derive(Debug, Default)]
pub struct Life {
    state: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    paused: bool,
    killed: bool,
    /// Every task that asked, in the order of asking, each once.
    waiting: BTreeMap<u64, Waker>,
    /// The tasks in `waiting`. Their addresses differ from run to run, so nothing goes by their
    /// order.
    known: HashSet<usize>,
    next: u64,
}

impl Inner {
    fn everybody(&mut self) -> BTreeMap<u64, Waker> {
        self.known.clear();
        std::mem::take(&mut self.waiting)
    }
}

impl Life {
    pub fn pause(&self) {
        self.lock().paused = true;
    }

    pub fn resume(&self) {
        let waiting = {
            let mut inner = self.lock();
            inner.paused = false;
            inner.everybody()
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Ends all tasks at the awaits they have come to; `false` when that has happened before.
    pub fn kill(&self) -> bool {
        let waiting = {
            let mut inner = self.lock();
            if inner.killed {
                return false;
            }
            inner.killed = true;
            inner.everybody()
        };
        waiting.into_values().for_each(Waker::wake);
        true
    }

    pub fn is_killed(&self) -> bool {
        self.lock().killed
    }

    pub fn is_paused(&self) -> bool {
        self.lock().paused
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warden for Life {
    fn leave(&self, cx: &mut Context<'_>) -> Leave {
        let mut inner = self.lock();
        if inner.killed {
            return Leave::End;
        }
        // A waker that is kept keeps its task's place in memory: no two tasks have one address.
        if inner.known.insert(cx.waker().data().addr()) {
            let number = inner.next;
            inner.next += 1;
            inner.waiting.insert(number, cx.waker().clone());
        }
        if inner.paused { Leave::Wait } else { Leave::Go }
    }
}
