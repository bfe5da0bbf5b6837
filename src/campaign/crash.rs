//! Programs at which this crate itself gives up: a panic is caught, made small and kept like any other finding.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::exec::{self, Look};
use super::{finding, reduce};
use crate::ir::Program;
use crate::policy::Policy;

/// A panic, and the smallest program that was found to cause it.
#[derive(Clone, PartialEq, Debug)]
pub struct Crash {
    pub program: Program,
    /// What the panic said.
    pub message: String,
    /// The number of the program in its campaign; `None` where it was found before.
    pub number: Option<u64>,
    /// How many programs showed it.
    pub times: u64,
}

/// Does something that may panic.
///
/// # Errors
/// What the panic said.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| said(payload.as_ref()))
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it says nothing").to_owned()
}

/// What makes two panics the same: what they say, numbers apart.
pub fn key(message: &str) -> String {
    let mut key = String::with_capacity(message.len());
    for char in message.lines().next().unwrap_or_default().chars() {
        match char.is_ascii_digit() {
            true if key.ends_with('#') => {}
            true => key.push('#'),
            false => key.push(char),
        }
    }
    key
}

/// The panic that running or judging a program comes to, if any.
pub fn of(program: &Program, policy: &Policy) -> Option<String> {
    let work = || {
        if exec::run(program, policy, Look::Operations, &mut ()).wrong.is_some() {
            finding::examine(program, policy);
        }
    };
    caught(work).err()
}

/// A panic that a program came to, with every statement left out that it does not need.
pub fn reduced(program: Program, policy: &Policy, message: String, number: Option<u64>) -> Crash {
    let key_of = key(&message);
    let same = |program: &Program| of(program, policy).is_some_and(|message| key(&message) == key_of);
    let program = if same(&program) { reduce::cut_while(program, same) } else { program };
    Crash { program, message, number, times: 1 }
}
