//! `cowl kernel`: real kernels.

use std::io;
use std::path::{Path, PathBuf};

use super::args::{Kernel, KernelCommand, KernelFormat};
use super::{Exit, Fail, Out, kernel_fuzz, metal, report};
use crate::kernel::host::{Host, Start};
use crate::kernel::vm;
use crate::kernel::wire::Hello;

/// Runs the command.
pub fn kernel(args: &Kernel, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    match &args.what {
        KernelCommand::Agent => agent(exit),
        KernelCommand::Init => init(exit),
        KernelCommand::Probe { format, kernel, allow_system } => probe(*format, kernel.as_deref(), *allow_system, out, exit),
        KernelCommand::Run(args) => metal::on_kernel(args, false, out, exit),
        KernelCommand::Compare(args) => metal::on_kernel(args, true, out, exit),
        KernelCommand::Fuzz(args) => kernel_fuzz::fuzz(args, out, exit),
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn agent(exit: &mut Exit) -> Result<(), Fail> {
    crate::kernel::agent::serve(io::stdin().lock(), io::stdout().lock()).map_err(Fail::Write)?;
    exit.ran();
    Ok(())
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn agent(_: &mut Exit) -> Result<(), Fail> {
    Err(Fail::usage("cowl::kernel::system", "the agent is for Linux on x86-64", "run it there"))
}

/// An agent that is this program once more.
pub fn start() -> Result<Host, Fail> {
    start_on(None)
}

/// The same beside the calling thread on the CPU of this number, counted from those that may be used.
pub fn start_on(cpu: Option<usize>) -> Result<Host, Fail> {
    let program = std::env::current_exe().map_err(no_agent)?;
    Host::start(Start { program, args: vec!["kernel".into(), "agent".into()], cpu }).map_err(no_agent)
}

fn no_agent(error: io::Error) -> Fail {
    Fail::usage("cowl::kernel::agent", format!("the agent cannot be started: {error}"), "")
}

/// The first process of a virtual machine.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn init(exit: &mut Exit) -> Result<(), Fail> {
    if !vm::init::is_first() {
        let help = "it is what `--kernel` starts inside a machine; there is nothing to call by hand";
        return Err(Fail::usage("cowl::usage::init", "this process is not the first of a virtual machine", help));
    }
    vm::init::run().map_err(Fail::Write)?;
    exit.ran();
    Ok(())
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn init(exit: &mut Exit) -> Result<(), Fail> {
    agent(exit)
}

/// The kernels that names on the command line mean.
pub fn kernels(names: &[PathBuf]) -> Result<Vec<PathBuf>, Fail> {
    let found = names.iter().map(|name| vm::kernels(name)).collect::<Result<Vec<_>, _>>();
    found.map(|found| found.concat()).map_err(|why| Fail::usage("cowl::kernel::none", why, "or give the path of a vmlinuz"))
}

/// What an agent greets with, here or in a virtual machine.
fn greeting(kernel: Option<&Path>, system: bool) -> Result<Option<Hello>, Fail> {
    let Some(kernel) = kernel else {
        let mut host = start()?;
        if system {
            host.probe(true).map_err(no_agent)?;
        }
        return Ok(Some(host.hello.clone()));
    };
    let found = kernels(&[kernel.to_owned()])?;
    let [kernel] = &found[..] else {
        return Err(Fail::usage("cowl::kernel::one", "a probe is of one kernel", "name one of them"));
    };
    // A machine of our own is all ours.
    let probed = vm::Guest::boot(kernel, vm::Options::default()).and_then(|mut guest| guest.probe().map(|()| guest));
    match probed {
        Ok(guest) => {
            guest.retried.iter().for_each(|why| report::complain(&format!("{}: booted again: {why}\n", kernel.display())));
            Ok(Some(guest.hello.clone()))
        }
        Err(vm::Failed::NoQemu) => {
            report::complain(&format!("SKIP {}: {}\n", kernel.display(), vm::Failed::NoQemu));
            Ok(None)
        }
        Err(failed) => Err(Fail::usage("cowl::kernel::vm", failed.to_string(), "see docs/src/virtual-machines.md")),
    }
}

fn probe(format: KernelFormat, kernel: Option<&Path>, system: bool, out: &mut Out<'_>, exit: &mut Exit) -> Result<(), Fail> {
    if matches!(format, KernelFormat::Ktap | KernelFormat::Junit) {
        return Err(Fail::usage(
            "cowl::usage::ktap",
            "a probe passes and fails nothing",
            "say `--format text` or `--format json`",
        ));
    }
    let Some(hello) = greeting(kernel, system)? else { return Ok(()) };
    exit.ran();
    if format == KernelFormat::Json {
        let text = serde_json::to_string(&hello).map_err(|error| Fail::Write(error.into()))?;
        return out.text(&(text + "\n"));
    }
    out.text(&format!("{} {}\n", hello.release, hello.machine))?;
    for (sees, head) in [(false, "operations"), (true, "facts")] {
        out.text(&format!("\n{head}\n"))?;
        for feature in hello.probe.iter().filter(|feature| feature.sees == sees) {
            let (word, why) = match &feature.no {
                None => ("yes", &feature.how),
                Some(why) => ("no", why),
            };
            out.text(&format!("  {:<24} {word:<4} {why}\n", feature.name))?;
        }
    }
    Ok(())
}
