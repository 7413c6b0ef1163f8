//! `TZ`, the time zone of every time that is shown.
//!
//! chrono reads a `TZ` that it does not understand as UTC, without an error. So `TZ` is checked
//! here, by the library that chrono's own reader of time zones was taken from.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use tz::TimeZone;

/// The text about `TZ` in the help of a program.
pub const HELP: &str = "\
Times are those of the time zone in TZ [default: that of the system].
TZ holds a name, such as Europe/Berlin, or a rule, such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3.";

/// The folders in which a time zone is looked up by its name.
const FOLDERS: [&str; 4] =
    ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo", "/usr/share/lib/zoneinfo"];

/// Checks the time zone of the environment. An empty `TZ` is valid: POSIX reads it as UTC.
///
/// # Errors
/// If `TZ` is not a time zone; the error says what is wrong, in one line.
pub fn check() -> Result<(), String> {
    env::var_os("TZ").map_or(Ok(()), |zone| check_value(&zone))
}

fn check_value(zone: &OsStr) -> Result<(), String> {
    let is_known = |zone: &str| zone.is_empty() || TimeZone::from_posix_tz(zone).is_ok();
    if zone.to_str().is_some_and(is_known) {
        return Ok(());
    }
    Err(format!(
        "TZ is {zone:?}, but allowed is the name of a time zone, such as Europe/Berlin, or a rule as POSIX has them, such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3{}",
        remark(zone)
    ))
}

/// A remark if the name is valid and only this system lacks the zone; else empty.
fn remark(zone: &OsStr) -> &'static str {
    let name =
        zone.to_str().map_or(Path::new(zone), |text| Path::new(text.trim_start_matches(':')));
    if FOLDERS.iter().any(|folder| Path::new(folder).join(name).is_file()) {
        "; the file of this name is none that can be read as a time zone"
    } else if FOLDERS.iter().any(|folder| Path::new(folder).is_dir()) {
        ""
    } else {
        "; this system knows no names, since it has no /usr/share/zoneinfo (package tzdata)"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn rules_of_posix_need_no_file() {
        for zone in ["", "UTC0", "EST5", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "<-0330>3:30"] {
            assert_eq!(check_value(OsStr::new(zone)), Ok(()), "{zone}");
        }
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        for zone in ["garbage", "Europe/Berln", ":Europe/Berln", "/etc/passwd", "/", " ", "\0"] {
            let error = check_value(OsStr::new(zone)).unwrap_err();
            assert!(error.starts_with(&format!("TZ is {zone:?}, but allowed is")), "{error}");
        }
        assert!(check_value(OsStr::from_bytes(b"\xff")).is_err());
    }

    #[test]
    fn every_zone_of_the_database_is_known() {
        let table = std::fs::read_to_string("/usr/share/zoneinfo/zone.tab").unwrap();
        let lines = table.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<_> = lines.filter_map(|line| line.split('\t').nth(2)).collect();
        assert!(names.len() > 300, "{names:?}");
        for name in names {
            assert_eq!(check_value(OsStr::new(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_no_time_zone_is_told() {
        let error = check_value(OsStr::new("/etc/passwd")).unwrap_err();
        assert!(error.ends_with("none that can be read as a time zone"), "{error}");
        let error = check_value(OsStr::new("Europe/Berln")).unwrap_err();
        assert!(error.ends_with("such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3"), "{error}");
    }
}
