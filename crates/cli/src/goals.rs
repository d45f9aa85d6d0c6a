//! From the names on the command line to what they mean in the project.

use recipe::{Goal, Name, Stack};

use crate::failure::Failure;

/// Returns what `build` shall make: the targets named, else the stack's default ones, else all.
///
/// Fails when a name is no target of the stack.
pub(crate) fn targets(stack: &Stack, names: &[String]) -> Result<Vec<Goal>, Failure> {
    if names.is_empty() {
        let chosen: Vec<&Name> = match stack.default.as_slice() {
            [] => stack.targets.keys().collect(),
            default => default.iter().collect(),
        };
        return Ok(chosen.into_iter().cloned().map(Goal::Target).collect());
    }
    names.iter().map(|name| find(name, "target", stack.targets.keys()).map(Goal::Target)).collect()
}

/// Returns the tests named, or all.
pub(crate) fn tests(stack: &Stack, names: &[String]) -> Result<Vec<Goal>, Failure> {
    if names.is_empty() {
        return Ok(stack.tests.keys().cloned().map(Goal::Test).collect());
    }
    names.iter().map(|name| find(name, "test", stack.tests.keys()).map(Goal::Test)).collect()
}

/// Returns the machine named, or the only one.
pub(crate) fn machine(stack: &Stack, name: Option<&str>) -> Result<Name, Failure> {
    match (name, stack.machines.len()) {
        (Some(name), _) => find(name, "machine", stack.machines.keys()),
        (None, 1) => Ok(stack.machines.keys().next().cloned().expect("there is one")),
        (None, 0) => Err(Failure::project("the project has no machine")),
        (None, _) => Err(Failure::project("the project has several machines")
            .help(format!("name one of {}", list(stack.machines.keys())))),
    }
}

/// Returns everything that the project has.
pub(crate) fn all(stack: &Stack) -> Vec<Goal> {
    let environments = stack.environments.keys().cloned().map(Goal::Environment);
    let targets = stack.targets.keys().cloned().map(Goal::Target);
    let machines = stack.machines.keys().cloned().map(Goal::Machine);
    let tests = stack.tests.keys().cloned().map(Goal::Test);
    environments.chain(targets).chain(machines).chain(tests).collect()
}

/// Returns what a name may mean where any kind of goal is taken: targets first, then tests and machines.
/// None means what `build` makes by default, and all tests.
pub(crate) fn any(stack: &Stack, names: &[String]) -> Result<Vec<Goal>, Failure> {
    if names.is_empty() {
        let mut goals = targets(stack, names)?;
        goals.extend(tests(stack, names)?);
        return Ok(goals);
    }
    names.iter().map(|name| any_one(stack, name)).collect()
}

/// Returns what one name means: a target, else a test, a machine or an environment.
pub(crate) fn any_one(stack: &Stack, name: &str) -> Result<Goal, Failure> {
    fn known<'a>(name: &str, mut names: impl Iterator<Item = &'a Name>) -> Option<Name> {
        names.find(|known| known.as_str() == name).cloned()
    }
    if let Some(name) = known(name, stack.targets.keys()) {
        return Ok(Goal::Target(name));
    }
    if let Some(name) = known(name, stack.tests.keys()) {
        return Ok(Goal::Test(name));
    }
    if let Some(name) = known(name, stack.machines.keys()) {
        return Ok(Goal::Machine(name));
    }
    if let Some(name) = known(name, stack.environments.keys()) {
        return Ok(Goal::Environment(name));
    }
    let all = stack.targets.keys().chain(stack.tests.keys()).chain(stack.machines.keys());
    Err(unknown(name, "target, test or machine", all.chain(stack.environments.keys())))
}

fn find<'a>(name: &str, kind: &str, known: impl Iterator<Item = &'a Name> + Clone) -> Result<Name, Failure> {
    match known.clone().find(|known| known.as_str() == name) {
        Some(name) => Ok(name.clone()),
        None => Err(unknown(name, kind, known)),
    }
}

fn unknown<'a>(name: &str, kind: &str, known: impl Iterator<Item = &'a Name> + Clone) -> Failure {
    let failure = Failure::project(format!("the project has no {kind} `{name}`"));
    failure.help(recipe::suggest::help(name, &format!("{kind}s"), known.map(|known| known.as_str())))
}

fn list<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
