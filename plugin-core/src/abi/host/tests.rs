use super::rust_plugin;
use crate::abi::{ExtendedPlugin, WebSocketPlugin};
use crate::{Close, Message, Plugin, Sender, websocket_plugin};
use abi_stable::library::AbiHeader;
use std::mem::ManuallyDrop;
use std::ptr;

#[derive(Default)]
struct Nothing;

#[websocket_plugin]
impl Plugin for Nothing {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

/// The table of a Rust plugin, which a test may change.
fn table() -> ExtendedPlugin {
    let table: *const ExtendedPlugin = crate::export::init::<Nothing>().cast();
    // SAFETY: init returns such a table, and nothing in it has a destructor.
    unsafe { ptr::read(table) }
}

fn check(table: ExtendedPlugin) -> Result<Option<&'static str>, String> {
    let mut table = ManuallyDrop::new(table);
    let table: *mut ExtendedPlugin = &raw mut *table;
    // SAFETY: it is a plugin table of at most `size` bytes, and this process does not unload it.
    match unsafe { rust_plugin(table.cast::<WebSocketPlugin>()) } {
        Ok(plugin) => Ok(plugin.map(|plugin| plugin.name())),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_rust_plugin_is_recognised() {
    assert_eq!(check(table()), Ok(Some("Nothing")));
}

#[test]
fn tables_that_are_too_short_or_lack_the_magic_value_are_of_c_plugins() {
    let mut short = table();
    short.base.size = ExtendedPlugin::SIZE - 1;
    let mut other = table();
    other.magic[0] = 0;
    for table in [short, other] {
        assert_eq!(check(table), Ok(None));
    }
}

#[test]
fn an_incompatible_abi_stable_is_an_error_that_names_both_versions() {
    static OTHER: AbiHeader = {
        let mut header = AbiHeader::VALUE;
        header.abi_minor += 1;
        header
    };
    let mut table = table();
    table.abi_stable = &OTHER;
    let error = check(table).unwrap_err();
    assert!(
        error.contains("incompatible websocket-plugin: the plugin uses abi_stable"),
        "{error}"
    );
}

#[test]
fn an_incompatible_layout_is_an_error() {
    let mut table = table();
    table.layout = abi_stable::abi_stability::stable_abi_trait::get_type_layout::<u32>;
    let error = check(table).unwrap_err();
    assert!(
        error.contains("incompatible websocket-plugin: `Extension`: "),
        "{error}"
    );
}
