//! The end of a scan: what is missing, what may be kept, what is given out of it.

use super::frame::cut_header;
use super::*;

impl<R: Read> Scanner<R> {
    /// The file ends here: what is missing, if anything is.
    pub(super) fn cut_off(&mut self) -> Option<Fault> {
        let rest = &self.chunk[self.pos..];
        let why = match rest {
            [] if self.args_left == 0 && !self.multi => return None,
            [] if self.multi => Why::NoExec,
            _ if self.args_left == 0 && rest.starts_with(b"#") => Why::TornLine,
            // The length of an argument was looked at: it is all there, but for a header.
            _ => cut_header(rest),
        };
        // As redis-check-aof has it: the place of the last thing that was read.
        let between = why == Why::NoExec && self.args_left == 0;
        let at = if between { self.argument(self.frames.spans.len() - 1) } else { self.offset(self.pos) };
        Some(Fault { kind: FaultKind::Truncated, at, why })
    }

    /// Decides what may be kept, gives it out, and looks through the rest.
    #[cold]
    pub(super) fn end(&mut self, fault: Option<Fault>, group: Option<(Group, usize)>) -> io::Result<()> {
        let unsure = self.ending.groups > 0 && !self.foreign && self.holding;
        match group {
            None if fault.is_none() || !unsure => self.take(self.whole, false),
            // Commands without a line before a group that is not what it should be.
            Some((group, _)) if !unsure => self.take(self.mark_before(group), false),
            _ => {}
        }
        self.give_out();
        let started = group.map(|(group, _)| self.start_of(group));
        let ending = &mut self.ending;
        (ending.fault, ending.verified_to, ending.delivered_to) = (fault, self.verified.0, self.base);
        (ending.good_to, ending.crc) = (self.base, self.base_crc);
        if let Some((group, line)) = group {
            if started.is_some_and(|start| start < self.base) {
                (ending.good_to, ending.crc) = self.verified;
            }
            (self.crc, self.crc_to) = (group.crc, self.pos + line);
            self.verified = (self.offset(self.crc_to), group.crc);
        }
        self.ended = true;
        if fault.is_some() {
            self.survey()?;
        }
        self.ending.total = self.total;
        Ok(())
    }

    /// Where a group begins whose line stands here.
    fn start_of(&self, group: Group) -> u64 {
        self.offset(self.pos).saturating_sub(group.len).max(self.verified.0)
    }

    /// The place before a group whose line stands here, if that is one between units; else there is nothing before it.
    fn mark_before(&self, group: Group) -> Mark {
        let (mut mark, mut multi) = (self.taken, false);
        let Some(start) = self.start_of(group).checked_sub(self.base) else { return mark };
        let before = |stamp: &Stamp| stamp.offset - self.base < start;
        for command in &self.frames.commands[self.taken.commands..] {
            if !multi && command.at as u64 >= start {
                let stamps = self.frames.stamps.iter().take_while(|stamp| before(stamp)).count();
                let stamp = self.frames.stamps.get(stamps).is_some_and(|stamp| stamp.offset - self.base == start);
                if command.at as u64 == start || stamp {
                    mark.at = start as usize;
                    mark.stamps = stamps;
                    return mark;
                }
                break;
            }
            mark.commands += 1;
            let name = self.frames.name(&self.chunk, command);
            multi = is_open_behind(name, multi);
        }
        self.taken
    }
}
