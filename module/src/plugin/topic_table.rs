//! The table of the topics of a virtual host, which belongs to no connection.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use websocket_plugin::{Position, abi};

use super::arguments::{bytes, text};
use super::server::as_publisher;
use crate::httpd::guard::guard;
use crate::topics::{self, Kind, Published, Publisher, SpaceId, TopicError};

/// # Safety
///
/// `publication` is null, or of a plugin that calls.
pub(super) unsafe fn publish_as(
    space: Option<SpaceId>,
    topic: Option<&str>,
    kind: c_int,
    payload: Option<&[u8]>,
    publication: *mut abi::Publication,
) -> c_int {
    // SAFETY: the caller vouches for it; the size is looked at first.
    let (is_good, flags) = unsafe {
        if publication.is_null() {
            (true, 0)
        } else if (&raw const (*publication).size).read() < abi::Publication::SIZE {
            (false, 0)
        } else {
            (true, (*publication).flags)
        }
    };
    let kind = match kind {
        abi::MESSAGE_TYPE_TEXT if flags & abi::PUBLISH_JSON != 0 => Some(Kind::Json),
        abi::MESSAGE_TYPE_TEXT => Some(Kind::Text),
        abi::MESSAGE_TYPE_BINARY => Some(Kind::Binary),
        _ => None,
    };
    let (Some(topic), Some(kind), Some(payload), true) = (topic, kind, payload, is_good) else {
        return abi::TOPIC_INVALID;
    };
    let published = as_publisher(|from: Publisher<'_>| match space {
        Some(space) => {
            topics::publish(space, topic, (kind, payload), from).map(Published::position)
        }
        None => topics::publish_to_all(topic, (kind, payload), from),
    });
    // SAFETY: as above.
    if let (Ok(position), Some(answer)) = (published, unsafe { publication.as_mut() }) {
        answer.position = to_abi(position);
    }
    number(published.map(drop))
}

/// The topics of a space, as plugins see them; `None`: those of all.
struct Place {
    space: Option<SpaceId>,
}

/// A table that is never freed, behind a shared reference.
struct Table(&'static abi::TopicTable);

// SAFETY: the table does not change.
unsafe impl Send for Table {}

/// One for each space, and one for all. They stay as long as the module.
static TABLES: Mutex<Option<HashMap<Option<SpaceId>, Table>>> = Mutex::new(None);

pub(super) fn table_for(space: Option<SpaceId>) -> *const abi::TopicTable {
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let table = tables
        .get_or_insert_default()
        .entry(space)
        .or_insert_with(|| {
            let place: &'static Place = Box::leak(Box::new(Place { space }));
            Table(Box::leak(Box::new(abi::TopicTable {
                size: abi::TopicTable::SIZE,
                version: 1,
                state: ptr::from_ref(place).cast(),
                publish: publish_to,
                count,
                history,
                presence,
            })))
        });
    ptr::from_ref(table.0)
}

/// Runs the body of a function of a [`abi::TopicTable`].
///
/// # Safety
///
/// `table` is null, or one that [`topics`] has returned, and the texts of a plugin are as long as
/// it says.
unsafe fn with_topic(
    table: *const abi::TopicTable,
    topic: *const c_char,
    length: usize,
    body: impl FnOnce(Option<SpaceId>, &str) -> Result<(), TopicError>,
) -> c_int {
    guard(
        "a function of WebSocketTopics",
        abi::TOPIC_UNAVAILABLE,
        || {
            // SAFETY: the caller vouches for it. `table_for` sets the state.
            let (place, topic) = unsafe {
                let place = table.as_ref().map(|table| &*table.state.cast::<Place>());
                (place, text(topic.cast(), length))
            };
            number(match (place, topic) {
                (Some(place), Some(topic)) => body(place.space, topic),
                _ => Err(TopicError::Invalid),
            })
        },
    )
}

unsafe extern "system" fn publish_to(
    table: *const abi::TopicTable,
    topic: *const c_char,
    topic_length: usize,
    kind: c_int,
    payload: *const u8,
    length: usize,
    publication: *mut abi::Publication,
) -> c_int {
    let mut answer = abi::TOPIC_INVALID;
    // SAFETY: a plugin passes a table it was given, texts of these lengths, and a publication or
    // null.
    unsafe {
        let called = with_topic(table, topic, topic_length, |space, topic| {
            let message = bytes(payload, length);
            answer = publish_as(space, Some(topic), kind, message, publication);
            Ok(())
        });
        if called == abi::TOPIC_OK {
            answer
        } else {
            called
        }
    }
}

unsafe extern "system" fn count(
    table: *const abi::TopicTable,
    topic: *const c_char,
    length: usize,
    answer: *mut u64,
) -> c_int {
    // SAFETY: a plugin passes a table it was given, a topic of that length, and a place for the
    // answer.
    unsafe {
        with_topic(table, topic, length, |space, topic| {
            let count = match space {
                Some(space) => topics::count(space, topic),
                None => topics::count_in_all(topic),
            }?;
            *answer.as_mut().ok_or(TopicError::Invalid)? = count;
            Ok(())
        })
    }
}

unsafe extern "system" fn history(
    table: *const abi::TopicTable,
    topic: *const c_char,
    length: usize,
    since: *const abi::TopicPosition,
    most: usize,
    visit: Option<abi::Visit>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: a plugin passes a table it was given, a topic of that length, a position or null, and
    // a function for this argument.
    unsafe {
        with_topic(table, topic, length, |space, topic| {
            // A position is one of a single topic.
            let (space, visit) = space.zip(visit).ok_or(TopicError::Invalid)?;
            let since = since.as_ref().map(|since| Position::from(*since));
            // No lock is held while the plugin runs.
            let mut messages = Vec::new();
            topics::history(space, topic, since, most, |message| {
                messages.push((message.kind, message.position, message.payload.to_vec()));
            })?;
            for (kind, position, payload) in messages {
                let message = history_message(kind, position, &payload);
                visit(argument, &raw const message);
            }
            Ok(())
        })
    }
}

fn history_message(kind: Kind, position: Option<Position>, payload: &[u8]) -> abi::HistoryMessage {
    abi::HistoryMessage {
        size: abi::HistoryMessage::SIZE,
        kind: match kind {
            Kind::Binary => abi::MESSAGE_TYPE_BINARY,
            _ => abi::MESSAGE_TYPE_TEXT,
        },
        position: to_abi(position),
        payload: payload.as_ptr(),
        length: payload.len(),
    }
}

unsafe extern "system" fn presence(
    table: *const abi::TopicTable,
    topic: *const c_char,
    length: usize,
    visit: Option<abi::VisitMember>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: a plugin passes a table it was given, a topic of that length, and a function for this
    // argument.
    unsafe {
        with_topic(table, topic, length, |space, topic| {
            let (space, visit) = space.zip(visit).ok_or(TopicError::Invalid)?;
            let mut members = Vec::new();
            topics::visit_members(space, topic, |member| members.push(member))?;
            for member in &members {
                let (user, user_length) = parts(member.user.as_deref());
                let (info, info_length) = parts(member.info.as_deref());
                let member = abi::TopicMember {
                    size: abi::TopicMember::SIZE,
                    id: member.id,
                    user,
                    user_length,
                    info,
                    info_length,
                };
                visit(argument, &raw const member);
            }
            Ok(())
        })
    }
}

fn parts(text: Option<&str>) -> (*const u8, usize) {
    text.map_or((ptr::null(), 0), |text| (text.as_ptr(), text.len()))
}

pub(super) fn to_abi(position: Option<Position>) -> abi::TopicPosition {
    position.map(Into::into).unwrap_or_default()
}

pub(super) fn number(result: Result<(), TopicError>) -> c_int {
    match result {
        Ok(()) => abi::TOPIC_OK,
        Err(TopicError::Closed) => abi::TOPIC_CLOSED,
        Err(TopicError::Invalid) => abi::TOPIC_INVALID,
        Err(TopicError::Limit) => abi::TOPIC_LIMIT,
        Err(TopicError::TooLarge) => abi::TOPIC_TOO_LARGE,
        Err(TopicError::Unavailable) => abi::TOPIC_UNAVAILABLE,
    }
}
