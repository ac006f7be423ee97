//! Pages of other origins.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::{Context, PATIENCE, cases};

cases! {
    "a page of another origin is refused" => other_origin,
    "without an origin check, pages of any origin are accepted" => unchecked,
}

const ATTEMPT: &str = "const socket = new WebSocket(endpoint('/echo', args));
    return Promise.race([closed(socket), next(socket, 'open').then(() => 'open')])";

/// Another name of the same server makes another origin.
fn other_name(context: &Context, port: u16) -> String {
    format!("{}://127.0.0.1:{port}", context.transport.scheme())
}

fn other_origin(context: &Context) -> Result<()> {
    let httpd = context.httpd()?;
    let (origin, port) = (context.origin(&httpd), context.port(&httpd));
    let page = context.open("echo.html")?;
    page.expect(ATTEMPT, &json!(origin), &json!("open"))?;
    page.goto(&format!("{}/echo.html", other_name(context, port)))?;
    let end = page.run(ATTEMPT, &json!(origin))?;
    ensure!(end["code"] == 1006 && end["wasClean"] == false, "{end}");
    httpd.wait_for_log(&other_name(context, port), PATIENCE)?;
    // The pages themselves load from the other name.
    page.await_state("echo", "open")
}

fn unchecked(context: &Context) -> Result<()> {
    let httpd = context.start("<Location /echo>\nWebSocketOriginCheck Off\n</Location>")?;
    let page = context.open_on(&httpd, "echo.html")?;
    page.goto(&format!(
        "{}/echo.html",
        other_name(context, context.port(&httpd))
    ))?;
    page.expect(ATTEMPT, &json!(context.origin(&httpd)), &json!("open"))
}
