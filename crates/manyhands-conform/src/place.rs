//! `Place`: a folder by which tasks and tests tell each other how far they are, in whatever process and
//! thread a task runs.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long to sleep between two looks.
pub(crate) const TURN: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// A folder that is not there yet.
    pub(crate) fn fresh() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("manyhands-conform-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder); // an earlier process may have had the same number
        fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
        Self(folder)
    }

    pub(crate) fn at(name: String) -> Self {
        Self(name.into())
    }

    pub(crate) fn name(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }

    pub(crate) fn tell_begun(&self, number: u64) {
        let _ = fs::write(self.begun(number), "");
    }

    pub(crate) fn has_begun(&self, number: u64) -> bool {
        self.begun(number).exists()
    }

    fn begun(&self, number: u64) -> PathBuf {
        self.0.join(format!("begun-{number}"))
    }

    pub(crate) fn open(&self) {
        let _ = fs::write(self.0.join("open"), "");
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.join("open").exists() || !self.0.exists()
    }

    pub(crate) fn notes(&self) -> PathBuf {
        self.0.join("notes")
    }

    /// The numbers of the tasks that have left a note, sorted.
    pub(crate) fn noted(&self) -> Vec<u64> {
        let notes = fs::read_to_string(self.notes()).unwrap_or_default();
        let mut numbers: Vec<u64> = notes.lines().filter_map(|line| line.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// One within, for a round of several.
    pub(crate) fn round(&self, number: usize) -> Self {
        let folder = self.0.join(format!("round-{number}"));
        let _ = fs::create_dir_all(&folder);
        Self(folder)
    }

    pub(crate) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
