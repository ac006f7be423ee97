//! What people need who do not see the pages, or use no mouse.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use xtask::python::Environment;

use crate::support::context::Transport;
use crate::support::page::{Page, text};
use crate::support::{Context, cases};

cases! {
    "axe finds no fault on any page, in light and dark, at a desktop and on a phone" => axe,
    "the keyboard alone connects, sends and disconnects" => keyboard,
    "a page that cannot connect says so, and lets its user try again" => unreachable,
}

/// Contains axe-core, the checker of accessibility.
const AXE: &str = "axe-core-python==0.1.0";

/// The source of axe-core, or `None` where it cannot be downloaded.
fn axe_source(target: &Path) -> Result<Option<String>> {
    let Some(environment) = Environment::install_if_possible(target, AXE, "axe-core")? else {
        return Ok(None);
    };
    let print = "import axe_core_python, pathlib; \
                 print(next(pathlib.Path(axe_core_python.__path__[0]).rglob('axe.min.js')))";
    let path = environment.python().args(["-c", print]).output()?.stdout;
    let path = String::from_utf8(path)?;
    let source = fs::read_to_string(path.trim());
    Ok(Some(source.with_context(|| format!("no {path}"))?))
}

fn axe(context: &Context) -> Result<()> {
    // The pages are the same on all ways to them, and the check takes long.
    if context.transport != Transport::Ws {
        return Ok(());
    }
    let Some(source) = axe_source(context.target_dir())? else {
        return Ok(());
    };
    let mut pages = context.pages()?;
    pages.push("status".to_owned());
    for name in pages {
        let file = if name == "status" {
            name.clone()
        } else {
            format!("{name}.html")
        };
        let page = context.open(&file)?;
        for (size, scheme) in [
            ((1280, 900), "light"),
            ((1280, 900), "dark"),
            ((390, 844), "light"),
        ] {
            page.look(size, scheme)?;
            let faults = page.run(
                "window.axe || (0, eval)(args[0]);
                const { violations } = await axe.run();
                return violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])",
                &json!([source]),
            )?;
            ensure!(faults == json!([]), "{name} {size:?} {scheme}: {faults:#}");
        }
    }
    Ok(())
}

/// Presses Tab until an element has the focus, and returns the elements that had it before.
fn tab_to(page: &Page, id: &str) -> Result<BTreeSet<String>> {
    let mut passed = BTreeSet::new();
    for _ in 0..40 {
        page.press("\u{E004}")?;
        let focused = page.run("return document.activeElement.id", &json!([]))?;
        let focused = focused.as_str().unwrap_or_default().to_owned();
        if focused == id {
            let outline =
                "const { outlineStyle, boxShadow } = getComputedStyle(document.activeElement);
                           return outlineStyle !== 'none' || boxShadow !== 'none'";
            page.expect(outline, &json!([]), &Value::Bool(true))?;
            return Ok(passed);
        }
        passed.insert(focused);
    }
    bail!("Tab does not reach {id}, but {passed:?}")
}

fn keyboard(context: &Context) -> Result<()> {
    let page = context.open("auth.html")?;
    let enter = "\u{E007}";
    tab_to(&page, "auth-connect")?;
    page.press(enter)?;
    page.await_state("auth", "open")?;
    tab_to(&page, "auth-send")?;
    page.press(enter)?;
    page.until(
        "element('auth-log').querySelector('[data-kind=received]')",
        &json!([]),
    )?;
    let passed = tab_to(&page, "auth-log")?;
    ensure!(!passed.contains("auth-connect"), "{passed:?}");
    page.run("element('auth-connect').focus()", &json!([]))?;
    page.press(enter)?;
    page.await_state("auth", "closed")
}

fn unreachable(context: &Context) -> Result<()> {
    let page = context.open("plugin.html")?;
    let status = "return element('plugin-status').textContent";
    page.expect(status, &json!([]), &json!("Not connected"))?;
    page.fill("plugin-path", "/nothing-here")?;
    page.click("plugin-connect")?;
    page.await_entry(
        "plugin",
        text("info", "could not connect; httpd's error log may say why"),
    )?;
    page.until(
        "element('plugin-status').textContent.startsWith('Could not connect')",
        &json!([]),
    )?;
    page.fill("plugin-path", "/echo")?;
    page.click("plugin-connect")?;
    page.await_state("plugin", "open")
}
