//! A plugin whose library is loaded and whose table has been checked.

use std::ffi::{c_int, c_void};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use websocket_plugin::abi;
use websocket_plugin::abi::host::{Instance, RustPlugin, Ticks, rust_plugin};

use super::inspection::{PluginError, inspect};
use super::mailbox::Event;
use super::options::PluginOptions;
use super::server::Server;
use super::table::unattached;
use super::threads::Running;
use super::ticks::Ticking;
use crate::httpd::log::{Level, log_server};
use crate::protocol::{MessageKind, Payload};

/// The pointer that a plugin returned for one of its connections.
#[derive(Clone, Copy, Debug)]
pub struct Private(*mut c_void);

// SAFETY: the pointer is only handed back to the plugin, whose callbacks may run on any thread.
unsafe impl Send for Private {}

/// Where a plugin comes from.
pub struct Source {
    /// What the administrator calls it.
    pub name: String,
    /// A shorter name for the counters.
    pub label: String,
    /// An `.htaccess` file names the plugin, so it is unloaded when the request has ended.
    pub is_of_request: bool,
}

/// A plugin as `WebSocketHandler` loaded it.
pub struct LoadedPlugin {
    source: Source,
    code: Code,
    rust: Option<RustPlugin>,
    /// The instances of a Rust plugin, one for each set of options in use.
    instances: Mutex<Vec<Configured>>,
    /// How many short turns in a row are missing until the plugin counts as quick again.
    slowness: AtomicU32,
    /// Set with the first connection or ticks, if the plugin has threads of its own.
    running: OnceLock<Mutex<Option<Running>>>,
    destroyed: AtomicBool,
}

/// An instance with its options. The ticks end before the instance is released.
struct Configured {
    options: PluginOptions,
    _ticking: Option<Ticking>,
    instance: Arc<Instance>,
}

/// The code that serves the connections.
enum Code {
    /// The code of a library, with its table.
    Library {
        table: NonNull<abi::WebSocketPlugin>,
        on_message: abi::OnMessage,
    },
    /// Code of the module: it accepts every connection, and answers each message with this text.
    BuiltIn(fn() -> String),
}

/// How many short turns make a plugin quick again whose callbacks were found to block.
const SHORT_TURNS: u32 = 32;

/// The longest time that a short turn is blocked. Handing a turn to another thread costs some ten
/// microseconds.
const SHORT_TURN: Duration = Duration::from_micros(500);

// SAFETY: the table does not change any more, and plugins serve connections on several threads.
unsafe impl Send for LoadedPlugin {}
// SAFETY: as above.
unsafe impl Sync for LoadedPlugin {}

impl LoadedPlugin {
    /// Calls an init function and checks the table it returns.
    ///
    /// # Errors
    ///
    /// When this module cannot use the table.
    ///
    /// # Safety
    ///
    /// `init` is a function without arguments that returns a pointer or a number, and does not
    /// crash. Its library stays loaded for as long as the result is used. This function checks what
    /// `init` returns, and takes a table that passes for a plugin's.
    pub unsafe fn from_init(source: Source, init: abi::Init) -> Result<Self, PluginError> {
        // SAFETY: the caller vouches for `init`.
        let table = NonNull::new(unsafe { init() }).ok_or(PluginError::Init)?;
        let on_message = inspect(table.as_ptr())?;
        // SAFETY: `inspect` found a table that can be read as far as Rust plugins fill it. The
        // caller keeps the library loaded, and `destroy` releases all instances first.
        let rust = unsafe { rust_plugin(table.as_ptr()) }.map_err(PluginError::Incompatible)?;
        Ok(Self {
            source,
            code: Code::Library { table, on_message },
            rust,
            instances: Mutex::default(),
            slowness: AtomicU32::new(0),
            running: OnceLock::new(),
            destroyed: AtomicBool::new(false),
        })
    }

    /// A part of the module that serves connections like a plugin: it accepts all of them, and
    /// answers each message with what `answer` returns.
    #[must_use]
    pub fn built_in(name: &str, answer: fn() -> String) -> Self {
        Self {
            source: Source {
                name: name.into(),
                label: name.into(),
                is_of_request: false,
            },
            code: Code::BuiltIn(answer),
            rust: None,
            instances: Mutex::default(),
            slowness: AtomicU32::new(0),
            running: OnceLock::new(),
            destroyed: AtomicBool::new(false),
        }
    }

    fn table(&self) -> Option<&abi::WebSocketPlugin> {
        match &self.code {
            // SAFETY: checked by `from_init`. The plugin keeps its table until `destroy`, and after
            // that nothing calls this (see there).
            Code::Library { table, .. } => Some(unsafe { table.as_ref() }),
            Code::BuiltIn(_) => None,
        }
    }

    /// Configures a Rust plugin with `options`, unless that has been done. A C plugin has no
    /// options.
    ///
    /// # Errors
    ///
    /// What the plugin says is wrong with the options, and the plugin's name.
    pub fn configure(&self, options: &PluginOptions) -> Result<(), String> {
        self.instance(options).map(drop)
    }

    fn instance(&self, options: &PluginOptions) -> Result<Option<Arc<Instance>>, String> {
        let Some(rust) = &self.rust else {
            return Ok(None);
        };
        if let Some(instance) = self.known_instance(options) {
            return Ok(Some(instance));
        }
        // SAFETY: the table lives as long as the module.
        let instance = unsafe { rust.configure(unattached(), &options.pairs()) }
            .map_err(|error| format!("the plugin {} cannot be configured: {error}", rust.name()))?;
        let instance = Arc::new(instance);
        let ticks = self.ticks_of(&instance);
        let mut instances = self.instances();
        if let Some(known) = find(&instances, options) {
            // Another thread was here with the same options. The lock is released before the new
            // instance, whose release runs the plugin's code.
            drop(instances);
            return Ok(Some(known));
        }
        let key = || format!("{} {:?}", self.source.name, options.pairs());
        if ticks.is_some() {
            self.note_threads();
        }
        instances.push(Configured {
            options: options.clone(),
            _ticking: ticks.map(|ticks| Ticking::new(&instance, ticks, key())),
            instance: Arc::clone(&instance),
        });
        Ok(Some(instance))
    }

    /// The ticks that an instance wants, if it lives longer than a request.
    fn ticks_of(&self, instance: &Instance) -> Option<Ticks> {
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        let ticks = instance.ticks()?;
        if !self.source.is_of_request {
            return Some(ticks);
        }
        if !IS_TOLD.swap(true, Ordering::Relaxed) {
            let text = format!(
                "the plugin {} has no ticks: a .htaccess file names it, so it is loaded for each \
                 request; name it in httpd's configuration",
                instance.name()
            );
            log_server(Level::Warning, &text);
        }
        None
    }

    fn known_instance(&self, options: &PluginOptions) -> Option<Arc<Instance>> {
        find(&self.instances(), options)
    }

    fn instances(&self) -> MutexGuard<'_, Vec<Configured>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the plugin whether it accepts a connection. `Ok(None)` means that it refuses.
    ///
    /// # Errors
    ///
    /// As [`configure`](Self::configure).
    pub fn connect(
        &self,
        server: &Server,
        options: &PluginOptions,
    ) -> Result<Option<Private>, String> {
        self.note_threads();
        let private = match (
            self.instance(options)?,
            self.table().and_then(|table| table.on_connect),
        ) {
            // SAFETY: `server` stays attached to the connection until `disconnect` has returned,
            // and the texts were checked to be UTF-8.
            (Some(instance), _) => unsafe { instance.connect(server.as_abi()) },
            // SAFETY: as above.
            (None, Some(on_connect)) => unsafe { on_connect(server.as_abi()) },
            (None, None) => return Ok(Some(Private(ptr::null_mut()))),
        };
        Ok((!private.is_null()).then_some(Private(private)))
    }

    /// Whether the plugin has threads of its own, which the module ends before the process does.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        self.rust.is_some_and(|rust| rust.has_threads())
    }

    fn note_threads(&self) {
        if let Some(rust) = self.rust.filter(RustPlugin::has_threads) {
            self.running
                .get_or_init(|| Mutex::new(Some(Running::new(rust))));
        }
    }

    /// Hands a message to the plugin. The plugin may change the payload and the byte behind it in
    /// place.
    pub fn message(
        &self,
        private: Private,
        server: &Server,
        kind: MessageKind,
        payload: &mut Payload<'_>,
    ) {
        let on_message = match &self.code {
            Code::Library { on_message, .. } => *on_message,
            Code::BuiltIn(answer) => return server.send_text(&answer()),
        };
        let kind = number_of(kind);
        let len = payload.len();
        // SAFETY: `private` came from `connect` on the same server. `Payload` guarantees that `len`
        // bytes and one more may be written from its pointer on. The pointer comes from a slice, so
        // it is never null.
        unsafe {
            on_message(private.0, server.as_abi(), kind, payload.as_mut_ptr(), len);
        }
    }

    /// Hands a part of a message to the plugin, as [`message`](Self::message) does a whole one.
    pub fn part(
        &self,
        private: Private,
        server: &Server,
        on_part: abi::OnPart,
        (kind, payload): (MessageKind, &mut Payload<'_>),
        is_last: bool,
    ) {
        let (kind, len) = (number_of(kind), payload.len());
        let is_last = c_int::from(is_last);
        // SAFETY: the plugin has set this callback for `server`. The rest is as for `on_message`.
        unsafe {
            on_part(
                private.0,
                server.as_abi(),
                kind,
                payload.as_mut_ptr(),
                len,
                is_last,
            );
        }
    }

    /// How many bytes of a connection's messages the plugin keeps. Called like a callback.
    pub fn kept(&self, private: Private) -> usize {
        let Some(rust) = &self.rust else { return 0 };
        // SAFETY: `private` came from `connect`, and the session calls one callback at a time.
        unsafe { rust.kept(private.0) }
    }

    /// Tells the plugin that a queue that had refused a message has room again.
    pub fn drained(&self, private: Private, server: &Server, on_drain: abi::OnDrain) {
        // SAFETY: the plugin has set this callback for `server`, and `private` came from `connect`
        // on the same server.
        unsafe { on_drain(private.0, server.as_abi()) }
    }

    /// Has the plugin handle an event that it has posted to `server`.
    pub fn handle(&self, private: Private, server: &Server, event: Event) {
        let on_event = event.on_event;
        // SAFETY: the plugin has posted this to `server`, and `private` came from `connect` on the
        // same server. The event is not used again.
        unsafe { on_event(private.0, server.as_abi(), event.leave()) }
    }

    /// Tells the plugin that a connection it accepted has ended.
    pub fn disconnect(&self, private: Private, server: &Server) {
        if let Some(on_disconnect) = self.table().and_then(|table| table.on_disconnect) {
            // SAFETY: `private` came from `connect` on the same server and is not used again.
            unsafe { on_disconnect(private.0, server.as_abi()) }
        }
    }

    /// Whether the plugin is written in Rust, so that it needs no request after `connect`.
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.rust.is_some() || matches!(self.code, Code::BuiltIn(_))
    }

    /// Where the plugin comes from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether callbacks of the plugin are expected to block.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.slowness.load(Ordering::Relaxed) > 0
    }

    /// Notes that a callback of the plugin was found to block.
    pub fn mark_slow(&self) {
        self.slowness.store(SHORT_TURNS, Ordering::Relaxed);
    }

    /// Notes how long a turn of a slow plugin was blocked.
    pub fn note_turn(&self, blocked: Duration) {
        if blocked > SHORT_TURN {
            self.mark_slow();
        } else {
            let fewer = |turns: u32| turns.checked_sub(1);
            // At zero the plugin is quick already.
            let _ = self
                .slowness
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        }
    }

    /// Tells the plugin that its library is about to be unloaded. Later calls do nothing. The pool
    /// that holds the configuration calls this when every request that used the plugin has ended.
    pub fn destroy(&self) {
        if self.destroyed.swap(true, Ordering::AcqRel) {
            return;
        }
        // A tick that is waited for may need the lock.
        let instances = mem::take(&mut *self.instances());
        drop(instances);
        if let Some(running) = self.running.get() {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            drop(running.take());
        }
        let Code::Library { table, .. } = &self.code else {
            return;
        };
        // SAFETY: as in `table`.
        if let Some(destroy) = unsafe { table.as_ref() }.destroy {
            // SAFETY: called once, with the table init returned.
            unsafe { destroy(table.as_ptr()) }
        }
    }
}

fn find(instances: &[Configured], options: &PluginOptions) -> Option<Arc<Instance>> {
    let known = instances.iter().find(|known| known.options == *options)?;
    Some(Arc::clone(&known.instance))
}

const fn number_of(kind: MessageKind) -> c_int {
    match kind {
        MessageKind::Text => abi::MESSAGE_TYPE_TEXT,
        MessageKind::Binary => abi::MESSAGE_TYPE_BINARY,
    }
}
