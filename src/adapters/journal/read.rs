//! Reading a journal file from its beginning, as far as it was written when it was opened.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;

use super::line::{Line, parse};
use super::own::End;
use crate::adapters::journal::chain_start;
use crate::app::audit::Position;

/// How much is read at first to find the last line.
const TAIL: u64 = 64 * 1024;

pub struct Reading {
    lines: BufReader<Take<File>>,
    length: u64,
    live: bool,
    at: u64,
    whole: u64,
    buffer: Vec<u8>,
}

/// What stands between two line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Line(Line),
    /// It is no line of ours.
    Strange,
}

impl Reading {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // In this order: what was written by a process that then died is all there.
        let live = is_live(&file)?;
        let length = file.metadata()?.len();
        Ok(Self { lines: BufReader::new(file.take(length)), length, live, at: 0, whole: 0, buffer: Vec::new() })
    }

    /// Whether a process was still writing it.
    pub fn is_live(&self) -> bool {
        self.live
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// `None` at the end; what then stands behind the last line end is torn.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        self.buffer.clear();
        self.at += self.lines.read_until(b'\n', &mut self.buffer)? as u64;
        Ok(self.buffer.strip_suffix(b"\n").map(|line| match parse(line) {
            Some(line) => {
                self.whole = self.at;
                Piece::Line(line)
            }
            None => Piece::Strange,
        }))
    }

    /// Bytes behind the last line of ours among those that were read.
    pub fn torn(&self) -> u64 {
        self.at - self.whole
    }

    /// Its end, by what its last whole line claims, without reading all of it.
    pub(super) fn end(self, chain: &str) -> io::Result<End> {
        let length = self.length;
        let mut file = self.lines.into_inner().into_inner();
        let mut wanted = TAIL;
        loop {
            let from = length.saturating_sub(wanted);
            let mut tail = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            (&mut file).take(length - from).read_to_end(&mut tail)?;
            if let Some((position, torn)) = last_line(&tail) {
                return Ok(End::new(chain, &position, torn));
            }
            if from == 0 {
                return Ok(End::new(chain, &chain_start(chain), length));
            }
            wanted *= 4;
        }
    }
}

/// The last line of ours that ends in this text, and the bytes behind it. What begins before the text is
/// not taken for a line: a part of a line is none.
fn last_line(text: &[u8]) -> Option<(Position, u64)> {
    let mut to = text.len();
    while let Some(end) = text[..to].iter().rposition(|byte| *byte == b'\n') {
        let begin = text[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
        if let Some(line) = parse(&text[begin..end]) {
            return Some((line.claimed, (text.len() - end - 1) as u64));
        }
        to = end;
    }
    None
}

/// Whether a process still writes it. Its lock goes with the process, however that ends.
fn is_live(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::journal::line::render;
    use std::fs;

    fn lines(count: u64, note: &str) -> Vec<u8> {
        let mut text = Vec::new();
        for number in 1..=count {
            render(&mut text, &Position { number, hash: [number as u8; 32] }, note);
        }
        text
    }

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_file_is_read_line_by_line_to_its_torn_end() {
        let mut text = lines(2, "{}");
        text.extend_from_slice(b"not a line\n");
        text.extend_from_slice(&lines(1, "{}"));
        text.extend_from_slice(b"{\"n\":4");
        let file = file(&text);
        let mut reading = Reading::open(file.path()).unwrap();
        let mut seen = Vec::new();
        while let Some(piece) = reading.next_piece().unwrap() {
            seen.push(matches!(piece, Piece::Line(_)));
        }
        assert_eq!(seen, [true, true, false, true]);
        assert_eq!((reading.torn(), reading.is_live(), reading.length()), (6, false, text.len() as u64));
    }

    #[test]
    fn the_end_is_the_last_whole_line_whatever_follows_and_however_far_back_it_is() {
        let ordinary = lines(900, "{\"who\":\"someone who reads\"}");
        let long = lines(3, &format!("\"{}\"", "x".repeat(3 * TAIL as usize)));
        for (text, number) in [(ordinary, 900), (long, 3), (Vec::new(), 0)] {
            for torn in [&b""[..], b"{\"n\":901,\"ha", &[0; 70_000], b"\n\n", b"{}\n{}\n{"] {
                let file = file(&[&text, torn].concat());
                let end = Reading::open(file.path()).unwrap().end("c").unwrap();
                assert_eq!((end.n, end.torn), (number, torn.len() as u64));
                let hash = if number == 0 { chain_start("c").hash } else { [number as u8; 32] };
                assert_eq!(end.position(), Some(Position { number, hash }));
            }
        }
    }

    #[test]
    fn a_file_is_live_as_long_as_its_writer_has_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let writer = File::create(&path).unwrap();
        writer.lock().unwrap();
        let other = File::open(&path).unwrap();
        assert!(is_live(&other).unwrap());
        drop(writer);
        assert!(!is_live(&other).unwrap());
        assert!(File::open(&path).unwrap().try_lock().is_ok(), "asking leaves no lock behind");
    }
}
