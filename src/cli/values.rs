//! What the value of an option is, or why it is none. The option's name is said
//! elsewhere.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::mistake;
use crate::plan::Scheme;
use crate::progress::Place;
use crate::strategy::Pattern;
use crate::text::{clean, is_one_line, size};

const EMPTY: &str = "is empty; did a variable expand to nothing?";

/// What `--scheme` names.
#[derive(Debug, Clone, Copy)]
pub(super) enum SchemeName {
    Help,
    One(&'static Scheme),
}

pub(super) fn scheme(text: &str) -> Result<SchemeName, String> {
    match Scheme::named(text) {
        _ if text == "help" => Ok(SchemeName::Help),
        Some(scheme) => Ok(SchemeName::One(scheme)),
        None => Err(mistake::scheme(text)),
    }
}

pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    let pattern: Result<Pattern, _> = text.parse();
    pattern.map_err(|why| format!("'{}' {why}", clean(text)))
}

pub(super) fn serial(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err(EMPTY),
        _ => Ok(text.into()),
    }
}

/// Not clap's own, which has other words for an empty one.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text: OsString| {
        let path = (!text.is_empty()).then(|| PathBuf::from(text));
        path.ok_or(EMPTY)
    })
}

/// Where a report goes.
pub(super) fn place() -> impl TypedValueParser<Value = Place> {
    path().try_map(Place::new)
}

/// Words that go into the report as they are.
pub(super) fn words() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text: OsString| {
        let text = text.into_string();
        let text = text.map_err(|_| "is not UTF-8; write it in UTF-8".to_string())?;
        match text.trim() {
            "" => Err(EMPTY.into()),
            words if is_one_line(&text) => Ok(words.to_string()),
            _ => Err(format!(
                "'{}' has a line break, a control character or one that turns the direction of \
                 text; leave it out",
                clean(&text)
            )),
        }
    })
}

pub(super) fn number(
    least: usize,
    most: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    move |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok();
        number
            .filter(|number| digits && (least..=most).contains(number))
            .ok_or_else(|| {
                let text = clean(text);
                format!("'{text}' is not a number from {least} to {most}; give one")
            })
    }
}

pub(super) fn bytes(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync {
    move |text| {
        let why = match size::parse(text) {
            Ok(bytes) if bytes < least => "is too small".to_string(),
            Ok(bytes) if bytes > most => size::SizeError::TooLarge.to_string(),
            Ok(bytes) => return Ok(bytes),
            Err(why) => why.to_string(),
        };
        let (text, least, most) = (clean(text), size::typed(least), size::typed(most));
        Err(format!(
            "'{text}' {why}; give a size from {least} to {most}"
        ))
    }
}
