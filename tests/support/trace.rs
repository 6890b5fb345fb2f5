//! The system calls of a run, in the order in which they began and ended.

use std::collections::HashMap;
use std::path::Path;

/// One call. A call that ends before another begins has `end < other.begin`.
#[derive(Debug, Clone)]
pub struct Call {
    pub begin: usize,
    pub end: usize,
    pub name: String,
    /// As strace shows them.
    pub args: String,
    pub result: i64,
}

impl Call {
    /// The path that strace shows for the descriptor, the first argument.
    pub fn path(&self) -> &str {
        self.args
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or("", |(path, _)| path)
    }

    /// Offset and end of a positioned write or read.
    pub fn range(&self) -> (u64, u64) {
        let mut last = self.args.rsplit(", ");
        let offset: u64 = last.next().unwrap().parse().unwrap();
        let count: u64 = last.next().unwrap().parse().unwrap();
        (offset, offset + count)
    }

    /// A number field of the JSON that is written.
    pub fn json_number(&self, field: &str) -> Option<u64> {
        let (_, rest) = self.args.split_once(&format!("\\\"{field}\\\": "))?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

/// Reads what `strace -f -y -o FILE` wrote.
pub fn read(path: &Path) -> Vec<Call> {
    let text = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text);
    let mut open: HashMap<u32, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let Some((thread, rest)) = text.split_once(char::is_whitespace) else {
            continue;
        };
        let thread: u32 = thread.parse().unwrap();
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix("<unfinished ...>") {
            open.insert(thread, (line, head.trim_end().to_string()));
            continue;
        }
        let (begin, whole) = if rest.starts_with("<... ") {
            let Some((begin, head)) = open.remove(&thread) else {
                continue;
            };
            let (_, tail) = rest.split_once("resumed>").unwrap();
            (begin, format!("{head}{tail}"))
        } else {
            (line, rest.to_string())
        };
        calls.extend(parse(begin, line, &whole));
    }
    calls.sort_by_key(|call: &Call| call.begin);
    calls
}

fn parse(begin: usize, end: usize, text: &str) -> Option<Call> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, args) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    // A descriptor is followed by its path.
    let result = result.split([' ', '<']).next()?.parse().ok()?;
    Some(Call {
        begin,
        end,
        name: name.to_string(),
        args: args.trim_end_matches([',', ' ']).to_string(),
        result,
    })
}
