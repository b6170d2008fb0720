//! Programs that a test runs beside itself, and that end with the process of the tests, however that ends.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
};

use tokio::sync::oneshot;

/// Starts it.
pub async fn start(mut command: Command) -> io::Result<Child> {
    // SAFETY: the one call between fork and exec is async-signal-safe. A test process that is killed takes it along.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    // From a thread that lives as long as the process: the kernel means the thread that has started it.
    let (done, started) = oneshot::channel();
    starter().send((command, done)).expect("the starter lives");
    started.await.expect("the starter answers")
}

type Order = (Command, oneshot::Sender<io::Result<Child>>);

fn starter() -> &'static mpsc::Sender<Order> {
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    STARTER.get_or_init(|| {
        let (send, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, done) in orders {
                let _ = done.send(command.spawn());
            }
        });
        send
    })
}
