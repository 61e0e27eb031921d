//! The last lines of a journal file, and those that are added to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::line::{Line, parse};

const CHUNK: u64 = 64 * 1024;

pub struct Tail {
    path: PathBuf,
    /// Behind the last line that was given out.
    at: u64,
}

impl Tail {
    /// Every line of a file that has just begun.
    pub fn from_start(path: PathBuf) -> Self {
        Self { path, at: 0 }
    }

    /// At most the last `count` lines, without reading what is before them.
    pub fn from_end(path: PathBuf, count: usize) -> io::Result<(Self, Vec<Line>)> {
        let mut file = File::open(&path)?;
        let length = file.metadata()?.len();
        let mut wanted = CHUNK;
        loop {
            let from = length.saturating_sub(wanted);
            let text = read(&mut file, from, length)?;
            // What begins before the text is not whole.
            let begin =
                if from == 0 { 0 } else { text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1) };
            let (lines, whole) = lines(&text[begin..]);
            if lines.len() >= count || from == 0 {
                let behind = from + (begin + whole) as u64;
                let skipped = lines.len().saturating_sub(count);
                return Ok((Self { path, at: behind }, lines.into_iter().skip(skipped).collect()));
            }
            wanted *= 4;
        }
    }

    /// What was added since.
    pub fn more(&mut self) -> io::Result<Vec<Line>> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        let text = read(&mut file, self.at, length)?;
        let (lines, whole) = lines(&text);
        self.at += whole as u64;
        Ok(lines)
    }
}

fn read(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(to.saturating_sub(from)).read_to_end(&mut text)?;
    Ok(text)
}

/// The lines of ours, and how far the last line end is. What is torn or strange is for `verify`.
fn lines(text: &[u8]) -> (Vec<Line>, usize) {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    (text[..whole].split(|byte| *byte == b'\n').filter_map(parse).collect(), whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::journal::line::render;
    use crate::app::audit::Position;
    use std::io::Write;

    fn numbers(lines: &[Line]) -> Vec<u64> {
        lines.iter().map(|line| line.claimed.number).collect()
    }

    #[test]
    fn the_end_is_found_and_followed_line_by_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut add = |range: std::ops::RangeInclusive<u64>, size: usize| {
            let mut text = Vec::new();
            range.for_each(|number| render(&mut text, &Position { number, hash: [0; 32] }, &"x".repeat(size)));
            file.write_all(&text).unwrap();
            file.path().to_owned()
        };
        let path = add(1..=2000, 200);
        for (count, first) in [(0, 2001), (1, 2000), (3, 1998), (1500, 501), (5000, 1)] {
            let (mut tail, lines) = Tail::from_end(path.clone(), count).unwrap();
            assert_eq!(numbers(&lines), (first..=2000).collect::<Vec<_>>());
            assert!(tail.more().unwrap().is_empty());
        }
        let (mut tail, _) = Tail::from_end(path.clone(), 1).unwrap();
        let mut from_start = Tail::from_start(path);
        add(2001..=2002, 70_000);
        assert_eq!(numbers(&tail.more().unwrap()), [2001, 2002]);
        assert_eq!(numbers(&from_start.more().unwrap()).len(), 2002);
    }

    #[test]
    fn a_line_under_way_is_given_out_when_it_is_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut text = Vec::new();
        render(&mut text, &Position { number: 1, hash: [0; 32] }, "{}");
        let mut tail = Tail::from_start(file.path().to_owned());
        for cut in [0, 10, text.len() - 1] {
            std::fs::write(file.path(), &text[..cut]).unwrap();
            assert!(tail.more().unwrap().is_empty());
        }
        std::fs::write(file.path(), &text).unwrap();
        assert_eq!(numbers(&tail.more().unwrap()), [1]);
    }
}
