//! Layers of caches, snapshots and volumes below a target, made by the kernel's
//! own drivers in the small machine.

use std::collections::HashSet;
use std::path::Path;

use crate::support::content::fill_with_tags;
use crate::support::vm::{Boot, Machine};
use crate::support::{MIB, Need, Scratch, cases};

const LAYERS: &[Need] = &[
    Need::Machine,
    Need::Tool("make-bcache"),
    Need::Tool("lvm"),
    Need::Tool("dmsetup"),
];

cases![
    LAYERS => what_caches_and_snapshots_below_a_volume_keep_is_refused_or_told,
];

/// A bcache: what it refuses, and what it does to a wipe that is under way.
const BCACHE: &str = r#"
b=$(dev BACKING) c=$(dev CACHE) x=/sys/block/bcache0/bcache
make-bcache --writeback --bucket 64k -B $b -C $c
for d in $b $c; do echo $d >/sys/fs/bcache/register; done 2>/dev/null
n=0; until [ -b /dev/bcache0 ] || [ $n = 100 ]; do n=$((n+1)); sleep .1; done
echo 0 >$x/writeback_delay; echo 0 >$x/writeback_percent
# all the old data on the backing disk
echo none >$x/cache_mode
dd if=$(dev OLD) of=/dev/bcache0 bs=1M oflag=direct conv=fsync 2>/dev/null
clean() { n=0; until [ "$(cat $x/state)" = clean ] || [ $n = 300 ]; do
    n=$((n+1)); sleep .1; done; echo clean $(cat $x/state); }
echo writeback >$x/cache_mode; echo mode $(cat $x/cache_mode), $(cat $x/state)
try back wipeit --yes --state-dir /w /dev/bcache0
try backing wipeit --yes --state-dir /w $b
echo 0 16384 linear /dev/bcache0 0 | dmsetup create over
try over wipeit --yes --state-dir /w /dev/mapper/over
dmsetup remove over
# dirty, in another mode
echo 0 >$x/writeback_running
dd if=/dev/urandom of=/dev/bcache0 bs=4k count=64 oflag=direct 2>/dev/null
echo writethrough >$x/cache_mode
echo dirty $(cat $x/state)
try dirty wipeit --yes --state-dir /w /dev/bcache0
echo 1 >$x/writeback_running; clean
# the mode changes behind its back
(n=0; until ls /w/pending/*.json >/dev/null 2>&1 || [ $n = 200 ]; do
    n=$((n+1)); sleep .05; done; echo writeback >$x/cache_mode) &
try changed wipeit --yes --verify none --rate-limit 4M --checkpoint-every 1M \
    --state-dir /w /dev/bcache0
wait; echo mode2 $(cat $x/cache_mode)
echo left $(ls /w/pending | wc -l) records $(ls /w/reports | wc -l)
echo writethrough >$x/cache_mode; clean
try resumed wipeit --yes --resume --state-dir /w /dev/bcache0
show report /w/reports/*.json
echo 1 >$x/stop
"#;

/// Volumes of LVM. Their drives hold no bcache any more.
const LVM: &str = r#"
p=$(dev GROUP) f=$(dev FAST)
pvcreate -q $p $f; vgcreate -q vg $p $f
make() { lvcreate -q -y -an -Zn -Wn -l $1 -n $2 vg $3; lvchange -ay vg/$2; }
make 2 plain $p; make 2 home $p
lvcreate -q -y -s -l 3 -n snap vg/home
make 2 cached $p; lvchange -an vg/cached
make 2 quick $f; lvchange -an vg/quick
lvconvert -q -y --type writecache --cachevol quick vg/cached; lvchange -ay vg/cached
dmsetup table
for v in plain home snap cached; do
    try "$v card" wipeit --dry-run --state-dir /w /dev/mapper/vg-$v
    try "$v" wipeit --yes --state-dir /w /dev/mapper/vg-$v
done
"#;

fn what_caches_and_snapshots_below_a_volume_keep_is_refused_or_told() {
    let machine = Machine::new()
        // Old data in the words of the tests, to be put onto the bcache.
        .disk("virtio,serial=OLD", 16 * MIB)
        .blank("scsi,serial=BACKING", 24 * MIB)
        .blank("scsi,serial=CACHE", 128 * MIB)
        .blank("scsi,serial=GROUP", 96 * MIB)
        .blank("scsi,serial=FAST", 64 * MIB)
        .modules(&["bcache", "dm-mod", "dm-snapshot", "dm-writecache"]);
    let boot = machine
        .boot(&[], &format!("exec 2>&1\n{BCACHE}\n{LVM}"))
        .finished();
    bcache(&machine, &boot);
    lvm(&boot);
}

/// How many blocks of an image hold old data of `fill_with_tags`.
fn old_blocks(image: &Path, reference: &Path) -> usize {
    let (now, then) = (
        std::fs::read(image).unwrap(),
        std::fs::read(reference).unwrap(),
    );
    let blocks: HashSet<&[u8]> = then.chunks(512).collect();
    now.chunks(512)
        .filter(|block| blocks.contains(block))
        .count()
}

fn bcache(machine: &Machine, boot: &Boot) {
    let back = [
        "bcache0 is a bcache in write-back mode",
        "echo writethrough > /sys/block/bcache0/bcache/cache_mode",
        "state says clean",
        "not touched",
    ];
    boot.ended("back", 4, &back);
    boot.ended("over", 4, &back);
    boot.ended("backing", 4, &["held by bcache0"]);
    boot.ended("dirty", 4, &["bcache0", "state says clean"]);
    let words = [
        "FAILED /dev/bcache0",
        "bcache0 is a bcache in write-back mode",
    ];
    boot.ended("changed", 1, &words);
    assert_eq!(boot.value("left"), "1 records 0");
    boot.ended(
        "resumed",
        0,
        &["WIPED /dev/bcache0", "Method Overwritten: "],
    );
    let scratch = Scratch::new();
    let reference = scratch.join("old");
    fill_with_tags(&reference, 16 * MIB);
    assert_eq!(old_blocks(&machine.image("scsi0"), &reference), 0);
}

fn lvm(boot: &Boot) {
    boot.ended("plain", 0, &["WIPED ", "Method Overwritten: "]);
    let kept = "the old data is still on its snapshot dm-";
    boot.ended("home card", 0, &["Warning", kept, "(vg-snap)"]);
    boot.ended("home", 3, &["NOT-CLEAR ", kept]);
    let kept = "the old data is still on its origin dm-";
    boot.ended("snap", 3, &["NOT-CLEAR ", kept, "(vg-home)"]);
    boot.ended(
        "cached",
        4,
        &["dm-writecache", "lvconvert --splitcache", "not touched"],
    );
}
