//! A thread with a queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::Waker;
use super::protocol::{Body, JobData, JobError, JobEvent, JobId, JobOutput, JobRequest};
use crate::progress::{CancelToken, Reporter, Stage};

/// What becomes of the others when a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Each has its turn.
    Queue,
    /// The latest replaces those that wait.
    Latest,
    /// The latest replaces those that wait and ends the one that runs.
    Interrupt,
}

/// Where events go.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: Sender<JobEvent>,
    waker: Waker,
}

impl Outbox {
    pub(super) fn new(sender: Sender<JobEvent>, waker: Waker) -> Self {
        Self { sender, waker }
    }

    fn send(&self, id: JobId, body: Body) {
        // Nobody listens any more when the program ends.
        if self.sender.send(JobEvent { id, at: Instant::now(), body }).is_ok() {
            (self.waker)();
        }
    }
}

/// The work of a lane: it may keep things from one request to the next.
pub(super) type Work = Box<dyn FnMut(JobRequest, &JobReporter) -> Result<JobOutput, JobError> + Send>;

#[derive(Default)]
struct State {
    waiting: VecDeque<(JobId, JobRequest)>,
    running: Option<CancelToken>,
    is_closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Lane {
    shared: Arc<Shared>,
    outbox: Outbox,
    policy: Policy,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    pub(super) fn start(name: &str, policy: Policy, outbox: Outbox, work: Work) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let thread = {
            let (shared, outbox) = (Arc::clone(&shared), outbox.clone());
            std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(&shared, &outbox, work))?
        };
        Ok(Self { shared, outbox, policy, thread: Some(thread) })
    }

    pub(super) fn submit(&self, id: JobId, request: JobRequest) {
        let mut dropped = Vec::new();
        {
            let mut state = self.shared.lock();
            if self.policy != Policy::Queue {
                dropped.extend(state.waiting.drain(..).map(|(id, _)| id));
            }
            if let (Policy::Interrupt, Some(token)) = (self.policy, &state.running) {
                token.cancel();
            }
            state.waiting.push_back((id, request));
        }
        self.shared.changed.notify_one();
        for id in dropped {
            self.outbox.send(id, Body::Finished(Err(JobError::Cancelled)));
        }
    }

    pub(super) fn cancel(&self) {
        let dropped: Vec<JobId> = {
            let mut state = self.shared.lock();
            if let Some(token) = &state.running {
                token.cancel();
            }
            state.waiting.drain(..).map(|(id, _)| id).collect()
        };
        for id in dropped {
            self.outbox.send(id, Body::Finished(Err(JobError::Cancelled)));
        }
    }

    /// Lets what waits finish, and the thread end.
    pub(super) fn close(mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker thread had panicked");
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Without `close` nobody waits: the thread ends by itself after what it is doing.
        let mut state = self.shared.lock();
        state.is_closed = true;
        if let Some(token) = &state.running
            && self.thread.is_some()
        {
            token.cancel();
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

fn serve(shared: &Shared, outbox: &Outbox, mut work: Work) {
    loop {
        let (id, request, token) = {
            let mut state = shared.lock();
            loop {
                if let Some((id, request)) = state.waiting.pop_front() {
                    let token = CancelToken::new();
                    state.running = Some(token.clone());
                    break (id, request, token);
                }
                if state.is_closed {
                    return;
                }
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        outbox.send(id, Body::Started);
        let reporter = JobReporter::new(id, outbox.clone(), token);
        let result = catch_unwind(AssertUnwindSafe(|| work(request, &reporter)));
        let result = result.unwrap_or_else(|panic| Err(JobError::from_panic(panic.as_ref())));
        reporter.flush();
        shared.lock().running = None;
        outbox.send(id, Body::Finished(result));
    }
}

/// Progress is passed on so often, at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(66);

/// Reports a job's progress as events.
pub(super) struct JobReporter {
    id: JobId,
    outbox: Outbox,
    token: CancelToken,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    sent: Option<(Instant, Stage)>,
    held: Option<(Stage, usize, usize)>,
}

impl JobReporter {
    fn new(id: JobId, outbox: Outbox, token: CancelToken) -> Self {
        Self { id, outbox, token, progress: Mutex::default() }
    }

    /// Hands over part of the result.
    pub(super) fn data(&self, data: JobData) {
        self.outbox.send(self.id, Body::Data(data));
    }

    fn flush(&self) {
        let held = self.progress.lock().unwrap_or_else(PoisonError::into_inner).held.take();
        if let Some((stage, n_done, n_total)) = held {
            self.outbox.send(self.id, Body::Progress { stage, n_done, n_total });
        }
    }
}

impl Reporter for JobReporter {
    fn progress(&self, stage: Stage, n_done: usize, n_total: usize) {
        {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            let is_soon = progress.sent.is_some_and(|(at, last)| last == stage && at.elapsed() < PROGRESS_INTERVAL);
            if is_soon && n_done != n_total {
                progress.held = Some((stage, n_done, n_total));
                return;
            }
            progress.held = None;
            progress.sent = Some((Instant::now(), stage));
        }
        self.outbox.send(self.id, Body::Progress { stage, n_done, n_total });
    }

    fn warn(&self, message: &str) {
        self.outbox.send(self.id, Body::Warning(message.to_owned()));
    }

    fn cancel_token(&self) -> &CancelToken {
        &self.token
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::jobs::protocol::{FilesRequest, JobRequest};
    use crossbeam_channel::{Receiver, unbounded};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn request() -> JobRequest {
        JobRequest::Files(FilesRequest::ListModels)
    }

    fn outbox() -> (Outbox, Receiver<JobEvent>) {
        let (sender, receiver) = unbounded();
        (Outbox::new(sender, Arc::new(|| {})), receiver)
    }

    /// The identifiers of the next `n` jobs to finish, with whether they did well.
    fn finished(events: &Receiver<JobEvent>, n: usize) -> Vec<(u64, bool)> {
        let mut found = Vec::new();
        while found.len() < n {
            let event = events.recv_timeout(PATIENCE).unwrap();
            if let Body::Finished(result) = event.body {
                found.push((event.id.0, result.is_ok()));
            }
        }
        found
    }

    #[test]
    fn a_job_that_panics_finishes_and_the_lane_goes_on() {
        let (outbox, events) = outbox();
        let mut n = 0;
        let work: Work = Box::new(move |_, _| {
            n += 1;
            assert!(n != 1, "the first one");
            Ok(JobOutput::Done)
        });
        let lane = Lane::start("test", Policy::Queue, outbox, work).unwrap();
        lane.submit(JobId(1), request());
        lane.submit(JobId(2), request());
        assert_eq!(finished(&events, 2), [(1, false), (2, true)]);
        lane.close();
    }

    #[test]
    fn the_latest_wins_and_every_job_finishes_once() {
        for (policy, first_is_ended) in [(Policy::Latest, false), (Policy::Interrupt, true)] {
            let (outbox, events) = outbox();
            let (go, gate) = unbounded::<()>();
            let work: Work = Box::new(move |_, reporter| {
                // Runs until it is let go or ended.
                while gate.recv_timeout(Duration::from_millis(1)).is_err() {
                    if reporter.cancelled() {
                        return Err(JobError::Cancelled);
                    }
                }
                Ok(JobOutput::Done)
            });
            let lane = Lane::start("test", policy, outbox, work).unwrap();
            lane.submit(JobId(1), request());
            while !matches!(events.recv_timeout(PATIENCE).unwrap().body, Body::Started) {}
            for id in 2..5 {
                lane.submit(JobId(id), request());
            }
            // Nothing is let go before what was interrupted has ended.
            let mut all = if first_is_ended { finished(&events, 3) } else { Vec::new() };
            go.send(()).unwrap();
            go.send(()).unwrap();
            all.extend(finished(&events, 4 - all.len()));
            all.sort_unstable();
            assert_eq!(all[1..], [(2, false), (3, false), (4, true)]);
            assert_eq!(all[0], (1, !first_is_ended), "{policy:?}");
            lane.close();
            assert!(events.try_iter().all(|e| !matches!(e.body, Body::Finished(_))));
        }
    }

    #[test]
    fn cancelling_ends_what_runs_and_what_waits() {
        let (outbox, events) = outbox();
        let work: Work = Box::new(|_, reporter| {
            while !reporter.cancelled() {
                std::thread::yield_now();
            }
            Err(JobError::Cancelled)
        });
        let lane = Lane::start("test", Policy::Queue, outbox, work).unwrap();
        lane.submit(JobId(1), request());
        while !matches!(events.recv_timeout(PATIENCE).unwrap().body, Body::Started) {}
        lane.submit(JobId(2), request());
        lane.cancel();
        let mut all = finished(&events, 2);
        all.sort_unstable();
        assert_eq!(all, [(1, false), (2, false)]);
        lane.close();
    }

    #[test]
    fn progress_is_thinned_out_but_its_end_arrives() {
        let (outbox, events) = outbox();
        let work: Work = Box::new(|_, reporter| {
            for i in 0..=10_000 {
                reporter.progress(Stage::Embed, i, 10_000);
            }
            for i in 0..500 {
                reporter.progress(Stage::Scan, i, 0);
            }
            Ok(JobOutput::Done)
        });
        let lane = Lane::start("test", Policy::Queue, outbox, work).unwrap();
        lane.submit(JobId(1), request());
        let mut seen = Vec::new();
        loop {
            match events.recv_timeout(PATIENCE).unwrap().body {
                Body::Progress { stage, n_done, .. } => seen.push((stage, n_done)),
                Body::Finished(_) => break,
                _ => {}
            }
        }
        assert!(seen.len() < 100, "{} events", seen.len());
        assert!(seen.contains(&(Stage::Embed, 10_000)));
        assert_eq!(seen.last(), Some(&(Stage::Scan, 499)));
        lane.close();
    }
}
