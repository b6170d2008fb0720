//! The server process: started, watched, stopped, and bound to our own life.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{EmbeddedError, Programs, SUPERUSER, place::Place};

/// How often a state is looked at while waiting for it.
const GLANCE: Duration = Duration::from_millis(10);

/// How long a start may take; replaying the log after a power cut takes the longest.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// The signals that end a server, from the polite to the last, and how long each may take. SIGINT ends sessions and
/// writes a checkpoint; SIGQUIT stops at once and leaves the rest to the next start (PostgreSQL manual, 19.5).
const WAYS_TO_STOP: [(i32, Duration); 3] = [
    (libc::SIGINT, Duration::from_secs(20)),
    (libc::SIGQUIT, Duration::from_secs(5)),
    (libc::SIGKILL, Duration::from_secs(5)),
];

/// A server process and the thread that keeps it.
#[derive(Debug)]
pub(super) struct Server {
    pid: u32,
    state: Arc<State>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// How the process ended, once it has. The lock is held while a signal is sent, and while the keeper takes the dead
/// process away: a process id is never signalled after the kernel may have given it to somebody else.
#[derive(Debug, Default)]
struct State {
    ended: Mutex<Option<String>>,
    changed: Condvar,
}

impl State {
    fn ended(&self) -> MutexGuard<'_, Option<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Creates the data if there is none, starts the server and waits until it takes connections.
    pub(super) fn start(
        programs: Programs,
        place: &Place,
        durable: bool,
        has_data: bool,
    ) -> Result<Self, EmbeddedError> {
        if has_data {
            stop_leftover(&place.data)?;
            // Names the process of the last server; it is gone, but its number may live on in another process.
            place.remove_socket()?;
        } else {
            create_data(&programs, place, durable)?;
        }
        let began = Instant::now();
        loop {
            let server = Self::launch(&programs, place, durable)?;
            match server.wait_until_ready(place) {
                Ok(()) => return Ok(server),
                // The sessions of a server that was killed with SIGKILL notice it a moment later.
                Err(EmbeddedError::DidNotStart { tail, .. })
                    if tail.contains("is still in use") && began.elapsed() < Duration::from_secs(10) =>
                {
                    thread::sleep(20 * GLANCE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn launch(programs: &Programs, place: &Place, durable: bool) -> Result<Self, EmbeddedError> {
        let log = File::create(&place.log).map_err(EmbeddedError::io("cannot create", &place.log))?;
        let copy = log.try_clone().map_err(EmbeddedError::io("cannot open", &place.log))?;
        let program = programs.folder.join("postgres");
        let mut command = place.command(program.clone());
        command.arg("-D").arg(&place.data).arg("-k").arg(&place.socket).args(["-p", "5432"]);
        let mut settings = vec!["listen_addresses=", "unix_socket_permissions=0700", "cluster_name=tenantry"];
        if !durable {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        // A group of its own: Ctrl-C in the terminal reaches us alone, and we stop the database after the last request.
        command.stdout(log).stderr(copy).process_group(0);
        end_with_us(&mut command, libc::SIGINT);

        let state = Arc::new(State::default());
        let (tell, told) = mpsc::channel();
        let keeper = thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn({
                let state = state.clone();
                move || keep(command, &tell, &state)
            })
            .map_err(EmbeddedError::io("cannot start a thread for", &program))?;
        let spawned = told.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it ended")));
        let pid = spawned.map_err(EmbeddedError::io("cannot run", &program))?;
        Ok(Self { pid, state, keeper: Mutex::new(Some(keeper)) })
    }

    /// Waits as `pg_ctl` does: the server writes `ready` into line 8 of its `postmaster.pid`.
    fn wait_until_ready(&self, place: &Place) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_PATIENCE;
        let did_not_start = |what: String| {
            let tail = last_lines(&fs::read(&place.log).unwrap_or_default(), 5);
            EmbeddedError::DidNotStart { what, log: place.log.clone(), tail }
        };
        while Instant::now() < deadline {
            if let Some(end) = self.state.ended().as_deref() {
                return Err(did_not_start(format!("the server ended at once ({end})")));
            }
            let text = fs::read_to_string(place.data.join("postmaster.pid")).unwrap_or_default();
            let mut lines = text.lines();
            if lines.next() == Some(&self.pid.to_string()) && lines.nth(6).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
        Err(did_not_start(format!("it was not ready after {} s", START_PATIENCE.as_secs())))
    }

    pub(super) fn process_id(&self) -> u32 {
        self.pid
    }

    pub(super) fn is_running(&self) -> bool {
        self.state.ended().is_none()
    }

    pub(super) fn wait_for_end(&self) {
        let ended = self.state.changed.wait_while(self.state.ended(), |ended| ended.is_none());
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn stop(&self) {
        for (signal, patience) in WAYS_TO_STOP {
            let ended = self.state.ended();
            if ended.is_some() {
                break;
            }
            send(self.pid, signal);
            let waited = self.state.changed.wait_timeout_while(ended, patience, |ended| ended.is_none());
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        if let Some(keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = keeper.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The keeper's work. The kernel's "parent died" means the thread that spawned the process, so this thread stays for as
/// long as the process does; a thread of a blocking pool would end some seconds later and take the server with it.
fn keep(mut command: Command, tell: &mpsc::Sender<io::Result<u32>>, state: &State) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = tell.send(Err(error));
            return;
        }
    };
    let _ = tell.send(Ok(child.id()));
    wait_for_end(&child);
    let mut ended = state.ended();
    *ended = Some(child.wait().map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string()));
    state.changed.notify_all();
}

/// Waits for the end of the process but leaves the dead process in the table, so that its id stays taken.
fn wait_for_end(child: &Child) {
    loop {
        // SAFETY: siginfo_t is plain data that waitid fills in; the child is ours and not yet waited for.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, child.id(), &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Has the kernel send this signal to the process when the thread that spawns it ends, in whatever way.
fn end_with_us(command: &mut Command, signal: i32) {
    let us = std::process::id();
    // SAFETY: between fork and exec, only the system calls prctl and getppid are made; no memory is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
                return Err(io::Error::last_os_error());
            }
            // We may have died before the request was in place; then the process has another parent already.
            if u32::try_from(libc::getppid()) == Ok(us) {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            }
        });
    }
}

fn create_data(programs: &Programs, place: &Place, durable: bool) -> Result<(), EmbeddedError> {
    let folder = place.fresh_data_folder()?;
    let program = programs.folder.join("initdb");
    let mut command = place.command(program.clone());
    command.arg("-D").arg(&folder).args(["-U", SUPERUSER, "--auth-local=trust", "--auth-host=reject"]);
    command.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
    if !durable {
        command.arg("--no-sync");
    }
    // This thread waits for the output, so it lives as long as the process.
    end_with_us(&mut command, libc::SIGTERM);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(EmbeddedError::io("cannot run", program))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(EmbeddedError::Initdb { folder, output: last_lines(&said, 5), status: output.status.to_string() });
    }
    fs::rename(&folder, &place.data).map_err(EmbeddedError::io("cannot rename", folder))
}

/// Stops a server that outlived the `tenantry` that started it; whoever calls this holds the lock of the folder.
///
/// A `postmaster.pid` that names a living process which is no server of this folder (its number was given away anew)
/// would make PostgreSQL refuse to start. It ignores its parent's number there, so we write ours; the other lines stay,
/// because PostgreSQL finds sessions of a killed server by them.
pub(super) fn stop_leftover(data: &Path) -> Result<(), EmbeddedError> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(pid) = first.trim().parse::<u32>() else { return Ok(()) };
    for (signal, patience) in WAYS_TO_STOP {
        let deadline = Instant::now() + patience;
        if serves(pid, data) {
            send(pid, signal);
        }
        while serves(pid, data) && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
    }
    if path.exists() && Path::new("/proc").join(pid.to_string()).exists() {
        File::options()
            .write(true)
            .truncate(true)
            .open(&path)
            .and_then(|mut file| write!(file, "{}\n{rest}", std::process::id()))
            .map_err(EmbeddedError::io("cannot correct", path))?;
    }
    Ok(())
}

/// Whether the process is a server of this folder: PostgreSQL works inside its data folder.
fn serves(pid: u32, data: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == data)
}

fn send(pid: u32, signal: i32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: kill has no memory effects; that the number is still the server's is the callers' business (see State).
    unsafe { libc::kill(pid, signal) };
}

fn last_lines(text: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
