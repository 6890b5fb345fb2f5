//! What an error of the kernel says of a target as a whole: one table for each
//! kind of target.
//!
//! Two things must never happen: that an error which says nothing of a block
//! makes a bad block, and that one bad block ends a run. A drive answers each
//! command by itself, and whatever it answers is first of all said of that
//! command; see `blk_errors` in `block/blk-core.c`. A file system has many more
//! ways to fail, and only a few of its errors are about a block.

use nix::errno::Errno;

use super::file_system::{Does, does};

/// What a target is, as far as it matters for its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServedBy {
    Block,
    /// A file on a file system that the kernel itself keeps on a disk of this
    /// machine, or in its memory.
    Local,
    /// A file that a server or another program serves: NFS, CIFS, FUSE, 9p,
    /// Ceph; and whatever is not known to be local, as an overlay over those.
    Served,
}

impl ServedBy {
    /// That of a file, by the number of its file system.
    pub(super) fn of_file_system(magic: u64) -> Self {
        match does(magic) {
            Does::Copies | Does::InPlace | Does::CountsExactly => Self::Local,
            Does::Nothing => Self::Served,
        }
    }
}

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The range cannot be written or read. A target that answers everything
    /// like that is found out by trying elsewhere.
    Bad,
    /// The same where other places can still be read; else the server fails.
    BadUnlessAll,
    /// Nothing is wrong with the target: it is tried again after a moment, and
    /// where that does not help for seconds the run ends.
    Passing,
    Gone,
    /// The file's server, or the program that serves it, has.
    ServerGone,
    /// There is no room below it. Of a block device that has gone the kernel
    /// says so too: it has no bytes any more.
    Full,
    MayNotWrite,
    /// The file system is damaged, or takes no such request.
    Ends,
}

/// Errors of NFS that no libc knows (`include/linux/errno.h`) and that should
/// not get out of the kernel: EBADHANDLE to ENOGRACE.
const OF_NFS: std::ops::RangeInclusive<i32> = 521..=531;

/// What an error of this kind of target means. `errno`: that of `pread`,
/// `pwrite` or `fdatasync`.
pub(super) fn meaning(kind: ServedBy, errno: i32) -> Meaning {
    if kind == ServedBy::Served && OF_NFS.contains(&errno) {
        return Meaning::ServerGone;
    }
    let errno = Errno::from_raw(errno);
    match errno {
        Errno::EINTR | Errno::EAGAIN | Errno::ENOMEM | Errno::EBUSY | Errno::ENOBUFS => {
            return Meaning::Passing;
        }
        Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG => return Meaning::Full,
        Errno::EROFS | Errno::EPERM | Errno::EACCES | Errno::ETXTBSY => {
            return Meaning::MayNotWrite;
        }
        Errno::ENODEV | Errno::ENXIO => return Meaning::Gone,
        _ => {}
    }
    match kind {
        ServedBy::Block => of_block(errno),
        ServedBy::Local => of_local(errno),
        ServedBy::Served => of_served(errno),
    }
}

/// Whatever else a drive answers is said of the command.
fn of_block(errno: Errno) -> Meaning {
    match errno {
        Errno::ESHUTDOWN => Meaning::Gone,
        _ => Meaning::Bad,
    }
}

/// The errors of the drive below come through; anything else is the file
/// system's own. xfs and ext4 that were shut down give EIO for everything.
#[rustfmt::skip]
fn of_local(errno: Errno) -> Meaning {
    match errno {
        // EBADMSG: a checksum of the file system, its EFSBADCRC.
        Errno::EIO | Errno::ENODATA | Errno::EREMOTEIO | Errno::EILSEQ | Errno::EBADE
        | Errno::ENOLINK | Errno::ETIMEDOUT | Errno::ETIME | Errno::EBADMSG => Meaning::Bad,
        Errno::ESHUTDOWN | Errno::ESTALE | Errno::ENOENT | Errno::ENOMEDIUM => Meaning::Gone,
        _ => Meaning::Ends,
    }
}

/// A server passes on what its own disk answered, and much else.
fn of_served(errno: Errno) -> Meaning {
    match errno {
        // A soft mount of NFS says EIO as well when the server is silent.
        Errno::EIO | Errno::ENODATA | Errno::EILSEQ | Errno::EBADMSG => Meaning::BadUnlessAll,
        Errno::ENOENT => Meaning::Gone,
        _ if is_of_server(errno) => Meaning::ServerGone,
        _ => Meaning::Ends,
    }
}

/// Whether an error says that a server, the way to it, or the handle of the
/// file there is no more. FUSE without its program: ENOTCONN, and ECONNABORTED
/// for what was in flight. Ceph's EBLOCKLISTED is ESHUTDOWN.
#[rustfmt::skip]
fn is_of_server(errno: Errno) -> bool {
    use Errno::{
        EBADE, EBADF, EBADFD, ECOMM, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN,
        EHOSTUNREACH, EKEYEXPIRED, EKEYREJECTED, EKEYREVOKED, ENETDOWN, ENETRESET, ENETUNREACH,
        ENOKEY, ENOLINK, ENOMEDIUM, ENONET, ENOTCONN, EPIPE, EPROTO, EREMCHG, EREMOTEIO,
        ESHUTDOWN, ESTALE, ETIME, ETIMEDOUT,
    };
    matches!(
        errno,
        EBADE | EBADF | EBADFD | ECOMM | ECONNABORTED | ECONNREFUSED | ECONNRESET | EHOSTDOWN
        | EHOSTUNREACH | EKEYEXPIRED | EKEYREJECTED | EKEYREVOKED | ENETDOWN | ENETRESET
        | ENETUNREACH | ENOKEY | ENOLINK | ENOMEDIUM | ENONET | ENOTCONN | EPIPE | EPROTO
        | EREMCHG | EREMOTEIO | ESHUTDOWN | ESTALE | ETIME | ETIMEDOUT
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ServedBy; 3] = [ServedBy::Block, ServedBy::Local, ServedBy::Served];

    /// Errno, and what it means for a block device, a local and a served file.
    const TABLE: &[(Errno, [Meaning; 3])] = {
        use Meaning::{
            Bad as B, BadUnlessAll as U, Ends as E, Full as F, Gone as G, MayNotWrite as M,
            Passing as P, ServerGone as S,
        };
        &[
            (Errno::EIO, [B, B, U]),
            (Errno::ENODATA, [B, B, U]),
            (Errno::EILSEQ, [B, B, U]),
            (Errno::EBADMSG, [B, B, U]),
            (Errno::EREMOTEIO, [B, B, S]),
            (Errno::EBADE, [B, B, S]),
            (Errno::ENOLINK, [B, B, S]),
            (Errno::ETIMEDOUT, [B, B, S]),
            (Errno::ETIME, [B, B, S]),
            (Errno::EINTR, [P, P, P]),
            (Errno::EAGAIN, [P, P, P]),
            (Errno::ENOMEM, [P, P, P]),
            (Errno::EBUSY, [P, P, P]),
            (Errno::ENOBUFS, [P, P, P]),
            (Errno::ENOSPC, [F, F, F]),
            (Errno::EDQUOT, [F, F, F]),
            (Errno::EFBIG, [F, F, F]),
            (Errno::EROFS, [M, M, M]),
            (Errno::EPERM, [M, M, M]),
            (Errno::EACCES, [M, M, M]),
            (Errno::ETXTBSY, [M, M, M]),
            (Errno::ENODEV, [G, G, G]),
            (Errno::ENXIO, [G, G, G]),
            (Errno::ESHUTDOWN, [G, G, S]),
            (Errno::ESTALE, [B, G, S]),
            (Errno::ENOENT, [B, G, G]),
            (Errno::ENOMEDIUM, [B, G, S]),
            (Errno::ENOTCONN, [B, E, S]),
            (Errno::ECONNABORTED, [B, E, S]),
            (Errno::ECONNREFUSED, [B, E, S]),
            (Errno::ECONNRESET, [B, E, S]),
            (Errno::EHOSTDOWN, [B, E, S]),
            (Errno::EHOSTUNREACH, [B, E, S]),
            (Errno::ENETDOWN, [B, E, S]),
            (Errno::ENETUNREACH, [B, E, S]),
            (Errno::ENETRESET, [B, E, S]),
            (Errno::EPIPE, [B, E, S]),
            (Errno::EREMCHG, [B, E, S]),
            (Errno::ECOMM, [B, E, S]),
            (Errno::EPROTO, [B, E, S]),
            (Errno::ENONET, [B, E, S]),
            (Errno::EBADF, [B, E, S]),
            (Errno::EBADFD, [B, E, S]),
            (Errno::EKEYEXPIRED, [B, E, S]),
            (Errno::EKEYREVOKED, [B, E, S]),
            (Errno::EKEYREJECTED, [B, E, S]),
            (Errno::ENOKEY, [B, E, S]),
            (Errno::EUCLEAN, [B, E, E]),
            (Errno::EINVAL, [B, E, E]),
            (Errno::EOPNOTSUPP, [B, E, E]),
            (Errno::ENOSYS, [B, E, E]),
            (Errno::EOVERFLOW, [B, E, E]),
            (Errno::ETOOMANYREFS, [B, E, E]),
            (Errno::ENOLCK, [B, E, E]),
            (Errno::EDEADLK, [B, E, E]),
            (Errno::ELOOP, [B, E, E]),
            (Errno::EFAULT, [B, E, E]),
        ]
    };

    #[test]
    fn every_row_of_the_table_holds() {
        for (errno, expected) in TABLE {
            for (kind, expected) in KINDS.into_iter().zip(expected) {
                let found = meaning(kind, *errno as i32);
                assert_eq!(found, *expected, "{errno} of {kind:?}");
            }
        }
    }

    #[test]
    fn an_error_that_is_in_no_table_makes_no_bad_blocks_in_a_file() {
        let known = |code: i32| TABLE.iter().any(|(errno, _)| *errno as i32 == code);
        for code in (1..=1024).filter(|code| !known(*code)) {
            let served = meaning(ServedBy::Served, code);
            assert!(
                matches!(served, Meaning::Ends | Meaning::ServerGone),
                "{code}: {served:?}"
            );
            assert_eq!(meaning(ServedBy::Local, code), Meaning::Ends, "{code}");
            assert_eq!(meaning(ServedBy::Block, code), Meaning::Bad, "{code}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_local_is_served() {
        // NFS, SMB 2, FUSE, 9p, Ceph, an overlay, and something new.
        for magic in [
            0x6969,
            0xfe53_4d42,
            0x6573_5546,
            0x0102_1997,
            0x00c3_6400,
            0x794c_7630,
            0x1234_5678,
        ] {
            assert_eq!(ServedBy::of_file_system(magic), ServedBy::Served);
        }
        for magic in [0xef53, 0x5846_5342, 0x0102_1994] {
            assert_eq!(ServedBy::of_file_system(magic), ServedBy::Local);
        }
    }
}
