use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;

/// What a disk writes as one: a power cut leaves a sector old or new, never mixed.
const SECTOR_BYTES: usize = 512;

/// One file's bytes, as programs see them and as the disk has them.
#[derive(Debug, Default)]
pub(crate) struct FileBytes {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that the disk does not have yet.
    dirty: BTreeSet<usize>,
}

impl FileBytes {
    pub(crate) fn zeros(bytes: usize) -> Self {
        let mut file = Self { cached: vec![0; bytes], ..Self::default() };
        file.mark_dirty(0, bytes);
        file
    }

    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn read(&self, into: &mut [u8], offset: usize) -> usize {
        let available = self.cached.get(offset..).unwrap_or_default();
        let bytes = available.len().min(into.len());
        into[..bytes].copy_from_slice(&available[..bytes]);
        bytes
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        self.mark_dirty(offset, bytes.len());
    }

    /// Makes everything durable.
    pub(crate) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
        self.durable.resize(self.cached.len(), 0);
    }

    /// Fails as Linux does: some sectors get there, the others are taken for clean and never will.
    pub(crate) fn fail_sync(&mut self, chance: &mut StdRng) {
        for sector in std::mem::take(&mut self.dirty) {
            if chance.random_bool(0.5) {
                self.persist(sector);
            }
        }
    }

    /// Forgets cached sectors that are not dirty.
    pub(crate) fn forget_cached(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let mut shown = self.durable.clone();
        shown.resize(self.cached.len(), 0);
        for sector in &dirty {
            let (start, end) = self.span(*sector);
            shown[start..end].copy_from_slice(&self.cached[start..end]);
        }
        self.cached = shown;
        self.dirty = dirty;
    }

    /// Cuts the power: each sector that is not durable is there with the given probability, whatever the order.
    pub(crate) fn cut_power(&mut self, kept: f64, chance: &mut StdRng) {
        for sector in std::mem::take(&mut self.dirty) {
            if chance.random_bool(kept) {
                self.persist(sector);
            }
        }
        self.cached = self.durable.clone();
    }

    /// Turns bits over, on the disk and in the cache.
    pub(crate) fn flip(&mut self, offset: usize, mask: u8) {
        for bytes in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= mask;
            }
        }
    }

    pub(crate) fn cached(&self) -> &[u8] {
        &self.cached
    }

    fn mark_dirty(&mut self, offset: usize, bytes: usize) {
        if bytes > 0 {
            self.dirty.extend(offset / SECTOR_BYTES..=(offset + bytes - 1) / SECTOR_BYTES);
        }
    }

    fn persist(&mut self, sector: usize) {
        let (start, end) = self.span(sector);
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.cached[start..end]);
    }

    fn span(&self, sector: usize) -> (usize, usize) {
        let start = sector * SECTOR_BYTES;
        (start, (start + SECTOR_BYTES).min(self.cached.len()))
    }
}
