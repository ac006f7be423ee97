//! What SELinux and AppArmor have kept httpd from doing, as far as this user may see it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::finding::Finding;

/// The logs in which the kernel's audit messages may be.
const LOGS: [&str; 4] = [
    "/var/log/audit/audit.log",
    "/var/log/kern.log",
    "/var/log/messages",
    "/var/log/syslog",
];

/// The most bytes of a log that are looked at, and the most lines that are shown.
const LONGEST: u64 = 1 << 20;
const LINES: usize = 3;

const SELINUX: &str = "\
For plugins that connect to other servers: `setsebool -P httpd_can_network_connect on`. For \
libraries outside of the modules' folder: `semanage fcontext -a -t httpd_modules_t PATH` and \
`restorecon PATH`. `ausearch -m avc -c httpd` lists all denials.";
const APPARMOR: &str = "\
Allow it in the profile of apache2 in /etc/apparmor.d (or its `local` folder), then \
`systemctl reload apparmor`. `aa-status` lists the profiles.";

/// Looks into the logs of this machine.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let lines: Vec<_> = LOGS
        .iter()
        .filter_map(|log| end_of(Path::new(log)))
        .collect();
    let mut findings: Vec<_> = lines.iter().flat_map(|text| denials(text)).collect();
    if findings.is_empty() && is_enforcing() {
        findings.push(Finding::note(
            "SELinux is enforcing, and no denial of httpd is visible to this user",
        ));
    }
    findings
}

fn is_enforcing() -> bool {
    let mut getenforce = Command::new("getenforce");
    let output = getenforce.stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(b"Enforcing"))
}

fn end_of(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The denials of httpd in the text of a log.
fn denials(text: &str) -> Vec<Finding> {
    let is_httpd = |line: &&str| line.contains("httpd") || line.contains("apache2");
    let of = |what: &str, sign: &str, remedy: &str| {
        let lines: Vec<_> = text
            .lines()
            .filter(is_httpd)
            .filter(|line| line.contains(sign))
            .collect();
        let first = lines.len().saturating_sub(LINES);
        let last = lines[first..].join("\n");
        (!lines.is_empty()).then(|| {
            Finding::note(format!("{what} has kept httpd from something:\n{last}")).remedy(remedy)
        })
    };
    [
        of("SELinux", "avc:  denied", SELINUX),
        of("AppArmor", "apparmor=\"DENIED\"", APPARMOR),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_of_httpd_are_found_in_the_logs_of_the_kernel() {
        let selinux = "type=AVC msg=audit(1712345678.123:456): avc:  denied  { name_connect } for  \
             pid=1234 comm=\"httpd\" dest=6379 scontext=system_u:system_r:httpd_t:s0 \
             tcontext=system_u:object_r:redis_port_t:s0 tclass=tcp_socket permissive=0";
        let apparmor = "Nov 27 12:00:00 host kernel: [1.0] audit: type=1400 audit(1.2:3): \
             apparmor=\"DENIED\" operation=\"file_mmap\" profile=\"/usr/sbin/apache2\" \
             name=\"/srv/chat.so\" pid=1 comm=\"apache2\" requested_mask=\"m\"";
        let other = "avc:  denied  { read } for  pid=1 comm=\"sshd\"";
        let found = denials(&[selinux, apparmor, other].join("\n"));
        assert_eq!(found.len(), 2);
        assert!(found[0].to_string().contains("httpd_can_network_connect"));
        assert!(found[1].to_string().contains("/srv/chat.so"));
        assert!(denials(other).is_empty());
    }
}
