//! The command table: every [`CommandSpec`] gets a number, and a name finds its command without hashing a string.
//!
//! # How a name is found
//!
//! A name of at most 16 bytes is read as two (overlapping) machine words. Together with the length these words are the
//! name, so a small open-addressing table keyed by them (all letters in one case) needs one multiplication and usually
//! one comparison, which leaves out the bits that the case of letters is. Longer names, of which there are few, are
//! searched one by one.
//!
//! `rename-command` changes the name a command is found by, and nothing else: COMMAND, statistics and the log know it
//! by its own name, as with Redis.
//!
//! The number of a command indexes every per-command array (statistics, latency histograms): it is dense, and stable
//! for the life of the process.

use super::spec::{Arity, Begin, CommandSpec, Find, Flags, Handler};
use crate::resp::Args;

/// Names up to this length are found through the table of words.
const SHORT_NAME_BYTES_MAX: usize = 16;

/// Slots of that table, a power of two well above the number of commands.
const SLOTS: usize = 1024;

/// A command as the call path sees it: its declaration and what is derived from it once.
pub struct Command {
    /// The declaration.
    pub spec: &'static CommandSpec,
    /// Dense number, the index of per-command statistics.
    pub id: u16,
    /// The name with its container: `set`, `client|kill`.
    pub full_name: String,
    /// What it is called by: its name, unless it was renamed; empty when it cannot be called.
    called: Vec<u8>,
    /// Copied from the declaration, so that gates touch one line of memory.
    pub flags: Flags,
    /// Copied from the declaration.
    pub arity: Arity,
    /// Copied from the declaration.
    pub handler: Handler,
    /// Index of the first key when it is always at the same place; 0 when the command has no such key.
    pub first_key: u16,
    /// Copied from the declaration.
    pub element: u16,
    /// The subcommands.
    pub subcommands: Vec<Command>,
    /// The container, of a subcommand.
    pub container: Option<&'static CommandSpec>,
}

impl Command {
    fn new(spec: &'static CommandSpec, container: Option<&'static CommandSpec>, next_id: &mut u16) -> Command {
        let id = *next_id;
        *next_id += 1;
        let full_name = match container {
            Some(c) => format!("{}|{}", c.name, spec.name),
            None => spec.name.to_owned(),
        };
        let first_key = match spec.keys.first().map(|k| (k.begin, k.find)) {
            Some((Begin::Index(at), Find::Range { .. })) => at,
            Some((Begin::Index(at), Find::Counted { first, .. })) => at + first,
            _ => 0,
        };
        Command {
            spec,
            id,
            full_name,
            called: spec.name.into(),
            flags: spec.flags,
            arity: spec.arity,
            handler: spec.handler,
            first_key,
            element: spec.element,
            subcommands: spec.subcommands.iter().map(|s| Command::new(s, Some(spec), next_id)).collect(),
            container,
        }
    }

    /// True for a name that only heads subcommands.
    pub fn is_container(&self) -> bool {
        !self.subcommands.is_empty()
    }

    /// Finds a subcommand by name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Command> {
        self.subcommands.iter().find(|s| s.spec.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// What a request's first words name.
#[derive(Clone, Copy)]
pub enum Lookup<'t> {
    /// A command (or a container without its subcommand, which its arity will refuse).
    Found(&'t Command),
    /// No such command.
    Unknown,
    /// The container exists, the subcommand does not.
    UnknownSubcommand(&'t Command),
}

/// All commands.
pub struct CommandTable {
    commands: Vec<Command>,
    slots: Box<[Slot]>,
    long_names: Vec<u16>,
    /// Where the command with each number is: its index, and its subcommand's plus one.
    places: Vec<(u16, u16)>,
}

/// A place of the hash table: a name of at most [`SHORT_NAME_BYTES_MAX`] bytes, and the bits of it that its case is.
#[derive(Clone, Copy)]
struct Slot {
    name: Words,
    case: Words,
    /// Index into `commands`, plus one; 0 is an empty slot.
    index: u16,
}

impl Slot {
    /// Whether this is the name, in any case: the bits that differ are those of the case of letters.
    #[inline]
    fn is(&self, name: Words) -> bool {
        let (low, high) = (self.name.low ^ name.low, self.name.high ^ name.high);
        low & !self.case.low | high & !self.case.high | (self.name.len ^ name.len) == 0
    }
}

/// A short name as two words that contain every byte of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Words {
    low: u64,
    high: u64,
    len: u64,
}

impl Words {
    const NONE: Words = Words { low: 0, high: 0, len: 0 };

    /// `None` when the name is empty or too long.
    #[inline]
    fn of(name: &[u8]) -> Option<Words> {
        let len = name.len();
        let (low, high) = if len >= 8 {
            if len > SHORT_NAME_BYTES_MAX {
                return None;
            }
            let low = u64::from_le_bytes(*name.first_chunk::<8>()?);
            let high = u64::from_le_bytes(*name.last_chunk::<8>()?);
            (low, high)
        } else if len >= 4 {
            let low = u32::from_le_bytes(*name.first_chunk::<4>()?);
            let high = u32::from_le_bytes(*name.last_chunk::<4>()?);
            (u64::from(low), u64::from(high))
        } else if len > 0 {
            (u64::from(name[0]) | u64::from(name[len / 2]) << 8, u64::from(name[len - 1]))
        } else {
            return None;
        };
        Some(Words { low, high, len: len as u64 })
    }

    /// Where to look first; the same for every case.
    #[inline]
    fn slot(self) -> usize {
        const CASE: u64 = 0x2020_2020_2020_2020;
        let (low, high) = (self.low | CASE, self.high | CASE);
        let mixed = (low ^ high.rotate_left(23) ^ self.len).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 48) as usize % SLOTS
    }
}

/// A `rename-command` that cannot be: which one, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRename {
    /// Its place among all of them.
    pub index: usize,
    /// In Redis's words.
    pub why: &'static str,
}

impl CommandTable {
    /// The table of the given declarations.
    ///
    /// # Panics
    /// When two commands have the same name: a programming error.
    pub fn new(specs: impl IntoIterator<Item = &'static CommandSpec>) -> CommandTable {
        let mut ids = 0;
        let mut commands: Vec<Command> = specs.into_iter().map(|s| Command::new(s, None, &mut ids)).collect();
        commands.sort_by_key(|c| c.spec.name);
        CommandTable::of(commands, ids)
    }

    /// The same with commands renamed, in this order: each pair is what a command is called until then, and from then
    /// on. An empty new name makes it unknown.
    pub fn renamed<'n>(
        specs: impl IntoIterator<Item = &'static CommandSpec>,
        renames: impl IntoIterator<Item = (&'n [u8], &'n [u8])>,
    ) -> Result<CommandTable, BadRename> {
        let CommandTable { mut commands, places, .. } = CommandTable::new(specs);
        for (index, (from, to)) in renames.into_iter().enumerate() {
            let command = commands.iter().position(|c| c.called.eq_ignore_ascii_case(from) && !from.is_empty());
            let command = command.ok_or(BadRename { index, why: "No such command in rename-command" })?;
            commands[command].called.clear();
            if !to.is_empty() && commands.iter().any(|c| c.called.eq_ignore_ascii_case(to)) {
                return Err(BadRename { index, why: "Target command name already exists" });
            }
            to.clone_into(&mut commands[command].called);
        }
        Ok(CommandTable::of(commands, places.len() as u16))
    }

    fn of(commands: Vec<Command>, ids: u16) -> CommandTable {
        let mut slots = vec![Slot { name: Words::NONE, case: Words::NONE, index: 0 }; SLOTS].into_boxed_slice();
        let mut long_names = Vec::new();
        for (i, command) in commands.iter().enumerate() {
            let index = u16::try_from(i + 1).expect("fewer than 65535 commands");
            if command.called.is_empty() {
                continue;
            }
            let Some(name) = Words::of(&command.called) else {
                long_names.push(index - 1);
                continue;
            };
            let letters: Vec<u8> = command.called.iter().map(|b| u8::from(b.is_ascii_alphabetic()) << 5).collect();
            let case = Words { len: 0, ..Words::of(&letters).expect("as long as the name") };
            let mut at = name.slot();
            while slots[at].index != 0 {
                let other = &commands[usize::from(slots[at].index) - 1];
                assert!(!other.called.eq_ignore_ascii_case(&command.called), "two commands have the same name");
                at = (at + 1) % SLOTS;
            }
            slots[at] = Slot { name, case, index };
        }
        let mut places = vec![(0, 0); usize::from(ids)];
        for (i, command) in commands.iter().enumerate() {
            places[usize::from(command.id)] = (i as u16, 0);
            for (j, sub) in command.subcommands.iter().enumerate() {
                places[usize::from(sub.id)] = (i as u16, j as u16 + 1);
            }
        }
        CommandTable { commands, slots, long_names, places }
    }

    /// The table for the rest of the process: an instance's commands are referred to from everywhere in it.
    pub fn leak(self) -> &'static CommandTable {
        Box::leak(Box::new(self))
    }

    /// The command of that name, in any case; containers, not subcommands.
    #[inline]
    pub fn command(&self, name: &[u8]) -> Option<&Command> {
        let Some(words) = Words::of(name) else {
            return self.long(name);
        };
        let mut at = words.slot();
        loop {
            let slot = &self.slots[at];
            if slot.index == 0 {
                return None;
            }
            if slot.is(words) {
                return Some(&self.commands[usize::from(slot.index) - 1]);
            }
            at = (at + 1) % SLOTS;
        }
    }

    #[cold]
    fn long(&self, name: &[u8]) -> Option<&Command> {
        let mut long = self.long_names.iter().map(|i| &self.commands[usize::from(*i)]);
        long.find(|c| c.called.eq_ignore_ascii_case(name))
    }

    /// What a request names: the command, or the subcommand of a container.
    #[inline]
    pub fn lookup(&self, args: Args<'_>) -> Lookup<'_> {
        let Some(command) = args.get(0).and_then(|name| self.command(name)) else {
            return Lookup::Unknown;
        };
        if !command.is_container() {
            return Lookup::Found(command);
        }
        match args.get(1) {
            None => Lookup::Found(command),
            Some(word) => match command.subcommand(word) {
                Some(sub) => Lookup::Found(sub),
                None => Lookup::UnknownSubcommand(command),
            },
        }
    }

    /// All commands, by name; subcommands are inside their containers.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The command or subcommand with that number.
    pub fn by_id(&self, id: u16) -> &Command {
        self.at(self.places[usize::from(id)])
    }

    /// The full name of the command with that number, `None` for a number that was never given.
    pub fn name_of(&self, id: u16) -> Option<&str> {
        let place = self.places.get(usize::from(id))?;
        Some(self.at(*place).full_name.as_str())
    }

    /// The command called `get` or `client|kill`, in any case.
    pub fn by_full_name(&self, name: &[u8]) -> Option<&Command> {
        match name.iter().position(|b| *b == b'|') {
            None => self.command(name),
            Some(bar) => self.command(&name[..bar])?.subcommand(&name[bar + 1..]),
        }
    }

    fn at(&self, (command, subcommand): (u16, u16)) -> &Command {
        let command = &self.commands[usize::from(command)];
        match subcommand {
            0 => command,
            n => &command.subcommands[usize::from(n) - 1],
        }
    }

    /// All commands and subcommands, in the order of their numbers.
    pub fn by_ids(&self) -> impl Iterator<Item = &Command> {
        self.places.iter().map(|place| self.at(*place))
    }

    /// All commands and subcommands.
    pub fn all(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().flat_map(|c| std::iter::once(c).chain(c.subcommands.iter()))
    }

    /// How many numbers were given: the length of per-command arrays.
    pub fn ids(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::spec::Group;

    static GET: CommandSpec = CommandSpec { name: "get", ..CommandSpec::BASE };
    static SET: CommandSpec = CommandSpec { name: "set", ..CommandSpec::BASE };
    static LONG: CommandSpec = CommandSpec { name: "georadiusbymember", ..CommandSpec::BASE };
    static EIGHT: CommandSpec = CommandSpec { name: "getrange", ..CommandSpec::BASE };
    static KILL: CommandSpec = CommandSpec { name: "kill", group: Group::Connection, ..CommandSpec::BASE };
    static CLIENT: CommandSpec = CommandSpec { name: "client", subcommands: &[&KILL], ..CommandSpec::BASE };

    fn table() -> CommandTable {
        CommandTable::new([&GET, &SET, &LONG, &EIGHT, &CLIENT])
    }

    #[test]
    fn names_are_found_in_any_case() {
        let t = table();
        for name in ["get", "GET", "gEt", "SET", "getRANGE", "GeoRadiusByMember", "client"] {
            let found = t.command(name.as_bytes()).expect(name);
            assert_eq!(found.spec.name, name.to_lowercase());
        }
    }

    #[test]
    fn near_misses_are_not_found() {
        let t = table();
        for name in [&b"ge"[..], b"gett", b"", b"g\x45\x00", b"\x07et", b"getrang", b"georadiusbymembeR\x00"] {
            assert!(t.command(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn renamed_commands_are_found_by_their_new_names_alone() {
        let specs: [&'static CommandSpec; 4] = [&GET, &SET, &LONG, &CLIENT];
        let renamed = |renames: &[(&str, &str)]| {
            CommandTable::renamed(specs, renames.iter().map(|(from, to)| (from.as_bytes(), to.as_bytes())))
        };
        let t = renamed(&[
            ("GET", "fetch"),
            ("set", "get"),
            ("georadiusbymember", ""),
            ("client", "averyveryverylongname"),
        ]);
        let t = t.expect("all names exist");
        assert_eq!(t.command(b"Fetch").expect("renamed").full_name, "get");
        assert_eq!(t.command(b"get").expect("renamed").full_name, "set");
        assert!(t.command(b"set").is_none() && t.command(b"georadiusbymember").is_none() && t.command(b"").is_none());
        assert_eq!(t.command(b"AVeryVeryVeryLongName").expect("renamed").subcommands.len(), 1);
        let why = |renames: &[(&str, &str)]| renamed(renames).err().map(|bad| (bad.index, bad.why));
        const UNKNOWN: &str = "No such command in rename-command";
        assert_eq!(why(&[("nosuch", "x")]), Some((0, UNKNOWN)));
        assert_eq!(why(&[("", "x")]), Some((0, UNKNOWN)));
        assert_eq!(why(&[("get", "x"), ("get", "y")]), Some((1, UNKNOWN)));
        assert_eq!(why(&[("client", ""), ("get", "SET")]), Some((1, "Target command name already exists")));
        assert_eq!(why(&[("get", "GET")]), None, "its own name is free once it has given it up");
    }

    /// Names that differ only in a bit that is a letter's case, and names that are no text.
    #[test]
    fn a_new_name_may_be_any_bytes() {
        let specs: [&'static CommandSpec; 4] = [&GET, &SET, &LONG, &CLIENT];
        let renames: [(&[u8], &[u8]); 4] =
            [(b"get", b"a[b"), (b"set", b"a{b"), (b"client", b"\xff\x00"), (b"georadiusbymember", b"\xfe\x00")];
        let t = CommandTable::renamed(specs, renames).expect("all names exist");
        for (from, to) in renames {
            assert_eq!(t.command(to).expect("renamed").full_name.as_bytes(), from);
            assert!(t.command(from).is_none());
        }
    }

    #[test]
    fn subcommands_have_numbers_and_full_names() {
        let t = table();
        let client = t.command(b"client").expect("there");
        let kill = client.subcommand(b"KILL").expect("there");
        assert_eq!(kill.full_name, "client|kill");
        let mut ids: Vec<u16> = t.all().map(|c| c.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..t.ids() as u16).collect::<Vec<_>>());
    }
}
