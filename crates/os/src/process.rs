//! What this process uses, and what another one has used.

use std::{fs, io, mem::MaybeUninit, os::unix::process::CommandExt, process::Command, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Processor time and memory of the process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds in user mode.
    pub user: f64,
    /// Seconds in the kernel.
    pub system: f64,
    /// Resident bytes, page cache of mapped files included.
    pub resident: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

/// Processor time of a process, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl CpuTime {
    /// Both together.
    pub fn total(&self) -> Duration {
        self.user + self.system
    }

    /// What was used since `earlier`.
    pub fn since(&self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// From `/proc/self` and `getrusage`; zeros where that is not there.
pub fn usage() -> Usage {
    let cpu = own_cpu_time();
    Usage {
        user: cpu.user.as_secs_f64(),
        system: cpu.system.as_secs_f64(),
        resident: fs::read_to_string("/proc/self/statm").ok().and_then(|text| resident_pages(&text)).unwrap_or(0)
            * page_size(),
        // The directory being read is itself one that is open.
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1)),
    }
}

/// Of this process, to the microsecond (`getrusage`).
pub fn own_cpu_time() -> CpuTime {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a writable `rusage`, which the call fills. rustix does not offer the call.
    let answer = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    if answer != 0 {
        return CpuTime::default();
    }
    // SAFETY: all zeros is a valid `rusage`, and the call succeeded.
    let usage = unsafe { usage.assume_init() };
    CpuTime { user: duration(usage.ru_utime), system: duration(usage.ru_stime) }
}

/// Of any process by its id, to the clock tick (10 ms): `/proc/PID/stat`.
pub fn cpu_time_of(pid: u32) -> io::Result<CpuTime> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    stat_ticks(&text).map(|(user, system)| CpuTime { user: ticks(user), system: ticks(system) }).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as proc(5) describes it"))
    })
}

/// Raises the soft limit of open files to the hard limit; answers the limit in force.
pub fn raise_open_files() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: now.maximum, maximum: now.maximum };
    let in_force = if setrlimit(Resource::Nofile, wanted).is_ok() { wanted.current } else { now.current };
    in_force.unwrap_or(u64::MAX)
}

/// Asks that the calling thread run in slices of about `slice` (0.1 to 100 ms). Of the threads of a processor, the one with the shorter
/// slices runs the sooner when it wakes; the shares stay what they are. Linux 6.12; before, nothing changes.
pub fn set_slice(slice: Duration) -> io::Result<()> {
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    let mut attributes = MaybeUninit::<libc::sched_attr>::zeroed();
    // SAFETY: 0 is the calling thread, and the call writes at most the size given. Neither libc nor rustix has a function for it.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), size, 0) };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros is a valid `sched_attr`, and the call succeeded.
    let mut attributes = unsafe { attributes.assume_init() };
    attributes.sched_runtime = slice.as_nanos() as u64;
    // SAFETY: the structure is valid, tells its own size, and is only read.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ties the calling thread to one processor.
pub fn pin_thread(cpu: usize) -> io::Result<()> {
    pin_thread_to(&[cpu])
}

/// Ties the calling thread to some processors; the threads and programs that it starts later inherit that.
pub fn pin_thread_to(cpus: &[usize]) -> io::Result<()> {
    if let Some(cpu) = cpus.iter().find(|cpu| **cpu >= libc::CPU_SETSIZE as usize) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no processor {cpu}")));
    }
    // SAFETY: all zeros is the empty set, and every number was just checked to be within it.
    let set = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        cpus.iter().for_each(|cpu| libc::CPU_SET(*cpu, &mut set));
        set
    };
    // SAFETY: the set is valid for the size given; 0 is the calling thread. rustix has this call only behind a feature
    // that nothing else needs.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The processors that the calling thread may run on.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: all zeros is the empty set, and the call writes at most the size given. rustix: as above.
    let (answer, set) = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        (libc::sched_getaffinity(0, size_of_val(&set), &mut set), set)
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the numbers are within the set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

/// Has the kernel send SIGTERM to the program of `command` when the *thread* that starts it ends, however it ends. For programs that
/// must not outlive this one.
pub fn end_with_thread(command: &mut Command) -> &mut Command {
    let ask = || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?);
    // SAFETY: between fork and exec only one system call is made, which neither allocates nor locks.
    unsafe { command.pre_exec(ask) }
}

/// Sends a signal to all processes of a group, by the id of the one that it was made for. That none is left is no error.
pub fn signal_group(leader: u32, signal: Signal) -> io::Result<()> {
    let group = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
    let Some(group) = group.filter(|group| group.as_raw_nonzero().get() > 1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{leader} is no group of processes")));
    };
    let signal = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    match rustix::process::kill_process_group(group, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How processes are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// They may put things in order.
    Terminate,
    /// At once.
    Kill,
}

/// The second number of `statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// `utime` and `stime`, fields 14 and 15 of `stat`. The second field is the program's name in parentheses and may hold
/// spaces and parentheses itself, so counting starts after the last one.
fn stat_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Clock ticks as a time.
fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / setting(libc::_SC_CLK_TCK).max(1) as f64)
}

/// As `getrusage` writes times.
fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// Bytes per page of memory.
pub(crate) fn page_size() -> u64 {
    setting(libc::_SC_PAGESIZE).max(1)
}

/// One number of the system, 0 if it does not know.
fn setting(name: libc::c_int) -> u64 {
    // SAFETY: takes and answers plain numbers.
    u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_can_be_set_and_leave_the_rest_alone() {
        let nice = || rustix::process::getpriority_process(None).expect("our own");
        let before = nice();
        for slice in [Duration::from_micros(100), Duration::from_millis(100)] {
            set_slice(slice).expect("anybody may");
        }
        assert_eq!(nice(), before);
    }

    #[test]
    fn a_group_is_ended_with_all_that_it_has_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).process_group(0).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        signal_group(child.id(), Signal::Kill).unwrap();
        assert!(!child.wait().unwrap().success());
        let stat = || fs::read_to_string(format!("/proc/{}/stat", line.trim())).unwrap_or_default();
        // Its new parent may not have taken note of its end yet.
        while !stat().is_empty() && !stat().contains(") Z ") {
            std::thread::yield_now();
        }
        signal_group(child.id(), Signal::Terminate).unwrap();
        assert!(signal_group(0, Signal::Kill).is_err() && signal_group(1, Signal::Kill).is_err());
    }

    #[test]
    fn names_with_spaces_and_parentheses_do_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 700 300 0 0 20 0 1 0 5 6 7";
        assert_eq!(stat_ticks(stat), Some((700, 300)));
        assert_eq!(stat_ticks("42 (a) S 1"), None);
        assert_eq!(stat_ticks(""), None);
    }

    #[test]
    fn resident_is_the_second_number() {
        assert_eq!(resident_pages("100 25 3 1 0 9 0"), Some(25));
        assert_eq!(resident_pages("100"), None);
    }

    #[test]
    fn usage_of_a_running_process_is_not_zero() {
        let file = tempfile::tempfile().unwrap();
        let used = usage();
        assert!(used.resident > 0 && used.open_files >= 4, "{used:?}");
        drop(file);
    }

    #[test]
    fn own_times_agree_with_those_by_id() {
        while own_cpu_time().total() < Duration::from_millis(30) {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        let by_id = cpu_time_of(std::process::id()).unwrap().total();
        let own = own_cpu_time().total();
        assert!(by_id <= own + Duration::from_millis(20) && by_id > Duration::ZERO, "{by_id:?} {own:?}");
        assert!(cpu_time_of(0).is_err());
    }

    #[test]
    fn the_limit_of_open_files_is_the_hard_one() {
        let limit = raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), limit);
        assert_eq!(raise_open_files(), limit);
    }

    #[test]
    fn pinning_to_a_processor_that_is_not_there_is_an_error() {
        std::thread::spawn(|| {
            assert!(pin_thread(usize::MAX).is_err());
            assert!(pin_thread(1000).is_err());
            assert!(pin_thread_to(&[]).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_pinned_thread_may_run_only_there() {
        std::thread::spawn(|| {
            let first = allowed_cpus().unwrap()[0];
            pin_thread_to(&[first]).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [first]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_program_ends_with_the_thread_that_started_it() {
        let mut child =
            std::thread::spawn(|| end_with_thread(Command::new("sleep").arg("600")).spawn().unwrap()).join().unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
