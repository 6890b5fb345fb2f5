//! Why a target is not touched: causes as values, each with its fact, its remedy
//! and what was done to the target; put into words here, but for
//! what lower rooms say of their own errors.
//!
//! It stands above the rooms whose errors it names: what may be in use is `drive`'s
//! to know, why a path is denied `probe`'s.
//!
//! - [`cause`]: why, and the fact; also of a file that is of no use
//! - [`framed`]: the fact with its subject and its remedy

mod cause;
mod framed;

pub(crate) use cause::{Cause, Unusable};
