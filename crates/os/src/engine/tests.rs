//! Everything is asked of both backends.

use std::{
    io::Read,
    os::{fd::AsFd, unix::fs::FileExt},
    pin::pin,
    task::{Context, Poll, Waker},
};

use rustix::fs::{Advice, fadvise};

use super::*;
use crate::residency::is_resident;

fn engines() -> [Engine; 2] {
    // On a machine that forbids io_uring this fails, as it should: that half would be untested.
    [Engine::start(Choice::Uring).unwrap(), Engine::start(Choice::Threads).unwrap()]
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn file() -> Arc<File> {
    Arc::new(tempfile::tempfile_in("/var/tmp").unwrap())
}

/// Bytes that tell where they belong.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

#[test]
fn what_is_written_can_be_read() {
    for engine in engines() {
        let (file, bytes) = (file(), Bytes::from(pattern(3_000_001)));
        run(async {
            // More pieces than one call takes, of uneven sizes, some empty.
            let mut pieces = Vec::new();
            let mut rest = bytes.clone();
            while !rest.is_empty() {
                pieces.push(rest.split_to((pieces.len() % 1999).min(rest.len())));
            }
            assert!(pieces.len() > operation::PIECES_MAX);
            engine.write_at(file.clone(), pieces, 7).await.unwrap();
            engine.sync(file.clone(), false).await.unwrap();
            engine.sync(file.clone(), true).await.unwrap();
            assert_eq!(engine.read_at(file.clone(), 7, bytes.len()).await.unwrap(), bytes);
            assert_eq!(engine.read_at(file.clone(), 8, 3).await.unwrap(), bytes[1..4]);
        });
        assert_eq!(file.metadata().unwrap().len(), 3_000_008);
    }
}

#[test]
fn reads_are_short_only_at_the_end() {
    for engine in engines() {
        let file = file();
        file.write_all_at(b"0123456789", 0).unwrap();
        run(async {
            let read = async |offset, len| engine.read_at(file.clone(), offset, len).await.unwrap();
            assert_eq!(read(8, 100).await, b"89");
            assert_eq!(read(10, 100).await, b"");
            assert_eq!(read(99, 100).await, b"");
            assert_eq!(read(3, 0).await, b"");
        });
    }
}

#[test]
fn nothing_to_write_is_done_at_once() {
    for engine in engines() {
        run(engine.write_at(file(), vec![Bytes::new()], 5)).unwrap();
        run(engine.read_ahead(file(), 5, 0)).unwrap();
    }
}

#[test]
fn many_at_once_do_not_mix() {
    for engine in engines() {
        let (file, bytes) = (file(), Bytes::from(pattern(4 << 20)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            // Several times as many as may be in flight.
            let part = bytes.len() / (IN_FLIGHT_MAX * 4);
            let writes: Vec<_> = (0..bytes.len() / part)
                .map(|number| {
                    let (engine, file, at) = (engine.clone(), file.clone(), number * part);
                    let piece = bytes.slice(at..at + part);
                    tokio::spawn(async move { engine.write_at(file, vec![piece], at as u64).await })
                })
                .collect();
            for write in writes {
                write.await.unwrap().unwrap();
            }
        });
        let mut back = Vec::new();
        (&*file).read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{}", engine.describe());
        assert_eq!(engine.shared.places.available_permits(), IN_FLIGHT_MAX);
    }
}

#[test]
fn a_dropped_future_neither_stops_the_write_nor_frees_its_memory() {
    for engine in engines() {
        let (file, bytes) = (file(), pattern(1 << 20));
        for number in 0..64 {
            let mut write = pin!(engine.write_at(file.clone(), vec![Bytes::from(bytes.clone())], number << 20));
            // Polled once, so submitted, and then let go; the buffer's only other owner is the engine.
            let _ = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        // When all places are back, all writes are done.
        let all = run(engine.shared.places.acquire_many(IN_FLIGHT_MAX as u32)).unwrap();
        drop(all);
        for number in 0..64 {
            let mut back = vec![0; 1 << 20];
            file.read_exact_at(&mut back, number << 20).unwrap();
            assert!(back == bytes, "{number} {}", engine.describe());
        }
    }
}

#[test]
fn what_is_in_flight_is_finished_when_the_last_handle_goes() {
    for engine in engines() {
        let (file, places) = (file(), engine.shared.places.clone());
        for number in 0..32 {
            let mut write = pin!(engine.write_at(file.clone(), vec![Bytes::from(pattern(4096))], number * 4096));
            let _ = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(engine);
        drop(run(places.acquire_many(IN_FLIGHT_MAX as u32)).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 32 * 4096);
    }
}

#[test]
fn a_future_dropped_before_its_place_never_wrote() {
    for engine in engines() {
        let file = file();
        let all = run(engine.shared.places.clone().acquire_many_owned(IN_FLIGHT_MAX as u32)).unwrap();
        let mut write = Box::pin(engine.write_at(file.clone(), vec![Bytes::from_static(b"x")], 0));
        assert!(matches!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        drop(write);
        drop(all);
        run(engine.sync(file.clone(), true)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}

#[test]
fn errors_are_those_of_the_call() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), b"text").unwrap();
    let read_only = Arc::new(File::open(dir.path().join("f")).unwrap());
    let directory = Arc::new(File::open(dir.path()).unwrap());
    for engine in engines() {
        run(async {
            let write = engine.write_at(read_only.clone(), vec![Bytes::from_static(b"x")], 0).await.unwrap_err();
            assert_eq!(write.raw_os_error(), Some(libc::EBADF));
            let read = engine.read_at(directory.clone(), 0, 10).await.unwrap_err();
            assert_eq!(read.kind(), io::ErrorKind::IsADirectory);
            assert!(engine.read_ahead(directory.clone(), 0, 10).await.is_err());
            // Still usable afterwards.
            assert_eq!(engine.read_at(read_only.clone(), 0, 10).await.unwrap(), b"text");
        });
    }
}

#[test]
fn a_directory_can_be_synced() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let directory = Arc::new(File::open(dir.path()).unwrap());
    for engine in engines() {
        run(engine.sync(directory.clone(), true)).unwrap();
        run(engine.sync(directory.clone(), false)).unwrap();
    }
}

#[test]
fn read_ahead_completes_when_the_bytes_are_there() {
    const LEN: u64 = 5 << 20;
    for engine in engines() {
        let file = file();
        file.write_all_at(&pattern(LEN as usize), 0).unwrap();
        file.sync_all().unwrap();
        for (offset, len) in [(0, LEN), (1_234_567, 2_000_000), (LEN - 1, 1)] {
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
            assert!(!is_resident(file.as_fd(), offset, len).unwrap());
            // The kernel may take a page back in between, though hardly three times.
            let came = (0..3).any(|_| {
                run(engine.read_ahead(file.clone(), offset, len)).unwrap();
                is_resident(file.as_fd(), offset, len).unwrap()
            });
            assert!(came, "{offset} {len}");
        }
        // Beyond the end there is nothing to bring.
        run(engine.read_ahead(file.clone(), LEN - 1, 1 << 40)).unwrap();
        run(engine.read_ahead(file.clone(), LEN + 1, 1 << 20)).unwrap();
    }
}

#[test]
fn a_ring_that_fails_gives_way_to_threads() {
    let engine = Engine::start(Choice::Uring).unwrap();
    let (file, bytes) = (file(), Bytes::from(pattern(1 << 20)));
    run(engine.write_at(file.clone(), vec![bytes.clone()], 0)).unwrap();
    let Backend::Uring(ring) = &engine.shared.backend else { panic!("no ring") };
    ring.fail();
    // What is under way when it fails is answered, one way or the other: nobody waits for ever.
    let _ = run(engine.write_at(file.clone(), vec![bytes.clone()], 1 << 20));
    run(async {
        engine.write_at(file.clone(), vec![bytes.clone()], 2 << 20).await.unwrap();
        engine.sync(file.clone(), false).await.unwrap();
        assert_eq!(engine.read_at(file.clone(), 2 << 20, bytes.len()).await.unwrap(), bytes);
        engine.read_ahead(file.clone(), 0, 3 << 20).await.unwrap();
    });
    assert!(engine.describe().starts_with("threads (io_uring failed: "), "{}", engine.describe());
    assert_eq!(run(engine.shared.places.acquire_many(IN_FLIGHT_MAX as u32)).unwrap().num_permits(), IN_FLIGHT_MAX);
}

#[test]
fn the_description_says_what_is_used() {
    assert_eq!(Engine::start(Choice::Uring).unwrap().describe(), "io_uring");
    assert_eq!(Engine::start(Choice::Threads).unwrap().describe(), "threads");
    assert_eq!(Engine::start(Choice::Auto).unwrap().describe(), "threads");
}
