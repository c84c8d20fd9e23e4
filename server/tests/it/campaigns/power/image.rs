//! What a power cut leaves of the disks: everything that was flushed, and of what was written since
//! then any part.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::device::{DISK_BYTES, Entry};
use crate::harness::seeded::Seeded;

/// What a drive writes whole, as ext4 assumes.
const PAGE: usize = 4096;
/// What every drive writes whole; a torn page is one of which only some sectors were written.
const SECTOR: usize = 512;
/// Where ext4 has its superblock: two sectors.
const SUPERBLOCK: std::ops::Range<usize> = 1024..2048;

/// A moment at which the power goes, and what of the unflushed writes survives it.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Entries of the log that happened.
    pub at: usize,
    survival: Survival,
    /// The size of a piece that survives or not.
    piece: usize,
    choices: Seeded,
}

/// Which unflushed pieces survive.
#[derive(Clone, Copy, Debug)]
enum Survival {
    /// This share of them.
    Share(f64),
    /// Every other one.
    Even,
}

impl Cut {
    /// `count` cuts at or after the entry `first`, in the order of their moments.
    pub fn choose(count: usize, first: usize, end: usize, choices: &mut Seeded) -> Vec<Self> {
        let mut cuts: Vec<Self> = (0..count)
            .map(|n| Self {
                at: first + choices.below(end - first) + 1,
                survival: Survival::Share(match n % 8 {
                    // Nothing of a drive's cache, and all of it.
                    0 => 0.0,
                    1 => 1.0,
                    _ => choices.fraction(),
                }),
                piece: if n % 4 == 3 { SECTOR } else { PAGE },
                choices: choices.branch(),
            })
            .collect();
        cuts.sort_by_key(|cut| cut.at);
        cuts
    }

    /// The last cut at or after the entry `first` that leaves the first disk half a superblock.
    pub fn through_the_superblock<T>(log: &[Entry<T>], first: usize) -> Option<Self> {
        let is_it = |entry: &Entry<T>| match entry {
            Entry::Write { disk: 0, at, bytes } => {
                *at <= SUPERBLOCK.start && SUPERBLOCK.end <= at + bytes.len()
            }
            Entry::Write { .. } | Entry::Flush { .. } | Entry::Told(_) => false,
        };
        let at = first + log[first..].iter().rposition(is_it)? + 1;
        Some(Self { at, survival: Survival::Even, piece: SECTOR, choices: Seeded::new(0) })
    }

    /// Whether it may leave pages of which only some sectors were written.
    pub fn tears_pages(&self) -> bool {
        self.piece < PAGE
    }
}

/// Plays a recording again, from cut to cut.
#[derive(Debug)]
pub struct Replay<'a, T> {
    log: &'a [Entry<T>],
    disks: Vec<Disk>,
    /// Entries that have been looked at.
    seen: usize,
}

#[derive(Debug)]
struct Disk {
    /// What is on stable storage.
    durable: Vec<u8>,
    /// Entries of writes since the last flush.
    pending: Vec<usize>,
}

impl<'a, T> Replay<'a, T> {
    pub fn new(log: &'a [Entry<T>], disks: usize) -> Self {
        let empty = || Disk { durable: vec![0; DISK_BYTES], pending: Vec::new() };
        Self { log, disks: (0..disks).map(|_| empty()).collect(), seen: 0 }
    }

    /// Goes on to a cut, which is not before the last one.
    pub fn advance(&mut self, cut: &Cut) {
        for at in self.seen..cut.at {
            match &self.log[at] {
                Entry::Write { disk, .. } => self.disks[*disk].pending.push(at),
                Entry::Flush { disk } => {
                    let Disk { durable, pending } = &mut self.disks[*disk];
                    for write in pending.drain(..) {
                        let (at, bytes) = written(&self.log[write]);
                        durable[at..at + bytes.len()].copy_from_slice(bytes);
                    }
                }
                Entry::Told(_) => {}
            }
        }
        self.seen = cut.at;
    }

    /// What was told before the cut.
    pub fn told(&self) -> impl Iterator<Item = &'a T> {
        self.log[..self.seen].iter().filter_map(|entry| match entry {
            Entry::Told(what) => Some(what),
            Entry::Write { .. } | Entry::Flush { .. } => None,
        })
    }

    /// Writes the images of all disks to the files `0`, `1`, … in a directory.
    pub fn write_images(&self, cut: &Cut, to: &Path) {
        let mut choices = cut.choices.clone();
        for (number, disk) in self.disks.iter().enumerate() {
            let mut image = disk.durable.clone();
            for write in &disk.pending {
                let (at, bytes) = written(&self.log[*write]);
                for (n, piece) in bytes.chunks(cut.piece).enumerate() {
                    let start = at + n * cut.piece;
                    let survives = match cut.survival {
                        Survival::Share(share) => choices.chance(share),
                        Survival::Even => (start / cut.piece).is_multiple_of(2),
                    };
                    if survives {
                        image[start..start + piece.len()].copy_from_slice(piece);
                    }
                }
            }
            write_sparse(&image, &to.join(number.to_string()));
        }
    }
}

fn written<T>(entry: &Entry<T>) -> (usize, &[u8]) {
    match entry {
        Entry::Write { at, bytes, .. } => (*at, bytes),
        Entry::Flush { .. } | Entry::Told(_) => unreachable!("only writes are pending"),
    }
}

/// Pages of zeros take no room and no time.
fn write_sparse(image: &[u8], path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(image.len() as u64).unwrap();
    for (n, page) in image.chunks(PAGE).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            file.write_all_at(page, (n * PAGE) as u64).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: usize, byte: u8) -> Entry<&'static str> {
        Entry::Write { disk: 0, at, bytes: vec![byte; PAGE] }
    }

    fn cut(at: usize, survival: f64, piece: usize) -> Cut {
        Cut { at, survival: Survival::Share(survival), piece, choices: Seeded::new(1) }
    }

    /// The first three pages of the image, by their first bytes.
    fn image(replay: &Replay<'_, &'static str>, cut: &Cut) -> [u8; 3] {
        let dir = tempfile::tempdir().unwrap();
        replay.write_images(cut, dir.path());
        let image = std::fs::read(dir.path().join("0")).unwrap();
        [0, 1, 2].map(|page| image[page * PAGE])
    }

    #[test]
    fn what_was_flushed_survives_and_what_was_not_may() {
        let log = [
            write(0, 1),
            Entry::Told("one"),
            Entry::Flush { disk: 0 },
            write(PAGE, 2),
            Entry::Flush { disk: 1 },
            Entry::Told("two"),
        ];
        let mut replay = Replay::new(&log, 2);
        let early = cut(2, 0.0, PAGE);
        replay.advance(&early);
        assert_eq!(image(&replay, &early), [0, 0, 0]);
        assert_eq!(replay.told().collect::<Vec<_>>(), [&"one"]);
        let late = cut(6, 0.0, PAGE);
        replay.advance(&late);
        assert_eq!(image(&replay, &late), [1, 0, 0]);
        assert_eq!(replay.told().count(), 2);
        assert_eq!(image(&replay, &cut(6, 1.0, PAGE)), [1, 2, 0]);
    }

    #[test]
    fn a_torn_page_has_some_of_its_sectors() {
        let log = [write(0, 7)];
        let mut replay = Replay::new(&log, 1);
        let torn = cut(1, 0.5, SECTOR);
        replay.advance(&torn);
        let dir = tempfile::tempdir().unwrap();
        replay.write_images(&torn, dir.path());
        let image = std::fs::read(dir.path().join("0")).unwrap();
        let sectors = image[..PAGE].chunks(SECTOR).filter(|s| s.iter().all(|b| *b == 7)).count();
        assert!((1..PAGE / SECTOR).contains(&sectors), "{sectors} sectors");
    }
}
