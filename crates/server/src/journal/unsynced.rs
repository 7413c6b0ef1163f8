//! What the disk may not hold yet, beside the file that is written to.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};

/// Files that may wait for their sync. Each costs a descriptor.
const MAX_FILES: usize = 16;

/// Files that were written to before, and the folder that names the present one.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    /// False if nothing is ever synced (`LOG_SYNC=no`).
    is_wanted: bool,
    files: Vec<Arc<File>>,
    folder: Option<File>,
}

/// What one sync brings to the disk.
#[derive(Debug)]
pub(super) struct ToSync {
    files: Vec<Arc<File>>,
    folder: Option<File>,
}

impl Unsynced {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { is_wanted, ..Self::default() }
    }

    /// Keeps a file until its sync. Where too many wait already, they are synced here, so that
    /// rotations are no faster than the disk.
    ///
    /// # Errors
    /// When a file cannot be brought to the disk.
    pub(super) fn add(&mut self, file: Arc<File>) -> io::Result<()> {
        if !self.is_wanted {
            return Ok(());
        }
        if self.files.len() >= MAX_FILES {
            self.files.drain(..).try_for_each(|file| sync(&file))?;
        }
        self.files.push(file);
        Ok(())
    }

    /// Has the name of the file at `path` synced as well: the name stands in its folder.
    pub(super) fn note_entry_in(&mut self, path: &Path) {
        if self.is_wanted {
            // A folder that may not be read cannot be synced; the lines are more important.
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

    /// All that waits, and the `current` file.
    pub(super) fn take(&mut self, current: Option<Arc<File>>) -> ToSync {
        let mut files = std::mem::take(&mut self.files);
        files.extend(current);
        ToSync { files, folder: self.folder.take() }
    }
}

impl ToSync {
    /// Waits until the disk holds all. There is no second try: the kernel may have dropped the
    /// pages that it could not write, and the next sync would succeed without them.
    ///
    /// # Errors
    /// When the disk does not.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.files.iter().map(Arc::as_ref).chain(&self.folder).try_for_each(sync)
    }

    /// Lets the system have the memory of what is on the disk: a log is rarely read, and would
    /// fill the page cache. Pages that come back at once also cost the next lines less than new
    /// ones. The last page stays, as the next line is to join it.
    pub(super) fn give_pages_back(&self) {
        /// A multiple of every page size.
        const BOUNDARY: u64 = 64 * 1024;
        for file in &self.files {
            let len = file.metadata().map_or(0, |metadata| metadata.len());
            if let Some(whole) = NonZeroU64::new(len - len % BOUNDARY) {
                // A system that keeps the pages is slower, not wrong.
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
        let mut unsynced = Unsynced::new(true);
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
        let mut unsynced = Unsynced::new(false);
        let file = file();
        unsynced.add(Arc::clone(&file)).unwrap();
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
