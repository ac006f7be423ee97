//! Modules that continue with a request after they have redirected it.

use anyhow::{Context as _, Result, ensure};

use super::site::{HOST_WAYS, Site, WAYS};
use super::{converse, expect_lines, marked, talk};
use crate::support::{Client, Context, Driver, Handshake, cases};

cases! {
    "redirects: nothing that the redirecting module does afterwards reaches the client" => after,
    "redirects: TLS: nothing that the redirecting module does afterwards reaches the client"
        => after_over_tls,
    "redirects: a request whose response has begun never becomes a WebSocket" => begun,
    "redirects: a handshake with a body is refused, whoever has read the body" => bodies,
}

/// Ways in which the test module continues, and redirects outside of handlers.
const DETOURS: [&str; 6] = ["late", "reads", "again", "fails", "quick", "quick-fails"];

fn sites(context: &Context) -> Result<Vec<Site>> {
    let mut sites = vec![Site::start(context, "")?];
    if context.driver == Driver::Event {
        sites.push(Site::start_detached(context)?);
    }
    Ok(sites)
}

fn after(context: &Context) -> Result<()> {
    for site in sites(context)? {
        for detour in DETOURS {
            let mut marks = Vec::new();
            for number in 0..5 {
                let mark = format!("{detour}-{number}");
                converse(site.open(&marked(&format!("/detour/{detour}"), &mark))?)
                    .with_context(|| format!("{detour}, number {number}"))?;
                marks.push(mark);
            }
            // The line has the status of the last redirect, which the client does not see.
            let status = match detour {
                "again" => 404,
                "quick-fails" => 500,
                _ => 101,
            };
            expect_lines(&site, &marks, status).context(detour)?;
        }
    }
    Ok(())
}

fn after_over_tls(context: &Context) -> Result<()> {
    for site in sites(context)? {
        for detour in DETOURS {
            let handshake = Handshake::to(&format!("/detour/{detour}"));
            converse(Client::open_tls(&site, &handshake)?).context(detour)?;
        }
        site.expect_alive()?;
    }
    Ok(())
}

fn begun(context: &Context) -> Result<()> {
    for site in sites(context)? {
        for _ in 0..5 {
            let mut client = Client::connect(site.address())?;
            let handshake = Handshake::to("/detour/begun").and("Connection", "close");
            client.send(handshake.to_bytes())?;
            ensure!(client.response()?.status == 200);
            let body = String::from_utf8_lossy(&client.rest()?).into_owned();
            ensure!(body.contains("begun") && !body.contains("101"), "{body}");
        }
        site.expect_alive()?;
    }
    Ok(())
}

/// A CGI program gets the body, and then httpd takes the header away that tells of it.
fn bodies(context: &Context) -> Result<()> {
    let frames = talk();
    let length = frames.len().to_string();
    let chunks = [
        format!("{:x}\r\n", frames.len()).as_bytes(),
        &frames,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for site in sites(context)? {
        for (way, path) in WAYS.iter().chain(HOST_WAYS) {
            for (name, value, body) in [
                ("Content-Length", length.as_str(), &frames),
                ("Transfer-Encoding", "chunked", &chunks),
            ] {
                let handshake = Handshake::to(path).and(name, value);
                let mut client = Client::connect(site.address())?;
                // Were the body not read, what is behind it would be frames.
                client.send([&handshake.to_bytes(), &body[..], &talk()].concat())?;
                let response = client.response()?;
                ensure!(response.status == 400, "{way}, {name}: {response:?}");
                client.drain()?;
            }
        }
        site.expect_alive()?;
    }
    Ok(())
}
