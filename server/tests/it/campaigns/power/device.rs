//! Disks that write down everything that reaches them, in one log with what the clients were told.
//!
//! The disks are files of a FUSE file system of this process, under loop devices: what ext4 writes
//! and flushes arrives here as it would at a drive, in order.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

/// Bytes of a disk.
pub const DISK_BYTES: usize = 96 << 20;
/// The number of the first disk's file; 1 is the directory.
const FIRST: u64 = 2;
/// How long the kernel may remember sizes and names, which never change.
const TTL: Duration = Duration::from_secs(3_600);

/// What happened, in order.
#[derive(Clone, Debug)]
pub enum Entry<T> {
    Write {
        disk: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    /// Everything written to the disk before is on stable storage.
    Flush {
        disk: usize,
    },
    /// A client has read an answer.
    Told(T),
}

/// The log of all disks and clients of one recording.
#[derive(Debug)]
pub struct Log<T>(Arc<Mutex<Vec<Entry<T>>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Log<T> {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry<T>>> {
        self.0.lock().unwrap()
    }

    pub fn told(&self, what: T) {
        self.entries().push(Entry::Told(what));
    }

    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// The whole recording; the log goes on empty.
    pub fn take(&self) -> Vec<Entry<T>> {
        std::mem::take(&mut self.entries())
    }
}

/// Disks that are plugged in until this is dropped.
#[derive(Debug)]
pub struct Disks<T> {
    pub log: Log<T>,
    session: BackgroundSession,
}

impl<T: Send + 'static> Disks<T> {
    /// Shows `count` empty disks as the files `0`, `1`, … in the directory `at`.
    ///
    /// # Errors
    /// Where this process may not mount.
    pub fn plug_in(at: &Path, count: usize) -> std::io::Result<Self> {
        let log = Log(Arc::default());
        let images = (0..count).map(|_| Mutex::new(vec![0; DISK_BYTES])).collect();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("haulage-test-disks".into())];
        let session = fuser::spawn_mount(Drives { images, log: log.clone() }, at, &config)?;
        Ok(Self { log, session })
    }

    pub fn unplug(self) {
        self.session.umount_and_join().unwrap();
    }
}

struct Drives<T> {
    images: Vec<Mutex<Vec<u8>>>,
    log: Log<T>,
}

impl<T> Drives<T> {
    fn disk(&self, file: INodeNo) -> Option<(usize, &Mutex<Vec<u8>>)> {
        let disk = usize::try_from(u64::from(file).checked_sub(FIRST)?).ok()?;
        Some((disk, self.images.get(disk)?))
    }

    fn attributes(&self, file: INodeNo) -> Option<FileAttr> {
        let is_root = file == INodeNo::ROOT;
        let size = if is_root { 0 } else { self.disk(file).map(|_| DISK_BYTES as u64)? };
        Some(FileAttr {
            ino: file,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_root { FileType::Directory } else { FileType::RegularFile },
            perm: if is_root { 0o700 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl<T: Send + 'static> Filesystem for Drives<T> {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = name.to_str().and_then(|name| name.parse::<u64>().ok());
        match disk.and_then(|disk| self.attributes(INodeNo(disk + FIRST))) {
            Some(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, file: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(file) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No cache of the kernel's between a disk and its log.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some((_, image)) = self.disk(file) else { return reply.error(Errno::EIO) };
        let start = usize::try_from(offset).unwrap().min(DISK_BYTES);
        let end = (start + size as usize).min(DISK_BYTES);
        reply.data(&image.lock().unwrap()[start..end]);
    }

    fn write(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some((disk, image)) = self.disk(file) else { return reply.error(Errno::EIO) };
        let at = usize::try_from(offset).unwrap();
        let end = at + data.len();
        if end > DISK_BYTES {
            return reply.error(Errno::ENOSPC);
        }
        image.lock().unwrap()[at..end].copy_from_slice(data);
        // In the log before the writer hears of it.
        self.log.entries().push(Entry::Write { disk, at, bytes: data.to_vec() });
        reply.written(u32::try_from(data.len()).unwrap());
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A close; no promise about the disk.
        reply.ok();
    }

    fn fsync(&self, _: &Request, file: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let Some((disk, _)) = self.disk(file) else { return reply.error(Errno::EIO) };
        self.log.entries().push(Entry::Flush { disk });
        reply.ok();
    }
}
