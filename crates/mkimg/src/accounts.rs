//! Adds users and groups to account files: `passwd(5)`, `group(5)`, `shadow(5)`, `gshadow(5)`.
//!
//! The files are only text here; where they come from and go to is the caller's business.

use crate::error::{quoted, similar};
use crate::spec::AccountsSpec;

/// Users and groups cannot be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name with `:` or a line break in it would change the file's meaning.
    #[error("{what} `{value}` of `{account}` is empty or has a `:` or a line break")]
    Field {
        /// The user or group.
        account: String,
        /// Which of its fields.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// There is one already.
    #[error("{what} `{name}` exists already with number {number}")]
    Exists {
        /// User or group.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its number.
        number: String,
    },
    /// Somebody else has the number.
    #[error("{what} `{name}` cannot have the number {number}, which is `{other}`'s")]
    Number {
        /// User or group.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its number.
        number: u32,
        /// Who has it.
        other: String,
    },
    /// A further group does not exist.
    #[error("user `{user}` cannot be in the group `{group}`, which does not exist")]
    NoGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
        /// Groups with similar names.
        similar: Vec<String>,
    },
}

impl Error {
    /// Returns what can be done about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::NoGroup { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", quoted(similar)))
            }
            Error::NoGroup { .. } => Some("add the group, too".to_owned()),
            Error::Number { .. } => Some("choose another number".to_owned()),
            _ => None,
        }
    }
}

/// The texts of the account files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AccountFiles {
    pub(crate) passwd: String,
    pub(crate) group: String,
    pub(crate) shadow: String,
    /// Not every system has one.
    pub(crate) gshadow: Option<String>,
}

impl AccountFiles {
    /// Adds `accounts`, groups first.
    ///
    /// The day of the last password change stays empty, which means that passwords do not age: any day would be
    /// a clock's, and day 0 would force everybody to change theirs.
    pub(crate) fn add(&mut self, accounts: &AccountsSpec) -> Result<(), Error> {
        for group in &accounts.groups {
            self.add_group(&group.name, group.gid)?;
        }
        for user in &accounts.users {
            let fields =
                [("the name", &user.name), ("the home directory", &user.home), ("the shell", &user.shell)];
            for (what, value) in fields {
                check(&user.name, what, value)?;
            }
            if user.password.contains([':', '\n']) {
                check(&user.name, "the password", &user.password)?;
            }
            self.check_new("user", &self.passwd, &user.name, user.uid)?;
            let gid = match field_of(&self.group, &user.name, 2) {
                Some(gid) => gid.to_owned(),
                None => {
                    self.add_group(&user.name, user.uid)?;
                    user.uid.to_string()
                }
            };
            let name = &user.name;
            append(&mut self.passwd, &format!("{name}:x:{}:{gid}::{}:{}", user.uid, user.home, user.shell));
            append(&mut self.shadow, &format!("{name}:{}::0:99999:7:::", user.password));
            for group in &user.groups {
                self.join(name, group)?;
            }
        }
        Ok(())
    }

    fn add_group(&mut self, name: &str, gid: u32) -> Result<(), Error> {
        check(name, "the name", name)?;
        self.check_new("group", &self.group, name, gid)?;
        append(&mut self.group, &format!("{name}:x:{gid}:"));
        if let Some(gshadow) = &mut self.gshadow {
            append(gshadow, &format!("{name}:!::"));
        }
        Ok(())
    }

    fn check_new(&self, what: &'static str, file: &str, name: &str, number: u32) -> Result<(), Error> {
        if let Some(number) = field_of(file, name, 2) {
            return Err(Error::Exists { what, name: name.to_owned(), number: number.to_owned() });
        }
        let text = number.to_string();
        match lines(file).find(|fields| fields.get(2) == Some(&&text[..])) {
            None => Ok(()),
            Some(fields) => {
                Err(Error::Number { what, name: name.to_owned(), number, other: fields[0].to_owned() })
            }
        }
    }

    /// Makes `user` a member of `group`.
    fn join(&mut self, user: &str, group: &str) -> Result<(), Error> {
        if field_of(&self.group, group, 0).is_none() {
            let similar = similar(group, lines(&self.group).map(|fields| fields[0]));
            return Err(Error::NoGroup { user: user.to_owned(), group: group.to_owned(), similar });
        }
        add_member(&mut self.group, group, user);
        if let Some(gshadow) = &mut self.gshadow {
            add_member(gshadow, group, user);
        }
        Ok(())
    }
}

fn check(account: &str, what: &'static str, value: &str) -> Result<(), Error> {
    if value.is_empty() || value.contains([':', '\n', '\0']) {
        return Err(Error::Field { account: account.to_owned(), what, value: value.to_owned() });
    }
    Ok(())
}

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

fn field_of<'a>(file: &'a str, name: &str, field: usize) -> Option<&'a str> {
    lines(file).find(|fields| fields[0] == name).and_then(|fields| fields.get(field).copied())
}

fn append(file: &mut String, line: &str) {
    if !file.is_empty() && !file.ends_with('\n') {
        file.push('\n');
    }
    file.push_str(line);
    file.push('\n');
}

/// Adds `user` to the members, which are the last field of the group's line.
fn add_member(file: &mut String, group: &str, user: &str) {
    let changed = file.lines().map(|line| {
        let mut line = line.to_owned();
        let is_group = line.split(':').next() == Some(group);
        let members = line.rsplit(':').next().unwrap_or_default();
        if is_group && !members.split(',').any(|member| member == user) {
            if !members.is_empty() {
                line.push(',');
            }
            line.push_str(user);
        }
        line + "\n"
    });
    *file = changed.collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{GroupSpec, UserSpec};

    fn user(name: &str, uid: u32, groups: &[&str]) -> UserSpec {
        UserSpec {
            name: name.to_owned(),
            uid,
            home: format!("/home/{name}"),
            shell: "/bin/sh".to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            password: "*".to_owned(),
        }
    }

    fn files() -> AccountFiles {
        AccountFiles {
            passwd: "root:x:0:0:root:/root:/bin/bash\n".to_owned(),
            group: "root:x:0:\nsudo:x:27:\nvideo:x:44:root".to_owned(),
            shadow: "root:*:19000:0:99999:7:::\n".to_owned(),
            gshadow: Some("root:*::\nsudo:*::\nvideo:*::root\n".to_owned()),
        }
    }

    fn add(groups: Vec<GroupSpec>, users: Vec<UserSpec>) -> Result<AccountFiles, Error> {
        let mut files = files();
        files.add(&AccountsSpec { below: vec![], groups, users })?;
        Ok(files)
    }

    #[test]
    fn users_get_a_group_and_join_others() {
        let group = GroupSpec { name: "guests".to_owned(), gid: 500 };
        let files = add(vec![group], vec![user("eve", 1000, &["sudo", "video", "guests"])]).unwrap();
        assert_eq!(files.passwd, "root:x:0:0:root:/root:/bin/bash\neve:x:1000:1000::/home/eve:/bin/sh\n");
        assert_eq!(
            files.group,
            "root:x:0:\nsudo:x:27:eve\nvideo:x:44:root,eve\nguests:x:500:eve\neve:x:1000:\n"
        );
        assert_eq!(files.shadow, "root:*:19000:0:99999:7:::\neve:*::0:99999:7:::\n");
        assert_eq!(
            files.gshadow.unwrap(),
            "root:*::\nsudo:*::eve\nvideo:*::root,eve\nguests:!::eve\neve:!::\n"
        );
    }

    #[test]
    fn a_group_of_the_same_name_is_taken() {
        let group = GroupSpec { name: "eve".to_owned(), gid: 500 };
        let files = add(vec![group], vec![user("eve", 1000, &[])]).unwrap();
        assert!(files.passwd.ends_with("eve:x:1000:500::/home/eve:/bin/sh\n"));
    }

    #[test]
    fn wrong_accounts_are_refused() {
        let refused = |users: Vec<UserSpec>, expected: &str| {
            assert_eq!(add(vec![], users).unwrap_err().to_string(), expected);
        };
        refused(vec![user("root", 5, &[])], "user `root` exists already with number 0");
        refused(vec![user("eve", 0, &[])], "user `eve` cannot have the number 0, which is `root`'s");
        refused(vec![user("eve", 27, &[])], "group `eve` cannot have the number 27, which is `sudo`'s");
        refused(
            vec![user("eve:0", 5, &[])],
            "the name `eve:0` of `eve:0` is empty or has a `:` or a line break",
        );
        let error = add(vec![], vec![user("eve", 5, &["vidio"])]).unwrap_err();
        assert_eq!(error.to_string(), "user `eve` cannot be in the group `vidio`, which does not exist");
        assert_eq!(error.help().unwrap(), "did you mean `video`?");
    }
}
