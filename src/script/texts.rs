//! Texts that are put together outside of Lua, where neither its memory is limited nor its instructions are counted.
//!
//! They may become as long as all that a script may have, and who puts them together asks now and then whether to go on. A
//! table can have another one in many places, so a small script can ask for more than there is.

use super::server;

/// What every error says that comes of too little memory.
pub(super) const OUT_OF_MEMORY: &str = "not enough memory";

/// What is shorter is not looked at.
const SHORT: usize = 64 << 10;

/// The server is asked after so many bytes.
const ASKED_EVERY: usize = 1 << 20;

/// No text is longer where scripts have no limit.
const BYTES_MAX: usize = 4 << 30;

/// The texts of a run.
pub(super) struct Texts {
    /// What gsub puts together, one within the other.
    open: Vec<Vec<u8>>,
    /// How long those are together.
    bytes: usize,
    limit: usize,
    /// How long the text at hand was when the server was last asked.
    asked_at: usize,
}

impl Texts {
    /// `limit`: how many bytes they may have; none if a script may have as many as it wants.
    pub fn new(limit: Option<usize>) -> Texts {
        Texts { open: Vec::new(), bytes: 0, limit: limit.unwrap_or(BYTES_MAX), asked_at: 0 }
    }

    /// Begins one within those that there are. How many that were.
    pub fn begin(&mut self) -> usize {
        self.open.push(Vec::new());
        self.open.len() - 1
    }

    /// Appends to one of them; how long it is then.
    pub fn append(&mut self, place: usize, bytes: &[u8]) -> usize {
        self.bytes += bytes.len();
        self.open[place].extend_from_slice(bytes);
        self.bytes
    }

    /// One of them.
    pub fn text(&self, place: usize) -> &[u8] {
        &self.open[place]
    }

    /// Whether a text may be so long.
    pub fn fits(&self, len: usize) -> bool {
        len <= self.limit
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Drops all but the first so many.
    pub fn keep(&mut self, count: usize) {
        self.bytes -= self.open.drain(count..).map(|text| text.len()).sum::<usize>();
    }
}

/// Whether a text may become so long; else why not.
#[inline]
pub(super) fn check(len: usize) -> Result<(), &'static str> {
    if len < SHORT { Ok(()) } else { check_long(len) }
}

/// One step is to work on so much text, or has. Asks whether to go on if that takes long.
#[inline]
pub(super) fn work(len: usize) -> Result<(), &'static str> {
    if len < SHORT { Ok(()) } else { server::must_stop().map_or(Ok(()), Err) }
}

#[cold]
fn check_long(len: usize) -> Result<(), &'static str> {
    let (is_too_long, is_due) = server::with(|lent| {
        let texts = &mut lent.texts;
        let is_due = len < texts.asked_at || len - texts.asked_at >= ASKED_EVERY;
        if is_due {
            texts.asked_at = len;
        }
        (!texts.fits(len), is_due)
    })
    .unwrap_or((len > BYTES_MAX, false));
    if is_too_long {
        return Err(OUT_OF_MEMORY);
    }
    if is_due { server::must_stop().map_or(Ok(()), Err) } else { Ok(()) }
}

/// How many texts have been begun.
pub(super) fn count() -> usize {
    server::with(|lent| lent.texts.count()).unwrap_or_default()
}

/// An error was caught, or a coroutine has given up: what it had begun is dropped.
pub(super) fn keep(count: usize) {
    server::with(|lent| {
        if lent.texts.count() > count {
            lent.texts.keep(count);
        }
    });
}
