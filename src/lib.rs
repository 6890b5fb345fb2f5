//! wipeit wipes disks, and never lies about how far it got.
//!
//! The house, from the facts up; a module may use only what stands above it
//! (an architecture test keeps it so):
//!
//! - facts: [`size`], [`extent`], [`strategy`], [`plan`], [`identity`],
//!   [`checkpoint`], [`event`], [`outcome`], [`text`]
//! - core: [`guard`], [`engine`]
//! - edges: [`cli`], [`device`], [`writer`], [`progress`], [`confirm`],
//!   [`signal`], [`display`], [`report`]
//! - top: [`run`], here

pub mod checkpoint;
pub mod confirm;
pub mod device;
pub mod display;
pub mod event;
pub mod extent;
pub mod identity;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod signal;
pub mod size;
pub mod text;
