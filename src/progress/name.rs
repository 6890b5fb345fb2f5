//! What files are called. Nothing is known by its name: it is for people.

/// A name for people: device, serial and run, of harmless characters.
pub(crate) fn file_name(device: &str, serial: Option<&str>, run_id: &str) -> String {
    let parts = [Some(device), serial, run_id.get(..8)];
    let parts: Vec<String> = parts.into_iter().flatten().map(harmless).collect();
    format!("{}.json", parts.join("-"))
}

/// The name of a report among those of other drives, without its ending: the
/// serial, or else the device, when the wipe began (`start`, RFC 3339), and the
/// run, as drives without a serial are wiped at the same time.
pub(crate) fn report_name(device: &str, serial: Option<&str>, start: &str, run_id: &str) -> String {
    let serial = serial.map(str::trim).filter(|serial| !serial.is_empty());
    let digits = |c: &char| c.is_ascii_digit() || *c == 'T';
    let time: String = start.chars().filter(digits).take(15).collect();
    let parts = [Some(serial.unwrap_or(device)), Some(&time), run_id.get(..8)];
    let parts: Vec<String> = parts.into_iter().flatten().map(harmless).collect();
    parts.join("-")
}

fn harmless(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let text = text.trim_matches('.');
    text.chars()
        .take(40)
        .map(|c| if harmless(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_whatever_the_device_is_called() {
        let run = "0123456789abcdef";
        assert_eq!(
            file_name("sdb", Some("ZR5A"), run),
            "sdb-ZR5A-01234567.json"
        );
        assert_eq!(file_name("../a b\n", None, run), "_a_b_-01234567.json");
        assert!(file_name(&"x".repeat(500), Some(&"y".repeat(500)), run).len() < 120);
    }

    #[test]
    fn reports_are_named_by_serial_and_time_and_never_alike() {
        let (start, run) = ("2026-01-14T02:10:07.123+01:00", "0123456789abcdef");
        assert_eq!(
            report_name("sdb", Some(" ZR5A "), start, run),
            "ZR5A-20260114T021007-01234567"
        );
        assert_eq!(
            report_name("../x", Some(" "), start, run),
            "_x-20260114T021007-01234567"
        );
    }
}
