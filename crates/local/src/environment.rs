//! What every step finds in its environment and sees of this machine.

use engine::{Command, OUTPUT_DIRECTORY, WORKING_DIRECTORY};

/// The variables that a command gets unless it sets them itself. They are the same on every machine and part
/// of what a version of Bootwright is: they are not in an action's key.
pub const ENVIRONMENT: [(&str, &str); 9] = [
    ("HOME", "/build"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("LOGNAME", "build"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    // 2000-01-01, as the files of every input.
    ("SOURCE_DATE_EPOCH", "946684800"),
    ("TMPDIR", "/tmp"),
    ("TZ", "UTC"),
    ("USER", "build"),
];

/// Where a step starts.
pub(crate) fn working_directory() -> String {
    format!("/{WORKING_DIRECTORY}")
}

/// Where a step leaves its outputs.
pub(crate) fn output_directory() -> String {
    format!("/{WORKING_DIRECTORY}/{OUTPUT_DIRECTORY}")
}

/// Returns the whole environment of `command`, sorted by name: its own, then `extra`, then [`ENVIRONMENT`],
/// the first that sets a name.
pub(crate) fn environment_of(command: &Command, extra: &[(String, String)]) -> Vec<(String, String)> {
    let mut environment = command.environment.clone();
    let fixed = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in extra.iter().chain(&fixed) {
        if !environment.iter().any(|(known, _)| known == name) {
            environment.push((name.clone(), value.clone()));
        }
    }
    environment.sort();
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_files() {
        let epoch = ENVIRONMENT.iter().find(|(name, _)| *name == "SOURCE_DATE_EPOCH").unwrap().1;
        assert_eq!(epoch, cas::FIXED_MTIME.to_string());
        assert!(ENVIRONMENT.is_sorted());
    }

    #[test]
    fn what_a_command_sets_wins() {
        let command = Command {
            arguments: vec![],
            environment: vec![("TZ".to_owned(), "Mars".to_owned())],
            platform: vec![],
        };
        let extra = [("TERM".to_owned(), "vt100".to_owned()), ("TZ".to_owned(), "Venus".to_owned())];
        let environment = environment_of(&command, &extra);
        let value = |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
        assert_eq!(value("TZ"), Some("Mars"));
        assert_eq!(value("TERM"), Some("vt100"));
        assert_eq!(value("HOME"), Some("/build"));
    }
}
