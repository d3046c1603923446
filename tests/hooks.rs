//! The daemon calls the owner's scripts, and does not wait for them.
#![cfg(feature = "daemon")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn wait_for(what: &str, found: impl Fn() -> bool) {
    let began = Instant::now();
    while !found() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn a_daemon_calls_while_a_script_hangs_and_ends_with_it() {
    let root = std::env::temp_dir().join(format!("ctwarden-hooked-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("proc/meminfo", "MemTotal: 59784 kB\nMemAvailable: 20000 kB\n");
    write("proc/sys/net/netfilter/nf_conntrack_max", "8192\n");
    write("proc/sys/net/netfilter/nf_conntrack_buckets", "8192\n");
    write("proc/sys/net/netfilter/nf_conntrack_count", "7900\n");
    write("etc/config/ctwarden", "config ctwarden main\n\toption policy watch\n");
    let out = root.display();
    write("etc/hotplug.d/ctwarden/10-log", &format!("#!/bin/sh\necho $ACTION $REASON $COUNT/$MAX >>{out}/called\n"));
    write("etc/hotplug.d/ctwarden/20-hang", &format!("#!/bin/sh\necho $$ >{out}/pid\nexec sleep 300\n"));
    // Before the first look nothing is known: blind.
    let mut daemon = Daemon(
        Command::new(env!("CARGO_BIN_EXE_ctwarden"))
            .args(["run", "--root"])
            .arg(&root)
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let said = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    wait_for("a call", || said("called").contains("filling blind 7900/8192"));
    wait_for("the one that hangs", || said("pid").ends_with('\n'));
    // It answers all the while.
    let asked = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_ctwarden")).args(["status", "--root"]).arg(&root).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("filling") && asked.elapsed() < Duration::from_secs(2));
    let pid = said("pid");
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    let _ = Command::new("kill").arg(daemon.0.id().to_string()).status();
    assert!(daemon.0.wait().unwrap().success());
    wait_for("its script ends with it", || {
        fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
    });
    let _ = fs::remove_dir_all(&root);
}
