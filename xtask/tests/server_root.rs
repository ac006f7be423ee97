//! Generated server roots, with a real httpd.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot};

#[test]
fn every_mpm_serves_files_and_stops_without_leaving_processes() -> Result<()> {
    for mpm in Mpm::under_test()? {
        let httpd = ServerRoot::temporary()?.mpm(mpm).start()?;
        fs::write(httpd.root().dir().join("htdocs/page.html"), "hello")?;
        let (folder, address) = (httpd.root().dir().to_owned(), httpd.address());

        let answer = get(address, "/page.html")?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{mpm}: {answer}");
        assert!(
            answer.contains("Content-Type: text/html"),
            "{mpm}: {answer}"
        );
        assert!(answer.ends_with("hello"), "{mpm}: {answer}");
        let status = get(address, "/server-status")?;
        assert!(
            status.contains(&format!("Server MPM: {mpm}")),
            "{mpm}: {status}"
        );

        let mut processes = httpd.child_pids()?;
        assert!(!processes.is_empty(), "{mpm}");
        processes.push(httpd.pid());
        assert!(httpd.stop()?.success(), "{mpm}");
        assert_eq!(running(&processes), [0_u32; 0], "{mpm}");
        assert!(TcpStream::connect(address).is_err(), "{mpm}");
        assert!(!folder.exists(), "{mpm}: {} is left", folder.display());
    }
    Ok(())
}

#[test]
fn a_reload_brings_new_children_and_the_new_configuration() -> Result<()> {
    for mpm in Mpm::under_test()? {
        let mut httpd = ServerRoot::temporary()?.mpm(mpm).start()?;
        let reloads: [fn(&Httpd) -> Result<()>; 2] = [Httpd::graceful, Httpd::restart];
        for (number, reload) in reloads.iter().enumerate() {
            let earlier = httpd.child_pids()?;
            httpd.replace_config(format!("ErrorDocument 404 \"configuration {number}\""))?;
            reload(&httpd)?;
            let expected = format!("configuration {number}");
            let deadline = Instant::now() + Duration::from_secs(10);
            // A child that is about to end may still accept a connection.
            loop {
                let answer = get(httpd.address(), "/absent")?;
                if answer.ends_with(&expected) {
                    break;
                }
                assert!(Instant::now() < deadline, "{mpm}: {answer}");
            }
            assert_ne!(httpd.child_pids()?, earlier, "{mpm}");
        }
        httpd.graceful_stop()?;
        assert!(httpd.wait(Duration::from_secs(15))?.success(), "{mpm}");
    }
    Ok(())
}

#[test]
fn children_do_not_survive_a_parent_that_was_killed() -> Result<()> {
    let mut httpd = ServerRoot::temporary()?.start()?;
    let children = httpd.child_pids()?;
    let kill = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -9 {}", httpd.pid()))
        .status()?;
    assert!(kill.success());
    assert!(!httpd.wait(Duration::from_secs(5))?.success());
    drop(httpd);
    let deadline = Instant::now() + Duration::from_secs(5);
    // Init reaps them, some time after their end.
    while !running(&children).is_empty() {
        assert!(
            Instant::now() < deadline,
            "still running: {:?}",
            running(&children)
        );
        thread::yield_now();
    }
    Ok(())
}

#[test]
fn the_error_message_of_httpd_about_a_configuration_is_returned() -> Result<()> {
    let check = ServerRoot::temporary()?.check_config()?;
    assert!(check.ok, "{}", check.message);

    let check = ServerRoot::temporary()?
        .config("NoSuchDirective on")
        .check_config()?;
    assert!(!check.ok);
    assert!(
        check.message.contains("Invalid command 'NoSuchDirective'"),
        "{}",
        check.message
    );

    let refused = ServerRoot::temporary()?
        .config("NoSuchDirective on")
        .start();
    let error = format!("{:#}", refused.err().context("httpd started")?);
    assert!(
        error.contains("Invalid command 'NoSuchDirective'"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_port_in_use_is_an_error() -> Result<()> {
    let first = ServerRoot::temporary()?.start()?;
    let refused = ServerRoot::temporary()?
        .port(first.address().port())
        .start();
    let error = format!("{:#}", refused.err().context("httpd started")?);
    assert!(error.contains("Address already in use"), "{error}");
    Ok(())
}

#[test]
fn tls_uses_a_certificate_for_this_machine() -> Result<()> {
    let httpd = ServerRoot::temporary()?
        .tls_port(port::free_port()?)
        .start()?;
    let page = httpd.root().dir().join("htdocs/index.html");
    fs::write(page, "over TLS")?;
    let address = httpd.tls_address().context("no TLS")?;
    let certificate = httpd.root().certificate();
    for check in [
        ["-verify_hostname", "localhost"],
        ["-verify_ip", "127.0.0.1"],
    ] {
        let answer = tls_get(address, check, &certificate)?;
        assert!(answer.contains("over TLS"), "{check:?}: {answer}");
    }
    let answer = tls_get(
        address,
        ["-verify_hostname", "elsewhere.example"],
        &certificate,
    )?;
    assert!(answer.contains("hostname mismatch"), "{answer}");
    Ok(())
}

#[test]
fn it_can_listen_on_ipv6_too() -> Result<()> {
    if !port::has_ipv6_loopback() {
        return Ok(());
    }
    let httpd = ServerRoot::temporary()?.ipv6().start()?;
    let answer = get(
        (Ipv6Addr::LOCALHOST, httpd.address().port()).into(),
        "/absent",
    )?;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    httpd.wait_for_log("resuming normal operations", Duration::from_secs(5))?;
    assert!(httpd.access_log()?.contains("GET /absent"));
    Ok(())
}

#[test]
fn a_document_root_that_others_cannot_reach_is_served() -> Result<()> {
    let closed = tempfile::tempdir()?; // mode 700, like root's home
    fs::create_dir(closed.path().join("sub"))?;
    fs::write(closed.path().join("sub/page.html"), "hello")?;
    let httpd = ServerRoot::temporary()?
        .document_root(closed.path())
        .start()?;
    let answer = get(httpd.address(), "/sub/page.html")?;
    assert!(answer.ends_with("hello"), "{answer}");
    Ok(())
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Sends a request with `openssl s_client`, which checks the certificate. Apache's development
/// packages depend on openssl.
fn tls_get(address: SocketAddr, check: [&str; 2], certificate: &Path) -> Result<String> {
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-connect",
            &address.to_string(),
        ])
        .args(check)
        .arg("-CAfile")
        .arg(certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl")?;
    let mut stdin = client.stdin.take().context("no standard input")?;
    stdin.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let output = client.wait_with_output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn running(processes: &[u32]) -> Vec<u32> {
    let exists = |pid: &&u32| Path::new(&format!("/proc/{pid}")).exists();
    processes.iter().filter(exists).copied().collect()
}
