//! The group `ttl`: how keys expire.

use super::group;
use crate::config::row::Spec;

group! {
    /// How keys expire.
    Ttl in ttl of Ttl {
        /// How much time the expiry of due keys may take, from 1 to 10.
        active_expire_effort: u32 = 1 => Spec::int("active-expire-effort", 1, 10);

        /// Free the values of expired keys on another thread, not only the huge ones.
        lazyfree_lazy_expire: bool = false => Spec::bool("lazyfree-lazy-expire");

        /// Expire keys that a script or module reads without having declared them.
        lazyexpire_nested_arbitrary_keys: bool = true
            => Spec::bool("lazyexpire-nested-arbitrary-keys")
                .hidden()
                .no_effect("keys that SCAN and RANDOMKEY meet expire in a transaction, too");
    }
}
