//! A value that several threads use one after the other, in a fixed order.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A `T` for the thread whose turn it is. Turns are numbered from 0, and each must be taken.
#[derive(Debug)]
pub(super) struct Turns<T> {
    state: Mutex<State<T>>,
    is_next: Condvar,
}

#[derive(Debug)]
struct State<T> {
    next: usize,
    held: T,
}

/// The turn of one thread.
pub(super) struct Turn<'a, T>(MutexGuard<'a, State<T>>);

impl<T> Turns<T> {
    pub(super) fn new(held: T) -> Self {
        Self { state: Mutex::new(State { next: 0, held }), is_next: Condvar::new() }
    }

    /// Waits for a turn. `None` if it never comes because a thread has panicked.
    pub(super) fn wait(&self, number: usize) -> Option<Turn<'_, T>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.is_next.wait_while(state, |state| state.next < number);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        (state.next == number).then_some(Turn(state))
    }

    /// Ends a turn and wakes the thread that waits for the next.
    pub(super) fn end(&self, turn: Turn<'_, T>) {
        let Turn(mut state) = turn;
        state.next += 1;
        drop(state);
        self.is_next.notify_all();
    }

    /// A guard for a thread that takes turns: if the thread panics, no other waits for its turns.
    pub(super) fn guard(&self) -> Guard<'_, T> {
        Guard(self)
    }

    pub(super) fn into_inner(self) -> T {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).held
    }
}

impl<T> Turn<'_, T> {
    pub(super) fn held(&mut self) -> &mut T {
        &mut self.0.held
    }
}

pub(super) struct Guard<'a, T>(&'a Turns<T>);

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.state.lock().unwrap_or_else(PoisonError::into_inner).next = usize::MAX;
            self.0.is_next.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_their_order_on_whichever_thread() {
        let turns = Turns::new(Vec::new());
        thread::scope(|scope| {
            for first in [2, 0, 1] {
                let turns = &turns;
                scope.spawn(move || {
                    for number in (first..30).step_by(3) {
                        let mut turn = turns.wait(number).expect("no thread panics");
                        turn.held().push(number);
                        turns.end(turn);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn no_thread_waits_for_one_that_has_panicked() {
        let turns = Turns::new(());
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                let _guard = turns.guard();
                panic!("this is part of the test");
            });
            assert!(turns.wait(1).is_none());
            assert!(first.join().is_err());
        });
    }
}
