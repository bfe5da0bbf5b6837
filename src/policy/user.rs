//! Policies that users write: a difference from another policy, given as words.

use strum::VariantNames;

use super::diff::{DEFECT, LACKS};
use super::{Defect, Defects, Feature, Incoherent, KNOBS, Knob, LATEST_NAME, Lacks, Policy, find, nearest};

/// A mistake in the settings of a policy, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Place of the setting.
    pub setting: usize,
    /// Place of the word behind `=`; the key itself where `None`.
    pub value: Option<usize>,
    pub what: What,
}

/// What is wrong with a setting.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum What {
    #[error("there is no knob `{key}`")]
    UnknownKnob { key: String },
    #[error("`{knob}` has no value `{value}`")]
    UnknownValue { knob: &'static str, value: String, values: Vec<&'static str> },
    #[error("`{key}` is set twice")]
    Twice { key: String, first: usize },
    #[error("`{key}` takes one value")]
    NotOneValue { key: String },
    #[error("there is no defect `{word}`")]
    UnknownDefect { word: String },
    #[error("there is no verb `{word}` that a policy could lack")]
    UnknownVerb { word: String },
    #[error("`none` stands alone")]
    NoneAmongOthers,
    #[error("`{} = {value}` does not go with `{} = {other}`: {}", incoherent.knob.name, incoherent.because.name, incoherent.why)]
    Incoherent { incoherent: Incoherent, value: &'static str, other: &'static str },
}

impl What {
    /// What to write instead, in the imperative.
    pub fn help(&self) -> String {
        match self {
            What::UnknownKnob { key } => match nearest(key, keys()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`cowl policies show latest` lists the knobs".to_owned(),
            },
            What::UnknownValue { value, values, .. } => match nearest(value, values.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? It is one of {}", values.join(", ")),
                None => format!("use one of {}", values.join(", ")),
            },
            What::Twice { .. } => "drop one of the two".to_owned(),
            What::NotOneValue { key } => format!("give `{key}` one word"),
            What::UnknownDefect { word } => suggest(word, Defect::VARIANTS),
            What::UnknownVerb { word } => suggest(word, Feature::VARIANTS),
            What::NoneAmongOthers => "drop `none`, or the others".to_owned(),
            What::Incoherent { incoherent, .. } => {
                format!("change `{}` or `{}`", incoherent.knob.name, incoherent.because.name)
            }
        }
    }
}

fn suggest(word: &str, words: &'static [&'static str]) -> String {
    match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", words.join(", ")),
    }
}

/// Every word that may stand before `=`.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KNOBS.iter().map(|knob| knob.name).chain([LACKS, DEFECT])
}

/// Whether a user's policy may not have this name: it is built in, or `all`, or `latest`.
pub fn is_taken(name: &str) -> bool {
    name == "all" || name == LATEST_NAME || find(name).is_some()
}

/// The policy that answers as `base` does but for these settings, each a key and the words behind `=`.
///
/// `defect` and `lacks` take a list or `none`, and replace what `base` has: any policy can be written as a difference from any other.
///
/// # Errors
/// Every mistake, in the order of the settings. Incoherence is looked for only where there is no other.
pub fn build<'a>(base: &Policy, settings: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Result<Policy, Vec<Mistake>> {
    let mut policy = *base;
    let mut mistakes = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (setting, (key, values)) in settings.into_iter().enumerate() {
        match seen.iter().position(|earlier| *earlier == key) {
            Some(first) => {
                let what = What::Twice { key: key.to_owned(), first };
                mistakes.push(Mistake { setting, value: None, what });
            }
            None => {
                let found = set(&mut policy, key, &values).err().unwrap_or_default();
                mistakes.extend(found.into_iter().map(|(value, what)| Mistake { setting, value, what }));
            }
        }
        seen.push(key);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    match policy.coherent() {
        Ok(()) => Ok(policy),
        Err(incoherent) => Err(vec![blame(&policy, incoherent, &seen)]),
    }
}

type Found = Vec<(Option<usize>, What)>;

/// Gives a policy what stands behind one key.
fn set(policy: &mut Policy, key: &str, values: &[&str]) -> Result<(), Found> {
    match key {
        DEFECT => {
            let items = list(values, |word| word.parse().map_err(|_| What::UnknownDefect { word: word.to_owned() }))?;
            policy.defects = Defects::of(&items);
            Ok(())
        }
        LACKS => {
            let items = list(values, |word| word.parse().map_err(|_| What::UnknownVerb { word: word.to_owned() }))?;
            policy.lacks = Lacks::of(&items);
            Ok(())
        }
        _ => {
            let knob = Knob::find(key).ok_or_else(|| vec![(None, What::UnknownKnob { key: key.to_owned() })])?;
            let [word] = values else {
                return Err(vec![(None, What::NotOneValue { key: key.to_owned() })]);
            };
            let names: Vec<_> = knob.values().iter().map(|value| value.name).collect();
            let Some(index) = names.iter().position(|name| name == word) else {
                let value = (*word).to_owned();
                return Err(vec![(Some(0), What::UnknownValue { knob: knob.name, value, values: names })]);
            };
            knob.set(policy, index);
            Ok(())
        }
    }
}

/// A list of words, or `none`.
fn list<T>(words: &[&str], parse: impl Fn(&str) -> Result<T, What>) -> Result<Vec<T>, Found> {
    if words == ["none"] {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    let mut found = Vec::new();
    for (idx, word) in words.iter().enumerate() {
        match *word {
            "none" => found.push((Some(idx), What::NoneAmongOthers)),
            word => match parse(word) {
                Ok(item) => items.push(item),
                Err(what) => found.push((Some(idx), what)),
            },
        }
    }
    if found.is_empty() { Ok(items) } else { Err(found) }
}

/// Puts incoherence at the last setting that has part in it; the base is coherent, so there is one.
fn blame(policy: &Policy, incoherent: Incoherent, keys: &[&str]) -> Mistake {
    let parts = [incoherent.knob.name, incoherent.because.name];
    let setting = keys.iter().rposition(|key| parts.contains(key)).unwrap_or_default();
    let value = incoherent.knob.value(policy).name;
    let other = incoherent.because.value(policy).name;
    Mistake { setting, value: None, what: What::Incoherent { incoherent, value, other } }
}
