//! A file of jobs taken apart: JSON Lines or a JSON array, one item at a time, so that a broken
//! item harms no other and no file is too large.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use crate::job::MAX_BODY_BYTES;

/// Opens the file; `-` is standard input.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder; expected a file of jobs"));
    }
    Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
}

/// One item of the file, not judged yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The line it begins on, from 1.
    pub(super) line: u64,
    /// Its text; of one that is too large just the beginning.
    pub(super) text: Vec<u8>,
    /// How long its text really is.
    pub(super) bytes: usize,
}

impl Item {
    fn at(line: u64) -> Self {
        Self { line, text: Vec::new(), bytes: 0 }
    }

    /// Keeps a little more than what is allowed, which is enough to refuse it.
    fn push(&mut self, more: &[u8]) {
        let room = (MAX_BODY_BYTES + 1).saturating_sub(self.text.len());
        self.text.extend_from_slice(more.get(..room).unwrap_or(more));
        self.bytes += more.len();
    }

    fn is_blank(&self) -> bool {
        self.text.trim_ascii().is_empty()
    }

    /// Whether all of its text is there.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes <= MAX_BODY_BYTES
    }
}

/// The items of a file, in order.
pub(super) struct Items<R> {
    reader: R,
    line: u64,
    shape: Shape,
}

enum Shape {
    Lines,
    Array(Position),
}

/// Where in a JSON array the reader is.
#[derive(Default)]
struct Position {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    has_ended: bool,
}

impl<R: BufRead> Items<R> {
    /// Looks at the first character: `[` begins an array, anything else a line.
    pub(super) fn new(mut reader: R) -> io::Result<Self> {
        let mut line = 1;
        skip_byte_order_mark(&mut reader)?;
        loop {
            match reader.fill_buf()?.first() {
                Some(byte) if byte.is_ascii_whitespace() => {
                    line += u64::from(*byte == b'\n');
                    reader.consume(1);
                }
                Some(b'[') => {
                    reader.consume(1);
                    return Ok(Self { reader, line, shape: Shape::Array(Position::default()) });
                }
                _ => return Ok(Self { reader, line, shape: Shape::Lines }),
            }
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Item>> {
        loop {
            let mut item = Item::at(self.line);
            let found = self.read_line(&mut item)?;
            if !item.is_blank() {
                return Ok(Some(item));
            }
            if !found {
                return Ok(None);
            }
        }
    }

    /// Reads to the end of the line; answers whether there was one.
    fn read_line(&mut self, item: &mut Item) -> io::Result<bool> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            item.push(buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default());
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                self.line += 1;
                return Ok(true);
            }
        }
    }

    fn next_element(&mut self) -> io::Result<Option<Item>> {
        let Shape::Array(position) = &mut self.shape else { return Ok(None) };
        if position.has_ended {
            return trailing(&mut self.reader, self.line);
        }
        let mut item = Item::at(self.line);
        loop {
            let Some(&byte) = self.reader.fill_buf()?.first() else {
                // The end is missing. What was begun is judged, and found wanting; where nothing
                // was, the array's own text is.
                position.has_ended = item.is_blank() || position.is_inside();
                item.push(if item.is_blank() { b"{" } else { b"" });
                return Ok(Some(item));
            };
            self.reader.consume(1);
            self.line += u64::from(byte == b'\n');
            match position.step(byte) {
                Token::Inside if item.is_blank() && byte.is_ascii_whitespace() => {
                    item.line = self.line;
                }
                Token::Inside => item.push(&[byte]),
                Token::End if item.is_blank() => return trailing(&mut self.reader, self.line),
                Token::Comma | Token::End => return Ok(Some(item)),
            }
        }
    }
}

/// What a byte of an array means.
enum Token {
    Inside,
    Comma,
    End,
}

impl Position {
    /// Whether an element has begun and not ended.
    fn is_inside(&self) -> bool {
        self.depth > 0 || self.in_string
    }

    fn step(&mut self, byte: u8) -> Token {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Token::Inside;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b']' if self.depth == 0 => {
                self.has_ended = true;
                return Token::End;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' if self.depth == 0 => return Token::Comma,
            _ => {}
        }
        Token::Inside
    }
}

/// What follows an array is an item too: it is not lost in silence.
fn trailing<R: BufRead>(reader: &mut R, line: u64) -> io::Result<Option<Item>> {
    let mut item = Item::at(line);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((!item.is_blank()).then_some(item));
        }
        let used = buffer.len();
        item.push(buffer);
        reader.consume(used);
    }
}

/// Windows programs begin their files with one.
pub(super) fn skip_byte_order_mark<R: BufRead>(reader: &mut R) -> io::Result<()> {
    if reader.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    Ok(())
}

impl<R: BufRead> Iterator for Items<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.shape {
            Shape::Lines => self.next_line(),
            Shape::Array(_) => self.next_element(),
        }
        .transpose()
    }
}
