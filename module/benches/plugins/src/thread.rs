//! Has a thread of its own send.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use websocket_plugin::{
    Close, Disconnect, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

use crate::members::Members;

#[derive(Default)]
struct FanoutThread {
    members: Arc<Members>,
    /// The first message starts it: `configure` runs in httpd's parent process too.
    speaker: OnceLock<Speaker>,
}

/// A thread, and the queue of what it is to send.
struct Speaker {
    queue: mpsc::Sender<Text>,
    thread: JoinHandle<()>,
}

type Text = Box<str>;

#[websocket_plugin]
impl Plugin for FanoutThread {
    /// The number of the connection.
    type Connection = u64;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<u64, Rejection> {
        Ok(self.members.add(handshake.sender()))
    }

    fn on_message(&self, _: &mut u64, _: &Sender, message: Message<'_>) -> Result<(), Close> {
        if let Some(text) = message.as_text() {
            let speaker = self.speaker.get_or_init(|| Speaker::start(&self.members));
            // It fails only when the thread has panicked, which the load generator notices.
            let _ = speaker.queue.send(text.into());
        }
        Ok(())
    }

    fn on_disconnect(&self, id: u64, _: Disconnect) {
        self.members.remove(id);
    }
}

impl Speaker {
    fn start(members: &Arc<Members>) -> Self {
        let (queue, waiting) = mpsc::channel();
        let members = Arc::clone(members);
        Self {
            queue,
            thread: thread::spawn(move || speak(&waiting, &members)),
        }
    }
}

impl Drop for FanoutThread {
    fn drop(&mut self) {
        if let Some(Speaker { queue, thread }) = self.speaker.take() {
            drop(queue);
            // If it panicked, that is on stderr already.
            let _ = thread.join();
        }
    }
}

/// Until there is nobody left who could ask for more.
fn speak(waiting: &Receiver<Text>, members: &Members) {
    while let Ok(text) = waiting.recv() {
        members.tell(Message::Text(&text));
    }
}
