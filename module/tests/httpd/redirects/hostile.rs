//! Modules that continue with a request after they have redirected it.

use anyhow::{Context as _, Result, ensure};

use super::site::Site;
use super::{converse, expect_lines, marked};
use crate::support::{Client, Context, Driver, Handshake, cases};

cases! {
    "redirects: nothing that the redirecting module does afterwards reaches the client" => after,
    "redirects: TLS: nothing that the redirecting module does afterwards reaches the client"
        => after_over_tls,
    "redirects: a request whose response has begun never becomes a WebSocket" => begun,
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
