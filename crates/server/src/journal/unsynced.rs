//! Files that wait for their sync, beside the current file of the log.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};

/// Most files that wait for their sync. Each costs a descriptor.
const MAX_FILES: usize = 16;

/// Earlier log files that are not synced yet, and the folder, if its entry for the current file is
/// not synced yet.
#[derive(Debug, Default)]
pub(super) struct UnsyncedFiles {
    /// Whether files are synced at all; `false` with `LOG_SYNC=no`.
    is_enabled: bool,
    files: Vec<Arc<File>>,
    folder: Option<File>,
}

/// The files of one sync.
#[derive(Debug)]
pub(super) struct ToSync {
    files: Vec<Arc<File>>,
    folder: Option<File>,
}

impl UnsyncedFiles {
    pub(super) fn new(is_enabled: bool) -> Self {
        Self { is_enabled, ..Self::default() }
    }

    /// Keeps a file until its sync. If too many wait already, this call syncs them, so that rotations
    /// are no faster than the disk.
    ///
    /// # Errors
    /// When a file cannot be brought to the disk.
    pub(super) fn add(&mut self, file: Arc<File>) -> io::Result<()> {
        if !self.is_enabled {
            return Ok(());
        }
        if self.files.len() >= MAX_FILES {
            self.files.drain(..).try_for_each(|file| sync(&file))?;
        }
        self.files.push(file);
        Ok(())
    }

    /// Has the next sync cover the folder of `path`, which holds the name of the file.
    pub(super) fn note_entry_in(&mut self, path: &Path) {
        if self.is_enabled {
            // A folder without the permission to read cannot be opened, and is not synced.
            self.folder =
                path.parent().and_then(|folder| File::open(folder).ok()).or(self.folder.take());
        }
    }

    /// Whether a file waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether so many files wait that a sync should not be put off.
    pub(super) fn are_many(&self) -> bool {
        self.files.len() >= MAX_FILES / 2
    }

    /// Takes the files that wait, and adds the `current` file.
    pub(super) fn take(&mut self, current: Option<Arc<File>>) -> ToSync {
        let mut files = std::mem::take(&mut self.files);
        files.extend(current);
        ToSync { files, folder: self.folder.take() }
    }
}

impl ToSync {
    /// Waits until the disk holds all files. After an error a second try would prove nothing: the
    /// kernel may have dropped the pages that it could not write, and the next sync succeeds without
    /// them (fsync(2)).
    ///
    /// # Errors
    /// When a sync fails.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.files.iter().map(Arc::as_ref).chain(&self.folder).try_for_each(sync)
    }

    /// Drops the synced pages from the page cache, which a log would fill though it is rarely read; the
    /// next lines can use the same pages again, which costs less than new pages. The last page
    /// stays for the next line.
    pub(super) fn drop_page_cache(&self) {
        /// A multiple of every page size.
        const BOUNDARY: u64 = 64 * 1024;
        for file in &self.files {
            let len = file.metadata().map_or(0, |metadata| metadata.len());
            if let Some(whole) = NonZeroU64::new(len - len % BOUNDARY) {
                // If this fails, the pages only stay in the cache.
                let _ = fadvise(file, 0, Some(whole), Advice::DontNeed);
            }
        }
    }
}

fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // Some file systems do not sync folders.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<File> {
        Arc::new(tempfile::tempfile().unwrap())
    }

    #[test]
    fn the_number_of_files_that_wait_is_bounded() {
        let mut unsynced = UnsyncedFiles::new(true);
        let files: Vec<_> = (0..3 * MAX_FILES + 1).map(|_| file()).collect();
        for file in &files {
            unsynced.add(Arc::clone(file)).unwrap();
            let held = files.iter().filter(|file| Arc::strong_count(file) > 1).count();
            assert!(held <= MAX_FILES, "{held}");
        }
        assert_eq!(unsynced.take(Some(file())).files.len(), 2);
        assert_eq!(unsynced.take(None).files.len(), 0);
    }

    #[test]
    fn no_file_is_kept_where_nothing_is_synced() {
        let mut unsynced = UnsyncedFiles::new(false);
        let file = file();
        unsynced.add(Arc::clone(&file)).unwrap();
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
