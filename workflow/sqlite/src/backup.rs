//! A copy of the whole file as it is at one moment, made while others read and write it.
//!
//! Not here: when, where to, and how long it is kept.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, Connection};
use workflow::port::store::StoreError;

use crate::SqliteStore;
use crate::error::store_error;

/// Only whoever made it may read it.
const MODE: u32 = 0o600;

impl SqliteStore {
    /// Writes a copy to a file that does not exist yet. It has that name once it is whole and on the disk, and not before. Those who
    /// write the database are not held up.
    ///
    /// # Errors
    /// There is such a file, it cannot be written, or the database cannot be read.
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        let refused = |error: io::Error| StoreError::Refused(Box::new(error));
        if file.try_exists().map_err(refused)? {
            return Err(refused(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists already")));
        }
        let unfinished = Unfinished::beside(file).map_err(refused)?;
        // A connection of its own: it takes as long as the database is large, and is the only one that writes a second file.
        let options = self.reading().as_ref().clone().pragma("query_only", "off");
        let mut connection = options.connect().await.map_err(store_error)?;
        let into = unfinished.0.to_str().ok_or_else(|| refused(io::ErrorKind::InvalidFilename.into()))?;
        sqlx::query("vacuum into ?1").bind(into).execute(&mut connection).await.map_err(store_error)?;
        connection.close().await.map_err(store_error)?;
        unfinished.finish(file).map_err(refused)
    }
}

/// What is written so far. Dropping it removes it.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(file: &Path) -> io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".unfinished");
        let path = PathBuf::from(name);
        OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&path)?;
        Ok(Self(path))
    }

    /// SQLite does not wait for the disk here.
    fn finish(self, file: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        std::fs::rename(&self.0, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it is finished it has another name.
        let _ = std::fs::remove_file(&self.0);
    }
}
