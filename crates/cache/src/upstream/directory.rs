//! A directory as an upstream: a local disk, or an SMB or NFS mount that may be slow or gone. Every call that may block runs on the
//! blocking pool, and nobody waits for it without a limit.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use os::share::{Found, Identity, Share};
use parking_lot::Mutex;
use protocol::{
    digest::Claims,
    listing::{Listing, RawEntry},
    problem::Kind,
    span::Span,
};
use tokio::sync::Semaphore;

use super::{
    Question,
    body::FilePieces,
    error::AskError,
    reply::{Access, Head, Reply, Wanted},
};
use crate::{
    failure::Failure,
    fetch::urgency::Urgency,
    line::turn::Turns,
    names::{
        book::Known,
        imported::is_same_time,
        record::{Provenance, Record, provisional, seconds},
    },
};

/// Calls into the file system at once. Those that hang (a mount whose server is gone) keep their place until they return.
const CALLS_MAX: usize = 64;
/// Reads of fills at once, likewise.
const READS_MAX: usize = 64;

/// A published directory.
pub(crate) struct Directory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    root: Mutex<Root>,
    calls: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    timeout: Duration,
}

/// The share as it was opened. Mounting over the directory gives its path another device and inode.
#[derive(Clone)]
struct Root {
    share: Arc<Share>,
    device: u64,
    inode: u64,
}

impl Directory {
    /// Opens the directory. Blocks.
    pub(crate) fn open(path: PathBuf, timeout: Duration) -> io::Result<Self> {
        let root = Root::open(&path)?;
        let inner = Inner {
            path,
            root: Mutex::new(root),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            timeout,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// What stands at a name. With a record, the file is opened only if it changed.
    pub(crate) async fn ask(&self, question: &Question, known: Option<&Known>) -> Result<Reply, AskError> {
        let target = &question.target;
        let path = match target.decode() {
            Ok(path) => path,
            Err(bad) => return Ok(Reply::No(Failure::new(Kind::BadRequest, bad.to_string()))),
        };
        if target.is_directory() {
            return self.list(path, question).await;
        }
        let expected = known.and_then(|known| Expected::of(&known.record));
        let looked = self.call({
            let path = path.clone();
            move |inner| inner.look(&path, expected)
        });
        match looked.await? {
            Looked::Unchanged(identity) => Ok(match known {
                Some(known) => Reply::unchanged(Record {
                    checked: seconds(SystemTime::now()),
                    modified: Some(identity.modified_time()),
                    provenance: Provenance::Directory(identity),
                    ..known.record.clone()
                }),
                None => return Err(AskError::Invalid("a file was found unchanged that was not known".into())),
            }),
            Looked::File(file, identity) => {
                Ok(Reply::File(Box::new(self.head(&question.key, path, file, identity)), None))
            }
            Looked::Directory => Ok(Reply::NeedsSlash),
            Looked::Nothing => Ok(Reply::No(question.not_found())),
            Looked::Forbidden => Ok(Reply::No(forbidden(question))),
        }
    }

    fn head(&self, key: &[u8], path: Vec<u8>, file: File, identity: Identity) -> Head {
        let Identity { device, inode, size, modified, changed } = identity;
        let version = format!("{device} {inode} {size} {modified} {changed}");
        Head {
            record: Record {
                checked: seconds(SystemTime::now()),
                len: Some(size),
                modified: Some(identity.modified_time()),
                etag: None,
                provisional: Some(provisional(key, version.as_bytes())),
                provenance: Provenance::Directory(identity),
            },
            claims: Claims::default(),
            source: [key, b"\0", version.as_bytes()].concat().into(),
            access: Access::File { file: Arc::new(file), identity, path: path.into() },
            fields: None,
        }
    }

    async fn list(&self, path: Vec<u8>, question: &Question) -> Result<Reply, AskError> {
        let listed = self.call(move |inner| {
            let root = inner.root()?;
            match root.share.list(&path) {
                Ok(entries) => Ok(Some(entries)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(inner.trouble("list a directory in", &error)),
            }
        });
        let Some(entries) = listed.await? else { return Ok(Reply::No(question.not_found())) };
        let raw = |entry: os::share::DirEntry| RawEntry {
            modified: Some(entry.identity.modified_time()),
            size: entry.identity.size,
            name: entry.name,
            directory: entry.directory,
        };
        Ok(Reply::Listing(Listing::new(question.full.path(), entries.into_iter().map(raw).collect())))
    }

    /// Bytes of an opened file, by turns on the line, for whom `urgency` says.
    pub(crate) fn bytes(
        &self,
        file: &Arc<File>,
        identity: &Identity,
        wanted: Wanted,
        turns: Turns,
        urgency: &Arc<Urgency>,
    ) -> FilePieces {
        let span = match wanted {
            Wanted::From(position) => Span::new(position, identity.size),
            Wanted::Span(span) => span,
        };
        FilePieces::new(file.clone(), span, self.0.reads.clone(), self.0.timeout, turns, urgency.clone())
    }

    /// To be asked when all bytes were read: whether the path and the open file are still what they were.
    pub(crate) async fn is_unchanged(
        &self,
        file: &Arc<File>,
        identity: Identity,
        path: &Arc<[u8]>,
    ) -> Result<bool, AskError> {
        let (file, path) = (file.clone(), path.clone());
        let look = move |inner: &Inner| {
            let at_path = inner.root()?.share.identity(&path).ok().flatten();
            Ok(at_path == Some(identity) && Identity::of(&file).is_ok_and(|now| now == identity))
        };
        self.call(look).await
    }

    /// Whether the directory answers at all.
    pub(crate) async fn probe(&self) -> Result<(), AskError> {
        self.call(|inner| inner.root().map(|_| ())).await
    }

    /// Runs a call on the blocking pool and waits for it at most as long as for any answer.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Inner) -> Result<T, AskError> + Send + 'static,
    ) -> Result<T, AskError> {
        let inner = self.0.clone();
        let called = async {
            let permit = inner.calls.clone().acquire_owned().await;
            let inner = inner.clone();
            let running = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                call(&inner)
            });
            running.await.unwrap_or_else(|_| Err(AskError::Unreachable("this server is stopping".into())))
        };
        match tokio::time::timeout(self.0.timeout, called).await {
            Ok(answer) => answer,
            Err(_) => Err(AskError::TimedOut(format!(
                "the directory {} did not answer within {} s; if it is a network share, its file server may be away",
                self.0.path.display(),
                self.0.timeout.as_secs_f32()
            ))),
        }
    }
}

/// By what a file is known that is here.
#[derive(Clone, Copy)]
enum Expected {
    Identity(Identity),
    /// It came by another way.
    Imported {
        len: u64,
        modified: SystemTime,
    },
}

impl Expected {
    fn of(record: &Record) -> Option<Self> {
        match (&record.provenance, record.len.zip(record.modified)) {
            (Provenance::Directory(identity), _) => Some(Self::Identity(*identity)),
            (Provenance::Imported, Some((len, modified))) => Some(Self::Imported { len, modified }),
            _ => None,
        }
    }

    fn is(&self, found: &Identity) -> bool {
        match self {
            Self::Identity(identity) => identity == found,
            Self::Imported { len, modified } => *len == found.size && is_same_time(*modified, found.modified_time()),
        }
    }
}

enum Looked {
    Unchanged(Identity),
    File(File, Identity),
    Directory,
    Nothing,
    Forbidden,
}

impl Inner {
    /// The share, opened anew if something else is mounted there now.
    fn root(&self) -> Result<Root, AskError> {
        let now = std::fs::metadata(&self.path).map_err(|error| self.gone(&error))?;
        let root = self.root.lock().clone();
        if (root.device, root.inode) == (now.dev(), now.ino()) {
            return Ok(root);
        }
        let opened = Root::open(&self.path).map_err(|error| self.gone(&error))?;
        *self.root.lock() = opened.clone();
        Ok(opened)
    }

    fn look(&self, path: &[u8], known: Option<Expected>) -> Result<Looked, AskError> {
        let root = self.root()?;
        if let Some(known) = known
            && let Ok(Some(identity)) = root.share.identity(path)
            && known.is(&identity)
        {
            return Ok(Looked::Unchanged(identity));
        }
        match root.share.find(path) {
            Ok(Found::File(file, identity)) => Ok(Looked::File(file, identity)),
            Ok(Found::Directory) => Ok(Looked::Directory),
            // What was a file yesterday is not gone because its share is not mounted today.
            Err(error) if is_absent(&error) && known.is_some_and(|known| self.is_unmounted(&root, &known)) => {
                Err(AskError::Unreachable(format!(
                    "the directory {} is empty; if it is a network share, it may not be mounted",
                    self.path.display()
                )))
            }
            Err(error) if is_absent(&error) => Ok(Looked::Nothing),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Looked::Forbidden),
            Err(error) => Err(self.trouble("read a file in", &error)),
        }
    }

    /// An empty directory on another file system than the one that files were on.
    fn is_unmounted(&self, root: &Root, known: &Expected) -> bool {
        let is_elsewhere = match known {
            Expected::Identity(known) => root.device != known.device,
            Expected::Imported { .. } => true,
        };
        is_elsewhere && std::fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// A share whose server is gone, or one name that cannot be read.
    fn trouble(&self, action: &str, error: &io::Error) -> AskError {
        use io::ErrorKind::{
            HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected, StaleNetworkFileHandle, TimedOut,
        };
        let text = format!("cannot {action} {}: {error}", self.path.display());
        match error.kind() {
            HostUnreachable | NetworkDown | NetworkUnreachable | NotConnected | StaleNetworkFileHandle | TimedOut => {
                AskError::Unreachable(text)
            }
            _ => AskError::Failing(text),
        }
    }

    fn gone(&self, error: &io::Error) -> AskError {
        AskError::Unreachable(format!("cannot reach the directory {}: {error}", self.path.display()))
    }
}

impl Root {
    fn open(path: &std::path::Path) -> io::Result<Self> {
        let of_path = std::fs::metadata(path)?;
        Ok(Self { share: Arc::new(Share::open(path)?), device: of_path.dev(), inode: of_path.ino() })
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::CrossesDevices
    )
}

fn forbidden(question: &Question) -> Failure {
    let detail =
        format!("this server may not read {}; its administrator can give it the right to", question.full.path());
    Failure::new(Kind::NotAllowed, detail)
}
