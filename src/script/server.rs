//! What a script asks of the server, and how a server is lent for the time of a run.

use std::cell::Cell;
use std::ptr::NonNull;

use super::register::Registered;
use super::texts::Texts;
use crate::resp::{Args, OwnedArgs, Proto};

/// The levels of redis.log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// LOG_DEBUG
    Debug,
    /// LOG_VERBOSE
    Verbose,
    /// LOG_NOTICE
    Notice,
    /// LOG_WARNING
    Warning,
}

/// How a call of a command ended.
pub enum Answer<'a> {
    /// It ran: its reply, encoded in the protocol that was set.
    Reply(&'a [u8]),
    /// It was not run: why, with a code.
    Refused(&'a [u8]),
}

/// The server, as a running script sees it.
pub trait Server {
    /// redis.call and redis.pcall.
    fn call(&mut self, args: Args<'_>) -> Answer<'_>;

    /// Called every thousand instructions or so: why the script has to end, here and now, if it has.
    fn must_stop(&mut self) -> Option<&'static str>;

    /// redis.abort: the script ends, and what it has written is taken back. False: that cannot be done.
    fn abort(&mut self) -> bool;

    /// redis.log.
    fn log(&mut self, level: LogLevel, text: &[u8]);

    /// redis.acl_check_cmd: none if there is no such command.
    fn may_call(&mut self, args: Args<'_>) -> Option<bool>;

    /// redis.setresp.
    fn set_protocol(&mut self, proto: Proto);

    /// redis.set_repl: bit 0 for files, bit 1 for replicas.
    fn set_propagation(&mut self, targets: u8);

    /// An error that the script returns, within something else, and that nobody has counted yet.
    fn count_error(&mut self, text: &[u8]);
}

/// What is lent for a run.
pub(super) struct Lent<'a> {
    pub server: &'a mut dyn Server,
    /// The arguments of the call at hand; their room is used again.
    pub args: OwnedArgs,
    /// The protocol that replies are encoded in for the script.
    pub proto: Proto,
    /// A library is being loaded: what it has registered so far.
    pub registered: Option<Vec<Registered>>,
    /// What is put together outside of Lua.
    pub texts: Texts,
    /// The script is being stopped: nobody may catch that.
    pub is_stopped: bool,
}

thread_local! {
    static LENT: Cell<Option<NonNull<Lent<'static>>>> = const { Cell::new(None) };
}

/// Lends while `run` runs.
pub(super) fn lend<R>(lent: &mut Lent<'_>, run: impl FnOnce() -> R) -> R {
    struct Back(Option<NonNull<Lent<'static>>>);
    impl Drop for Back {
        fn drop(&mut self) {
            LENT.set(self.0);
        }
    }
    let _back = Back(LENT.replace(Some(NonNull::from(lent).cast())));
    run()
}

/// Uses what is lent; none outside of a run. While `use_it` runs nothing is lent, so there is one user at a time.
pub(super) fn with<R>(use_it: impl FnOnce(&mut Lent<'_>) -> R) -> Option<R> {
    let lent = LENT.take()?;
    // SAFETY: `lend` borrows it exclusively for as long as the pointer is in the cell or taken out of it here, because it
    // returns after `run`, within which this is called; taking it out keeps others from a second reference.
    let result = use_it(unsafe { &mut *lent.as_ptr().cast::<Lent<'_>>() });
    LENT.set(Some(lent));
    Some(result)
}

/// Asks the server whether what runs has to end: then why.
pub(super) fn must_stop() -> Option<&'static str> {
    with(|lent| {
        let why = lent.server.must_stop();
        lent.is_stopped |= why.is_some();
        why
    })
    .flatten()
}

/// Whether what runs is being stopped.
pub(super) fn is_stopped() -> bool {
    with(|lent| lent.is_stopped).unwrap_or_default()
}
