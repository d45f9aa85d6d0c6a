//! Budgets as steps that check what others made.

use engine::{Input, Placement, Requirements, StepId};
use mkimg::spec::{BudgetSpec, Spec};

use super::{INPUTS, Lowering, place_layers};
use crate::budget::Budgets;
use crate::needs::{Goal, closure};
use crate::scalar::Name;
use crate::target::Target;

impl Lowering<'_> {
    /// Adds the step that checks the budgets of a target, if it has some.
    pub(super) fn budgets(&mut self, name: &Name) {
        let target = &self.stack.targets[name].value;
        let Some(budgets) = Budgets::of(target) else { return };
        let mut spec = BudgetSpec {
            name: name.to_string(),
            max_size: budgets.max_size.map(|size| size.bytes()),
            directories: budgets
                .directories
                .iter()
                .map(|(path, size)| (path.as_str().to_owned(), size.bytes()))
                .collect(),
            ..BudgetSpec::default()
        };
        // A root file system is mostly a part of others: it is not made into one file to be weighed.
        let mut inputs = if let Target::Rootfs(_) = target {
            let (inputs, layers) = place_layers("layers", &self.rootfs[name]);
            spec.layers = layers;
            inputs
        } else {
            let step = self.output(name);
            let path = crate::check::main_file(name, &self.stack.targets[name].value).unwrap_or_default();
            spec.image = Some("in/image".to_owned());
            vec![Placement { path: format!("{INPUTS}/image"), input: Input::Output { step, path } }]
        };
        let json = self.json(&Spec::Budget(spec));
        inputs.push(Placement { path: format!("{INPUTS}/spec.json"), input: json });
        let label = format!("{name}/budgets");
        let step = self.tool_step(label, &["mkimg", "in/spec.json"], inputs, Requirements::default());
        self.lowered.budgets.insert(name.clone(), step);
    }

    /// Makes the checks of all that a target stands on part of what it needs to be built.
    pub(super) fn checked(&mut self, name: &Name) {
        let closure = closure(self.stack, &[Goal::Target(name.clone())]);
        let checks: Vec<StepId> =
            closure.targets.iter().filter_map(|target| self.lowered.budgets.get(*target)).copied().collect();
        if let Some(output) = self.lowered.targets.get_mut(name) {
            output.steps.extend(checks);
        }
    }
}
