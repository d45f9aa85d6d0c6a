//! The projects that others can start from: examples and stacks, which tests build and boot, as they were when this
//! program was built.

/// A project to start from.
#[derive(Debug)]
pub(crate) struct Template {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it is in the source of `bootwright`.
    pub(crate) place: &'static str,
    /// Its files by path, whether each is executable, and what is in it.
    pub(crate) files: &'static [(&'static str, bool, &'static [u8])],
}

/// All of them, examples first.
pub(crate) const TEMPLATES: &[Template] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The file that says what a project is.
const PROJECT: &str = "bootwright.toml";
/// The first line of a project for editors, which tells where the schema is.
const SCHEMA_LINE: &str = "#:schema ";

impl Template {
    /// Returns what it is: the first sentence of its project file.
    pub(crate) fn description(&self) -> String {
        let text = self.project();
        let comment = text.lines().skip_while(|line| !line.starts_with("# "));
        let words: Vec<&str> =
            comment.map_while(|line| line.strip_prefix("# ")).flat_map(str::split_whitespace).collect();
        let text = words.join(" ");
        text.split_once(". ").map_or(text.clone(), |(sentence, _)| sentence.to_owned())
    }

    /// Says whether its project has a table such as `[test.boots]`.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.project().lines().any(|line| line.starts_with(&format!("[{section}.")))
    }

    /// Returns the text of its project.
    fn project(&self) -> std::borrow::Cow<'_, str> {
        let project = self.files.iter().find(|(path, ..)| *path == PROJECT);
        String::from_utf8_lossy(project.map_or(b"", |(.., bytes)| bytes))
    }

    /// Returns its files as they are in a project called `name`, in a directory of its own that has the schema in
    /// `schema`.
    pub(crate) fn files_for(&self, name: &str, schema: &str) -> Vec<(&'static str, bool, Vec<u8>)> {
        let adapted = self.files.iter().map(|(path, is_executable, bytes)| {
            let bytes = match std::str::from_utf8(bytes) {
                Ok(text) => self.adapted(path, text, name, schema).into_bytes(),
                Err(_) => bytes.to_vec(),
            };
            (*path, *is_executable, bytes)
        });
        adapted.collect()
    }

    fn adapted(&self, path: &str, text: &str, name: &str, schema: &str) -> String {
        // Comments and pages show commands as they are given at the top of our source.
        let text = text.replace(&format!(" -C {}", self.place), "");
        if path != PROJECT {
            return text;
        }
        let mut is_in_stack = false;
        let lines = text.split_inclusive('\n').map(|line| {
            if line.starts_with('[') {
                is_in_stack = line.trim_end() == "[stack]";
            }
            if line.starts_with(SCHEMA_LINE) {
                return format!("{SCHEMA_LINE}{schema}\n");
            }
            match line.split_once('=') {
                Some((key, _)) if is_in_stack && key.trim() == "name" => format!("{key}= \"{name}\"\n"),
                _ => line.to_owned(),
            }
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str) -> &'static Template {
        TEMPLATES.iter().find(|template| template.name == name).unwrap()
    }

    #[test]
    fn templates_are_told_in_a_sentence() {
        assert_eq!(template("quickstart").description(), "From Debian packages to a booted virtual machine");
        for template in TEMPLATES {
            let description = template.description();
            assert!((10..300).contains(&description.len()), "{}: {description}", template.name);
        }
    }

    #[test]
    fn every_template_is_a_project_under_another_name() {
        for template in TEMPLATES {
            let files = template.files_for("another", "my.schema.json");
            let text = |path: &str| {
                let (.., bytes) = files.iter().find(|(known, ..)| *known == path).unwrap();
                String::from_utf8(bytes.clone()).unwrap()
            };
            let project = text(PROJECT);
            assert!(project.starts_with("#:schema my.schema.json\n"), "{project}");
            let (stack, problems) = recipe::parse(&project, &recipe::Settings::default());
            assert_eq!(stack.unwrap_or_else(|| panic!("{problems:?}")).name.as_str(), "another");
            for (path, _, bytes) in &files {
                let text = String::from_utf8_lossy(bytes);
                assert!(!text.contains(template.place), "{}: {path} tells where it was", template.name);
                assert!(!path.ends_with("bootwright.lock") && !path.starts_with("out/"), "{path}");
            }
        }
    }

    #[test]
    fn a_tree_of_cargo_has_its_configuration() {
        let coconut = template("coconut");
        assert!(coconut.files.iter().any(|(path, ..)| *path == ".cargo/config.toml"));
        assert!(!coconut.has("test") && template("quickstart").has("test"));
    }

    #[test]
    fn programs_stay_programs() {
        let executable = |path: &str| {
            let files = template("guest-arm64").files;
            files.iter().find(|(known, ..)| *known == path).unwrap().1
        };
        assert!(executable("init") && !executable("README.md"));
    }
}
