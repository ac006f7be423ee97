//! `include/websocket_plugin.h` and [`websocket_plugin::abi`] describe the same memory layout.
//!
//! `abi_layout.c` prints every size, offset and constant as the C compiler sees it.

use std::collections::BTreeMap;
use std::io;
use std::mem::offset_of;
use std::path::Path;
use std::process::{Command, Output};

use websocket_plugin::abi::{
    self, Ending as WebSocketEnding, EndingServer as WebSocketEndingServer,
    EventServer as WebSocketEventServer, FlowServer as WebSocketFlowServer,
    Metric as WebSocketMetric, MetricLabel as WebSocketMetricLabel,
    MetricServer as WebSocketMetricServer, PartServer as WebSocketPartServer,
    Publication as WebSocketPublication, ServerTable, Subscription as WebSocketSubscription,
    TopicPosition as WebSocketPosition, TopicServer as WebSocketTopicServer,
    TopicTable as WebSocketTopics, VariableServer as WebSocketVariableServer, WebSocketPlugin,
    WebSocketServer, WriteServer as WebSocketWriteServer,
};

/// The name of an item, with its size, offset or value.
type Layout = BTreeMap<String, i64>;

#[test]
fn the_header_and_the_rust_tables_agree() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi_layout");
    let output = program
        .to_str()
        .expect("the target directory has a UTF-8 name");
    let compiled = compile("CC", "cc", &["-std=c99", "-o", output]);
    assert_success(&compiled.expect("there is a C compiler: cc, or what CC names"));

    let printed = Command::new(&program)
        .output()
        .expect("the compiled program starts");
    assert_success(&printed);
    let differences = differences(&parse(&printed.stdout), &rust_layout());
    assert!(
        differences.is_empty(),
        "websocket_plugin.h and abi.rs differ:\n{}",
        differences.join("\n")
    );
}

#[test]
fn the_header_compiles_as_c89_and_as_cpp() {
    // C89 has no %z, which abi_layout.c uses to print.
    let c89 = ["-std=c89", "-Wno-format", "-fsyntax-only"];
    let cpp = ["-x", "c++", "-fsyntax-only"];
    for (variable, default, arguments) in [("CC", "cc", c89), ("CXX", "c++", cpp)] {
        let compiled = compile(variable, default, &arguments);
        assert_success(&compiled.unwrap_or_else(|error| panic!("{default}: {error}")));
    }
}

/// Compiles `abi_layout.c` with the compiler that the environment variable names, or `default`.
fn compile(variable: &str, default: &str, arguments: &[&str]) -> io::Result<Output> {
    let compiler = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let mut words = compiler.split_whitespace(); // CC may be "ccache gcc"
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    Command::new(words.next().unwrap_or(default))
        .args(words)
        .args(["-Wall", "-Wextra", "-pedantic", "-Werror"])
        .args(arguments)
        .arg("-I")
        .arg(package.join("include"))
        .arg(package.join("tests/abi_layout.c"))
        .output()
}

fn assert_success(finished: &Output) {
    let messages = String::from_utf8_lossy(&finished.stderr);
    assert!(finished.status.success(), "{}\n{messages}", finished.status);
}

/// Reads lines of a name, a space and a number.
fn parse(printed: &[u8]) -> Layout {
    let line = |line: &str| {
        let (name, number) = line.rsplit_once(' ')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    String::from_utf8_lossy(printed)
        .lines()
        .map(|text| line(text).unwrap_or_else(|| panic!("abi_layout.c printed {text:?}")))
        .collect()
}

/// One line for each item that only one side has, or whose numbers differ.
fn differences(header: &Layout, rust: &Layout) -> Vec<String> {
    let show = |number: Option<&i64>| number.map_or("nothing".to_owned(), i64::to_string);
    let names = header
        .keys()
        .chain(rust.keys().filter(|name| !header.contains_key(*name)));
    names
        .filter(|name| header.get(*name) != rust.get(*name))
        .map(|name| {
            let (header, rust) = (show(header.get(name)), show(rust.get(name)));
            format!("{name}: {header} in the header, {rust} in Rust")
        })
        .collect()
}

fn rust_layout() -> Layout {
    macro_rules! table {
        ($layout:ident, $table:ident: $($field:ident)*) => {
            $layout.insert(
                concat!("size_of(", stringify!($table), ")").to_owned(),
                number(size_of::<$table>()),
            );
            $($layout.insert(
                concat!(stringify!($table), ".", stringify!($field)).to_owned(),
                number(offset_of!($table, $field)),
            );)*
        };
    }
    macro_rules! constants {
        ($layout:ident, $($name:ident)*) => {
            $($layout.insert(stringify!($name).to_owned(), i64::from(abi::$name));)*
        };
    }

    let mut layout = Layout::new();
    table!(layout, WebSocketServer: size version state request header_get header_set
        protocol_count protocol_index protocol_set send close);
    // The header does not name the functions for Rust in the middle, and ends before those at the
    // end.
    layout.insert(
        "size_of(WebSocketServerTable)".to_owned(),
        number(offset_of!(ServerTable, refuse)),
    );
    let (for_rust, try_send) = (
        size_of::<WebSocketServer>(),
        offset_of!(ServerTable, try_send_message),
    );
    layout.insert("WebSocketServerTable.for_rust".to_owned(), number(for_rust));
    layout.insert("WebSocketServerTable.try_send".to_owned(), number(try_send));
    for (name, value) in [
        ("WEBSOCKET_SEND_ACCEPTED", abi::SEND_ACCEPTED),
        ("WEBSOCKET_SEND_CLOSED", abi::SEND_CLOSED),
        ("WEBSOCKET_SEND_FULL", abi::SEND_FULL),
        ("WEBSOCKET_TOPIC_OK", abi::TOPIC_OK),
        ("WEBSOCKET_TOPIC_CLOSED", abi::TOPIC_CLOSED),
        ("WEBSOCKET_TOPIC_INVALID", abi::TOPIC_INVALID),
        ("WEBSOCKET_TOPIC_LIMIT", abi::TOPIC_LIMIT),
        ("WEBSOCKET_TOPIC_TOO_LARGE", abi::TOPIC_TOO_LARGE),
        ("WEBSOCKET_TOPIC_UNAVAILABLE", abi::TOPIC_UNAVAILABLE),
        ("WEBSOCKET_RECOVERY_NONE", abi::RECOVERY_NONE),
        ("WEBSOCKET_RECOVERY_COMPLETE", abi::RECOVERY_COMPLETE),
        ("WEBSOCKET_RECOVERY_GAP", abi::RECOVERY_GAP),
        ("WEBSOCKET_CLOSED_BY_CLIENT", abi::CLOSED_BY_CLIENT),
        ("WEBSOCKET_CLOSED_BY_PLUGIN", abi::CLOSED_BY_PLUGIN),
        ("WEBSOCKET_CLOSED_BY_ERROR", abi::CLOSED_BY_ERROR),
        ("WEBSOCKET_CLOSED_BY_TIMEOUT", abi::CLOSED_BY_TIMEOUT),
        ("WEBSOCKET_CLOSED_BY_DRAIN", abi::CLOSED_BY_DRAIN),
        ("WEBSOCKET_CLOSED_BY_LIMIT", abi::CLOSED_BY_LIMIT),
        ("WEBSOCKET_METRIC_COUNTER", abi::METRIC_COUNTER),
        ("WEBSOCKET_METRIC_GAUGE", abi::METRIC_GAUGE),
        ("WEBSOCKET_METRIC_HISTOGRAM", abi::METRIC_HISTOGRAM),
        ("WEBSOCKET_METRIC_OK", abi::METRIC_OK),
        ("WEBSOCKET_METRIC_INVALID", abi::METRIC_INVALID),
        ("WEBSOCKET_METRIC_FULL", abi::METRIC_FULL),
        ("WEBSOCKET_METRIC_UNAVAILABLE", abi::METRIC_UNAVAILABLE),
        ("WEBSOCKET_CLOSED_BY_SHUTDOWN", abi::CLOSED_BY_SHUTDOWN),
        ("WEBSOCKET_CLOSED_BY_NOBODY", abi::CLOSED_BY_NOBODY),
    ] {
        layout.insert(name.to_owned(), value.into());
    }
    for (name, flag) in [
        ("WEBSOCKET_SUBSCRIBE_ENVELOPE", abi::SUBSCRIBE_ENVELOPE),
        ("WEBSOCKET_SUBSCRIBE_SINCE", abi::SUBSCRIBE_SINCE),
        ("WEBSOCKET_PUBLISH_JSON", abi::PUBLISH_JSON),
    ] {
        layout.insert(name.to_owned(), flag.into());
    }
    table!(layout, WebSocketTopicServer: subscribe unsubscribe publish topics);
    table!(layout, WebSocketEndingServer: ending buffered);
    table!(layout, WebSocketFlowServer: pause on_drain);
    table!(layout, WebSocketEventServer: post);
    table!(layout, WebSocketVariableServer: variable);
    table!(layout, WebSocketPartServer: on_part);
    table!(layout, WebSocketMetricServer: metric);
    table!(layout, WebSocketMetric: size kind plugin name help bounds labels cells);
    table!(layout, WebSocketMetricLabel: value);
    table!(layout, WebSocketWriteServer: begin write);
    table!(layout, WebSocketEnding: size closed_by code is_clean reason_length reason);
    table!(layout, WebSocketPosition: offset);
    table!(layout, WebSocketSubscription: flags since info info_length position recovery recovered);
    table!(layout, WebSocketPublication: flags position);
    // The header ends before the functions for Rust.
    for (name, offset) in [
        ("state", offset_of!(WebSocketTopics, state)),
        ("publish", offset_of!(WebSocketTopics, publish)),
        ("count", offset_of!(WebSocketTopics, count)),
    ] {
        layout.insert(format!("WebSocketTopics.{name}"), number(offset));
    }
    table!(layout, WebSocketPlugin: size version destroy on_connect on_message on_disconnect);
    constants!(layout, MESSAGE_TYPE_INVALID MESSAGE_TYPE_TEXT MESSAGE_TYPE_BINARY
        MESSAGE_TYPE_CLOSE MESSAGE_TYPE_PING MESSAGE_TYPE_PONG
        WEBSOCKET_SERVER_VERSION_1 WEBSOCKET_PLUGIN_VERSION_0);
    layout
}

fn number(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("sizes of tables are small")
}
