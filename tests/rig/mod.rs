//! Power cuts without a machine: two disks with a volatile cache, one under a
//! loop device for the drive and one for the disk of the state directory, lose
//! their power in one instant; what is left is judged, and the wipe resumed to
//! its end.

pub mod campaign;
pub mod coverage;
pub mod disk;
pub mod dock;
pub mod far;
pub mod judge;
pub mod keep;
pub mod kills;
pub mod lab;
pub mod ledger;
pub mod machine;
pub mod memory;
pub mod planted;
pub mod served;
pub mod slots;
pub mod states;
pub mod steps;
pub mod stream;
