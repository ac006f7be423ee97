//! Starts, reuses and ends browsers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use xtask::browser::Browser;

use super::PATIENCE;
use super::chromedriver::ChromeDriver;

/// The sandbox does not work for root or in many containers, and these browsers only load our own
/// pages. With `--remote-debugging-pipe` a browser ends whenever chromedriver does, however that
/// happens.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--window-size=1280,900",
];

/// Starts browsers, and reuses them.
pub(crate) struct Browsers {
    capabilities: Capabilities,
    url: String,
    pub(super) runtime: Runtime,
    idle: Mutex<Vec<Client>>,
    driver: Mutex<Option<ChromeDriver>>,
}

impl Browsers {
    pub(crate) fn new(programs: &Browser) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let mut driver = ChromeDriver::start(&programs.chromedriver)?;
        Ok(Self {
            capabilities: capabilities(programs)?,
            url: driver.url()?,
            runtime,
            idle: Mutex::default(),
            driver: Mutex::new(Some(driver)),
        })
    }

    /// Returns a browser with an empty page and no cookies.
    pub(super) fn get(&self) -> Result<Client> {
        if let Some(client) = lock(&self.idle).pop() {
            return Ok(client);
        }
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(self.capabilities.clone());
        let client = self.runtime.block_on(builder.connect(&self.url));
        client.context("no browser started")
    }

    /// Takes such a browser back for reuse.
    pub(super) fn put(&self, client: Client) {
        lock(&self.idle).push(client);
    }

    /// Ends all browsers.
    ///
    /// # Errors
    /// A process or a file of theirs is left.
    pub(crate) fn finish(&self) -> Result<()> {
        for client in lock(&self.idle).drain(..) {
            self.runtime.block_on(client.close())?;
        }
        lock(&self.driver).take().map_or(Ok(()), ChromeDriver::end)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn capabilities(programs: &Browser) -> Result<Capabilities> {
    let capabilities = json!({
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "timeouts": { "script": u64::try_from(PATIENCE.as_millis())? },
        "goog:chromeOptions": { "binary": programs.chromium, "args": ARGUMENTS },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    match capabilities {
        Value::Object(capabilities) => Ok(capabilities),
        _ => unreachable!("it is an object"),
    }
}
