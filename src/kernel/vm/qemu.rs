//! The program that emulates a machine: its command line, its start and its end.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use super::initramfs::{LIBRARIES, PROGRAM};

/// Its name on the `PATH`.
const NAME: &str = "qemu-system-x86_64";
/// Until qemu has opened the ports: it does so before the machine starts.
const START: Duration = Duration::from_secs(20);

/// Where the program is.
pub fn find() -> Option<PathBuf> {
    let runs = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(NAME)).find(runs)
}

/// A running machine; killed and waited for when it goes.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    _folder: Folder,
}

impl Qemu {
    /// Starts a machine; with it, its ports and what its console says.
    ///
    /// # Errors
    /// Where its folder cannot be made, it cannot be started, or it does not open its ports.
    pub fn start(
        program: &Path,
        kernel: &Path,
        archive: &[u8],
        memory_mib: u32,
    ) -> io::Result<(Self, Vec<UnixStream>, ChildStdout)> {
        let folder = Folder::new()?;
        let initrd = folder.0.join("initramfs");
        fs::write(&initrd, archive)?;
        let names = [folder.0.join("serial"), folder.0.join("virtio")];
        let listeners = names.iter().map(UnixListener::bind).collect::<io::Result<Vec<_>>>()?;
        let [serial, virtio] = names.map(|name| name.display().to_string());
        let mut command = Command::new(program);
        command.args(machine(memory_mib)).args(ports(&serial, &virtio));
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(&initrd).arg("-append").arg(kernel_arguments());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("qemu without a standard output"))?;
        let mut qemu = Self { child, _folder: folder };
        let ports = listeners.iter().map(|listener| qemu.accept(listener)).collect::<io::Result<Vec<_>>>()?;
        Ok((qemu, ports, output))
    }

    /// Waits until qemu has opened a port, as long as it is there.
    fn accept(&mut self, listener: &UnixListener) -> io::Result<UnixStream> {
        listener.set_nonblocking(true)?;
        let until = Instant::now() + START;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it ended at once ({status}); is it older than 6.0?")));
            }
            if until < Instant::now() {
                return Err(io::Error::other(format!("it opened no port within {} s", START.as_secs())));
            }
            thread::sleep(Duration::from_millis(5));
        }
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

/// The machine itself: all that a distribution's kernel finds without modules, and nothing else, which boots fastest.
fn machine(memory_mib: u32) -> Vec<String> {
    // Guest memory must not be merged by this machine's KSM: it would break what the guest measures.
    let text = format!(
        "-machine q35,mem-merge=off -accel {} -cpu max -smp 2 -m {memory_mib}M -nodefaults -no-user-config -display none \
         -no-reboot -serial stdio",
        accelerator()
    );
    text.split_whitespace().map(str::to_owned).collect()
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

/// The second serial port and a virtio port, for the agent to choose from.
fn ports(serial: &str, virtio: &str) -> Vec<String> {
    let socket = |id: &str, path: &str| ["-chardev".to_owned(), format!("socket,id={id},path={}", path.replace(',', ",,"))];
    let rest = "-serial chardev:serial -device virtio-serial-pci -device virtserialport,chardev=virtio,name=cowl";
    let rest = rest.split_whitespace().map(str::to_owned);
    socket("serial", serial).into_iter().chain(socket("virtio", virtio)).chain(rest).collect()
}

/// What the kernel is told: little to say, an end where it panics, nothing that makes emulation slow, and its first process.
fn kernel_arguments() -> String {
    format!(
        "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr tsc=reliable random.trust_cpu=on \
         LD_LIBRARY_PATH={LIBRARIES} rdinit={PROGRAM} -- kernel init"
    )
}

/// A folder of our own; gone with this value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// Only the owner may enter: whoever reaches the ports is the machine's agent.
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cowl-vm-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
