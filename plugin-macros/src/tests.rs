//! The code that the attribute generates.

use super::export;
use expect_test::{Expect, expect};
use quote::quote;

#[track_caller]
fn check(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream, expected: &Expect) {
    let file = syn::parse2(export(args, item)).unwrap();
    expected.assert_eq(&prettyplease::unparse(&file));
}

#[test]
fn an_impl_gets_the_items_that_it_leaves_out() {
    let item = quote! {
        impl Plugin for Echo {
            fn on_message(
                &self,
                _: &mut (),
                sender: &Sender,
                message: Message<'_>,
            ) -> Result<(), Close> {
                Ok(sender.send(message)?)
            }
        }
    };
    check(
        quote!(),
        item,
        &expect![[r##"
            #[allow(refining_impl_trait)]
            impl Plugin for Echo {
                fn on_message(
                    &self,
                    _: &mut (),
                    sender: &Sender,
                    message: Message<'_>,
                ) -> Result<(), Close> {
                    Ok(sender.send(message)?)
                }
                type Connection = ();
                type Event = ::websocket_plugin::NoEvents;
                fn configure(
                    _: &::websocket_plugin::Options,
                ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
                    ::core::result::Result::Ok(<Self as ::core::default::Default>::default())
                }
                fn on_connect(
                    &self,
                    _: &mut ::websocket_plugin::Handshake<'_>,
                ) -> ::core::result::Result<Self::Connection, ::websocket_plugin::Rejection> {
                    ::core::result::Result::Ok(())
                }
            }
            #[automatically_derived]
            impl ::websocket_plugin::export::Attributed for Echo {}
            #[cfg(panic = "abort")]
            ::core::compile_error!(
                "with `panic = \"abort\"`, a panic in this plugin would end the httpd process and all its connections: in Cargo.toml, remove `panic` from the profile this is built with, or write `panic = \"unwind\"`"
            );
            const _: () = {
                static SLOT: ::websocket_plugin::export::Slot<Echo> = ::websocket_plugin::export::Slot::new(
                    "Echo",
                );
                #[automatically_derived]
                impl ::websocket_plugin::export::Exported for Echo {
                    type Runs = Echo;
                    const NAME: &'static str = "Echo";
                    const SUBPROTOCOLS: &'static [&'static str] = &[];
                    fn slot() -> &'static ::websocket_plugin::export::Slot<Self::Runs> {
                        &SLOT
                    }
                }
                #[unsafe(export_name = "echo_init")]
                extern "system" fn init() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                    ::websocket_plugin::export::init::<Echo>()
                }
                #[cfg(all(windows, target_arch = "x86"))]
                #[unsafe(export_name = "_echo_init@0")]
                extern "C" fn decorated() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                    init()
                }
            };
        "##]],
    );
}

#[test]
fn an_impl_for_parts_gets_an_on_message_that_passes_whole_messages_on() {
    let item = quote! {
        impl Plugin for Count {
            fn on_part(&self, _: &mut (), _: &Sender, part: Part<'_>) -> Result<(), Close> {
                Ok(())
            }
        }
    };
    let generated = export(quote!(), item).to_string();
    let on_message = quote! {
        const IN_PARTS: bool = true;

        fn on_message(
            &self,
            connection: &mut Self::Connection,
            sender: &::websocket_plugin::Sender,
            message: ::websocket_plugin::Message<'_>,
        ) -> ::core::result::Result<(), ::websocket_plugin::Close> {
            let part = ::core::convert::From::from(message);
            ::websocket_plugin::Plugin::on_part(self, connection, sender, part)
        }
    };
    assert!(generated.contains(&on_message.to_string()), "{generated}");
}

#[test]
fn a_struct_only_gets_the_export() {
    let args = quote!(symbol = "start", subprotocols("chat.v2", "chat.v1"));
    let item = quote! {
        #[derive(Default)]
        struct Chat;
    };
    check(
        args,
        item,
        &expect![[r##"
            #[derive(Default)]
            struct Chat;
            #[automatically_derived]
            impl ::websocket_plugin::export::Attributed for Chat {}
            #[cfg(panic = "abort")]
            ::core::compile_error!(
                "with `panic = \"abort\"`, a panic in this plugin would end the httpd process and all its connections: in Cargo.toml, remove `panic` from the profile this is built with, or write `panic = \"unwind\"`"
            );
            const _: () = {
                static SLOT: ::websocket_plugin::export::Slot<Chat> = ::websocket_plugin::export::Slot::new(
                    "Chat",
                );
                #[automatically_derived]
                impl ::websocket_plugin::export::Exported for Chat {
                    type Runs = Chat;
                    const NAME: &'static str = "Chat";
                    const SUBPROTOCOLS: &'static [&'static str] = &["chat.v2", "chat.v1"];
                    fn slot() -> &'static ::websocket_plugin::export::Slot<Self::Runs> {
                        &SLOT
                    }
                }
                #[unsafe(export_name = "start")]
                extern "system" fn init() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                    ::websocket_plugin::export::init::<Chat>()
                }
                #[cfg(all(windows, target_arch = "x86"))]
                #[unsafe(export_name = "_start@0")]
                extern "C" fn decorated() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                    init()
                }
            };
        "##]],
    );
}

#[test]
fn an_async_impl_gets_a_runtime_and_async_items() {
    let item = quote! {
        impl AsyncPlugin for Echo {
            async fn on_message(
                &self,
                _: &mut (),
                sender: &Sender,
                message: Message<'_>,
            ) -> Result<(), Close> {
                Ok(sender.send_async(message).await?)
            }
        }
    };
    check(
        quote!(workers = 4),
        item,
        &expect![[r##"
        #[allow(refining_impl_trait)]
        impl AsyncPlugin for Echo {
            async fn on_message(
                &self,
                _: &mut (),
                sender: &Sender,
                message: Message<'_>,
            ) -> Result<(), Close> {
                Ok(sender.send_async(message).await?)
            }
            type Connection = ();
            type Event = ::websocket_plugin::NoEvents;
            fn configure(
                _: &::websocket_plugin::Options,
            ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
                ::core::result::Result::Ok(<Self as ::core::default::Default>::default())
            }
            async fn on_connect(
                &self,
                _: &mut ::websocket_plugin::Handshake<'_>,
            ) -> ::core::result::Result<Self::Connection, ::websocket_plugin::Rejection> {
                ::core::result::Result::Ok(())
            }
        }
        #[automatically_derived]
        impl ::websocket_plugin::export::AsyncAttributed for Echo {}
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "with `panic = \"abort\"`, a panic in this plugin would end the httpd process and all its connections: in Cargo.toml, remove `panic` from the profile this is built with, or write `panic = \"unwind\"`"
        );
        const _: () = {
            static SLOT: ::websocket_plugin::export::Slot<
                ::websocket_plugin::export::Async<Echo>,
            > = ::websocket_plugin::export::Slot::new("Echo");
            #[automatically_derived]
            impl ::websocket_plugin::export::Exported for Echo {
                type Runs = ::websocket_plugin::export::Async<Echo>;
                const NAME: &'static str = "Echo";
                const SUBPROTOCOLS: &'static [&'static str] = &[];
                fn slot() -> &'static ::websocket_plugin::export::Slot<Self::Runs> {
                    &SLOT
                }
                const HAS_RUNTIME: bool = true;
                fn unload() {
                    ::websocket_plugin::export::stop::<Self>();
                }
                fn end(patience: ::core::time::Duration) -> usize {
                    ::websocket_plugin::export::end::<Self>(patience)
                }
                fn end_ticks(runs: &Self::Runs) {
                    runs.end_ticks();
                }
                fn end_handshakes() {
                    ::websocket_plugin::export::end_handshakes::<Self>();
                }
                fn kept(served: &::websocket_plugin::export::Served) -> usize {
                    served.kept()
                }
            }
            static RUNTIME: ::websocket_plugin::export::Runtime = ::websocket_plugin::export::Runtime::new(
                ::core::option::Option::Some(4),
            );
            #[automatically_derived]
            impl ::websocket_plugin::export::AsyncExported for Echo {
                fn runtime() -> &'static ::websocket_plugin::export::Runtime {
                    &RUNTIME
                }
            }
            #[unsafe(export_name = "echo_init")]
            extern "system" fn init() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                ::websocket_plugin::export::init::<Echo>()
            }
            #[cfg(all(windows, target_arch = "x86"))]
            #[unsafe(export_name = "_echo_init@0")]
            extern "C" fn decorated() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                init()
            }
        };
    "##]],
    );
}
