//! Segments of what PostgreSQL writes: their names, and what the first bytes of each say.
//!
//! Names are three numbers of eight hexadecimal digits: the timeline, and the number of the segment in two parts, since a
//! log of old had 4 GiB.

/// A segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// The timeline that it was written on.
    pub timeline: u32,
    /// Its number, counted over all.
    pub number: u64,
}

const LOG: u64 = 1 << 32;

/// Whether a segment can be of this size: a power of two from 1 MiB to 1 GiB.
pub(super) fn is_size(bytes: u64) -> bool {
    bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes)
}

impl Segment {
    /// The segment of a name, where each has `bytes`.
    pub fn parse(name: &str, bytes: u64) -> Option<Self> {
        if name.len() != 24 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        let part = |from: usize| u32::from_str_radix(&name[from..from + 8], 16).ok();
        let (timeline, log, low) = (part(0)?, u64::from(part(8)?), u64::from(part(16)?));
        let in_log = LOG / bytes;
        (low < in_log).then_some(Self { timeline, number: log * in_log + low })
    }

    /// Its name.
    pub fn name(self, bytes: u64) -> String {
        let in_log = LOG / bytes;
        format!("{:08X}{:08X}{:08X}", self.timeline, self.number / in_log, self.number % in_log)
    }
}

/// The segment that a place in what is written lies in: `0/2000028`. At the very end of one it is that one.
pub fn segment_at(place: &str, timeline: u32, bytes: u64, is_end: bool) -> Option<Segment> {
    let (high, low) = place.split_once('/')?;
    let part = |text: &str| u64::from_str_radix(text, 16).ok().filter(|part| *part < LOG);
    let position = (part(high)? << 32) + part(low)?;
    let position = if is_end { position.checked_sub(1)? } else { position };
    Some(Segment { timeline, number: position / bytes })
}

/// Whether a file of an archive is no segment, but tells of timelines or of a base backup.
pub fn is_history(name: &str) -> bool {
    let hexadecimal = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let timeline = name.strip_suffix(".history").is_some_and(|rest| hexadecimal(rest, 8));
    let backup = name.strip_suffix(".backup").and_then(|rest| rest.split_once('.'));
    timeline
        || backup.is_some_and(|(segment, offset)| hexadecimal(segment, 24) && hexadecimal(offset, 8))
        || name.strip_suffix(".partial").is_some_and(|rest| hexadecimal(rest, 24))
}

/// How many bytes of its beginning say what a segment is.
pub const HEAD: usize = 40;

/// What is wrong with a file that should be a segment of a cluster, by its first [`HEAD`] bytes and its size. Names of
/// other kinds are not looked at.
pub fn check(name: &str, head: &[u8], size: u64, system: u64, bytes: u64) -> Result<(), String> {
    let Some(segment) = Segment::parse(name, bytes) else { return Ok(()) };
    if size != bytes {
        return Err(format!("{name} has {size} bytes, not {bytes}"));
    }
    let number = |from: usize, length: usize| {
        let part = head.get(from..from + length)?;
        Some(part.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    // A page's header: magic, flags, timeline, address, and in the first of a segment the cluster and the sizes.
    let (magic, flags, address, cluster, length) =
        (number(0, 2), number(2, 2), number(8, 8), number(24, 8), number(32, 4));
    if magic.is_none_or(|magic| magic >> 8 != 0xd0 && magic >> 8 != 0xd1) || flags.is_none_or(|flags| flags & 2 == 0) {
        return Err(format!("{name} does not begin as a segment does"));
    }
    if cluster != Some(system) {
        return Err(format!("{name} is of another server"));
    }
    if address != Some(segment.number * bytes) || length != Some(bytes) {
        return Err(format!("{name} holds another segment than its name says"));
    }
    Ok(())
}
