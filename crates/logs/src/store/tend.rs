//! What has to be done from time to time, a step at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::block::{self, Block, Unusable};
use super::columns::Piece;
use super::head::Lines;
use super::open::set_aside;
use super::{NotKept, Store, is_full, lock, read, write};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Lines became a block.
    Cut {
        /// How many.
        lines: u64,
        /// The bytes of the block.
        bytes: u64,
    },
    /// A block was removed, since it is too old, or all are too large.
    Removed {
        /// The time of its newest line.
        to: i64,
        /// How many lines it had.
        lines: u64,
    },
    /// A broken block was set aside; what can be read of it is kept.
    SetAside {
        /// Its name in the directory.
        name: String,
        /// How many lines could not be read.
        lost: u64,
    },
}

/// Why a step failed. It is tried again with the next call; nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum NotTended {
    /// The log cannot be told to the disk.
    #[error("the log of lines cannot be brought to disk")]
    Log(#[source] io::Error),
    /// A block cannot be written, read or removed.
    #[error("a block of lines cannot be written, read or removed")]
    Block(#[from] io::Error),
}

impl Store {
    /// Brings the log to disk, and does one step of what is due, if something is. Call it every few seconds, and at once again
    /// while it returns a step. Lines can be appended and searched meanwhile.
    pub fn tend(&self, now: i64) -> Result<Option<Step>, NotTended> {
        let _one = lock(&self.tending);
        self.flush().map_err(NotTended::Log)?;
        let damaged = read(&self.state).blocks.iter().find(|block| block.damaged.load(Ordering::Relaxed)).cloned();
        if let Some(block) = damaged {
            return self.salvage(&block).map(Some);
        }
        self.freeze_what_rests(now);
        let cut = self.cut();
        if let Ok(Some(step)) = cut {
            return Ok(Some(step));
        }
        // What goes makes room for what could not be written.
        let removed = self.remove_old(now)?;
        if removed.is_some() { Ok(removed) } else { cut }
    }

    /// Writes what waits until there is little of it.
    pub(super) fn catch_up(&self) -> Result<(), NotKept> {
        let _one = lock(&self.tending);
        while read(&self.state).frozen.len() >= super::WAITING {
            match self.cut() {
                Ok(_) => {}
                Err(NotTended::Block(error)) if is_full(&error) => return Err(NotKept::Full(error)),
                Err(error) => return Err(NotKept::Behind(error)),
            }
        }
        Ok(())
    }

    /// A few lines become a block as well, after a while: so they can be removed when they are old.
    fn freeze_what_rests(&self, now: i64) {
        let rests = |since: i64| since.saturating_add(self.options.rest) <= now;
        if read(&self.state).head.since.is_none_or(|since| !rests(since)) {
            return;
        }
        let mut writer = lock(&self.writer);
        let mut state = write(&self.state);
        if !state.head.is_empty() {
            let frozen = state.head.freeze(writer.log.rotate());
            state.frozen.push_back(frozen);
        }
    }

    /// Makes a block of the oldest lines that wait for it.
    fn cut(&self) -> Result<Option<Step>, NotTended> {
        let waiting = read(&self.state).frozen.front().map(|frozen| (frozen.lines.clone(), frozen.log));
        let Some((lines, log)) = waiting else { return Ok(None) };
        let block = block::write(self.files.as_ref(), &lines, log, 0, self.options.effort)?;
        let step = Step::Cut { lines: block.meta.lines, bytes: block.bytes };
        {
            let mut state = write(&self.state);
            state.frozen.pop_front();
            state.blocks.push(Arc::new(block));
        }
        lock(&self.writer).log.remove(self.files.as_ref(), log)?;
        Ok(Some(step))
    }

    /// Removes a block that is too old, or the oldest while all are too large.
    fn remove_old(&self, now: i64) -> Result<Option<Step>, NotTended> {
        let gone = {
            let state = read(&self.state);
            let end = now.min(state.newest.unwrap_or(now)).saturating_sub(self.options.keep);
            let bytes: u64 = state.blocks.iter().map(|block| block.bytes).sum();
            let oldest = state.blocks.iter().min_by_key(|block| (block.meta.to, block.meta.log));
            oldest
                .filter(|block| block.meta.to < end || (bytes > self.options.bytes && state.blocks.len() > 1))
                .cloned()
        };
        let Some(gone) = gone else { return Ok(None) };
        write(&self.state).blocks.retain(|block| block.name != gone.name);
        self.files.remove(&gone.name)?;
        Ok(Some(Step::Removed { to: gone.meta.to, lines: gone.meta.lines }))
    }

    /// Writes what can be read of a broken block, and sets it aside.
    fn salvage(&self, broken: &Arc<Block>) -> Result<Step, NotTended> {
        let lines = self.readable(broken)?;
        let lost = broken.meta.lines.saturating_sub(lines.len());
        let written = if lines.pieces.is_empty() {
            None
        } else {
            let (log, writing) = (broken.meta.log, broken.meta.writing + 1);
            Some(block::write(self.files.as_ref(), &lines, log, writing, self.options.effort)?)
        };
        {
            let mut state = write(&self.state);
            state.blocks.retain(|block| block.name != broken.name);
            state.blocks.extend(written.map(Arc::new));
            state.blocks.sort_by_key(|block| block.meta.log);
        }
        let aside = set_aside(self.files.as_ref(), &broken.name, "a part of it is broken".to_owned())?;
        let name = aside.name.clone();
        lock(&self.aside).push(aside);
        Ok(Step::SetAside { name, lost })
    }

    /// The lines of the chunks that can be read.
    fn readable(&self, block: &Block) -> Result<Lines, NotTended> {
        let streams = Arc::new(block.streams.to_vec());
        let mut lines = Lines { pieces: Vec::new(), streams };
        let reader = match block.reader(self.files.as_ref()) {
            Ok(reader) => reader,
            Err(Unusable::Corrupt(_)) => return Ok(lines),
            Err(Unusable::Io(error)) => return Err(error.into()),
        };
        for chunk in &reader.contents.chunks {
            let read = reader.columns(chunk).and_then(|columns| Ok((columns, reader.texts(chunk)?)));
            match read {
                Ok((mut columns, texts)) => {
                    columns.stream.iter_mut().for_each(|stream| *stream = chunk.streams[*stream as usize]);
                    let (from, to, levels) = (chunk.from, chunk.to, chunk.levels);
                    lines.pieces.push(Arc::new(Piece { columns, texts, from, to, levels }));
                }
                Err(Unusable::Corrupt(_)) => {}
                Err(Unusable::Io(error)) => return Err(error.into()),
            }
        }
        Ok(lines)
    }
}
