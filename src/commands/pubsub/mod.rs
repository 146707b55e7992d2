//! Publish/subscribe.
//!
//! | file | commands |
//! | --- | --- |
//! | `subscribe.rs` | SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE |
//! | `publish.rs` | PUBLISH SPUBLISH |
//! | `introspection.rs` | PUBSUB and its subcommands |

mod introspection;
mod publish;
mod subscribe;

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &subscribe::SUBSCRIBE,
    &subscribe::UNSUBSCRIBE,
    &subscribe::PSUBSCRIBE,
    &subscribe::PUNSUBSCRIBE,
    &subscribe::SSUBSCRIBE,
    &subscribe::SUNSUBSCRIBE,
    &publish::PUBLISH,
    &publish::SPUBLISH,
    &introspection::PUBSUB,
];
