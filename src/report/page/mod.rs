//! The report as a page: one file without scripts or anything from elsewhere,
//! to read and to print.
//!
//! A pure function of the record, without the keys of random passes.

mod drive;
mod parts;
mod ranges;
mod sheet;
#[cfg(test)]
mod tests;
mod times;
mod work;

pub use sheet::html;
