//! Reads JSON from outside in bounded memory, however large and of whatever
//! making the file is.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::{fmt, io};

use serde::de::{self, DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A file larger than this is none of ours, in bytes.
pub(crate) const MOST: u64 = 256 << 20;
/// Longest text or number, in bytes. The kernel passes on no argument longer
/// than 128 KiB, of which a byte takes six at most.
const LONGEST: usize = 1 << 20;
/// Bytes of what a list at the top has one by one, such as a pass.
const LARGEST: usize = 256 << 10;
/// Values in values.
const DEEPEST: usize = 64;

/// Why JSON is not what it should be.
#[derive(Debug)]
pub enum Failure {
    /// It cannot be read at all.
    Unreadable(io::Error),
    /// It is not what it should be; why, and the field where that is known.
    Wrong(String),
}

/// Reads a value; what is not asked for is skipped.
pub(crate) fn read<T: DeserializeOwned>(from: &mut (impl Read + Seek)) -> Result<T, Failure> {
    // Naming the field takes longer, and is needed only after an error.
    let plain = pass(from, |json| T::deserialize(json));
    let Err(Failure::Wrong(why)) = plain else {
        return plain;
    };
    let mut field = None;
    let named = pass(from, |json| {
        serde_path_to_error::deserialize(json).map_err(|error| {
            field = Some(error.path().to_string());
            error.into_inner()
        })
    });
    let Err(Failure::Wrong(_)) = named else {
        return named;
    };
    // A path of nothing is ".", one of which nothing is known yet is "?".
    let field = field.filter(|path| path != "." && path != "?");
    Err(Failure::Wrong(match field {
        Some(field) => format!("field {field}: {why}"),
        None => why,
    }))
}

fn pass<T, R: Read + Seek>(
    from: &mut R,
    get: impl FnOnce(&mut Guarded<&mut R>) -> serde_json::Result<T>,
) -> Result<T, Failure> {
    from.seek(SeekFrom::Start(0)).map_err(Failure::Unreadable)?;
    let mut why = None;
    let guard = Guard::new(BufReader::with_capacity(1 << 16, from.take(MOST)), &mut why);
    let mut json = serde_json::Deserializer::from_reader(guard);
    let value = get(&mut json).and_then(|value| json.end().map(|()| value));
    drop(json);
    value.map_err(|error| match why {
        Some(why) => Failure::Wrong(why.into()),
        None if error.is_io() => Failure::Unreadable(error.into()),
        None => Failure::Wrong(error.to_string()),
    })
}

type Guarded<'a, R> =
    serde_json::Deserializer<serde_json::de::IoRead<Guard<'a, BufReader<io::Take<R>>>>>;

/// Passes JSON on as long as its parts are small enough to be kept in memory.
pub(crate) struct Guard<'a, R> {
    from: R,
    why: &'a mut Option<&'static str>,
    // of the text or number that is under way
    length: usize,
    in_text: bool,
    escaped: bool,
    depth: usize,
    // bytes of the value that is under way in a list or a field at the top
    part: usize,
}

impl<'a, R: Read> Guard<'a, R> {
    fn new(from: R, why: &'a mut Option<&'static str>) -> Self {
        Self {
            from,
            why,
            length: 0,
            in_text: false,
            escaped: false,
            depth: 0,
            part: 0,
        }
    }

    fn look(&mut self, byte: u8) -> Result<(), &'static str> {
        self.length += 1;
        if self.depth > 2 {
            self.part += 1;
        }
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.length = 0;
                    if self.depth <= 3 {
                        self.part = 0;
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.length = 0;
                }
                b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' => self.length = 0,
                _ => {}
            }
        }
        if self.length > LONGEST {
            return Err("a text or a number in it is longer than any that is saved");
        }
        if self.part > LARGEST {
            return Err("a part of it is larger than any that is saved");
        }
        if self.depth > DEEPEST {
            return Err("its values are nested deeper than any that are saved");
        }
        Ok(())
    }
}

impl<R: Read> Read for Guard<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        for &byte in &buffer[..length] {
            if let Err(why) = self.look(byte) {
                *self.why = Some(why);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(length)
    }
}

/// A list of at most `N`; more are an error.
pub(crate) fn list<'de, D, T, const N: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let mut list = Vec::new();
    each(from, |value: T| {
        if list.len() == N {
            return Err(format!("has more than {N}"));
        }
        list.push(value);
        Ok(())
    })?;
    Ok(list)
}

/// Hands on the values of a list one by one.
pub(crate) fn each<'de, D, T>(
    from: D,
    take: impl FnMut(T) -> Result<(), String>,
) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Each<T, F>(F, PhantomData<T>);

    impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), String>> Visitor<'de> for Each<T, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(value) = list.next_element()? {
                (self.0)(value).map_err(de::Error::custom)?;
            }
            Ok(())
        }
    }

    from.deserialize_seq(Each(take, PhantomData))
}

/// A value of which only a text or a whole number is of interest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Word {
    Text(String),
    Number(u64),
    /// Something else, or nothing.
    #[default]
    Other,
}

impl Word {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Word, E> {
                Ok(Word::Other)
            }
            fn visit_u64<E>(self, number: u64) -> Result<Word, E> {
                Ok(Word::Number(number))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Word, E> {
                Ok(Word::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Word, E> {
                Ok(Word::Other)
            }
            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word::Text(text.into()))
            }
            fn visit_unit<E>(self) -> Result<Word, E> {
                Ok(Word::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Word, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Word::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Word::Other)
            }
        }

        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Few {
        #[serde(default)]
        name: Word,
        #[serde(default, deserialize_with = "list::<_, _, 3>")]
        list: Vec<u64>,
    }

    fn few(json: &str) -> Result<Few, String> {
        read(&mut Cursor::new(json)).map_err(|failure| match failure {
            Failure::Wrong(why) => why,
            Failure::Unreadable(error) => panic!("{error}"),
        })
    }

    #[test]
    fn what_is_not_asked_for_is_skipped_and_a_wrong_field_is_named() {
        let json = r#" {"more": [[{"a": 1}], null], "name": "x\"y", "list": [1, 2, 3]} "#;
        let read = few(json).unwrap();
        assert_eq!(read.name.text(), Some("x\"y"));
        assert_eq!(read.list, [1, 2, 3]);
        assert_eq!(few(r#"{"name": {"a": []}}"#).unwrap().name, Word::Other);
        assert_eq!(few(r#"{"name": 7}"#).unwrap().name, Word::Number(7));
        for (json, why) in [
            (r#"{"list": [1, 2, 3, 4]}"#, "field list: has more than 3"),
            (r#"{"list": [1, "2"]}"#, "field list[1]: "),
            (r#"{"list": [1]} {}"#, "trailing characters"),
            (r#"{"list": [1"#, "EOF"),
            ("", "EOF"),
        ] {
            let found = few(json).unwrap_err();
            assert!(found.contains(why), "{json}: {found}");
        }
    }

    #[test]
    fn no_part_of_a_file_takes_more_memory_than_it_may() {
        let long = "x".repeat(LONGEST + 1);
        let many = "[1],".repeat(LARGEST / 4 + 1);
        for (json, why) in [
            (format!(r#"{{"a": "{long}"}}"#), "longer"),
            (format!(r#"{{"{long}": 1}}"#), "longer"),
            (format!(r#"{{"a": "{}"}}"#, r"\n".repeat(LONGEST)), "longer"),
            (format!(r#"{{"a": 1{}}}"#, "0".repeat(LONGEST)), "longer"),
            (format!(r#"{{"a": [[{many}1]]}}"#), "larger"),
            (format!(r#"{{"a": {}"#, "[".repeat(100_000)), "deeper"),
        ] {
            let found = few(&json).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
        // Long lists of small parts are no harm.
        few(&format!(r#"{{"a": [{many}1]}}"#)).unwrap();
    }
}
