//! An async plugin that ticks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::sleep;
use websocket_plugin::{
    AsyncPlugin, BoxError, Close, Handshake, Message, OptionError, Options, Rejection, Sender,
    Tick, Ticks, websocket_plugin,
};

use crate::waiter::ask;

/// Publishes the process id and the time of each tick, in milliseconds, to the topic `swings`, from
/// a task of the runtime. The option `interval` is in milliseconds. With `everywhere yes` all
/// processes tick. `trouble` is what each tick does besides: `panic` (after it has waited), `error`,
/// `slow` (it waits for three intervals), `ask` (it asks the server at the port `port` whether it
/// may end), or `stuck` (it blocks its thread for a minute). It sends messages back.
struct Pendulum {
    interval: u64,
    is_everywhere: bool,
    trouble: String,
    port: Option<u16>,
    is_under_way: AtomicBool,
}

#[websocket_plugin(workers = 2)]
impl AsyncPlugin for Pendulum {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        Ok(Self {
            interval: options.parse("interval")?.unwrap_or(1000),
            is_everywhere: options.get("everywhere").is_some(),
            trouble: options.get("trouble").unwrap_or_default().into(),
            port: options.parse("port")?,
            is_under_way: AtomicBool::new(false),
        })
    }

    fn ticks(&self) -> Option<Ticks> {
        let interval = Duration::from_millis(self.interval);
        Some(if self.is_everywhere {
            Ticks::in_every_process(interval)
        } else {
            Ticks::in_one_process(interval)
        })
    }

    async fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        if self.is_under_way.swap(true, Ordering::SeqCst) {
            eprintln!("two ticks at once");
        }
        let outcome = self.swing(*tick).await;
        self.is_under_way.store(false, Ordering::SeqCst);
        outcome
    }

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.subscribe("swings")?;
        Ok(())
    }

    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        Ok(to.send_async(m).await?)
    }
}

impl Pendulum {
    async fn swing(&self, tick: Tick) -> Result<(), BoxError> {
        let text = format!("{} {}", std::process::id(), tick.since_1970().as_millis());
        let publishing = tokio::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            tick.topics.publish("swings", text)
        });
        publishing.await??;
        match self.trouble.as_str() {
            "panic" => {
                self.is_under_way.store(false, Ordering::SeqCst);
                panic!("out of step")
            }
            "error" => return Err("out of tune".into()),
            "slow" => sleep(Duration::from_millis(3 * self.interval)).await,
            "ask" => {
                ask(self.port.ok_or("no port")?, "may it end?").await?;
            }
            "stuck" => {
                // httpd's error log gets this.
                eprintln!("a tick is stuck");
                thread::sleep(Duration::from_secs(60));
            }
            _ => {}
        }
        Ok(())
    }
}
