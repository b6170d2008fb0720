//! Threads that serve connections: one runtime on each, so that a request never moves between threads.
//!
//! On one thread, what a request sends to PostgreSQL leaves in one piece, and nobody is woken across threads. A connection
//! goes to the thread that has the fewest (`docs/adr/0019-a-runtime-for-each-core.md`).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// The threads; they end when this is dropped.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Dropped, it tells the thread to end.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A connection's place on a thread; given back when it is dropped.
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Workers {
    /// So many threads. Each calls `begin` with its number, from 0, before it serves.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(count: usize, begin: impl Fn(usize) + Clone + Send + 'static) -> io::Result<Self> {
        let start = |number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, begin) = (runtime.handle().clone(), begin.clone());
            let (stop, stopped) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                begin(number);
                let _ = runtime.block_on(stopped);
            })?;
            Ok(Worker { runtime: handle, connections: Arc::default(), stop: Some(stop), thread: Some(thread) })
        };
        (0..count).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// A place on the thread that has the fewest connections; `None` without threads.
    pub(super) fn seat(&self) -> Option<(Handle, Seat)> {
        let worker = self.0.iter().min_by_key(|worker| worker.connections.load(Relaxed))?;
        worker.connections.fetch_add(1, Relaxed);
        Some((worker.runtime.clone(), Seat(Arc::clone(&worker.connections))))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            drop(worker.stop.take());
        }
        for worker in &mut self.0 {
            if let Some(thread) = worker.thread.take() {
                // A worker has nothing to wait for any more: its connections were closed or cut off.
                let _ = thread.join();
            }
        }
    }
}
