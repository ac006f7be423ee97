//! The contents of the configuration, for an Apache that does not exist.

use std::path::Path;

use super::account::Account;
use super::config::{Config, quoted};
use super::{Mpm, ServerRoot, Sizing};
use crate::apache::Apache;

fn config_text(root: &ServerRoot, account: Option<&Account>, static_modules: &[&str]) -> String {
    let apache = Apache::with_static_modules("/modules", static_modules);
    Config {
        apache: &apache,
        root,
        account,
        document_root: &root.document_root,
    }
    .to_string()
}

fn root() -> ServerRoot {
    ServerRoot::temporary().unwrap().port(8080)
}

#[test]
fn the_chosen_mpm_is_loaded_unless_it_is_compiled_in() {
    for mpm in Mpm::ALL {
        let line = format!("LoadModule mpm_{mpm}_module \"/modules/mod_mpm_{mpm}.so\"\n");
        let root = root().mpm(mpm);
        assert!(config_text(&root, None, &[]).contains(&line), "{mpm}");
        let compiled_in = config_text(&root, None, &[&format!("{mpm}.c")]);
        assert!(!compiled_in.contains("mpm_"), "{compiled_in}");
    }
}

#[test]
fn modules_that_are_compiled_in_are_not_loaded() {
    let shared = config_text(&root(), None, &[]);
    assert!(shared.contains("LoadModule unixd_module \"/modules/mod_unixd.so\"\n"));
    let compiled_in = config_text(&root(), None, &["mod_unixd.c"]);
    assert!(!compiled_in.contains("unixd"), "{compiled_in}");
}

#[test]
fn httpd_listens_only_on_the_requested_addresses() {
    let listens = |root: &ServerRoot| {
        let text = config_text(root, None, &[]);
        let lines = text.lines().filter(|line| line.starts_with("Listen"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listens(&root()), ["Listen 127.0.0.1:8080 http"]);
    assert_eq!(
        listens(&root().ipv6().tls_port(8443)),
        [
            "Listen 127.0.0.1:8080 http",
            "Listen [::1]:8080 http",
            "Listen 127.0.0.1:8443 https",
            "Listen [::1]:8443 https",
        ]
    );
}

#[test]
fn the_account_is_set_only_for_root() {
    assert!(!config_text(&root(), None, &[]).contains("User "));
    let account = Account {
        user: "www-data".into(),
        group: "www".into(),
    };
    assert!(config_text(&root(), Some(&account), &[]).contains("User www-data\nGroup www\n"));
}

#[test]
fn extra_modules_and_lines_come_last_in_the_given_order() {
    let root = root()
        .load_module("b_module", "/b.so")
        .load_module("a_module", "/a.so");
    let text = config_text(&root.config("First 1").config("Second 2"), None, &[]);
    assert!(text.contains("LoadModule b_module \"/b.so\"\nLoadModule a_module \"/a.so\"\n"));
    assert!(text.ends_with("\nFirst 1\nSecond 2\n"), "{text}");
}

#[test]
fn idle_processes_are_never_retired() {
    let sizing = Sizing {
        processes: 3,
        threads: 5,
    };
    for (mpm, spare) in [
        (Mpm::Event, "MaxSpareThreads 15"),
        (Mpm::Worker, "MaxSpareThreads 15"),
        (Mpm::Prefork, "MaxSpareServers 15"),
    ] {
        let text = sizing.directives(mpm);
        assert!(
            text.contains(spare) && text.contains("MaxRequestWorkers 15\n"),
            "{mpm}: {text}"
        );
    }
}

#[test]
fn paths_are_one_argument() {
    assert_eq!(quoted(Path::new("/a b/\"c\"\\d")), r#""/a b/\"c\"\\d""#);
}
