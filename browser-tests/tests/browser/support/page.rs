//! A browser with one page, and functions to use it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use super::browsers::Browsers;
use super::command::Command;

const TOOLS: &str = include_str!("page.js");

/// The one page of a browser.
pub(crate) struct Page {
    client: Client,
    browsers: Arc<Browsers>,
}

impl Page {
    pub(super) fn new(browsers: Arc<Browsers>) -> Result<Self> {
        Ok(Self {
            client: browsers.get()?,
            browsers,
        })
    }

    pub(crate) fn goto(&self, url: &str) -> Result<()> {
        let loaded = self.wait_for(self.client.goto(url));
        loaded.with_context(|| format!("cannot load {url}"))
    }

    pub(crate) fn click(&self, id: &str) -> Result<()> {
        self.with(id, async |element| element.click().await)
    }

    /// Types `text` into an empty field.
    pub(crate) fn fill(&self, id: &str, text: &str) -> Result<()> {
        self.with(id, async |element| {
            element.clear().await?;
            element.send_keys(text).await
        })
    }

    /// Sends keys to the element that has the focus (WebDriver, section 17.4.2).
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        self.wait_for(async {
            let focused = self.client.active_element().await?;
            focused.send_keys(keys).await
        })
    }

    /// Chooses an option of a list.
    pub(crate) fn select(&self, id: &str, label: &str) -> Result<()> {
        self.with(id, async |element| element.select_by_label(label).await)
    }

    /// The text that an element shows.
    pub(crate) fn text(&self, id: &str) -> Result<String> {
        self.with(id, async |element| element.text().await)
    }

    /// Waits until the status of page part `name` is `state`.
    pub(crate) fn await_state(&self, name: &str, state: &str) -> Result<()> {
        self.until(
            "element(`${args[0]}-status`).dataset.state === args[1]",
            &json!([name, state]),
        )
    }

    /// Waits until an element has exactly this text.
    pub(crate) fn await_text(&self, id: &str, text: &str) -> Result<()> {
        self.until(
            "element(args[0]).textContent === args[1]",
            &json!([id, text]),
        )
    }

    /// Waits until the log of page part `name` has this entry.
    pub(crate) fn await_entry(&self, name: &str, entry: Entry<'_>) -> Result<()> {
        let Entry(kind, is, payload) = entry;
        self.until("entry(...args)", &json!([name, kind, is, payload]))
    }

    /// Waits until a JavaScript expression is true. It can use `args`. The page evaluates it again
    /// whenever its content changes.
    pub(crate) fn until(&self, condition: &str, args: &Value) -> Result<()> {
        let script = format!(
            "const [args, done] = arguments;
            const look = () => {{
                if ({condition}) {{
                    observer.disconnect();
                    done();
                }}
            }};
            const observer = new MutationObserver(look);
            const everything =
                {{ attributes: true, characterData: true, childList: true, subtree: true }};
            observer.observe(document, everything);
            look();"
        );
        let fulfilled = self.asynchronously(&script, args);
        fulfilled.map(drop).with_context(|| {
            let shown = self.wait_for(
                self.client
                    .execute("return document.body.innerText", vec![]),
            );
            let shown = shown.map_or_else(|error| format!("{error:#}"), |text| text.to_string());
            format!("`{condition}` with {args} did not become true; the page shows {shown}")
        })
    }

    /// Runs the body of an asynchronous function, which can use `args`, and returns its result.
    pub(crate) fn run(&self, body: &str, args: &Value) -> Result<Value> {
        let script = format!(
            "const [args, done] = arguments;
            (async () => {{ {body} }})().then(
                (result) => done({{ result }}),
                (error) => done({{ error: String(error) }}),
            );"
        );
        let outcome = self.asynchronously(&script, args)?;
        if let Some(error) = outcome.get("error") {
            bail!("{error} in\n{body}");
        }
        Ok(outcome["result"].clone())
    }

    /// Runs the body of an asynchronous function and compares its result with `expected`.
    pub(crate) fn expect(&self, body: &str, args: &Value, expected: &Value) -> Result<()> {
        let result = self.run(body, args)?;
        ensure!(
            result == *expected,
            "{result} instead of {expected} from\n{body}"
        );
        Ok(())
    }

    /// From now on no scripts of pages run. Those of the tests do, except asynchronous ones.
    pub(crate) fn disable_scripts(&self) -> Result<()> {
        self.devtools(
            "Emulation.setScriptExecutionDisabled",
            &json!({ "value": true }),
        )
    }

    /// Runs the body of a function at once, and returns its result.
    pub(crate) fn see(&self, body: &str) -> Result<Value> {
        self.wait_for(self.client.execute(body, vec![]))
    }

    /// The errors that the browser logged, such as failed scripts and missing files.
    pub(crate) fn complaints(&self) -> Result<Vec<String>> {
        let log = self.issue("se/log", json!({ "type": "browser" }))?;
        let entries = log.as_array().context("no list")?;
        let bad = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(bad.map(|entry| entry["message"].to_string()).collect())
    }

    /// Sets the size of the window, and light or dark mode.
    pub(crate) fn look(&self, size: (u32, u32), scheme: &str) -> Result<()> {
        let (width, height) = size;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        )?;
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        )
    }

    pub(crate) fn screenshot(&self, file: &Path) -> Result<()> {
        let png = self.wait_for(self.client.screenshot())?;
        fs::create_dir_all(file.parent().context("no folder")?)?;
        fs::write(file, png).with_context(|| format!("cannot write {}", file.display()))
    }

    fn asynchronously(&self, script: &str, args: &Value) -> Result<Value> {
        let script = format!("{TOOLS}\n{script}");
        self.wait_for(self.client.execute_async(&script, vec![args.clone()]))
    }

    /// Resets the browser to its first state: one empty tab, no stored data.
    fn reset(&self) -> Result<()> {
        self.wait_for(async {
            let fresh = self.client.new_window(true).await?.handle;
            self.client.close_window().await?;
            self.client.switch_to_window(fresh).await
        })?;
        self.devtools("Network.clearBrowserCookies", &json!({}))?;
        self.devtools("Network.clearBrowserCache", &json!({}))?;
        self.complaints().map(drop)
    }

    /// Executes a command of the Chrome DevTools Protocol.
    fn devtools(&self, command: &str, parameters: &Value) -> Result<()> {
        let command = json!({ "cmd": command, "params": parameters });
        self.issue("goog/cdp/execute", command).map(drop)
    }

    fn issue(&self, path: &'static str, parameters: Value) -> Result<Value> {
        self.wait_for(self.client.issue_cmd(Command { path, parameters }))
    }

    fn with<T>(
        &self,
        id: &str,
        action: impl AsyncFnOnce(Element) -> Result<T, CmdError>,
    ) -> Result<T> {
        let found = async { action(self.client.find(Locator::Id(id)).await?).await };
        self.wait_for(found)
            .with_context(|| format!("element #{id}"))
    }

    fn wait_for<T>(&self, answer: impl Future<Output = Result<T, CmdError>>) -> Result<T> {
        Ok(self.browsers.runtime.block_on(answer)?)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let client = self.client.clone();
        if self.reset().is_ok() {
            self.browsers.put(client);
        } else {
            // If closing fails, the browser ends with chromedriver.
            let _ = self.wait_for(client.close());
        }
    }
}

/// An entry of a log: its `data-kind`, its `data-type` and its text.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a>(pub(crate) &'a str, pub(crate) &'a str, pub(crate) &'a str);

/// A text entry of this kind (`sent`, `received` and so on).
pub(crate) fn text<'a>(kind: &'a str, payload: &'a str) -> Entry<'a> {
    Entry(kind, "text", payload)
}
