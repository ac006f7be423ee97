//! The functions in the tables of the test host's topics.
//!
//! A plugin calls them with a pointer to a [`Space`]. By the rules of the tables it is valid as
//! long as the plugin is loaded. The SAFETY notes below refer to this.

use super::{Kept, Space};
use crate::abi::{
    self, HistoryMessage, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT, Publication, TOPIC_INVALID,
    TOPIC_OK, TopicMember, TopicPosition, TopicTable, Visit, VisitMember,
};
use crate::topics::filter::check_topic;
use std::ffi::{c_char, c_int, c_void};
use std::{ptr, slice};

pub(super) const TABLE: TopicTable = TopicTable {
    size: TopicTable::SIZE,
    version: 1,
    state: ptr::null(),
    publish: publish_to,
    count,
    history,
    presence,
};

/// The table for all spaces of the process.
pub(in crate::testing) fn host_table() -> *const TopicTable {
    struct Shared(TopicTable);
    // SAFETY: nobody writes to the table.
    unsafe impl Sync for Shared {}
    static HOST: Shared = Shared(TopicTable {
        publish: publish_to_all,
        count: count_of_all,
        history: of_no_space,
        presence: members_of_no_space,
        ..TABLE
    });
    &raw const HOST.0
}

/// # Safety
///
/// `table` is a table of a [`Space`] that is valid for `'a`.
unsafe fn space<'a>(table: *const TopicTable) -> &'a Space {
    // SAFETY: the table is the first field, and `Space::table` gives a pointer to the whole space.
    unsafe { &*table.cast() }
}

/// # Safety
///
/// The text has `length` bytes, valid for `'a`.
pub(in crate::testing) unsafe fn text<'a>(text: *const u8, length: usize) -> &'a str {
    // SAFETY: the caller guarantees the bytes.
    let bytes = unsafe { slice::from_raw_parts(text, length) };
    str::from_utf8(bytes).expect("texts are UTF-8")
}

/// Runs the body of a function on a space and the name of a topic.
///
/// # Safety
///
/// As for [`space`] and [`text`].
unsafe fn with_topic(
    table: *const TopicTable,
    (topic, length): (*const c_char, usize),
    body: impl FnOnce(&Space, &str),
) -> c_int {
    // SAFETY: the caller guarantees table and text.
    let (space, topic) = unsafe { (space(table), text(topic.cast(), length)) };
    if check_topic(topic).is_err() {
        return TOPIC_INVALID;
    }
    body(space, topic);
    TOPIC_OK
}

pub(in crate::testing) unsafe extern "system" fn publish_to(
    table: *const TopicTable,
    topic: *const c_char,
    topic_length: usize,
    kind: c_int,
    payload: *const u8,
    length: usize,
    publication: *mut Publication,
) -> c_int {
    if ![MESSAGE_TYPE_TEXT, MESSAGE_TYPE_BINARY].contains(&kind) {
        return TOPIC_INVALID;
    }
    // SAFETY: as above; topic and payload are as long as the plugin says.
    unsafe {
        with_topic(table, (topic, topic_length), |space, topic| {
            let payload = slice::from_raw_parts(payload, length);
            let publication = publication.as_mut();
            let has = |flag| publication.as_ref().is_some_and(|it| it.flags & flag != 0);
            let position = space.publish(topic, kind, has(abi::PUBLISH_JSON), payload);
            if let Some(publication) = publication {
                publication.position = position;
            }
        })
    }
}

unsafe extern "system" fn publish_to_all(
    _: *const TopicTable,
    topic: *const c_char,
    topic_length: usize,
    kind: c_int,
    payload: *const u8,
    length: usize,
    publication: *mut Publication,
) -> c_int {
    for space in Space::all() {
        let table = space.table();
        // SAFETY: as above.
        let published = unsafe {
            publish_to(
                table,
                topic,
                topic_length,
                kind,
                payload,
                length,
                publication,
            )
        };
        if published != TOPIC_OK {
            return published;
        }
    }
    TOPIC_OK
}

/// How many have subscribed to a topic of a space.
fn count_of(space: &Space, topic: &str) -> u64 {
    let state = space.lock();
    let subscriptions = state.subscriptions.iter();
    subscriptions.filter(|other| other.filter == topic).count() as u64
}

unsafe extern "system" fn count(
    table: *const TopicTable,
    topic: *const c_char,
    length: usize,
    answer: *mut u64,
) -> c_int {
    // SAFETY: as above; there is a place for the answer.
    unsafe {
        with_topic(table, (topic, length), |space, topic| {
            *answer = count_of(space, topic);
        })
    }
}

unsafe extern "system" fn count_of_all(
    _: *const TopicTable,
    topic: *const c_char,
    length: usize,
    answer: *mut u64,
) -> c_int {
    // SAFETY: as above; there is a place for the answer.
    unsafe {
        let topic = text(topic.cast(), length);
        *answer = Space::all()
            .iter()
            .map(|space| count_of(space, topic))
            .sum();
    }
    TOPIC_OK
}

unsafe extern "system" fn history(
    table: *const TopicTable,
    topic: *const c_char,
    length: usize,
    since: *const TopicPosition,
    most: usize,
    visit: Option<Visit>,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: as above; position and function are null or the plugin's, and the function gets the
    // argument that came with it.
    unsafe {
        with_topic(table, (topic, length), |space, topic| {
            let since = since.as_ref();
            let kept: Vec<Kept> = {
                let state = space.lock();
                let kept = state.histories.get(topic).map(|history| &history.kept[..]);
                let is_new = |kept: &&Kept| since.is_none_or(|since| kept.offset > since.offset);
                let kept = kept.unwrap_or_default().iter().filter(is_new);
                kept.take(most).cloned().collect()
            };
            for message in kept {
                let message = HistoryMessage {
                    size: HistoryMessage::SIZE,
                    kind: message.kind,
                    position: message.position(),
                    payload: message.payload.as_ptr(),
                    length: message.payload.len(),
                };
                if let Some(visit) = visit {
                    visit(argument, &raw const message);
                }
            }
        })
    }
}

unsafe extern "system" fn of_no_space(
    _: *const TopicTable,
    _: *const c_char,
    _: usize,
    _: *const TopicPosition,
    _: usize,
    _: Option<Visit>,
    _: *mut c_void,
) -> c_int {
    TOPIC_INVALID
}

unsafe extern "system" fn members_of_no_space(
    _: *const TopicTable,
    _: *const c_char,
    _: usize,
    _: Option<VisitMember>,
    _: *mut c_void,
) -> c_int {
    TOPIC_INVALID
}

unsafe extern "system" fn presence(
    table: *const TopicTable,
    topic: *const c_char,
    length: usize,
    visit: Option<VisitMember>,
    argument: *mut c_void,
) -> c_int {
    let pointer = |text: &Option<String>| {
        text.as_ref()
            .map_or((ptr::null(), 0), |text| (text.as_ptr(), text.len()))
    };
    // SAFETY: as above; the function is null or the plugin's, and gets the argument that came with
    // it.
    unsafe {
        with_topic(table, (topic, length), |space, topic| {
            let members: Vec<_> = {
                let state = space.lock();
                let on_topic = state.subscriptions.iter().filter(|it| it.filter == topic);
                on_topic
                    .map(|it| (it.id, it.user.clone(), it.info.clone()))
                    .collect()
            };
            for (id, user, info) in members {
                let ((user, user_length), (info, info_length)) = (pointer(&user), pointer(&info));
                let member = TopicMember {
                    size: TopicMember::SIZE,
                    id,
                    user,
                    user_length,
                    info,
                    info_length,
                };
                if let Some(visit) = visit {
                    visit(argument, &raw const member);
                }
            }
        })
    }
}
