//! Threads that give way: to whoever reads or writes the disk, and to whoever computes.

use std::io;

/// `IOPRIO_WHO_PROCESS` with the id 0: the calling thread (linux/ioprio.h).
const OF_THIS_THREAD: (libc::c_int, libc::c_int) = (1, 0);
/// `IOPRIO_CLASS_IDLE`, in its place: the disk serves such a thread when nobody else has asked for a while.
const IDLE: libc::c_int = 3 << 13;
/// The least share of the processor that an ordinary thread can ask for.
const LEAST_SHARE: i32 = 19;

/// The calling thread gives way from now on. The schedulers of some disks know no classes: then only the share of the processor is
/// small. Such a thread must hold no lock that others wait for: it may be kept from going on for long.
pub fn give_way() -> io::Result<()> {
    // On Linux this is about the calling thread, whatever POSIX says.
    rustix::process::setpriority_process(None, LEAST_SHARE)?;
    let (which, who) = OF_THIS_THREAD;
    // SAFETY: plain numbers. Neither libc nor rustix has a function for it.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, which, who, IDLE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class() -> libc::c_long {
        let (which, who) = OF_THIS_THREAD;
        // SAFETY: plain numbers.
        unsafe { libc::syscall(libc::SYS_ioprio_get, which, who) }
    }

    #[test]
    fn one_thread_gives_way_and_the_others_do_not() {
        let nice = || rustix::process::getpriority_process(None).expect("our own");
        let before = (nice(), class());
        let given = std::thread::spawn(move || {
            give_way().expect("anybody may");
            (nice(), class())
        });
        assert_eq!(given.join().unwrap(), (LEAST_SHARE, libc::c_long::from(IDLE)));
        assert_eq!((nice(), class()), before);
    }
}
