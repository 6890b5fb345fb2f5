//! The report as a page: one file without scripts or anything from elsewhere,
//! to read and to print.
//!
//! A pure function of the record, without the keys of random passes.
//!
//! - [`sheet`]: the page as a whole
//! - [`drive`]: which drive it was
//! - [`work`]: what was done and how it was read back
//! - [`ranges`]: what was bad or differs
//! - [`times`]: how fast, when and where
//! - [`parts`]: what sections are made of

mod drive;
mod parts;
mod ranges;
mod sheet;
#[cfg(test)]
mod tests;
mod times;
mod work;

pub(crate) use sheet::html;
