use super::{Frame, Frames, MOST_PIECES, Piece, Writing};
use crate::protocol::Traffic;

/// A frame that shares `piece`, if there is one.
fn frame<'a>(payload: &'a [u8], piece: Option<&'a Piece>) -> Frame<'a> {
    Frame {
        header: b"(",
        payload,
        closes: None,
        traffic: Traffic::default(),
        shared: piece,
    }
}

/// Writes everything, at most `most` bytes at a time. Returns the bytes, and the number of slices
/// of each write.
fn written(frames: &mut Frames, most: usize) -> (Vec<u8>, Vec<usize>) {
    let mut writing = Writing::default();
    writing.take(frames);
    let (mut written, mut counts) = (Vec::new(), Vec::new());
    while !writing.is_done() {
        let taken = writing.with_slices(|slices| {
            counts.push(slices.len());
            let mut next: Vec<_> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            next.truncate(most);
            written.extend_from_slice(&next);
            next.len()
        });
        assert!(taken > 0);
        writing.advance(taken);
    }
    writing.release();
    (written, counts)
}

#[test]
fn frames_keep_their_order_however_they_are_kept_and_written() {
    for pattern in ["o", "s", "os", "so", "ossoos", "ssss"] {
        let pattern = pattern.repeat(7);
        for most in [1, 3, 8, 1000] {
            let mut frames = Frames::default();
            let mut expected = Vec::new();
            let mut last = Piece::empty();
            for (name, kind) in (b'0'..).zip(pattern.chars()) {
                let payload = [name; 3];
                last.append([b"(", &payload], true).unwrap();
                frames
                    .push(frame(&payload, (kind == 's').then_some(&last)))
                    .unwrap();
                expected.extend_from_slice(b"(");
                expected.extend_from_slice(&payload);
            }
            assert_eq!(written(&mut frames, most).0, expected, "{pattern} {most}");
        }
    }
}

#[test]
fn pieces_that_follow_each_other_are_one_slice() {
    let (mut frames, mut last) = (Frames::default(), Piece::empty());
    for _ in 0..100 {
        last.append([b"(", b"shared"], true).unwrap();
        frames.push(frame(b"shared", Some(&last))).unwrap();
    }
    let (bytes, counts) = written(&mut frames, usize::MAX);
    assert_eq!(bytes, b"(shared".repeat(100));
    assert_eq!(counts, [1]);
}

#[test]
fn many_small_pieces_are_copied_so_that_their_chunks_need_not_be_kept() {
    let mut frames = Frames::default();
    let pieces = [(); 100].map(|()| {
        let mut piece = Piece::empty();
        piece.append([b"(", b"shared"], true).unwrap();
        piece
    });
    for piece in &pieces {
        frames.push(frame(b"shared", Some(piece))).unwrap();
    }
    assert_eq!(frames.pieces.len(), MOST_PIECES);
    let (bytes, counts) = written(&mut frames, usize::MAX);
    assert_eq!(bytes, b"(shared".repeat(100));
    assert_eq!(counts, [MOST_PIECES + 1]);
}

#[test]
fn the_rest_of_a_frame_goes_first() {
    let frame = frame(b"hello", None);
    for cut in 0..frame.len() {
        let mut writing = Writing::default();
        writing.add_rest(frame, cut).unwrap();
        writing.with_slices(|slices| assert_eq!(&*slices[0], &b"(hello"[cut..]));
    }
}

/// A whole frame with a payload of `len` bytes.
fn real(len: usize) -> Vec<u8> {
    let header = match len {
        0..126 => vec![0x82, u8::try_from(len).unwrap()],
        126..65_536 => [&[0x82, 126][..], &u16::try_from(len).unwrap().to_be_bytes()].concat(),
        _ => [&[0x82, 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    [header, vec![0x77; len]].concat()
}

fn whole(bytes: &[u8]) -> Frame<'_> {
    let (header, payload) = bytes.split_at(1);
    Frame {
        header,
        ..frame(payload, None)
    }
}

/// What is left after `written` bytes were written and the rest was cut.
fn cut(mut writing: Writing, written: usize) -> Vec<u8> {
    writing.advance(written);
    let len = writing.cut();
    let left = writing.with_slices(|slices| slices.concat_bytes());
    assert_eq!(left.len(), len);
    left
}

trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Concat for [std::io::IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|slice| slice.to_vec()).collect()
    }
}

#[test]
fn a_cut_leaves_the_rest_of_the_frame_in_progress() {
    let lengths = [0, 3, 200, 1, 70_000, 5];
    let all: Vec<_> = lengths.iter().map(|len| real(*len)).collect();
    let bytes = all.concat();
    let ends: Vec<_> = (1..=all.len()).map(|n| all[..n].concat().len()).collect();
    for is_shared in [false, true] {
        for written in (0..=bytes.len()).filter(|n| *n < 300 || n % 997 == 0 || *n > 70_200) {
            let mut frames = Frames::default();
            let mut last = Piece::empty();
            for (number, bytes) in all.iter().enumerate() {
                let whole = whole(bytes);
                if number == 3 {
                    last = Piece::empty();
                }
                last.append([whole.header, whole.payload], true).unwrap();
                let shared = (is_shared && number > 0 && number < 5).then_some(&last);
                frames.push(Frame { shared, ..whole }).unwrap();
            }
            let mut writing = Writing::default();
            writing.take(&mut frames);
            let is_between = written == 0 || ends.contains(&written);
            let end = ends.iter().find(|end| **end >= written).copied();
            let end = end.filter(|_| !is_between).unwrap_or(written);
            assert_eq!(
                cut(writing, written),
                bytes[written..end],
                "{is_shared} {written}"
            );
        }
    }
}

#[test]
fn a_cut_leaves_the_rest_of_a_frame_that_was_begun_elsewhere() {
    let bytes = real(100);
    for begun in 0..bytes.len() {
        for written in 0..bytes.len() - begun {
            let mut writing = Writing::default();
            writing.add_rest(whole(&bytes), begun).unwrap();
            let is_begun = begun + written > 0;
            let expected = if is_begun {
                &bytes[begun + written..]
            } else {
                &[]
            };
            assert_eq!(cut(writing, written), expected, "{begun} {written}");
        }
    }
}
