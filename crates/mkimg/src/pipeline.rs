//! Work that is done by many threads and comes back in order, with a bounded number of results that wait.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::{panic, thread};

/// What the threads share.
struct Shared<J, T, E> {
    jobs: J,
    /// Results from the oldest that is wanted, each when it is there.
    window: VecDeque<Option<Result<T, E>>>,
    /// The number of the job at the front of the window.
    first: usize,
    is_exhausted: bool,
    /// Nobody wants more results.
    is_over: bool,
}

struct Pipeline<J, T, E> {
    shared: Mutex<Shared<J, T, E>>,
    /// There is room for another job, or all is over.
    room: Condvar,
    /// The oldest result is there, or none will come.
    ready: Condvar,
    limit: usize,
}

/// Gives each of `jobs` to one of `n_threads` workers that `start` makes, and their results to `done` in the order of
/// the jobs. No more than `limit` jobs are taken whose results are not used. The first error ends it all.
pub(crate) fn in_order<J, T, E, W>(
    jobs: J,
    n_threads: usize,
    limit: usize,
    start: impl Fn() -> Result<W, E> + Sync,
    mut done: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    J: Iterator + Send,
    J::Item: Send,
    T: Send,
    E: Send,
    W: FnMut(J::Item) -> Result<T, E>,
{
    let shared = Shared { jobs, window: VecDeque::new(), first: 0, is_exhausted: false, is_over: false };
    let pipeline =
        Pipeline { shared: Mutex::new(shared), room: Condvar::new(), ready: Condvar::new(), limit };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(|| pipeline.work(&start))).collect();
        let result = loop {
            match pipeline.next() {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(value)) => {
                    if let Err(error) = done(value) {
                        break Err(error);
                    }
                }
            }
        };
        pipeline.end();
        for worker in workers {
            if let Err(cause) = worker.join() {
                panic::resume_unwind(cause);
            }
        }
        result
    })
}

/// Ends the pipeline when a worker panics, so that nobody waits for its result.
struct Guard<'a, J, T, E>(&'a Pipeline<J, T, E>);

impl<J, T, E> Drop for Guard<'_, J, T, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

impl<J, T, E> Pipeline<J, T, E> {
    fn lock(&self) -> MutexGuard<'_, Shared<J, T, E>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// Waits for the oldest result. There is none when all were given out, or all is over.
    fn next(&self) -> Option<Result<T, E>> {
        let mut shared = self.lock();
        loop {
            if let Some(Some(_)) = shared.window.front() {
                shared.first += 1;
                let result = shared.window.pop_front().flatten();
                drop(shared);
                self.room.notify_one();
                return result;
            }
            if shared.is_over || shared.is_exhausted && shared.window.is_empty() {
                return None;
            }
            shared = self.ready.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<J: Iterator, T, E> Pipeline<J, T, E> {
    fn work<W: FnMut(J::Item) -> Result<T, E>>(&self, start: &impl Fn() -> Result<W, E>) {
        let _guard = Guard(self);
        let mut work = match start() {
            Ok(work) => work,
            Err(error) => {
                // It takes one job, to say so in its place.
                if let Some((number, _)) = self.take() {
                    self.put(number, Err(error));
                }
                return;
            }
        };
        while let Some((number, job)) = self.take() {
            self.put(number, work(job));
        }
    }

    fn take(&self) -> Option<(usize, J::Item)> {
        let mut shared = self.lock();
        while !shared.is_over && !shared.is_exhausted {
            if shared.window.len() >= self.limit {
                shared = self.room.wait(shared).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if let Some(job) = shared.jobs.next() {
                let number = shared.first + shared.window.len();
                shared.window.push_back(None);
                return Some((number, job));
            }
            shared.is_exhausted = true;
            drop(shared);
            self.room.notify_all();
            self.ready.notify_all();
            return None;
        }
        None
    }

    fn put(&self, number: usize, result: Result<T, E>) {
        let mut shared = self.lock();
        let place = number - shared.first;
        shared.window[place] = Some(result);
        drop(shared);
        if place == 0 {
            self.ready.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for n_threads in [1, 2, 7] {
            let mut found = Vec::new();
            // Later jobs are shorter, so they are done first.
            let start = || {
                Ok(|job: u64| {
                    (0..(500 - job) * 100).fold(0, |sum: u64, number| sum ^ number);
                    Ok::<u64, ()>(job)
                })
            };
            let done = |job| {
                found.push(job);
                Ok(())
            };
            in_order(0..500, n_threads, 10, start, done).unwrap();
            assert_eq!(found, (0..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        let start = || Ok(|job: u32| if job % 10 == 9 { Err(job) } else { Ok(job) });
        let mut last = 0;
        let done = |job| {
            last = job;
            Ok(())
        };
        assert_eq!(in_order(0..1000, 4, 50, start, done), Err(9));
        assert_eq!(last, 8);
        let refused =
            in_order(0..1000, 4, 50, || Ok(Ok::<u32, u32>), |job| if job == 5 { Err(77) } else { Ok(()) });
        assert_eq!(refused, Err(77));
    }

    #[test]
    fn a_worker_that_cannot_start_says_why() {
        let start = || Err::<fn(u32) -> Result<u32, &'static str>, _>("no memory");
        assert_eq!(in_order(0..10, 2, 4, start, |_| Ok(())), Err("no memory"));
        assert_eq!(in_order(0..0, 2, 4, start, |_| Ok(())), Ok(()));
    }

    #[test]
    #[should_panic(expected = "as told")]
    fn a_panic_of_a_worker_is_a_panic_of_the_caller() {
        let start = || Ok::<_, ()>(|job: u32| if job == 3 { panic!("as told") } else { Ok(job) });
        let _ = in_order(0..10, 2, 4, start, |_| Ok(()));
    }
}
