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
pub mod cli;
pub mod confirm;
pub mod device;
pub mod display;
pub mod engine;
pub mod event;
pub mod extent;
pub mod guard;
pub mod identity;
pub mod outcome;
pub mod plan;
pub mod progress;
pub mod report;
pub mod signal;
pub mod size;
pub mod strategy;
pub mod text;
pub mod writer;
