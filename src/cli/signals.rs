//! The signals that end a server.

use std::process::exit;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from now on; the future it returns ends with the first Ctrl-C, `kill`, or closed terminal.
///
/// The second one ends the process at once, for whoever does not want to wait for open requests. The private PostgreSQL
/// ends with us then as well.
pub fn listen() -> Result<impl Future<Output = ()>> {
    let mut signals = Signals {
        interrupt: on(SignalKind::interrupt())?,
        terminate: on(SignalKind::terminate())?,
        hangup: on(SignalKind::hangup())?,
    };
    Ok(async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            exit(130); // as shells report an end by Ctrl-C
        });
    })
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

fn on(kind: SignalKind) -> Result<Signal> {
    signal(kind).context("cannot listen for signals")
}
