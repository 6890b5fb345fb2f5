//! The house holds: which file uses which, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and files of `src`, lowest first; those of one floor do not use each
/// other.
const FLOORS: &[&[&str]] = &[
    &["planted", "text"],
    &["outcome"],
    &["strategy"],
    &["plan"],
    &["drive"],
    &["probe"],
    &["engine"],
    &["writer"],
    &["progress"],
    &["report"],
    &["screen"],
    &["signal"],
    &["cli"],
    &["refusal"],
    &["wipe"],
    &["survey"],
    &["batch"],
    &["lib"],
    &["main"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// The sources without their tests, by path below `src`, as `drive/guard`.
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().with_extension("");
                let name = name.to_str().unwrap().to_string();
                found.insert(name, without_tests(&fs::read_to_string(&path).unwrap()));
            }
        }
        let mut sources = Self(found);
        sources.leave_out_tests();
        sources
    }

    /// Files of modules that only tests have, and all below them.
    fn leave_out_tests(&mut self) {
        let mut tests = vec!["architecture".to_string()];
        for (name, text) in &self.0 {
            let folder = name.strip_suffix("/mod").unwrap_or(name);
            let declared = text.split("#[cfg(test)]").skip(1);
            tests.extend(declared.filter_map(|rest| {
                let line = rest.trim_start().lines().next()?;
                let module = line.strip_suffix(';')?.rsplit_once("mod ")?.1;
                Some(match folder {
                    "lib" => module.to_string(),
                    folder => format!("{folder}/{module}"),
                })
            }));
        }
        self.0.retain(|name, _| {
            let within = |test: &String| name == test || name.starts_with(&format!("{test}/"));
            !tests.iter().any(within)
        });
    }

    /// The file of a path such as `drive::guard::check`, one re-export resolved.
    fn file_of(&self, path: &[&str]) -> Option<String> {
        let mut name = (*path.first()?).to_string();
        let mut rest = &path[1..];
        while let Some(next) = rest.first()
            && self.0.contains_key(&format!("{name}/{next}"))
        {
            name = format!("{name}/{next}");
            rest = &rest[1..];
        }
        if self.0.contains_key(&name) {
            return Some(name);
        }
        let exports = self.0.get(&format!("{name}/mod"))?;
        let wanted = rest.first()?;
        for from in uses(exports, "pub use ").chain(uses(exports, "pub(crate) use ")) {
            let (last, file) = from.split_last()?;
            if last == wanted {
                return Some(format!("{name}/{}", file.first()?));
            }
        }
        Some(format!("{name}/mod"))
    }

    /// The files that a file uses.
    fn used_by(&self, name: &str) -> BTreeSet<String> {
        let folder: Vec<&str> = name.split('/').collect();
        let text = &self.0[name];
        let mut used = BTreeSet::new();
        let found = uses(text, "use ").chain(inline(text));
        for path in found {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let whole: Vec<&str> = match path[..] {
                ["crate", ..] => path[1..].to_vec(),
                ["super", ..] => [&folder[..folder.len() - 1], &path[1..]].concat(),
                ["self", ..] => [&folder[..], &path[1..]].concat(),
                _ => continue,
            };
            used.extend(self.file_of(&whole));
        }
        used.remove(name);
        used
    }
}

/// Without comments and without what is only compiled for tests.
fn without_tests(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| !next.ends_with(';')) {
            for rest in lines.by_ref() {
                if rest == "}" || rest.ends_with("};") {
                    break;
                }
            }
            continue;
        }
        let code = line.split("//").next().unwrap_or_default();
        kept.push_str(code);
        kept.push('\n');
    }
    kept
}

/// The paths of the `use` declarations that begin so, groups taken apart.
fn uses<'a>(text: &'a str, begin: &'a str) -> impl Iterator<Item = Vec<String>> + 'a {
    let starts = text.lines().filter_map(move |line| {
        let indented = line.len() - line.trim_start().len();
        let at = line.as_ptr() as usize - text.as_ptr() as usize + indented;
        let path = text[at..].strip_prefix(begin)?.split(';').next()?;
        // A line of a text may begin so.
        let is_path = |c: char| c.is_alphanumeric() || "_:{}*, \n".contains(c);
        (path.contains("::") && path.chars().all(is_path)).then_some(path)
    });
    starts.flat_map(|tree| {
        taken_apart(tree).into_iter().map(|path| {
            let path = path.split(" as ").next().unwrap();
            let parts = path.split("::").map(|part| part.trim().to_string());
            parts
                .filter(|part| part != "self" || path.starts_with("self"))
                .collect()
        })
    })
}

fn taken_apart(tree: &str) -> Vec<String> {
    let Some((before, group)) = tree.split_once('{') else {
        return vec![tree.trim().to_string()];
    };
    let group = &group[..group.rfind('}').unwrap()];
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    let whole = parts.flat_map(|part| taken_apart(part));
    whole
        .map(|part| format!("{}{part}", before.trim()))
        .collect()
}

/// The paths that stand in the code itself, as `crate::text::reason`.
fn inline(text: &str) -> impl Iterator<Item = Vec<String>> + '_ {
    text.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))?;
        let parts = rest[..end].split("::").filter(|part| !part.is_empty());
        let path: Vec<String> = ["crate"]
            .into_iter()
            .chain(parts)
            .map(String::from)
            .collect();
        (path.len() > 1).then_some(path)
    })
}

#[test]
fn a_folder_uses_only_what_stands_before_it() {
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for name in sources.0.keys() {
        let room = name.split('/').next().unwrap();
        let own = floor(room).unwrap_or_else(|| panic!("{room} has no place in the house"));
        for used in sources.used_by(name) {
            let other = used.split('/').next().unwrap();
            if other != room && floor(other).is_none_or(|other| other >= own) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_two_files_use_each_other() {
    let sources = Sources::read();
    let uses: BTreeMap<_, _> = sources
        .0
        .keys()
        .map(|name| (name, sources.used_by(name)))
        .collect();
    let mut left: BTreeSet<&String> = uses.keys().copied().collect();
    // What uses nothing that is left, or is used by nothing that is, is in no cycle.
    loop {
        let is_needed = |name: &String| left.iter().any(|other| uses[*other].contains(name));
        let free: Vec<_> = left
            .iter()
            .copied()
            .filter(|name| !uses[*name].iter().any(|it| left.contains(it)) || !is_needed(name))
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    let ring: Vec<String> = left
        .iter()
        .map(|name| {
            let others: Vec<_> = uses[*name]
                .iter()
                .filter(|used| left.contains(used))
                .map(String::as_str)
                .collect();
            format!("{name} uses {}", others.join(", "))
        })
        .collect();
    assert_eq!(ring, [""; 0]);
}

#[test]
fn a_mod_file_holds_only_documentation_modules_and_re_exports() {
    let sources = Sources::read();
    let allowed = [
        "mod ",
        "pub mod ",
        "pub(crate) mod ",
        "pub use ",
        "pub(crate) use ",
        "#[",
    ];
    for (name, text) in &sources.0 {
        if !name.ends_with("/mod") {
            continue;
        }
        let mut within = false;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let begins = allowed.iter().any(|begin| line.starts_with(begin));
            assert!(begins || within, "{name}: {line}");
            within = !line.ends_with([';', ']']);
        }
    }
}
