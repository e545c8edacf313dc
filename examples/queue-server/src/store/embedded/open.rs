//! Opens a directory: for one server alone, with a new file where there is none or the old one is damaged.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt as _,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use redb::Database;

use super::tables::{self, Stored, Unreadable};

const FILE: &str = "queues.redb";
/// A file under this name is not complete: its making was interrupted.
const UNFINISHED: &str = "queues.redb.new";
const LOCK: &str = "queues.lock";

/// Of redb, which would take a gigabyte.
const CACHE: usize = 64 << 20;

/// Why a directory cannot be used. What is in it stays there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error(
        "{path:?} cannot be used as data directory: {source}. Let the server's user write there, or name another"
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One directory is for one server.
    #[error("{0:?} is used by another server. Stop it, or name another data directory")]
    InUse(PathBuf),
    /// It has a file that this program does not know.
    #[error(
        "{path:?} is not for this program: {reason}. Use the one that wrote it, or move the file away"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What is found.
        reason: String,
    },
    /// The file cannot be read or written, though it does not look damaged.
    #[error("{path:?} cannot be opened: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system or redb says.
        reason: String,
    },
}

/// A file that could not be used. Its queues are gone, and their clients have to register again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the file is now.
    pub moved_to: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A directory that is open.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Held as long as the directory is used.
    pub(super) lock: File,
    pub(super) db: Database,
    pub(super) sequence: u64,
    pub(super) queues: Vec<Stored>,
    pub(super) damage: Option<Damage>,
}

enum Failure {
    Damaged(String),
    Other(OpenError),
}

/// Opens what is there, or begins anew.
pub(super) fn directory(dir: &Path) -> Result<Found, OpenError> {
    let failed = |source| OpenError::Directory { path: dir.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let lock = lock(dir).map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse(dir.to_owned()),
        TryLockError::Error(error) => failed(error),
    })?;
    let path = dir.join(FILE);
    if !path.try_exists().map_err(failed)? {
        create(dir)?;
    }
    let mut damage = None;
    let (db, sequence, queues) = match existing(&path) {
        Ok(opened) => opened,
        Err(Failure::Other(error)) => return Err(error),
        Err(Failure::Damaged(reason)) => {
            let moved_to = set_aside(&path).map_err(failed)?;
            tracing::error!(
                reason,
                ?moved_to,
                "the store's file is damaged: it is set aside, and a new one begun"
            );
            damage = Some(Damage { moved_to, reason });
            create(dir)?;
            existing(&path).map_err(|failure| match failure {
                Failure::Damaged(reason) => OpenError::File { path: path.clone(), reason },
                Failure::Other(error) => error,
            })?
        }
    };
    Ok(Found { path, lock, db, sequence, queues, damage })
}

/// Opens a file that this process had open until now, with the number of its last batch.
pub(super) fn again(path: &Path) -> Result<(Database, u64), String> {
    // A reader may still have it, for one page: no other process can.
    const TRIES: u32 = 100;
    let mut tries = 0;
    let db = loop {
        match database(path) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if tries < TRIES => tries += 1,
            opened => break opened.map_err(|error| error.to_string())?,
        }
        thread::sleep(Duration::from_millis(10));
    };
    let sequence = tables::sequence(&db).map_err(|error| error.to_string())?;
    Ok((db, sequence))
}

fn lock(dir: &Path) -> Result<File, TryLockError> {
    let options = File::options().create(true).truncate(false).write(true).clone();
    let file = options.open(dir.join(LOCK)).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// All of it or nothing: whoever finds a file that is cut short knows that it was not always so.
fn create(dir: &Path) -> Result<(), OpenError> {
    let unfinished = dir.join(UNFINISHED);
    let made = || -> Result<(), redb::Error> {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let db = Database::builder().set_cache_size(CACHE).create(&unfinished)?;
        tables::initialize(&db)?;
        db.close()?;
        fs::rename(&unfinished, dir.join(FILE))?;
        // Else the name may be lost with the power.
        Ok(File::open(dir)?.sync_all()?)
    };
    made().map_err(|error| OpenError::File { path: unfinished.clone(), reason: error.to_string() })
}

fn existing(path: &Path) -> Result<(Database, u64, Vec<Stored>), Failure> {
    let file = |reason| OpenError::File { path: path.to_owned(), reason };
    // It promises errors for damage that it looks for, and none for other.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| -> Result<_, Unreadable> {
        let db = database(path).map_err(redb::Error::from)?;
        let sequence = tables::sequence(&db)?;
        let queues = tables::load(&db)?;
        Ok((db, sequence, queues))
    }));
    let error = match opened {
        Ok(Ok(opened)) => return Ok(opened),
        Ok(Err(error)) => error,
        Err(_) => return Err(Failure::Damaged("redb panicked while it was read".into())),
    };
    let reason = error.to_string();
    Err(match error {
        Unreadable::Inconsistent(_) => Failure::Damaged(reason),
        Unreadable::Redb(error) if is_damage(&error) => Failure::Damaged(reason),
        Unreadable::Redb(redb::Error::DatabaseAlreadyOpen) => {
            Failure::Other(OpenError::InUse(path.to_owned()))
        }
        Unreadable::Redb(redb::Error::UpgradeRequired(_))
        | Unreadable::OtherVersion(_)
        | Unreadable::Foreign => {
            Failure::Other(OpenError::OtherVersion { path: path.to_owned(), reason })
        }
        Unreadable::Redb(_) => Failure::Other(file(reason)),
    })
}

/// Reads and checks all of the file, as the index is made of it anyway.
fn database(path: &Path) -> Result<Database, redb::DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true).open(path)
}

fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
        }
        redb::Error::Corrupted(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let name = PathBuf::from(name);
        if !name.try_exists()? {
            fs::rename(path, &name)?;
            return Ok(name);
        }
        number += 1;
    }
}
