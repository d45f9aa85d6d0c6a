//! The IGVM files that a recipe comes to.

use super::Reading;
use crate::reader::{Read as _, words};
use crate::value::{Entry, Kind, Value};
use crate::{Place, Problem, Spanned};

/// An IGVM file for a hypervisor.
#[derive(Clone, Debug)]
pub struct Image {
    /// The hypervisor.
    pub target: ImageTarget,
    /// Its path, relative to `bin`.
    pub output: String,
    /// What guests of SEV-SNP are allowed, as `igvmbuilder --policy` takes it. Only with that platform.
    pub policy: Option<String>,
    /// The serial port, as `igvmbuilder --comport` takes it.
    pub comport: Option<String>,
    /// The platforms, in the recipe's order.
    pub platforms: Vec<Spanned<ImagePlatform>>,
    /// Whether pages of zeros are measured as those of the platform.
    pub measure_native_zeroes: bool,
    /// Whether it is checked that QEMU with KVM measures the same.
    pub check_kvm: bool,
    /// Whether there is no virtual top of memory (vTOM).
    pub no_vtom: bool,
}

words! {
    /// A hypervisor.
    pub enum ImageTarget("target") {
        /// QEMU.
        Qemu = "qemu",
        /// Hyper-V.
        HyperV = "hyper-v",
        /// Vanadium.
        Vanadium = "vanadium",
    }
}

words! {
    /// A platform of confidential guests.
    pub enum ImagePlatform("platform") {
        /// None.
        Native = "native",
        /// SEV-SNP.
        Snp = "snp" not "sev-snp",
        /// TDX with partitions.
        Tdp = "tdp" not "tdx",
        /// Hyper-V's virtual secure mode.
        Vsm = "vsm" not "vbs",
    }
}

const ATTRIBUTES: [&str; 8] =
    ["output", "policy", "comport", "platforms", "measure", "measure-native-zeroes", "check-kvm", "no-vtom"];
/// What upstream takes for an image that does not say otherwise.
const OUTPUT: &str = "default.json";
const POLICY: &str = "0x30000";
const PLATFORMS: [ImagePlatform; 3] = [ImagePlatform::Snp, ImagePlatform::Tdp, ImagePlatform::Vsm];

impl Reading<'_> {
    /// Reads images by their hypervisors.
    pub(super) fn images(&mut self, value: &Value) -> Option<Vec<Image>> {
        let Some(table) = value.as_table() else {
            self.reader.inside("`igvm`".to_owned(), |reader| reader.wrong_type(value, "an object"));
            return None;
        };
        let mut images: Vec<(Image, &Place)> = Vec::new();
        for entry in &table.entries {
            let Some(image) = self.image(entry) else { continue };
            if let Some((_, place)) = images.iter().find(|(earlier, _)| earlier.output == image.output) {
                let problem = Problem::at(&entry.key_place, format!("two images go to `{}`", image.output));
                self.reader.problems.push(problem.related(place, "the first one"));
            }
            images.push((image, &entry.key_place));
        }
        Some(images.into_iter().map(|(image, _)| image).collect())
    }

    fn image(&mut self, entry: &Entry) -> Option<Image> {
        let target = self.reader.text(&entry.key, &entry.key_place);
        let subject = format!("`{}`", entry.key.escape_debug());
        let table = self.table(&entry.value, &subject, &ATTRIBUTES)?;
        let output = self.text(table, "output");
        let policy = self.text(table, "policy");
        let comport = self.text(table, "comport");
        let measure = self.text(table, "measure");
        let platforms = match table.get("platforms") {
            None => Some(PLATFORMS.map(|value| Spanned { value, place: entry.key_place.clone() }).to_vec()),
            Some(entry) => self.platforms(&entry.value),
        };
        let measure_native_zeroes = self.flag(table, "measure-native-zeroes");
        let (check_kvm, no_vtom) = (self.flag(table, "check-kvm"), self.flag(table, "no-vtom"));
        if let Some(Some(measure)) = &measure
            && measure.as_str() != "print"
        {
            let problem = format!("unknown measure `{}`", measure.escape_debug());
            self.reader.problems.push(Problem::at(&measure.place, problem).help("there is only `print`"));
        }
        let output = output?;
        output.iter().for_each(|output| self.stays_inside(output));
        let platforms = platforms?;
        let policy = self.policy(policy?, &platforms);
        let comport = comport?;
        if let Some(port) = comport.as_ref().filter(|port| number(port).is_none()) {
            let problem = Problem::at(&port.place, format!("`{}` is no serial port", port.escape_debug()));
            self.reader.problems.push(problem.help("write its number, as in \"1\""));
        }
        measure?;
        Some(Image {
            target: target?,
            output: output.map_or_else(|| OUTPUT.to_owned(), |output| output.value),
            policy,
            comport: comport.map(|comport| comport.value),
            platforms,
            measure_native_zeroes: measure_native_zeroes?,
            check_kvm: check_kvm?,
            no_vtom: no_vtom?,
        })
    }

    fn platforms(&mut self, value: &Value) -> Option<Vec<Spanned<ImagePlatform>>> {
        let Kind::Array(values) = &value.kind else {
            self.reader.inside("`platforms`".to_owned(), |reader| reader.wrong_type(value, "a list"));
            return None;
        };
        let mut platforms: Vec<Spanned<ImagePlatform>> = Vec::new();
        for value in values {
            let read = self.reader.inside("an entry of `platforms`".to_owned(), |reader| {
                Spanned::<ImagePlatform>::read(value, reader)
            });
            let Some(platform) = read else { continue };
            if let Some(earlier) = platforms.iter().find(|earlier| earlier.value == platform.value) {
                let problem = format!("the platform `{}` is there twice", platform.value.as_str());
                let problem = Problem::at(&platform.place, problem);
                self.reader.problems.push(problem.related(&earlier.place, "the first one"));
            }
            platforms.push(platform);
        }
        if platforms.is_empty() && values.is_empty() {
            let problem = Problem::at(&value.place, "`platforms` is empty, and an image is for one at least");
            let known = "known platforms: `native`, `snp`, `tdp`, `vsm`";
            self.reader.problems.push(problem.help(known));
        }
        Some(platforms)
    }

    /// Returns the policy of guests of SEV-SNP: nobody else has one, and `igvmbuilder` refuses it then.
    fn policy(
        &mut self,
        policy: Option<Spanned<String>>,
        platforms: &[Spanned<ImagePlatform>],
    ) -> Option<String> {
        let is_snp = platforms.iter().any(|platform| platform.value == ImagePlatform::Snp);
        let Some(policy) = policy else { return is_snp.then(|| POLICY.to_owned()) };
        if number(&policy).is_none() {
            let problem = Problem::at(&policy.place, format!("`{}` is no policy", policy.escape_debug()));
            self.reader.problems.push(problem.help("write a number of 64 bits, as in \"0x30000\""));
        }
        if !is_snp {
            let problem =
                Problem::at(&policy.place, "`policy` is one of SEV-SNP, and `platforms` has no `snp`");
            self.lenient.push(problem.help("take it out, or add the platform"));
            return None;
        }
        Some(policy.value)
    }
}

/// Returns the number, decimal or hexadecimal.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
