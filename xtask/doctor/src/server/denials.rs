//! What SELinux and AppArmor have kept httpd from doing, as far as this user may see it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Older denials say nothing about what is wrong now.
const OLDEST: Duration = Duration::from_secs(7 * DAY);
const DAY: u64 = 24 * 60 * 60;

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
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let denials = |text: &String| denials(text, now);
    let mut findings: Vec<_> = lines.iter().flat_map(denials).collect();
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

/// The denials of httpd in the text of a log, each with its age. The time is since 1970.
fn denials(text: &str, now: Duration) -> Vec<Finding> {
    let of = |what: &str, sign: &str, remedy: &str| {
        let lines: Vec<_> = text
            .lines()
            .filter(|line| line.contains(sign) && is_of_httpd(line))
            .filter_map(|line| dated(line, now))
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

/// Whether httpd was denied something, and not another program something of httpd's.
fn is_of_httpd(line: &str) -> bool {
    let value = |name: &str| {
        let mut words = line.split_whitespace();
        let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches('"')
    };
    let is_httpd = |program: &str| {
        let name = program.rsplit('/').next().unwrap_or_default();
        name.starts_with("httpd") || name.starts_with("apache2")
    };
    // Threads may have names of their own. AppArmor calls subprofiles PROFILE//NAME.
    let profile = value("profile").split("//").next().unwrap_or_default();
    is_httpd(value("comm"))
        || is_httpd(profile)
        || value("scontext").split(':').nth(2) == Some("httpd_t")
}

/// The line with its age in front. `None` if it is too old.
fn dated(line: &str, now: Duration) -> Option<String> {
    let Some(time) = time(line) else {
        return Some(line.to_owned());
    };
    let age = now.saturating_sub(time);
    let (number, unit) = match age.as_secs() {
        seconds @ 0..=119 => (seconds, "seconds"),
        seconds @ ..7200 => (seconds / 60, "minutes"),
        seconds @ ..172_800 => (seconds / 3600, "hours"),
        seconds => (seconds / DAY, "days"),
    };
    (age <= OLDEST).then(|| format!("{number} {unit} ago: {line}"))
}

/// When the kernel has written a line with `audit(1712345678.123:456)`, since 1970.
fn time(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once("audit(")?;
    let (seconds, _) = rest.split_once('.')?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_of_httpd_are_found_in_the_logs_of_the_kernel() {
        let selinux = "type=AVC msg=audit(1712345678.123:456): avc:  denied  { name_connect } for  \
             pid=1234 comm=\"httpd\" dest=6379 scontext=system_u:system_r:httpd_t:s0 \
             tcontext=system_u:object_r:redis_port_t:s0 tclass=tcp_socket permissive=0";
        let apparmor = "Nov 27 12:00:00 host kernel: [1.0] audit: type=1400 audit(1712345678.2:3): \
             apparmor=\"DENIED\" operation=\"file_mmap\" profile=\"/usr/sbin/apache2\" \
             name=\"/srv/chat.so\" pid=1 comm=\"apache2\" requested_mask=\"m\"";
        let other = "avc:  denied  { read } for  pid=1 comm=\"sshd\" path=\"/etc/httpd/a\" \
             scontext=system_u:system_r:sshd_t:s0 tcontext=system_u:object_r:httpd_config_t:s0";
        let now = Duration::from_secs(1_712_345_678 + 3 * DAY);
        let text = [selinux, apparmor, other].join("\n");
        let found = denials(&text, now);
        assert_eq!(found.len(), 2);
        assert!(found[0].to_string().contains("3 days ago: type=AVC"));
        assert!(found[0].to_string().contains("httpd_can_network_connect"));
        assert!(found[1].to_string().contains("/srv/chat.so"));
        assert!(denials(other, now).is_empty());
        assert!(denials(&text, now + OLDEST).is_empty());
    }

    #[test]
    fn httpd_is_who_was_denied_something() {
        for (line, is_httpd) in [
            ("comm=\"httpd\"", true),
            ("comm=\"a thread\" scontext=u:r:httpd_t:s0", true),
            (
                "profile=\"/usr/sbin/apache2//DEFAULT_URI\" comm=\"php\"",
                true,
            ),
            ("profile=\"apache2\" comm=\"worker\"", true),
            (
                "profile=\"/usr/bin/man\" name=\"/usr/sbin/httpd\" comm=\"man\"",
                false,
            ),
            ("comm=\"vim\" tcontext=u:r:httpd_t:s0", false),
        ] {
            assert_eq!(is_of_httpd(line), is_httpd, "{line}");
        }
    }
}
