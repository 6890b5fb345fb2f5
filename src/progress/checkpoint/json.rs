//! How a checkpoint is laid out: its fields one below the other, and what is in
//! a list on one line each.

use std::io;
use std::io::Write;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// The bytes of a file.
pub fn to_bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1 << 14);
    value.serialize(&mut Serializer::with_formatter(
        &mut bytes,
        Layout::default(),
    ))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Pretty, except for objects in lists.
#[derive(Default)]
struct Layout {
    pretty: PrettyFormatter<'static>,
    // whether the innermost container that is laid out prettily is a list
    in_list: Vec<bool>,
    // containers on the line under way
    on_line: usize,
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.on_line > 0 {
            self.on_line += 1;
            return to.write_all(b"[");
        }
        self.in_list.push(true);
        self.pretty.begin_array(to)
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.on_line > 0 {
            self.on_line -= 1;
            return to.write_all(b"]");
        }
        self.in_list.pop();
        self.pretty.end_array(to)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if self.on_line > 0 {
            return separate(to, first);
        }
        self.pretty.begin_array_value(to, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.on_line > 0 {
            return Ok(());
        }
        self.pretty.end_array_value(to)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.on_line > 0 || self.in_list.last() == Some(&true) {
            self.on_line += 1;
            return to.write_all(b"{");
        }
        self.in_list.push(false);
        self.pretty.begin_object(to)
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.on_line > 0 {
            self.on_line -= 1;
            return to.write_all(b"}");
        }
        self.in_list.pop();
        self.pretty.end_object(to)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if self.on_line > 0 {
            return separate(to, first);
        }
        self.pretty.begin_object_key(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        if self.on_line > 0 {
            return Ok(());
        }
        self.pretty.end_object_value(to)
    }
}

fn separate<W: ?Sized + Write>(to: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { to.write_all(b", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_stand_one_below_the_other_and_entries_of_a_list_on_one_line_each() {
        let value = json!({
            "a": {"b": 1, "empty": {}},
            "list": [{"x": 1, "y": [1, 2], "z": {"p": null}}, {}, 7],
            "none": [],
        });
        let bytes = to_bytes(&value).unwrap();
        let text = r#"{
  "a": {
    "b": 1,
    "empty": {}
  },
  "list": [
    {"x": 1, "y": [1, 2], "z": {"p": null}},
    {},
    7
  ],
  "none": []
}
"#;
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }
}
