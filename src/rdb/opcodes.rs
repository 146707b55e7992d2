//! The numbers of the format: what a byte between two keys means, and what a byte before a key means.
//!
//! An RDB file is a sequence of records, each opened by one byte. Small values (0 to 25) are *type opcodes*:
//! a key and its value follow. Large values (243 and up) are *section opcodes*: they select a database,
//! announce an expiry for the next key, or end the file. Nothing in between is assigned.
//!
//! ```text
//! "REDIS" "0011"                          signature, version in four digits
//! FA <string> <string>                    AUX field, any number
//! F5 <string>                             function library
//! F7 <module id> <when> ...typed... 00    module data that belongs to no key
//! FE <db>  FB <keys> <expiring>           select a database; size hint
//!    [F4 <slot> <keys> <expiring>]        (cluster) slot size hint
//!    [FC <i64 ms> | FD <i32 s>]           expiry of the next key
//!    [F8 <idle s> | F9 <u8 freq>]         access data of the next key
//!    <type> <key string> <value>          a key
//! FF <crc64>                              end; the checksum since version 5, zero when it was switched off
//! ```
//!
//! Valkey went its own way from version 80 on: see [`Dialect`].

/// The newest version of Redis's format that is read, and that a payload given to RESTORE may carry.
pub const VERSION_MAX: u32 = 12;
/// Valkey's versions begin here. Up to 11 its format is Redis's.
pub const VALKEY_VERSION_MIN: u32 = 80;
/// The newest version of Valkey's format that is read: that of Valkey 9.0 and 9.1.
pub const VALKEY_VERSION_MAX: u32 = 80;
/// What is written unless the data or a parameter asks for something else: readable since Redis 7.2.
pub const VERSION_DEFAULT: u32 = 11;
/// The oldest version that can be asked for: readable since Redis 7.0.
pub const VERSION_MIN_WRITTEN: u32 = 10;
/// Checksums exist since this version; an older file ends at its EOF byte.
pub const VERSION_WITH_CHECKSUM: u32 = 5;

/// `SLOT_IMPORT`, in Valkey's format: a migration of slots that was going on.
pub const VALKEY_SLOT_IMPORT: u8 = 243;
/// What stands for no expiry of a field in Valkey's format.
pub const VALKEY_NO_EXPIRY: i64 = -1;
/// `SLOT_INFO`: slot, number of keys in it, number of those with an expiry.
pub const SLOT_INFO: u8 = 244;
/// `FUNCTION2`: the source text of a function library.
pub const FUNCTION2: u8 = 245;
/// `FUNCTION_PRE_GA`: libraries as release candidates of Redis 7.0 wrote them; no release reads it.
pub const FUNCTION_PRE_GA: u8 = 246;
/// `MODULE_AUX`: module data outside of any key.
pub const MODULE_AUX: u8 = 247;
/// `IDLE`: seconds since the next key was accessed.
pub const IDLE: u8 = 248;
/// `FREQ`: access frequency (LFU counter) of the next key.
pub const FREQ: u8 = 249;
/// `AUX`: a name and a value about the file as a whole.
pub const AUX: u8 = 250;
/// `RESIZEDB`: how many keys, and how many with an expiry, the selected database has.
pub const RESIZE_DB: u8 = 251;
/// `EXPIRETIME_MS`: expiry of the next key, unix time in milliseconds.
pub const EXPIRE_MS: u8 = 252;
/// `EXPIRETIME`: expiry of the next key, unix time in seconds.
pub const EXPIRE_SECONDS: u8 = 253;
/// `SELECTDB`: the database that the following keys belong to.
pub const SELECT_DB: u8 = 254;
/// `EOF`: nothing but the checksum follows.
pub const EOF: u8 = 255;

/// The top two bits of a length byte: the low six bits are the length.
pub(super) const LEN_6BIT: u8 = 0;
/// The low six bits and the next byte are the length.
pub(super) const LEN_14BIT: u8 = 1;
/// Whole byte: four bytes, big endian, follow.
pub(super) const LEN_32BIT: u8 = 0x80;
/// Whole byte: eight bytes, big endian, follow.
pub(super) const LEN_64BIT: u8 = 0x81;
/// Top two bits: no length but a string in one of the special encodings below (the low six bits).
pub(super) const LEN_ENCODED: u8 = 3;

pub(super) const ENC_INT8: u8 = 0;
pub(super) const ENC_INT16: u8 = 1;
pub(super) const ENC_INT32: u8 = 2;
pub(super) const ENC_LZF: u8 = 3;

pub(super) const MODULE_EOF: u64 = 0;
pub(super) const MODULE_SINT: u64 = 1;
pub(super) const MODULE_UINT: u64 = 2;
pub(super) const MODULE_FLOAT: u64 = 3;
pub(super) const MODULE_DOUBLE: u64 = 4;
pub(super) const MODULE_STRING: u64 = 5;

/// Whose format it is: both have bytes of their own, and use some of the same for different things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Redis's; also all that Valkey wrote before its version 9. A file begins with `REDIS0012`.
    #[default]
    Redis,
    /// That of Valkey since 9.0: a file begins with `VALKEY080`. The layout of hashes with field expiries is its own.
    Valkey,
}

impl Dialect {
    /// The format that a version belongs to, if it is one that is read.
    pub fn of_version(version: u32) -> Option<Dialect> {
        match version {
            1..=VERSION_MAX => Some(Dialect::Redis),
            VALKEY_VERSION_MIN..=VALKEY_VERSION_MAX => Some(Dialect::Valkey),
            _ => None,
        }
    }
}

/// How a value is laid out in the file: its Redis type together with its encoding.
///
/// The discriminants are the bytes of Redis's format; what is Valkey's own is [`OF_VALKEY`] above its byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TypeOpcode {
    /// One string.
    String = 0,
    /// A count and elements.
    List = 1,
    /// A count and members.
    Set = 2,
    /// A count, then members with scores as text.
    ZsetText = 3,
    /// A count, then fields and values.
    Hash = 4,
    /// A count, then members with binary scores.
    Zset2 = 5,
    /// A module's value as early Redis 4 wrote it: has no structure that could be followed.
    ModulePreGa = 6,
    /// A module's value, in typed pieces.
    Module2 = 7,
    /// A zipmap in a string.
    HashZipmap = 9,
    /// A ziplist in a string.
    ListZiplist = 10,
    /// An intset in a string.
    SetIntset = 11,
    /// A ziplist in a string, members and scores.
    ZsetZiplist = 12,
    /// A ziplist in a string, fields and values.
    HashZiplist = 13,
    /// A count, then ziplists.
    ListQuicklist = 14,
    /// A stream as written by Redis 5 and 6.
    StreamListpacks = 15,
    /// A listpack in a string, fields and values.
    HashListpack = 16,
    /// A listpack in a string, members and scores.
    ZsetListpack = 17,
    /// A count, then nodes: one plain element, or a listpack of several.
    ListQuicklist2 = 18,
    /// A stream as written by Redis 7.0.
    StreamListpacks2 = 19,
    /// A listpack in a string (since version 11).
    SetListpack = 20,
    /// A stream whose consumers have an active time (since version 11).
    StreamListpacks3 = 21,
    /// A hash with field expiries, as release candidates of Redis 7.4 wrote it.
    HashMetadataPreGa = 22,
    /// A small hash with field expiries, as release candidates of Redis 7.4 wrote it.
    HashListpackExPreGa = 23,
    /// A hash with field expiries (since version 12).
    HashMetadata = 24,
    /// A small hash with field expiries, in a listpack (since version 12).
    HashListpackEx = 25,
    /// A hash with field expiries, as Valkey writes it.
    HashValkey = OF_VALKEY + 22,
}

/// What sets the layouts of Valkey apart from those of Redis with the same byte.
const OF_VALKEY: u8 = 128;

impl TypeOpcode {
    /// All of them, in the order of their bytes.
    pub const ALL: [TypeOpcode; 26] = [
        TypeOpcode::String,
        TypeOpcode::List,
        TypeOpcode::Set,
        TypeOpcode::ZsetText,
        TypeOpcode::Hash,
        TypeOpcode::Zset2,
        TypeOpcode::ModulePreGa,
        TypeOpcode::Module2,
        TypeOpcode::HashZipmap,
        TypeOpcode::ListZiplist,
        TypeOpcode::SetIntset,
        TypeOpcode::ZsetZiplist,
        TypeOpcode::HashZiplist,
        TypeOpcode::ListQuicklist,
        TypeOpcode::StreamListpacks,
        TypeOpcode::HashListpack,
        TypeOpcode::ZsetListpack,
        TypeOpcode::ListQuicklist2,
        TypeOpcode::StreamListpacks2,
        TypeOpcode::SetListpack,
        TypeOpcode::StreamListpacks3,
        TypeOpcode::HashMetadataPreGa,
        TypeOpcode::HashListpackExPreGa,
        TypeOpcode::HashMetadata,
        TypeOpcode::HashListpackEx,
        TypeOpcode::HashValkey,
    ];

    /// The type that a byte of the file stands for.
    pub fn from_byte(byte: u8, dialect: Dialect) -> Option<TypeOpcode> {
        // 8 was never assigned, so above it the table is one short.
        let at = match (byte, dialect) {
            (0..=7, _) => byte as usize,
            (9..=21, _) | (22..=25, Dialect::Redis) => byte as usize - 1,
            (22, Dialect::Valkey) => return Some(TypeOpcode::HashValkey),
            _ => return None,
        };
        Some(TypeOpcode::ALL[at])
    }

    /// The byte in the file.
    pub fn byte(self) -> u8 {
        self as u8 & !OF_VALKEY
    }

    /// The name that Redis's own checker prints for it.
    pub fn name(self) -> &'static str {
        match self {
            TypeOpcode::String => "string",
            TypeOpcode::List => "list-linked",
            TypeOpcode::Set => "set-hashtable",
            TypeOpcode::ZsetText => "zset-v1",
            TypeOpcode::Hash => "hash-hashtable",
            TypeOpcode::Zset2 => "zset-v2",
            TypeOpcode::ModulePreGa => "module-pre-release",
            TypeOpcode::Module2 => "module-value",
            TypeOpcode::HashZipmap => "hash-zipmap",
            TypeOpcode::ListZiplist => "list-ziplist",
            TypeOpcode::SetIntset => "set-intset",
            TypeOpcode::ZsetZiplist => "zset-ziplist",
            TypeOpcode::HashZiplist => "hash-ziplist",
            TypeOpcode::ListQuicklist => "quicklist",
            TypeOpcode::StreamListpacks => "stream",
            TypeOpcode::HashListpack => "hash-listpack",
            TypeOpcode::ZsetListpack => "zset-listpack",
            TypeOpcode::ListQuicklist2 => "quicklist-v2",
            TypeOpcode::StreamListpacks2 => "stream-v2",
            TypeOpcode::SetListpack => "set-listpack",
            TypeOpcode::StreamListpacks3 => "stream-v3",
            TypeOpcode::HashMetadataPreGa => "hash-hashtable-md-pre-release",
            TypeOpcode::HashListpackExPreGa => "hash-listpack-md-pre-release",
            TypeOpcode::HashMetadata => "hash-hashtable-md",
            TypeOpcode::HashListpackEx => "hash-listpack-md",
            TypeOpcode::HashValkey => "hash-hashtable-with-expiration",
        }
    }

    /// The oldest version of the format whose readers know this layout.
    pub fn since_version(self) -> u32 {
        match self {
            TypeOpcode::HashValkey => VALKEY_VERSION_MIN,
            TypeOpcode::HashMetadataPreGa
            | TypeOpcode::HashListpackExPreGa
            | TypeOpcode::HashMetadata
            | TypeOpcode::HashListpackEx => 12,
            TypeOpcode::SetListpack | TypeOpcode::StreamListpacks3 => 11,
            TypeOpcode::HashListpack
            | TypeOpcode::ZsetListpack
            | TypeOpcode::ListQuicklist2
            | TypeOpcode::StreamListpacks2 => 10,
            TypeOpcode::StreamListpacks => 9,
            TypeOpcode::Zset2 | TypeOpcode::ModulePreGa | TypeOpcode::Module2 => 8,
            TypeOpcode::ListQuicklist => 7,
            TypeOpcode::HashZiplist => 4,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_types_agree() {
        for dialect in [Dialect::Redis, Dialect::Valkey] {
            for byte in 0..=255 {
                if let Some(kind) = TypeOpcode::from_byte(byte, dialect) {
                    assert_eq!(kind.byte(), byte);
                }
            }
        }
        for kind in TypeOpcode::ALL {
            let dialect = Dialect::of_version(kind.since_version()).unwrap();
            assert_eq!(TypeOpcode::from_byte(kind.byte(), dialect), Some(kind));
        }
        assert_eq!(TypeOpcode::from_byte(8, Dialect::Redis), None);
        assert_eq!(TypeOpcode::from_byte(26, Dialect::Redis), None);
    }

    #[test]
    fn valkey_shares_the_bytes_up_to_its_own_hash() {
        for byte in 0..22 {
            assert_eq!(TypeOpcode::from_byte(byte, Dialect::Valkey), TypeOpcode::from_byte(byte, Dialect::Redis));
        }
        assert_eq!(TypeOpcode::from_byte(22, Dialect::Valkey), Some(TypeOpcode::HashValkey));
        for byte in 23..=255 {
            assert_eq!(TypeOpcode::from_byte(byte, Dialect::Valkey), None, "{byte}");
        }
    }

    #[test]
    fn versions_belong_to_one_or_to_nobody() {
        let dialects = [1, 11, 12, 13, 79, 80, 81].map(Dialect::of_version);
        let (redis, valkey) = (Some(Dialect::Redis), Some(Dialect::Valkey));
        assert_eq!(dialects, [redis, redis, redis, None, None, valkey, None]);
        assert_eq!(Dialect::of_version(0), None);
    }
}
