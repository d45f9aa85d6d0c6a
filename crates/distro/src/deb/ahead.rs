//! Reads ahead on a thread of its own, so that decompressing and using what comes out overlap.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

/// Pieces this large keep the cost of handing them over far below that of filling them.
const PIECE: usize = 256 << 10;
/// Pieces that may wait; with the ones being filled and emptied, about two megabytes are under way.
const WAITING: usize = 6;

/// What a thread reads for us.
#[derive(Debug)]
pub(crate) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Pieces go back to be filled again: memory that is new each time costs as much as copying it.
    empty: Sender<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

/// Reads `input` to its end on a thread of `scope`. Whoever drops the result early stops the thread.
pub(crate) fn read_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    input: impl Read + Send + 'scope,
) -> Ahead {
    let (sender, pieces) = sync_channel(WAITING);
    let (empty, emptied) = channel();
    scope.spawn(move || send_all(input, &sender, &emptied));
    Ahead { pieces, empty, current: io::Cursor::default() }
}

fn send_all(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>, emptied: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = emptied.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        piece.clear();
        let result = input.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        let is_last = piece.is_empty() || result.is_err();
        // What was decoded before the error is passed on; the error comes after it.
        let is_wanted = piece.is_empty() || sender.send(Ok(piece)).is_ok();
        if let (Err(error), true) = (result, is_wanted) {
            let _nobody_waits_any_more = sender.send(Err(error));
        }
        if is_last || !is_wanted {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 if !buffer.is_empty() => {}
                n => return Ok(n),
            }
            match self.pieces.recv() {
                Ok(piece) => {
                    let used = std::mem::replace(&mut self.current, io::Cursor::new(piece?));
                    // At the end nobody fills it any more.
                    let _not_needed = self.empty.send(used.into_inner());
                }
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn everything_arrives_in_order() {
        let plain: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut copy = Vec::new();
        std::thread::scope(|scope| read_ahead(scope, &plain[..]).read_to_end(&mut copy)).unwrap();
        assert!(copy == plain);
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        std::thread::scope(|scope| {
            let mut ahead = read_ahead(scope, (&b"abc"[..]).chain(Failing));
            let mut copy = Vec::new();
            assert_eq!(ahead.read_to_end(&mut copy).unwrap_err().to_string(), "broken");
            assert_eq!(copy, b"abc");
        });
    }

    #[test]
    fn nobody_has_to_read_to_the_end() {
        std::thread::scope(|scope| {
            let mut ahead = read_ahead(scope, io::repeat(0));
            ahead.read_exact(&mut [0; 10]).unwrap();
        });
    }
}
