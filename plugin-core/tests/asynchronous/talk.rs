//! The plugin of most tests.

use std::future::pending;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use websocket_plugin::{
    AsyncPlugin, Close, CloseCode, Disconnect, Handshake, Message, PostError, Rejection, SendError,
    Sender, websocket_plugin,
};

/// Does what its messages say.
#[derive(Default)]
pub(crate) struct Talk;

/// What has been done with the connections of `Talk`, by their path.
static DONE: Mutex<Vec<(String, &str)>> = Mutex::new(Vec::new());

pub(crate) fn note(path: &str, what: &'static str) {
    DONE.lock().unwrap().push((path.to_owned(), what));
}

pub(crate) fn done(path: &str) -> Vec<&'static str> {
    let done = DONE.lock().unwrap();
    let of_path = done.iter().filter(|(known, _)| known == path);
    of_path.map(|(_, what)| *what).collect()
}

/// Notes when it is dropped.
struct Noted(String, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        note(&self.0, self.1);
    }
}

#[websocket_plugin(workers = 2)]
impl AsyncPlugin for Talk {
    type Connection = String;
    type Event = String;

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<String, Rejection> {
        sleep(Duration::from_millis(1)).await;
        match handshake.header("X-Do") {
            Some("refuse") => Err(Rejection::TOO_MANY_REQUESTS),
            Some("panic") => panic!("no connection"),
            Some("fail") => Err(std::io::Error::other("no database").into()),
            _ => Ok(handshake.path_info().unwrap_or_default().to_owned()),
        }
    }

    async fn on_message(
        &self,
        path: &mut String,
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        match message.as_text().unwrap_or_default() {
            "wait" => sleep(Duration::from_millis(5)).await,
            "note" => {
                sleep(Duration::from_millis(1)).await;
                note(path, "noted");
                return Ok(());
            }
            "post later" => {
                let event = "later".to_owned();
                return Ok(to.after::<Self>(Duration::from_secs(60), event)?);
            }
            "post too many" => {
                let count = post_as_many_as_possible(to).await;
                return Ok(to.send_async(count.to_string()).await?);
            }
            "close while a task waits for room" => {
                let sender = to.clone();
                let waiting = tokio::spawn(async move { sender.send_async("no room").await });
                sleep(Duration::from_millis(20)).await;
                let began = Instant::now();
                to.close(CloseCode::NORMAL)?;
                assert_eq!(waiting.await.unwrap(), Err(SendError::Closed));
                assert!(
                    began.elapsed() < Duration::from_millis(500),
                    "it looked by itself"
                );
                note(path, "woken");
                return Ok(());
            }
            "panic in event" => return Ok(to.post::<Self>("panic".to_owned())?),
            "try" => {
                assert_eq!(to.try_send("hello"), Err(SendError::Full));
                return Ok(to.send("tried")?);
            }
            "forever" => {
                let _dropped = Noted(path.clone(), "cancelled");
                note(path, "waiting");
                pending::<()>().await;
            }
            "panic" => panic!("at once"),
            "panic later" => {
                tokio::task::yield_now().await;
                panic!("later");
            }
            "panic in drop" => {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        panic!("in drop");
                    }
                }
                let _bomb = Bomb;
                note(path, "waiting");
                pending::<()>().await;
            }
            "fail" => {
                sleep(Duration::from_millis(1)).await;
                return Err(std::io::Error::other("no such key").into());
            }
            "log" => {
                log::info!("at once");
                sleep(Duration::from_millis(1)).await;
                log::info!("later");
            }
            "spawn" => {
                let sender = to.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(1)).await;
                    let _ = sender.send("spawned");
                });
                return Ok(());
            }
            "close" => {
                sleep(Duration::from_millis(1)).await;
                return Err(CloseCode::GOING_AWAY.into());
            }
            other => {
                if let Some(event) = other.strip_prefix("post ") {
                    return Ok(to.post::<Self>(event.to_owned())?);
                }
            }
        }
        to.send_async(message).await?;
        note(path, "done");
        Ok(())
    }

    async fn on_event(&self, _: &mut String, to: &Sender, event: String) -> Result<(), Close> {
        sleep(Duration::from_millis(1)).await;
        assert_ne!(event, "panic");
        Ok(to.send_async(format!("event {event}")).await?)
    }

    async fn on_drain(&self, _: &mut String, to: &Sender) -> Result<(), Close> {
        sleep(Duration::from_millis(1)).await;
        Ok(to.send_async("drained").await?)
    }

    async fn on_disconnect(&self, path: String, disconnect: Disconnect) {
        sleep(Duration::from_millis(1)).await;
        if path == "/panic-at-the-end" {
            panic!("at the end");
        }
        log::info!("gone: {}", disconnect.code());
        note(&path, "disconnected");
    }
}

/// Posts events until no more are taken for a while, which no callback handles meanwhile. Returns
/// how many were taken.
async fn post_as_many_as_possible(to: &Sender) -> usize {
    let (mut count, mut refused) = (0, 0);
    while refused < 100 && count < 5000 {
        match to.post::<Talk>("one of many".to_owned()) {
            Ok(()) => (count, refused) = (count + 1, 0),
            Err(error) => {
                assert_eq!(error, PostError::Full);
                refused += 1;
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
    count
}
