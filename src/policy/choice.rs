//! What every knob and every detail has in common: a number, a question, a home, and values that say whence they came.

use strum::{EnumMessage, EnumProperty, VariantArray};

/// A value of a knob or a detail, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// As policies spell it: `excl_or_ref1`.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// The commits that introduced it, separated by `, `; empty where it is older than git or was never merged.
    pub commits: &'static str,
    /// The first mainline release that had it, `5.9`; empty where no release did.
    pub since: &'static str,
    /// Who thought of it, where no release had it.
    pub proposed: &'static str,
    /// The commit that took it out again, and the release: `a308c71bf1e6, 5.9`. Given where an older answer came back, the commit being
    /// empty where it is not known, and where the answer is older than every built-in release.
    pub removed: &'static str,
}

impl Value {
    /// Whence it came and what became of it: `since 5.8: 17839856fd58; until 5.9: a308c71bf1e6`; empty where nothing is known.
    pub fn provenance(&self) -> String {
        let (gone, gone_in) = self.removed.rsplit_once(", ").unwrap_or_default();
        let dated = |word: &str, release: &str, commits: &str| match (release, commits) {
            ("", commits) => commits.to_owned(),
            (release, "") => format!("{word} {release}"),
            (release, commits) => format!("{word} {release}: {commits}"),
        };
        let proposed = if self.proposed.is_empty() { String::new() } else { format!("proposed: {}", self.proposed) };
        let parts = [dated("since", self.since, self.commits), dated("until", gone_in, gone), proposed];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// An answer to one question: the enum of a knob or of a detail.
///
/// Its documentation has one form, `K1. The question? Home: `path`.`, from which [`super::Knob`] takes its parts.
pub trait Answer: Copy + PartialEq + EnumMessage + EnumProperty + VariantArray + Into<&'static str> {
    /// The documentation of the type.
    const DOC: &'static str;
    /// The name of the type.
    const TYPE: &'static str;
}

/// A field of a policy, whatever its type.
pub trait Choice {
    /// The documentation of the type.
    fn doc(&self) -> &'static str;
    /// The name of the type.
    fn type_name(&self) -> &'static str;
    /// Place of the present value among all values.
    fn index(&self) -> usize;
    /// Takes the value at a place; says whether there is one.
    fn choose(&mut self, index: usize) -> bool;
    /// All values in order.
    fn values(&self) -> Vec<Value>;
    /// How many values there are.
    fn count(&self) -> usize;
}

impl<T: Answer> Choice for T {
    fn doc(&self) -> &'static str {
        T::DOC
    }

    fn type_name(&self) -> &'static str {
        T::TYPE
    }

    fn index(&self) -> usize {
        T::VARIANTS.iter().position(|value| value == self).expect("cowl bug: a value outside its own type")
    }

    fn choose(&mut self, index: usize) -> bool {
        match T::VARIANTS.get(index) {
            Some(value) => {
                *self = *value;
                true
            }
            None => false,
        }
    }

    fn values(&self) -> Vec<Value> {
        T::VARIANTS.iter().map(|value| describe(*value)).collect()
    }

    fn count(&self) -> usize {
        T::VARIANTS.len()
    }
}

fn describe<T: Answer>(value: T) -> Value {
    let property = |name| value.get_str(name).unwrap_or_default();
    Value {
        name: value.into(),
        doc: value.get_documentation().unwrap_or_default(),
        commits: property("commits"),
        since: property("since"),
        proposed: property("proposed"),
        removed: property("removed"),
    }
}

/// Defines the enum of one knob or detail: the derives that all share, and its documentation as data.
macro_rules! answer {
    ($(#[doc = $doc:literal])+ $name:ident { $($body:tt)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[derive(strum::Display, strum::EnumMessage, strum::EnumProperty, strum::IntoStaticStr, strum::VariantArray)]
        #[strum(serialize_all = "snake_case")]
        pub enum $name { $($body)+ }

        impl $crate::policy::Answer for $name {
            const DOC: &'static str = concat!($($doc),+);
            const TYPE: &'static str = stringify!($name);
        }
    };
}
pub(super) use answer;
