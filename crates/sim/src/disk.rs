use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_model::{Disk, DiskFile};

use crate::file::FileBytes;
use crate::names::{Change, Names};

/// How often things go wrong, each a probability.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A write fails, some of its bytes written.
    pub write_fails: f64,
    /// A write takes only some of its bytes.
    pub write_is_short: f64,
    /// A sync of a file or of a folder fails.
    pub sync_fails: f64,
}

/// A disk in memory. Same seed, same calls: same faults.
///
/// Clones share it. [`SimDisk::cut_power`] makes a new one from what survives; the old one is then off.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<DiskState>>,
}

#[derive(Debug)]
struct DiskState {
    chance: StdRng,
    faults: Faults,
    capacity: u64,
    is_off: bool,
    files: HashMap<u64, FileBytes>,
    next_file: u64,
    /// Handles per file: one without a name lives as long as they do.
    handles: HashMap<u64, usize>,
    names: Names,
    locks: BTreeSet<PathBuf>,
}

impl SimDisk {
    /// Makes an empty disk without faults.
    #[must_use]
    pub fn new(seed: u64, capacity: u64) -> Self {
        Self::with_state(DiskState {
            chance: StdRng::seed_from_u64(seed),
            faults: Faults::default(),
            capacity,
            is_off: false,
            files: HashMap::new(),
            next_file: 1,
            handles: HashMap::new(),
            names: Names::default(),
            locks: BTreeSet::new(),
        })
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Sets the size of the disk.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Cuts the power: what was synced survives, of the rest what chance keeps. Every open handle is dead.
    #[must_use]
    pub fn cut_power(&self) -> Self {
        self.restart(true)
    }

    /// Kills the program: everything written survives. Every open handle is dead.
    #[must_use]
    pub fn kill(&self) -> Self {
        self.restart(false)
    }

    /// Puts a file there, durable.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.lock();
        let number = state.next_file;
        state.next_file += 1;
        let mut file = FileBytes::default();
        file.write(content, 0);
        file.sync();
        state.files.insert(number, file);
        state.names.change(Change::Add(path.to_owned(), number));
        state.names.sync();
    }

    /// Turns bits over in a file.
    pub fn flip(&self, path: &Path, offset: usize, mask: u8) {
        let mut state = self.lock();
        if let Some(file) = state.names.find(path)
            && let Some(bytes) = state.files.get_mut(&file)
        {
            bytes.flip(offset, mask);
        }
    }

    /// Returns a file's bytes as a program would read them.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        Some(state.files.get(&state.names.find(path)?)?.cached().to_vec())
    }

    /// Returns a draw from the disk's chance; two runs that did the same draw the same.
    #[must_use]
    pub fn draw(&self) -> u64 {
        self.lock().chance.random()
    }

    fn restart(&self, power_cut: bool) -> Self {
        let mut old = self.lock();
        old.is_off = true;
        let mut files = std::mem::take(&mut old.files);
        let mut names = std::mem::take(&mut old.names);
        if power_cut {
            names.cut_power(&mut old.chance);
            let kept = [0.0, 0.5, 0.9, 1.0][old.chance.random_range(0..4)];
            let mut numbers: Vec<_> = files.keys().copied().collect();
            numbers.sort_unstable();
            for number in numbers {
                if let Some(file) = files.get_mut(&number) {
                    file.cut_power(kept, &mut old.chance);
                }
            }
        }
        files.retain(|number, _| names.holds(*number));
        Self::with_state(DiskState {
            chance: StdRng::seed_from_u64(old.chance.random()),
            faults: Faults::default(),
            capacity: old.capacity,
            is_off: false,
            files,
            next_file: old.next_file,
            handles: HashMap::new(),
            names,
            locks: BTreeSet::new(),
        })
    }

    fn with_state(state: DiskState) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, number: u64) -> Arc<SimFile> {
        *self.lock().handles.entry(number).or_default() += 1;
        Arc::new(SimFile { disk: self.clone(), number, locked: None })
    }
}

impl DiskState {
    fn check_on(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the simulated machine is off")) } else { Ok(()) }
    }

    fn fails(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.chance.random_bool(probability)
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.len() as u64).sum()
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.check_on()?;
        self.names.find(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Frees the bytes of files that have no name and no handle.
    fn free_nameless(&mut self) {
        let Self { files, names, handles, .. } = self;
        files.retain(|number, _| names.holds(*number) || handles.get(number).is_some_and(|open| *open > 0));
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.lock().check_on()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.check_on()?;
        Ok(state.names.inside(dir))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.check_on()?;
        if state.names.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.next_file;
        state.next_file += 1;
        state.names.change(Change::Add(path.to_owned(), number));
        let has_room = state.used() + bytes <= state.capacity;
        let length = usize::try_from(bytes).map_err(io::Error::other)?;
        state.files.insert(number, FileBytes::zeros(if has_room { length } else { 0 }));
        if !has_room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(state);
        Ok(self.handle(number))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.lock().find(path)?;
        Ok(self.handle(number))
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = Self::lock(self);
        state.check_on()?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(state);
        Ok(Arc::new(SimFile { disk: self.clone(), number: 0, locked: Some(path.to_owned()) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = Self::lock(self);
        state.find(from)?;
        state.names.change(Change::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = Self::lock(self);
        state.find(path)?;
        state.names.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = Self::lock(self);
        state.check_on()?;
        let probability = state.faults.sync_fails;
        if state.fails(probability) {
            return Err(io::Error::other("simulated: the folder's sync failed"));
        }
        state.names.sync();
        state.free_nameless();
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = Self::lock(self);
        state.check_on()?;
        Ok(state.capacity.saturating_sub(state.used()))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    number: u64,
    locked: Option<PathBuf>,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut DiskState, &mut FileBytes) -> io::Result<T>) -> io::Result<T> {
        let mut state = SimDisk::lock(&self.disk);
        state.check_on()?;
        let mut file = state.files.remove(&self.number).ok_or_else(|| io::Error::other("the file has no content"))?;
        let outcome = act(&mut state, &mut file);
        state.files.insert(self.number, file);
        outcome
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = SimDisk::lock(&self.disk);
        match &self.locked {
            Some(path) => {
                state.locks.remove(path);
            }
            None => {
                if let Some(open) = state.handles.get_mut(&self.number) {
                    *open -= 1;
                }
                state.free_nameless();
            }
        }
    }
}

impl DiskFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        self.with(|_, file| Ok(file.len() as u64))
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|_, file| Ok(file.read(into, offset)))
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|state, file| {
            let grows = (offset + bytes.len()).saturating_sub(file.len()) as u64;
            if state.used() + file.len() as u64 + grows > state.capacity && grows > 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let Faults { write_fails, write_is_short, .. } = state.faults;
            let fails = state.fails(write_fails);
            let is_short = fails || state.fails(write_is_short);
            let taken =
                if is_short && bytes.len() > 1 { state.chance.random_range(1..=bytes.len()) } else { bytes.len() };
            file.write(&bytes[..taken], offset);
            if fails { Err(io::Error::other("simulated: the write failed")) } else { Ok(taken) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, file| {
            let probability = state.faults.sync_fails;
            if state.fails(probability) {
                file.fail_sync(&mut state.chance);
                return Err(io::Error::other("simulated: the sync failed"));
            }
            file.sync();
            Ok(())
        })
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.with(|_, file| {
            file.forget_cached();
            Ok(())
        })
    }
}
