//! How the files of the state directory are laid out: their fields one below the other, and each object of a
//! list on one line.

use serde::Serialize;

pub(crate) fn to_bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let pretty = serde_json::to_string_pretty(value)?;
    let mut text = String::with_capacity(pretty.len());
    // containers that are open on the line under way
    let mut open = 0;
    // No string has a line break or a last bracket of its own: they end in a quote.
    for (number, line) in pretty.lines().enumerate() {
        let part = line.trim_start();
        if open == 0 {
            text.push_str(line);
            open += usize::from(number > 0 && part == "{");
        } else {
            text.push_str(part);
            open += usize::from(part.ends_with(['{', '[']));
            open -= usize::from(part.starts_with(['}', ']']));
        }
        match open {
            0 => text.push('\n'),
            _ if part.ends_with(',') => text.push(' '),
            _ => {}
        }
    }
    Ok(text.into_bytes())
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
