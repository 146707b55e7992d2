//! Sets of a few named members, as bits of a number: the one type for flags of commands, clients and the instance.
//!
//! `has` asks whether *any* member of the other set is there, and `or` is the union, in every set.

/// Declares a set: `bit_set! { Name: u32 { MEMBER = 0; OTHER = 1; } }`.
macro_rules! bit_set {
    ($(#[$doc:meta])* $name:ident : $repr:ty { $($(#[$item_doc:meta])* $item:ident = $bit:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name($repr);

        impl $name {
            /// The empty set.
            pub const NONE: $name = $name(0);
            $($(#[$item_doc])* pub const $item: $name = $name(1 << $bit);)*

            /// Whether no member is in this set.
            #[inline]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether any member of `other` is in this set.
            #[inline]
            pub const fn has(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            /// The union.
            pub const fn or(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// Puts all members of `other` in, or takes them out.
            #[inline]
            pub fn put(&mut self, other: $name, on: bool) {
                if on { self.0 |= other.0 } else { self.0 &= !other.0 }
            }
        }
    };
}

/// Declares a set whose members have names on the wire: `MEMBER = 0, "member";`.
macro_rules! named_bit_set {
    ($(#[$doc:meta])* $name:ident : $repr:ty { $($(#[$item_doc:meta])* $item:ident = $bit:expr, $text:expr;)* }) => {
        $crate::util::bit_set::bit_set! { $(#[$doc])* $name: $repr { $($(#[$item_doc])* $item = $bit;)* } }

        impl $name {
            /// Every member with the name it has on the wire, in Redis's order.
            pub const NAMES: &'static [($name, &'static str)] = &[$(($name::$item, $text)),*];

            /// The wire names of the members.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(member, _)| self.has(*member)).map(|(_, name)| *name)
            }

            /// How many members have names.
            pub fn count(self) -> usize {
                self.names().count()
            }
        }
    };
}

pub(crate) use {bit_set, named_bit_set};

#[cfg(test)]
mod tests {
    named_bit_set! {
        /// Of this test.
        Colours: u8 {
            /// The first.
            RED = 0, "red";
            /// The last.
            BLUE = 7, "blue";
        }
    }

    #[test]
    fn members_come_and_go() {
        let mut set = Colours::default();
        assert!(set.is_empty() && set == Colours::NONE);
        set.put(Colours::BLUE, true);
        assert!(set.has(Colours::RED.or(Colours::BLUE)) && !set.has(Colours::RED));
        assert_eq!((set.names().collect::<Vec<_>>(), set.count()), (vec!["blue"], 1));
        set.put(Colours::RED.or(Colours::BLUE), false);
        assert!(set.is_empty());
    }
}
