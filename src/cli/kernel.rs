//! `cowl kernel`: real kernels.

use super::args::KernelCommand;
use super::{Exit, Fail, Out};
use crate::kernel::vm;

/// Runs the command.
pub fn kernel(what: &KernelCommand, _out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    match what {
        KernelCommand::Init => {
            if !vm::init::is_first() {
                let help = "it is what `--kernel` starts inside a machine; there is nothing to call by hand";
                return Err(Fail::usage("cowl::usage::init", "this process is not the first of a virtual machine", help));
            }
            vm::init::run().map_err(Fail::Write)?;
        }
    }
    exit.ran();
    Ok(())
}
