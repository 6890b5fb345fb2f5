//! The list as text.

use jiff::Timestamp;

use super::entry::{Listing, Row};
use super::pending::INDENT;
use crate::drive::Nature;
use crate::probe::Whereabouts;
use crate::text::{broken, clean, cut, padded, said, size, visible, width};

const HEADER: [&str; 7] = ["DEVICE", "SIZE", "STATE", "KIND", "MODEL", "SERIAL", "SLOT"];

const SIZE: usize = 1;

const STATE: usize = 2;

const MODEL: usize = 4;

/// Columns that are kept for the state on a terminal.
const LONGEST_STATE: usize = 28;

impl Listing {
    /// As text: fitted to `width` columns of a terminal, or whole.
    pub(crate) fn text(&self, width: Option<usize>, now: Timestamp) -> String {
        let fit = |line: &str| width.map_or_else(|| line.to_string(), |width| cut(line, width));
        let mut lines = Vec::new();
        if !self.unfinished.is_empty() {
            lines.push("Unfinished:".to_string());
            for wipe in &self.unfinished {
                let [drive, progress] = wipe.lines(now);
                lines.extend([fit(&drive), fit(&progress)]);
                // It is copied: it stays whole.
                let command = wipe.command();
                let indent = " ".repeat(INDENT);
                let how = match wipe.place {
                    Whereabouts::Absent => "continue, once it is attached",
                    Whereabouts::Here(_) | Whereabouts::AnyOf(_) => "continue",
                };
                lines.extend(command.map(|it| format!("{indent}{how}: {it}")));
            }
            lines.push(String::new());
        }
        lines.push("Disks:".into());
        lines.extend(self.table(width));
        for note in &self.notes {
            lines.extend(broken(&clean(note), width.unwrap_or(usize::MAX), 0));
        }
        lines.push("Nothing was touched. Wipe one with: wipeit DEVICE".into());
        lines.join("\n") + "\n"
    }

    fn table(&self, columns: Option<usize>) -> Vec<String> {
        let mut rows: Vec<[String; 7]> = vec![HEADER.map(String::from)];
        rows.extend(self.disks.iter().map(Row::cells));
        let widest = |i: usize| rows.iter().map(|row| width(&row[i])).max();
        let mut widths: [usize; 7] = std::array::from_fn(|i| widest(i).unwrap_or(0));
        if let Some(columns) = columns {
            // What is longer pushes the rest of its own line only.
            widths[STATE] = widths[STATE].min(LONGEST_STATE);
            let all = 2 * HEADER.len() + widths.iter().sum::<usize>();
            let most = widths[MODEL].saturating_sub(HEADER[MODEL].len());
            widths[MODEL] -= all.saturating_sub(columns).min(most);
        }
        rows.iter()
            .map(|row| table_line(row, &widths, columns))
            .collect()
    }
}

/// A line of the table. Where it is too long its end is left out, but never a
/// part of the state.
fn table_line(row: &[String; 7], widths: &[usize; 7], columns: Option<usize>) -> String {
    // bytes up to the end of the state
    let (mut line, mut kept) = (String::new(), 0);
    for (i, cell) in row.iter().enumerate() {
        let columns = widths[i];
        line.push_str("  ");
        let cell = match i {
            SIZE => format!("{cell:>columns$}"),
            STATE => padded(cell, columns),
            _ => padded(&cut(cell, columns), columns),
        };
        line.push_str(&cell);
        if i == STATE {
            kept = line.trim_end().len();
        }
    }
    let line = line.trim_end();
    match columns {
        Some(columns) if width(&line[..kept]) + 2 >= columns => line[..kept].into(),
        Some(columns) => cut(line, columns),
        None => line.into(),
    }
}

impl Row {
    /// The cells of its line, cleaned.
    fn cells(&self) -> [String; 7] {
        let disk = &self.disk;
        let id = disk.identity.as_ref();
        let dash = || "-".to_string();
        let backing = id.and_then(|id| id.backing.as_ref());
        let named = |text| said(text).map(str::to_string);
        let model = named(id.and_then(|id| id.model.as_ref()))
            .or_else(|| backing.and_then(|file| Some(file.path.rsplit('/').next()?.to_string())));
        let made_here = id.is_some_and(|id| {
            matches!(
                id.nature(),
                Nature::SoftwareVolume { .. } | Nature::Memory { .. } | Nature::File
            )
        });
        let no_serial = if made_here { "-" } else { "(none)" };
        [
            visible(&disk.path),
            size::decimal(disk.size),
            self.state.text.clone(),
            self.kind().into(),
            model.unwrap_or_else(dash),
            named(id.and_then(|id| id.serial.as_ref())).unwrap_or_else(|| no_serial.into()),
            disk.slot.clone().unwrap_or_else(dash),
        ]
        .map(|cell| clean(&cell))
    }
}
