use super::check;
use crate::abi::{ExtensionRef, InstancePtr, ServerPtr, TickPlan};
use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, Tuple2};
use std::ffi::c_void;

/// Declares the table `Extension` as another release of this crate might. `StableAbi` only sees
/// tokens, so the types of functions must be written out.
macro_rules! release {
    ($module:ident, connect($($parameter:ty),*), { $($between:tt)* }, { $($end:tt)* }) => {
        #[allow(dead_code, reason = "only the layout counts")]
        mod $module {
            use super::*;

            #[repr(C)]
            #[derive(StableAbi)]
            #[sabi(kind(Prefix(prefix_ref = ExtensionRef)))]
            #[sabi(missing_field(panic))]
            pub(super) struct Extension {
                pub(super) name: RStr<'static>,
                pub(super) configure: unsafe extern "C" fn(
                    ServerPtr,
                    RSlice<'_, Tuple2<RStr<'_>, RStr<'_>>>,
                ) -> RResult<InstancePtr, RString>,
                $($between)*
                pub(super) connect: unsafe extern "C" fn($($parameter),*) -> *mut c_void,
                #[sabi(last_prefix_field)]
                pub(super) release: unsafe extern "C" fn(InstancePtr),
                $($end)*
            }
        }
    };
}

release!(first, connect(InstancePtr, ServerPtr), {}, {});
release!(without_ticks, connect(InstancePtr, ServerPtr), {}, {
    #[sabi(missing_field(default))]
    pub(super) end: Option<unsafe extern "C" fn(u64) -> u32>,
    #[sabi(missing_field(default))]
    pub(super) kept: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
});
release!(without_end_ticks, connect(InstancePtr, ServerPtr), {}, {
    #[sabi(missing_field(default))]
    pub(super) end: Option<unsafe extern "C" fn(u64) -> u32>,
    #[sabi(missing_field(default))]
    pub(super) kept: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
    #[sabi(missing_field(default))]
    pub(super) ticks: Option<unsafe extern "C" fn(InstancePtr) -> TickPlan>,
    #[sabi(missing_field(default))]
    pub(super) on_tick: Option<unsafe extern "C" fn(InstancePtr, u64)>,
});
release!(without_end_handshakes, connect(InstancePtr, ServerPtr), {}, {
    #[sabi(missing_field(default))]
    pub(super) end: Option<unsafe extern "C" fn(u64) -> u32>,
    #[sabi(missing_field(default))]
    pub(super) kept: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
    #[sabi(missing_field(default))]
    pub(super) ticks: Option<unsafe extern "C" fn(InstancePtr) -> TickPlan>,
    #[sabi(missing_field(default))]
    pub(super) on_tick: Option<unsafe extern "C" fn(InstancePtr, u64)>,
    #[sabi(missing_field(default))]
    pub(super) end_ticks: Option<unsafe extern "C" fn(InstancePtr)>,
});
release!(same, connect(InstancePtr, ServerPtr), {}, {
    #[sabi(missing_field(default))]
    pub(super) end: Option<unsafe extern "C" fn(u64) -> u32>,
    #[sabi(missing_field(default))]
    pub(super) kept: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
    #[sabi(missing_field(default))]
    pub(super) ticks: Option<unsafe extern "C" fn(InstancePtr) -> TickPlan>,
    #[sabi(missing_field(default))]
    pub(super) on_tick: Option<unsafe extern "C" fn(InstancePtr, u64)>,
    #[sabi(missing_field(default))]
    pub(super) end_ticks: Option<unsafe extern "C" fn(InstancePtr)>,
    #[sabi(missing_field(default))]
    pub(super) end_handshakes: Option<unsafe extern "C" fn()>,
});
release!(with_one_more, connect(InstancePtr, ServerPtr), {}, {
    #[sabi(missing_field(default))]
    pub(super) end: Option<unsafe extern "C" fn(u64) -> u32>,
    #[sabi(missing_field(default))]
    pub(super) kept: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
    #[sabi(missing_field(default))]
    pub(super) ticks: Option<unsafe extern "C" fn(InstancePtr) -> TickPlan>,
    #[sabi(missing_field(default))]
    pub(super) on_tick: Option<unsafe extern "C" fn(InstancePtr, u64)>,
    #[sabi(missing_field(default))]
    pub(super) end_ticks: Option<unsafe extern "C" fn(InstancePtr)>,
    #[sabi(missing_field(default))]
    pub(super) end_handshakes: Option<unsafe extern "C" fn()>,
    reload: extern "C" fn(),
});
release!(with_another_parameter, connect(InstancePtr, usize), {}, {});
release!(with_a_field_in_between, connect(InstancePtr, ServerPtr), { ready: extern "C" fn(), }, {});

#[test]
fn a_table_that_grew_at_its_end_is_compatible_both_ways() {
    let releases = [
        first::ExtensionRef::LAYOUT,
        without_ticks::ExtensionRef::LAYOUT,
        without_end_ticks::ExtensionRef::LAYOUT,
        without_end_handshakes::ExtensionRef::LAYOUT,
        same::ExtensionRef::LAYOUT,
        ExtensionRef::LAYOUT,
        with_one_more::ExtensionRef::LAYOUT,
    ];
    for module in releases {
        for plugin in releases {
            check(module, plugin).unwrap();
        }
    }
}

#[test]
fn the_error_names_the_field_that_differs() {
    let error = |plugin| check(ExtensionRef::LAYOUT, plugin).unwrap_err().to_string();
    let parameter = error(with_another_parameter::ExtensionRef::LAYOUT);
    assert!(
        parameter.contains("`Extension.connect.param_1`"),
        "{parameter}"
    );
    let inserted = error(with_a_field_in_between::ExtensionRef::LAYOUT);
    assert!(
        inserted.contains("the module has field `connect`, the plugin `ready`"),
        "{inserted}"
    );
    for message in [parameter, inserted] {
        assert!(!message.contains('\n') && message.len() < 500, "{message}");
    }
}
