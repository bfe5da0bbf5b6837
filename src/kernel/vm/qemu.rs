//! The program that emulates a machine: its command line, its start and its end.

use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::fs::{MemfdFlags, memfd_create};

use super::Options;
use super::initramfs::{LIBRARIES, PROGRAM};

/// Its name on the `PATH`.
const NAME: &str = "qemu-system-x86_64";

/// Where the program is.
pub fn find() -> Option<PathBuf> {
    let runs = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(NAME)).find(runs)
}

/// A running machine; killed and waited for when it goes, and killed with the thread that started it, whatever ends that.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
}

/// A machine that was started.
pub struct Started {
    pub qemu: Qemu,
    /// Our ends of its ports.
    pub ports: Vec<UnixStream>,
    /// What its console says, and qemu itself.
    pub output: PipeReader,
}

impl Qemu {
    /// Starts a machine. All that it is made of it inherits: nothing of it lies in a folder, so nothing is left there.
    ///
    /// # Errors
    /// Where it cannot be started. That it ends at once is not seen here.
    pub fn start(program: &Path, kernel: &Path, archive: &[u8], options: &Options) -> io::Result<Started> {
        let initrd = memory("initramfs")?;
        (&initrd).write_all(archive)?;
        let disk = memory("disk")?;
        disk.set_len(u64::from(options.disk_mib) << 20)?;
        let ((serial, far_serial), (virtio, far_virtio)) = (UnixStream::pair()?, UnixStream::pair()?);
        let (output, input) = io::pipe()?;
        let mut command = Command::new(program);
        let given: [OwnedFd; 4] = [initrd.into(), disk.into(), far_serial.into(), far_virtio.into()];
        let [initrd, disk, serial_fd, virtio_fd] = given.each_ref().map(AsRawFd::as_raw_fd);
        let words = format!(
            "{} -chardev socket,id=serial,fd={serial_fd} -serial chardev:serial -device virtio-serial-pci -chardev \
             socket,id=virtio,fd={virtio_fd} -device virtserialport,chardev=virtio,name=cowl -drive \
             if=none,id=disk,format=raw,cache=unsafe,file=/proc/self/fd/{disk} -device nvme,serial=cowl,drive=disk -initrd \
             /proc/self/fd/{initrd}",
            machine(options.memory_mib)
        );
        command.args(words.split_whitespace()).arg("-kernel").arg(kernel).arg("-append").arg(kernel_arguments());
        // In a process group of its own: ctrl-C is the runner's to answer.
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input).process_group(0);
        tie(&mut command, given.into())?;
        let child = command.spawn()?;
        Ok(Started { qemu: Self { child }, ports: vec![serial, virtio], output })
    }

    /// The process that emulates it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, up to this time.
    pub fn wait(&mut self, within: Duration) {
        let until = Instant::now() + within;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended already.
        let _ = self.child.wait();
    }
}

/// A file in memory.
fn memory(name: &str) -> io::Result<File> {
    Ok(memfd_create(format!("cowl-{name}"), MemfdFlags::CLOEXEC)?.into())
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn tie(command: &mut Command, keep: Vec<OwnedFd>) -> io::Result<()> {
    crate::kernel::agent::tie(command, keep);
    Ok(())
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn tie(_: &mut Command, _: Vec<OwnedFd>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this program runs in x86-64 machines alone, so it must be one of x86-64"))
}

/// The machine itself: all that a distribution's kernel finds without modules, and nothing else, which boots fastest. It has two
/// nodes, so that pages have somewhere to be moved to.
fn machine(memory_mib: u32) -> String {
    let node = memory_mib / 2;
    // Guest memory must not be merged by this machine's KSM: it would break what the guest measures.
    format!(
        "-machine q35,mem-merge=off -accel {} -cpu max -smp 2 -m {}M -object memory-backend-ram,id=near,size={node}M -object \
         memory-backend-ram,id=far,size={node}M -numa node,cpus=0,memdev=near -numa node,cpus=1,memdev=far -nodefaults \
         -no-user-config -display none -no-reboot -serial stdio",
        accelerator(),
        2 * node
    )
}

/// KVM where the processor can do it and we may use it; else emulation. A `/dev/kvm` alone proves nothing.
fn accelerator() -> &'static str {
    let usable = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match usable && processor.split_whitespace().any(|flag| flag == "vmx" || flag == "svm") {
        true => "kvm",
        false => "tcg,thread=multi",
    }
}

/// What the kernel is told: little to say, an end where it panics, nothing that makes emulation slow, and its first process.
///
/// `no_timer_check`: on a busy machine the first ticks may come too late for the test whether the timer works at all, and then
/// the kernel panics (arch/x86/kernel/apic/io_apic.c, `check_timer`). `nowatchdog`: how long something takes is the
/// runner's to judge. `numa_balancing=disable`: pages stay where scenarios put them.
fn kernel_arguments() -> String {
    format!(
        "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr tsc=reliable no_timer_check nowatchdog random.trust_cpu=on \
         numa_balancing=disable LD_LIBRARY_PATH={LIBRARIES} rdinit={PROGRAM} -- kernel init"
    )
}
